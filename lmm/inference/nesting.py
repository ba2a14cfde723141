"""Which model contains another one, and where the smaller one lies on the boundary of the larger.

V is linear in phi = (sigma^2, the entries of psi). With the columns of Z weighted, and the effects
of each term made orthonormal,

    V = sum_a phi_a V_a,    V_0 = I,    V_a = Z_i Z_i'               for the variance of effect i,
                                        V_a = Z_i Z_j' + Z_j Z_i'    for a covariance.

A model contains another one if its X spans the other's X, and its matrices V_a the other's.
"""

import numpy as np

from ..model import Variances, linear_parts, trace_products

OUTSIDE_V = 1e-11       # of tr(V_a V_a), below which what other matrices leave of it is nothing
OUTSIDE_X = 1e3         # rounding errors of a column's length, below which what is left is nothing
ZERO_VARIANCE = 1e-10   # the effects being orthonormal, below which it is 0 but for rounding


def nested(smaller, larger):
    """Whether the larger model spans the smaller one's columns of X, and its V."""
    # -- X: what the larger model's columns, Q' Q = I, leave of each of the smaller one's
    setup = smaller.setup
    design = setup.design
    X = design.weighted(design.X) if design.keeps_rows else setup.Q_X @ setup.R_X
    Q = larger.setup.Q_X
    left = X - Q @ (Q.T @ X)
    rounding = np.sqrt(len(X)) * np.finfo(float).eps
    nothing = OUTSIDE_X * rounding * np.linalg.norm(X, axis=0)
    if np.any(np.linalg.norm(left, axis=0) > nothing):
        return False

    # -- V
    _, left = expressed(smaller, larger)
    return bool(left.max(initial=0.0) < OUTSIDE_V)


def expressed(smaller, larger):
    """The matrices that the smaller model's V is linear in, as combinations of the larger one's.

    U_b being one of the smaller model's and V_a the larger one's, I included,

        U_b = sum_a x_ab V_a + what is left

    is least squares with the scalar product tr(A B), in which the length of what is left is least:

        G x_b = r_b,    G_ac = tr(V_a V_c),    r_ab = tr(V_a U_b)

    Where the structures of the terms let only some combinations of the entries of psi vary, F of
    `Covariance.free_parts`, those are meant by V_a and U_b.

    Returns
    -------
    x : ndarray, shape (free parts of the larger model, free parts of the smaller one)
        Numbers without unit. Free parts are sigma^2 and, by term, the entries of psi or, where
        these are sums of variances, the variances; of the smaller model all but sigma^2.
    left : ndarray, one for each free part of the smaller model
        (tr(U_b U_b) - r_b' x_b) / tr(U_b U_b), the share of the squared length that is left.
    """
    n = smaller.nobs
    identity = (None, None)                             # as `trace_product` takes it
    V = [identity, *linear_parts(larger.setup.design)]
    U = linear_parts(smaller.setup.design)
    F_V = larger.setup.covariance.free_parts
    F_U = smaller.setup.covariance.free_parts[1:, 1:]
    G = F_V.T @ trace_products(V, V, n) @ F_V
    r = F_V.T @ trace_products(V, U, n) @ F_U
    squares = (F_U.T @ trace_products(U, U, n) @ F_U).diagonal()

    # -- G x = r, each V_a scaled to the length 1, so that rcond means the same for all
    norms = np.sqrt(G.diagonal())[:, None]
    x, *_ = np.linalg.lstsq(G / norms.T / norms, r / norms, rcond=1e-14)
    x = x / norms

    # -- |U_b - sum_a x_ab V_a|^2 = |U_b|^2 - r_b' x_b
    left = np.abs(squares - np.einsum("ab,ab->b", x, r)) / squares
    return x, left


def on_the_boundary(smaller, larger):
    """What the larger model lets vary that is 0 in the smaller one.

    Where the smaller model has psi = I (its effects, made orthonormal, independent with variances
    of 1), the larger one is the same model with

        x = sum of x_b over the variances b of the smaller model,    x_b as `expressed` has them,

        phi = F x,                                                   F of `Covariance.free_parts`.

    I stands for every positive definite psi of the smaller model: as each lies between two
    multiples of I, the larger model's psi has the same zeros, and the same rank, for all of them.
    In each term of the larger model whose parameters are variances, independent effects' and
    compound symmetry's, those that are 0 are tested there. In another one,

        psi_jj = 0                          the variance of effect j is tested at 0;
        psi of the others, of rank r < c    c - r directions without variance are tested, too.

    Returns
    -------
    texts : list of str
        What is tested on the boundary.
    dimensions : int
        How many dimensions they are together.
    """
    # -- x = sum of x_b over the variances b
    x, _ = expressed(smaller, larger)
    is_variance = smaller.setup.covariance.logs[1:]
    x = x[:, is_variance].sum(axis=1)

    design = larger.setup.design
    covariance = larger.setup.covariance
    psi = covariance.entries.psi_of(covariance.free_parts @ x)
    texts = []
    dimensions = 0
    terms = zip(design.term_names, covariance.structures, covariance.spans, covariance.shares)
    for name, structure, span, share in terms:
        blocks = design.blocks[span]
        lacking = 0
        if isinstance(structure, Variances):
            names = structure.labels(blocks)
            is_zero = x[share] < ZERO_VARIANCE
        else:
            names = [block.name for block in blocks]
            is_zero = psi[span, span].diagonal() < ZERO_VARIANCE
            others = psi[span, span][~is_zero][:, ~is_zero]
            lacking = len(others) - _rank(others)
        for i in np.flatnonzero(is_zero):
            texts.append(f"the variance of {names[i]}")
        if lacking:
            texts.append(f"{lacking} more dimension{'s' if lacking > 1 else ''} of {name}")
        dimensions += is_zero.sum() + lacking
    return texts, dimensions


def _rank(psi):
    """The rank of a covariance matrix whose variances are positive: that of its correlations."""
    if not len(psi):
        return 0
    sds = np.sqrt(psi.diagonal())
    correlations = psi / sds / sds[:, None]
    return np.linalg.matrix_rank(correlations, tol=ZERO_VARIANCE)
