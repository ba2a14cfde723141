"""Nelder-Mead from several random starts on the log-likelihood itself; a helper beside the file; returns a namedtuple."""

from collections import namedtuple

import numpy as np
from algebra import matrices, pieces
from scipy.optimize import minimize

Fit = namedtuple("Fit", "beta theta nll")


def LMMsetup(form, dat, ref=()):
    return pieces(*matrices(form, dat, ref))


def LMMprof(setup, theta):
    """The log-likelihood, and beta."""
    n, k, sizes, TT = setup["n"], setup["k"], setup["sizes"], setup["TT"]
    p = sum(sizes)
    d = np.concatenate([np.repeat(np.exp(theta[1:] - theta[0]), sizes), np.ones(k + 1)])
    C = d[:, None] * TT * d
    C[np.arange(p), np.arange(p)] += 1
    G = np.linalg.cholesky(C).T
    beta = np.linalg.solve(G[p:-1, p:-1], G[p:-1, -1])
    rss = G[-1, -1] ** 2
    return -np.log(np.diag(G)[:p]).sum() - n * theta[0] - rss / (2 * np.exp(2 * theta[0])), beta


def lmm(form, dat, ref=()):
    setup, rng = LMMsetup(form, dat, ref), np.random.default_rng(4)
    centre = np.log(setup["sd"]) - 0.5
    starts = centre + 0.3 * rng.normal(size=(4, 1 + len(ref)))
    found = [minimize(lambda t: -LMMprof(setup, t)[0], start, method="Nelder-Mead",
                      options={"xatol": 1e-6, "fatol": 1e-8, "maxiter": 2000}) for start in starts]
    best = min(found, key=lambda f: f.fun)
    return Fit(LMMprof(setup, best.x)[1], best.x, best.fun)
