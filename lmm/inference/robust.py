"""Covariances of the fixed effects that are right whatever the covariance within clusters is.

Sources: Liang and Zeger (1986) for CR0; Bell and McCaffrey (2002), Pustejovsky and Tipton (2018),
"Small-sample methods for cluster-robust variance estimation", J. Bus. Econ. Stat. 36, for CR2.
"""

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve

from ..errors import LMMError
from ..model import in_order
from .influence import levels_of

SANDWICHES = ("CR0", "CR2")
MOST_ROWS = 5000        # of a cluster, whose matrices are full
NO_EIGENVALUE = 1e-10   # of B_i, relative to its largest: below it is zero


def robust_cov(fit, by, kind="CR2"):
    """The covariance of `beta` by clusters: a sandwich with the residuals of each cluster.

    Parameters
    ----------
    by : str or array_like, shape (nobs,)
        The clusters: a grouping, a column of `dat`, or a label for each row used. Each level of the
        random effects is to be in one cluster.
    kind : {"CR2", "CR0"}, optional
        ``"CR0"`` is the plain one, too small with few clusters; ``"CR2"`` is unbiased if the
        model's covariance is right.

    Returns
    -------
    DataFrame
        Columns of X by columns of X: for ``fit.contrast(L, cov=..., df=...)``, with as df one less
        than there are clusters, or fewer.

    Raises
    ------
    LMMError
        If there is no such grouping, if a level of the random effects is in several clusters, or
        `kind` is neither.

    Notes
    -----
    With W_i = V_i^-1 and the residuals e_i = y_i - X_i beta of cluster i, and Phi = (X'WX)^-1,

        Phi { sum_i X_i' W_i A_i e_i e_i' A_i' W_i X_i } Phi,

    A_i = I for CR0; for CR2, with V_i = D_i'D_i, D_i upper triangular, and V_i - X_i Phi X_i' the
    covariance of e_i by the model,

        A_i = D_i' B_i^-1/2 D_i,    B_i = D_i (V_i - X_i Phi X_i') D_i'.

    O(sum of n_i^3).

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> float(np.sqrt(fit.robust_cov("Subject").loc["Days", "Days"]).round(3))
    1.546
    """
    if kind not in SANDWICHES:
        raise LMMError(f"kind is {kind!r}; it is 'CR0' or 'CR2'")
    design = fit.setup.design
    codes = clusters_of(fit, by)
    for block in design.blocks:
        if crosses(block.matrix, codes):
            raise LMMError(
                f"a level of {block.name!r} is in several clusters, so these depend on each other; "
                "give clusters in which every grouping is nested"
            )
    weights = np.ones(fit.nobs) if design.root_weights is None else design.root_weights**2
    levels = [len(block.levels) for block in design.blocks]
    Lambda = fit.setup.covariance.Lambda(fit.theta, levels)
    e = design.y - design.offset - design.X @ fit.beta
    Phi = fit.cov_params().to_numpy()
    root = root_of_z(design, Lambda)
    meat = np.zeros_like(Phi)
    for rows in rows_by_cluster(codes):
        X = design.X[rows]
        half = root[rows].toarray() if root is not None else np.zeros((len(rows), 1))
        half = half[:, half.any(axis=0)]
        V = half @ half.T + np.diag(fit.sigma**2 / weights[rows])
        left = e[rows]
        if kind == "CR2":
            left = adjusted_residuals(V, X, Phi, left)
        score = X.T @ cho_solve(cho_factor(V), left)
        meat += np.outer(score, score)
    names = list(design.x_names)
    return pd.DataFrame(Phi @ meat @ Phi, names, names)


def adjusted_residuals(V, X, Phi, e):
    """A_i e_i of CR2; directions in which the model's residuals do not vary are left out."""
    D = np.linalg.cholesky(V).T
    B = D @ (V - X @ Phi @ X.T) @ D.T
    values, vectors = np.linalg.eigh(0.5 * (B + B.T))
    kept = values > NO_EIGENVALUE * values.max()
    inverse_root = vectors[:, kept] / np.sqrt(values[kept]) @ vectors[:, kept].T
    return D.T @ inverse_root @ D @ e


def root_of_z(design, Lambda):
    """Z Lambda, (n, p) sparse, whose product with itself is Z psi Z'; None without any."""
    if not design.blocks:
        return None
    from scipy import sparse

    Z = sparse.hstack([block.matrix for block in design.blocks], format="csr")
    return sparse.csr_array(Z @ Lambda)


def clusters_of(fit, by):
    """The number of each row's cluster, (n,)."""
    if isinstance(by, str):
        return levels_of(fit, by)[0]
    design = fit.setup.design
    if isinstance(by, pd.Series) and len(by) == len(design.dat) > fit.nobs:
        by = in_order(by, (design.dat.index,), "by").iloc[design.rows]
    values = by.to_numpy() if isinstance(by, pd.Series) else np.asarray(by)
    if values.shape != (fit.nobs,) or pd.isna(values).any():
        raise LMMError(
            f"by has shape {values.shape}; it is a name, or one label for each of {fit.nobs} rows, "
            "none missing"
        )
    return pd.factorize(values)[0]


def rows_by_cluster(codes):
    """The rows of each cluster."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order])) + 1
    for rows in np.split(order, starts):
        if len(rows) > MOST_ROWS:
            raise LMMError(
                f"a cluster has {len(rows)} rows, whose matrices would be full; "
                f"it takes {MOST_ROWS} at most"
            )
        yield rows


def crosses(matrix, codes):
    """Whether a column of a block of Z has entries in several clusters."""
    entries = matrix.tocoo()
    of_entry = codes[entries.row]
    low = np.full(matrix.shape[1], np.iinfo(np.int64).max)
    high = np.full(matrix.shape[1], -1)
    np.minimum.at(low, entries.col, of_entry)
    np.maximum.at(high, entries.col, of_entry)
    return bool((high > low).any())
