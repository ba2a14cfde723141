"""Mistakes in (1): the sheet's own algebra of R, a Cholesky triangle, and the rows beyond it.

Where Z has dependent columns they depend on rounding errors, and may not be recognised.
"""

from functools import partial

import numpy as np
from scipy import linalg

from .model import Mistake

ZERO_DIAGONAL = 1e-10       # of the diagonal of R: zero but for rounding errors


def mistaken_triangles(model):
    """The mistakes, each a `Mistake`."""
    n, r = model.n, len(model.decomposed[1])
    diagonal = np.abs(np.diag(model.decomposed[1]))
    is_full = len(diagonal) == model.p and diagonal.min() > ZERO_DIAGONAL * diagonal.max()

    def mistake(sentence, **steps):
        return Mistake(sentence, partial(_evaluated, model, **steps), n, exact=is_full)

    # -- A = R psi R' + sigma^2 I
    yield mistake("R' psi R stands for R psi R'", matrix=_crossed)
    scaled = "the rows or columns of R R' are scaled by psi, which belongs between them: R psi R'"
    yield mistake(scaled, matrix=_rows_scaled)
    yield mistake(scaled, matrix=_columns_scaled)
    yield mistake(
        "R psi R' + sigma^2 I lacks sigma^2: the identity is added as it is",
        matrix=_with_identity,
    )
    yield mistake(
        "R psi R' + sigma^2 I has sigma, which is not squared there",
        matrix=_with_sigma,
    )

    # -- its triangle
    triangle = "the wrong triangle of a Cholesky factor is solved with"
    yield mistake(f"{triangle}: zeros instead of the factor", solve=_by_diagonal)
    yield mistake(f"{triangle}: L' for L", solve=_backward)
    leaves = "leaves the matrix itself there"
    yield mistake(f"{triangle}: scipy's cho_factor {leaves}", solve=_forward_with_A_below)
    yield mistake(
        f"{triangle}: scipy's cho_factor with lower=True {leaves}",
        solve=_backward_with_A_above,
    )

    # -- W applied to X and y
    if n > r:
        rows = "the n - p rows of Q'y and Q'X beyond the first p"
        yield mistake(f"{rows} are left out", beyond=_zeros)
        yield mistake(f"{rows} are not divided by sigma", beyond=_as_they_are)
        yield mistake(
            f"{rows} are multiplied by sigma: their squares are to be divided by sigma^2",
            beyond=_multiplied,
        )
        yield mistake(
            f"{rows} are divided by sigma^2: it is their squares that are to be",
            beyond=_by_square,
        )
        yield mistake(
            f"{rows} are divided by the root of sigma: their squares are to be divided by sigma^2",
            beyond=_divided_by_root,
        )
    for sentence, weigh, beyond, squares in OTHER_WEIGHTS:
        for read in (_whole, _from_below, _from_above):
            evaluate = partial(_with_weights, model, weigh, beyond, read, squares)
            yield Mistake(sentence, evaluate, n, exact=is_full)
    yield Mistake(HALF_WEIGHTS, partial(_with_half_weights_of_X, model), n, exact=is_full)

    # -- pivots
    pivots = linalg.qr(model.Z, mode="r", pivoting=True)[1]
    unpermuted = np.argsort(pivots)
    block_of_column = np.repeat(np.arange(len(model.blocks)), [Z.shape[1] for Z in model.blocks])
    if (block_of_column[unpermuted] != block_of_column).any():
        yield Mistake(
            "QR with pivoting: psi must be permuted as the columns of Z are, or R back",
            lambda theta: model.evaluate(theta, model.variances(theta)[unpermuted]),
            n,
        )


# -- the criterion, step by step -----------------------------------------------------------------

def _right_matrix(R, psi, sigma):
    """A = R psi R' + sigma^2 I."""
    return (R * psi) @ R.T + sigma**2 * np.eye(len(R))


def _forward(A, L, U):
    """L^-1 U, which is right."""
    return linalg.solve_triangular(L, U, lower=True)


def _divided(rows, sigma):
    return rows / sigma


def _evaluated(model, theta, matrix=_right_matrix, solve=_forward, beyond=_divided):
    """(4) and (3), with A by `matrix`, L^-1 U by `solve`, and the other rows by `beyond`."""
    QtU, R = model.decomposed
    r = len(R)
    sigma = np.exp(theta[0])
    A = matrix(R, model.variances(theta), sigma)
    L = np.linalg.cholesky(A)
    W = np.vstack([solve(A, L, QtU[:len(L)]), beyond(QtU[len(L):], sigma)])
    X, y = W[:, :-1], W[:, -1]
    beta = np.linalg.lstsq(X, y, rcond=None)[0]
    e = y - X @ beta
    half_logdet = np.sum(np.log(np.diag(L))) + (model.n - r) * theta[0]
    return half_logdet + e @ e / 2, beta


# -- other matrices: numpy's cholesky reads the lower triangle -----------------------------------

def _crossed(R, psi, sigma):
    """R' psi R + sigma^2 I, where psi fits the rows of R."""
    return (R.T * psi) @ R + sigma**2 * np.eye(R.shape[1])


def _rows_scaled(R, psi, sigma):
    return psi[:, None] * (R @ R.T) + sigma**2 * np.eye(len(R))


def _columns_scaled(R, psi, sigma):
    return (R @ R.T) * psi + sigma**2 * np.eye(len(R))


def _with_identity(R, psi, sigma):
    return (R * psi) @ R.T + np.eye(len(R))


def _with_sigma(R, psi, sigma):
    return (R * psi) @ R.T + sigma * np.eye(len(R))


# -- other solves --------------------------------------------------------------------------------

def _by_diagonal(A, L, U):
    """The upper triangle of L is solved with, which is its diagonal above zeros."""
    return U / np.diag(L)[:, None]


def _backward(A, L, U):
    """L'^-1 U."""
    return linalg.solve_triangular(L.T, U)


def _forward_with_A_below(A, L, U):
    """The lower triangle of cho_factor's upper one, where A's elements are left below."""
    triangle = np.tril(A, -1) + np.diag(np.diag(L))
    return linalg.solve_triangular(triangle, U, lower=True)


def _backward_with_A_above(A, L, U):
    """The upper triangle of cho_factor's lower one, where A's elements are left above."""
    triangle = np.triu(A, 1) + np.diag(np.diag(L))
    return linalg.solve_triangular(triangle, U)


# -- other rows beyond the first -----------------------------------------------------------------

def _zeros(rows, sigma):
    return 0 * rows


def _as_they_are(rows, sigma):
    return rows


def _multiplied(rows, sigma):
    return rows * sigma


def _divided_by_root(rows, sigma):
    return rows / np.sqrt(sigma)


# -- other weights: W U by other solves, and U' W U from it --------------------------------------

def _half(L, U):
    return _forward(None, L, U)


def _half_twice(L, U):
    return _half(L, _half(L, U))


def _half_backward_twice(L, U):
    return _backward(None, L, _backward(None, L, U))


def _half_in_reverse(L, U):
    return _half(L, _backward(None, L, U))


def _by_square(rows, sigma):
    return rows / sigma**2


HALF_WEIGHTS = "X'WX has half of the weights: they are on one side of the product alone"
TWO_SOLVES = "W takes two solves with the triangle, by L and then by L': here they are"

# what is wrong, W for the first rows of Q'U, for the others, and whether the squares have it too
OTHER_WEIGHTS = (
    (HALF_WEIGHTS, _half, _divided, True),
    (HALF_WEIGHTS, _half, _by_square, True),
    (HALF_WEIGHTS, _half, _divided, False),
    (HALF_WEIGHTS, _half, _by_square, False),
    (f"{TWO_SOLVES} both by L", _half_twice, _by_square, True),
    (f"{TWO_SOLVES} both by L", _half_twice, _by_square, False),
    (f"{TWO_SOLVES} both by L'", _half_backward_twice, _by_square, True),
    (f"{TWO_SOLVES} both by L'", _half_backward_twice, _by_square, False),
    (f"{TWO_SOLVES} by L' and then by L", _half_in_reverse, _by_square, True),
    (f"{TWO_SOLVES} by L' and then by L", _half_in_reverse, _by_square, False),
)


def _whole(G):
    return G


def _from_below(G):
    """The symmetric matrix whose lower triangle is G's, as numpy's cholesky reads it."""
    return np.tril(G) + np.tril(G, -1).T


def _from_above(G):
    return _from_below(G.T)


def _factored(model, theta):
    """Q'U, L, sigma and 1/2 log|V|."""
    QtU, R = model.decomposed
    sigma = np.exp(theta[0])
    L = np.linalg.cholesky(_right_matrix(R, model.variances(theta), sigma))
    half_logdet = np.sum(np.log(np.diag(L))) + (model.n - len(R)) * theta[0]
    return QtU, L, sigma, half_logdet


def _cross(QtU, L, sigma, weigh, beyond):
    """U' W U, where `weigh` and `beyond` make W U."""
    r = len(L)
    weighted = np.vstack([weigh(L, QtU[:r]), beyond(QtU[r:], sigma)])
    return QtU.T @ weighted


def _right_weights(L, U):
    return _backward(None, L, _forward(None, L, U))


def _with_weights(model, weigh, beyond, read, squares, theta):
    """(4) and (3) with other weights in beta, and perhaps in the squares; `read` reads X'WX."""
    QtU, L, sigma, half_logdet = _factored(model, theta)
    G = read(_cross(QtU, L, sigma, weigh, beyond))
    beta = np.linalg.solve(G[:-1, :-1], G[:-1, -1])
    if not squares:
        G = _cross(QtU, L, sigma, _right_weights, _by_square)
    return half_logdet + _squares(G, beta) / 2, beta


def _with_half_weights_of_X(model, theta):
    """beta from X' W^1/2 X and X'Wy, the squares by W."""
    QtU, L, sigma, half_logdet = _factored(model, theta)
    half = _cross(QtU, L, sigma, _half, _divided)
    G = _cross(QtU, L, sigma, _right_weights, _by_square)
    beta = np.linalg.solve(half[:-1, :-1], G[:-1, -1])
    return half_logdet + _squares(G, beta) / 2, beta


def _squares(G, beta):
    """(y - X beta)' W (y - X beta) of [X y]' W [X y]."""
    contrast = np.append(-beta, 1.0)
    return contrast @ G @ contrast
