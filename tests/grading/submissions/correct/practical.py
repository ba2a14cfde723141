"""The sheet's own way: QR of Z once, a p x p Cholesky factor for each theta, Nelder-Mead; returns a dict."""

import numpy as np
from patsy import dmatrices, dmatrix
from scipy import linalg
from scipy.optimize import minimize


def LMMsetup(form, dat, ref=()):
    y, X = dmatrices(form, dat, return_type="dataframe")        # leaves out rows with missing values
    used = dat.loc[y.index]
    blocks = [np.asarray(dmatrix("0 + " + ":".join(names), used)) for names in ref]
    Z = np.hstack([np.empty((len(y), 0)), *blocks])
    sizes = [block.shape[1] for block in blocks]
    U = np.column_stack([X, y])
    Q, R = np.linalg.qr(Z)
    QtU = Q.T @ U
    rest = U - Q @ QtU
    return R, QtU, rest.T @ rest, sizes, len(y)


def LMMprof(theta, setup):
    R, QtU, rest, sizes, n = setup
    sigma2 = np.exp(2 * theta[0])
    psi = np.repeat(np.exp(2 * theta[1:]), sizes)
    r = len(R)
    A = (R * psi) @ R.T + sigma2 * np.eye(r)
    L = np.linalg.cholesky(A)
    W = linalg.solve_triangular(L, QtU, lower=True) if r else QtU
    G = linalg.cholesky(W.T @ W + rest / sigma2)
    k = len(G) - 1
    beta = linalg.solve_triangular(G[:k, :k], G[:k, k])
    rss = G[k, k] ** 2
    half_logdet = np.sum(np.log(np.diag(L))) + (n - r) * theta[0]
    return half_logdet + rss / 2, beta


def lmm(form, dat, ref=()):
    setup = LMMsetup(form, dat, ref)
    y_sd = np.std(dat[form.split("~")[0].strip()])
    start = np.full(1 + len(ref), np.log(y_sd) - 0.5)
    found = minimize(lambda theta: LMMprof(theta, setup)[0], start, method="Nelder-Mead")
    return {"beta": LMMprof(found.x, setup)[1], "theta": found.x}
