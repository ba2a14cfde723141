"""The likelihood as it is defined, n x n: right, and too slow for many rows; Powell's method; returns a list."""

import numpy as np
import patsy
from scipy.optimize import minimize


def LMMsetup(form, dat, ref=()):
    y, X = patsy.dmatrices(form, dat, return_type="dataframe")
    blocks = [np.asarray(patsy.dmatrix("0+" + ":".join(names), dat.loc[y.index])) for names in ref]
    return [np.ravel(y), np.asarray(X), [Z @ Z.T for Z in blocks]]


def LMMprof(theta, y, X, ZZ):
    V = np.exp(2 * theta[0]) * np.eye(len(y)) + sum(np.exp(2 * t) * M for t, M in zip(theta[1:], ZZ))
    L = np.linalg.cholesky(V)
    WX, Wy = np.linalg.solve(L, X), np.linalg.solve(L, y)
    beta = np.linalg.lstsq(WX, Wy, rcond=None)[0]
    return {"nll": np.log(np.diag(L)).sum() + ((Wy - WX @ beta) ** 2).sum() / 2, "beta": beta}


def lmm(form, dat, ref=()):
    setup = LMMsetup(form, dat, ref)
    start = np.full(1 + len(ref), np.log(setup[0].std()) - 0.3)
    found = minimize(lambda t: LMMprof(t, *setup)["nll"], start, method="Powell", options={"xtol": 1e-6, "ftol": 1e-9})
    return [LMMprof(found.x, *setup)["beta"], found.x]
