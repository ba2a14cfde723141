"""Sparse matrices and a sparse LU factor; Nelder-Mead, polished; returns scipy's OptimizeResult with beta and theta in it."""

import numpy as np
import patsy
from scipy import optimize, sparse
from scipy.sparse.linalg import splu


def block_of(names, dat):
    """Z of one block: codes of the observed combinations, times the numeric variables."""
    factors = [name for name in names if str(dat[name].dtype) == "category"]
    codes = dat.groupby(factors, observed=True).ngroup().to_numpy()
    values = np.prod([dat[name].to_numpy(float) for name in names if name not in factors] or [np.ones(len(dat))], axis=0)
    return sparse.csc_matrix((values, (np.arange(len(dat)), codes)))


def lmm(form, dat, ref=()):
    y, X = patsy.dmatrices(form, dat, return_type="dataframe")
    blocks = [block_of(names, dat.loc[y.index]) for names in ref]
    y, X = np.ravel(y), np.asarray(X)
    n, sizes = len(y), [Z.shape[1] for Z in blocks]
    Z = sparse.hstack(blocks).tocsc() if blocks else sparse.csc_matrix((n, 0))
    ZZ, ZU, U = Z.T @ Z, Z.T @ np.column_stack([X, y]), np.column_stack([X, y])

    def profile(theta):
        s2, d = np.exp(2 * theta[0]), sparse.diags(np.repeat(np.exp(theta[1:]), sizes))
        logdet, C = n * np.log(s2), U.T @ U / s2
        if sizes:
            lu = splu((sparse.identity(sum(sizes)) + d @ ZZ @ d / s2).tocsc())
            logdet += np.log(np.abs(lu.U.diagonal())).sum()
            C -= (d @ ZU).T @ lu.solve(d @ ZU) / s2**2
        beta = np.linalg.solve(C[:-1, :-1], C[:-1, -1])
        return 0.5 * (logdet + C[-1, -1] - beta @ C[:-1, -1]), beta

    start = np.full(1 + len(ref), np.log(y.std()) - 0.5)
    for _ in range(2):
        found = optimize.minimize(lambda t: profile(t)[0], start, method="Nelder-Mead")
        start = found.x
    found.beta, found.theta = profile(found.x)[1], found.x
    return found
