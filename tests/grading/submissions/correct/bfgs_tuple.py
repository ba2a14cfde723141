"""BFGS with numerical derivatives; LMMprof is a float with an attribute, the deviance with its constant; returns a tuple."""

import functools
import re

import numpy as np
import pandas as pd
import patsy
from scipy import linalg, optimize


class Value(float):
    """A number that carries beta."""


def LMMsetup(form, dat, ref=()):
    used = set(re.findall(r"\w+", form)).union(*ref)
    variables = [name for name in dat.columns if name in used]
    dat = dat.dropna(subset=variables)
    y, X = patsy.dmatrices(form, dat)
    Z, block = np.empty((len(dat), 0)), []
    for j, names in enumerate(ref):
        columns = np.ones((len(dat), 1))
        for name in names:
            factor = isinstance(dat[name].dtype, pd.CategoricalDtype)
            one = pd.get_dummies(dat[name]).to_numpy(float) if factor else dat[[name]].to_numpy(float)
            columns = np.einsum("ni,nj->nij", columns, one).reshape(len(dat), -1)
        Z = np.hstack([Z, columns])
        block += [j] * columns.shape[1]
    ZZ, ZX, Zy = Z.T @ Z, Z.T @ np.asarray(X), Z.T @ np.ravel(y)
    return {"y": np.ravel(y), "X": np.asarray(X), "ZZ": ZZ, "ZX": ZX, "Zy": Zy, "block": np.array(block, int)}


def LMMprof(theta, y, X, ZZ, ZX, Zy, block):
    """Woodbury: V^-1 = (I - Z D (I + D Z'Z D / s2)^-1 D Z' / s2) / s2, D = psi^(1/2)."""
    s2, d = np.exp(2 * theta[0]), np.exp(np.asarray(theta[1:])[block])
    M = np.eye(len(d)) + d[:, None] * ZZ * d / s2
    factor = np.linalg.cholesky(M), True
    BX, By = d[:, None] * ZX, d * Zy
    solve = functools.partial(linalg.cho_solve, factor) if len(d) else np.copy
    XWX = (X.T @ X - BX.T @ solve(BX) / s2) / s2
    XWy = (X.T @ y - BX.T @ solve(By) / s2) / s2
    beta = linalg.solve(XWX, XWy, assume_a="pos")
    e, Be = y - X @ beta, By - BX @ beta
    rss = (e @ e - Be @ solve(Be) / s2) / s2
    value = Value(2 * np.log(np.diag(factor[0])).sum() + 2 * len(y) * theta[0] + rss + len(y) * np.log(2 * np.pi))
    value.beta = beta
    return value


def lmm(form, dat, ref=()):
    setup = LMMsetup(form, dat, ref)
    scale = np.log(np.std(setup["y"]))
    best = None
    for shift in (-0.3, -1.0):
        found = optimize.minimize(lambda t: float(LMMprof(t, **setup)), np.full(1 + len(ref), scale + shift), method="BFGS")
        best = found if best is None or found.fun < best.fun else best
    return LMMprof(best.x, **setup).beta, best.x
