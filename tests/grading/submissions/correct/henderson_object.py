"""Henderson's mixed model equations, sigma profiled out, L-BFGS-B over relative log sds; no LMMprof; returns an object."""

from dataclasses import dataclass

import numpy as np
import patsy
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize


@dataclass
class Fit:
    beta: np.ndarray
    theta: np.ndarray


def lmm(form, dat, ref=[]):     # noqa: B006 - the sheet's own default
    y, X = patsy.dmatrices(form, dat, return_type="dataframe")
    used, y, X = dat.loc[y.index], np.ravel(y), np.asarray(X)
    blocks = [np.asarray(patsy.dmatrix("0+" + ":".join(names), used)) for names in ref]
    n, k, sizes = len(y), X.shape[1], [Z.shape[1] for Z in blocks]
    T = np.column_stack([*blocks, X, y])
    TT, p = T.T @ T, sum(sizes)

    def solved(relative):
        """Factor of the augmented cross-product: random effects in units of their sds, then X, then y."""
        d = np.concatenate([np.repeat(np.exp(relative), sizes), np.ones(k + 1)])
        C = d[:, None] * TT * d
        C[np.arange(p), np.arange(p)] += 1
        G = cholesky(C)
        return G, G[-1, -1] ** 2 / n

    def criterion(relative):
        G, sigma2 = solved(relative)
        return np.log(np.diag(G)[:p]).sum() + n / 2 * np.log(sigma2)

    starts = [np.zeros(len(ref)), np.full(len(ref), -1.0)] if ref else []
    found = [minimize(criterion, start, method="L-BFGS-B", bounds=[(-12, 12)] * len(ref)) for start in starts]
    relative = min(found, key=lambda f: f.fun).x if found else np.zeros(0)
    G, sigma2 = solved(relative)
    beta = solve_triangular(G[p:-1, p:-1], G[p:-1, -1])
    return Fit(beta, np.concatenate([[np.log(sigma2) / 2], relative + np.log(sigma2) / 2]))
