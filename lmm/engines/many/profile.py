"""The criterion of many responses, sigma and beta being profiled out, and its derivatives in rho.

With V = sigma^2 V~ and W~ = V~^-1, the best sigma^2 is quadratic / df, df being n, for REML n - k:

    quadratic = (y - X beta)' W~ (y - X beta),

    nll = 1/2 log|V~| + df / 2 (1 + log(quadratic / df))        [REML: + 1/2 log|X'W~X|]

Its derivatives, P~ = W~ - W~X (X'W~X)^-1 X'W~, for REML with P~ for W~ in the traces:

    g_a  =  1/2 tr(W~ V_a) - 1/2 df f_a / quadratic,            f_a = y'P~ V_a P~ y
    H_ab = -1/2 tr(W~ V_a W~ V_b) + df F_ab / quadratic - 1/2 df f_a f_b / quadratic^2,

F_ab = y'P~ V_a P~ V_b P~ y. All of it is for B responses at once: arrays have them first.
"""

from typing import NamedTuple

import numpy as np

from ..algebra import triangles_or_nan

FEW_COLUMNS = 6             # of X, up to which triangles are made elementwise over the responses


class Sums(NamedTuple):
    """What the likelihood needs of V~: log|V~|, and C = [Q_X e]' W~ [Q_X e] in three parts."""

    logdet: np.ndarray      # (B,)
    XX: np.ndarray          # (B, k, k), or (1, k, k) where rho is the same for all
    Xy: np.ndarray          # (B, k)
    yy: np.ndarray          # (B,)
    state: object           # what the family's `parts` can use again


class Parts(NamedTuple):
    """What the derivatives need; `r` stands for W~ (y - X beta)."""

    traces: np.ndarray      # (B, q) tr(W~ V_a)
    squares: np.ndarray     # (B, q, q) tr(W~ V_a W~ V_b)
    forms: np.ndarray       # (B, q) r' V_a r
    products: np.ndarray    # (B, q, q) r' V_a W~ V_b r
    mixed: np.ndarray       # (B, q, k) Phi V_a r, Phi = G_XX'^-1 Q_X' W~, so that Phi'Phi = W~ - P~
    X_forms: np.ndarray     # (B, q, k, k) Phi V_a Phi', and ...
    X_products: np.ndarray  # (B, q, q) ... tr(Phi V_a W~ V_b Phi'); None where they were not wanted


class Look(NamedTuple):
    """The criterion at rho."""

    nll: np.ndarray         # (B,); inf where it cannot be evaluated
    quadratic: np.ndarray   # (B,)
    gamma: np.ndarray       # (B, k) beta - beta_0 is R_X^-1 gamma
    root: np.ndarray        # (B, k, k) G_XX'^-1, lower triangular
    rho: np.ndarray         # (B, q)
    sums: Sums


class Slopes(NamedTuple):
    """The derivatives of the criterion in rho."""

    gradient: np.ndarray    # (B, q)
    hessian: np.ndarray     # (B, q, q)
    scale: np.ndarray       # (B, q) the size of the two numbers whose difference the first are
    traces: np.ndarray      # (B, q) tr(W~ V_a), for REML tr(P~ V_a)
    forms: np.ndarray       # (B, q) df f_a / quadratic: minus d log quadratic / d rho_a, times df
    X_forms: np.ndarray     # (B, q, k, k) or None, see `Parts`


def look(family, rho, responses):
    """The `Look` of a family at rho, (B, q) or (1, q)."""
    with np.errstate(all="ignore"):                     # what is not finite is looked for below
        sums = family.sums(rho, responses)
        root, half_logdet = inverse_roots(sums.XX)
        along = _times(root, sums.Xy)
        quadratic = sums.yy - np.sum(along**2, axis=-1)
        gamma = _times(root.swapaxes(-1, -2), along)
        nll = _profiled(family, sums.logdet, half_logdet, quadratic)
    return Look(nll, quadratic, gamma, root, rho, sums)


def look_around(family, rhos, responses, B):
    """nll alone at several rhos, (G, q), each for all responses: (G, B)."""
    if hasattr(family, "around") and len(family.df) == 1:
        with np.errstate(all="ignore"):
            logdet, half_logdet, quadratic = family.around(rhos, responses)
            return _profiled(family, logdet[:, None], half_logdet[:, None], quadratic)
    values = np.empty((len(rhos), B))
    for value, rho in zip(values, rhos):
        value[:] = look(family, rho[None], responses).nll
    return values


def _profiled(family, logdet, half_logdet, quadratic):
    """nll, sigma being profiled out; inf where it cannot be evaluated."""
    df = family.df
    nll = 0.5 * (logdet + df + df * np.log(quadratic / df)) + family.constant
    if family.reml:
        nll = nll + half_logdet + family.log_root
    return np.where(np.isfinite(nll) & (quadratic > 0), nll, np.inf)


def slopes(family, at, responses, with_X=False):
    """The `Slopes` where the criterion was looked at; `with_X` where X_forms are wanted."""
    with np.errstate(all="ignore"):
        parts = family.parts(at, responses, with_X or family.reml)
        traces, squares = _traces(family, parts)
        products = parts.products - parts.mixed @ parts.mixed.swapaxes(1, 2)
        scale = (np.broadcast_to(family.df, at.quadratic.shape) / at.quadratic)[:, None]
        forms = scale * parts.forms
        gradient = 0.5 * (traces - forms)
        outer = forms[:, :, None] * forms[:, None, :]
        df = np.reshape(family.df, (-1, 1, 1))
        hessian = -0.5 * squares + scale[:, :, None] * products - 0.5 * outer / df
    size = 0.5 * (np.abs(traces) + forms)
    return Slopes(gradient, hessian, size, traces, forms, parts.X_forms)


def _traces(family, parts):
    """tr(W~ V_a) and tr(W~ V_a W~ V_b), for REML with P~ = W~ - Phi'Phi for W~."""
    if not family.reml:
        return parts.traces, parts.squares
    traces = parts.traces - np.einsum("bqkk->bq", parts.X_forms)
    crossed = np.einsum("bqkl,bpkl->bqp", parts.X_forms, parts.X_forms)
    return traces, parts.squares - 2 * parts.X_products + crossed


def told_apart(family, responses, free_parts):
    """The least eigenvalue, (b,), of the products tr(V_a V_b), I among them, each V_a of length 1.

    For REML of P V_a P, P = I - Q_X Q_X': near zero where no data tell the parameters apart.
    `free_parts`, (1 + q, size), says which combinations of sigma^2 and the entries are free.
    """
    B = len(responses[-1])
    q = free_parts.shape[0] - 1
    at = look(family, np.zeros((B, q)), responses)
    traces, squares = _traces(family, family.parts(at, responses, family.reml))
    products = np.empty((B, 1 + q, 1 + q))
    products[:, 0, 0] = family.df
    products[:, 0, 1:] = products[:, 1:, 0] = traces
    products[:, 1:, 1:] = squares
    products = free_parts.T @ products @ free_parts
    lengths = np.sqrt(np.maximum(np.einsum("bii->bi", products), 0.0))
    lengths = np.where(lengths > 0, lengths, 1.0)
    return np.linalg.eigvalsh(products / lengths[:, :, None] / lengths[:, None])[:, 0]


def _times(A, v):
    """A v for each response, (B, k), for A (B, k, k) or (1, k, k)."""
    if len(A) == 1:
        return v @ A[0].T
    return (A @ v[:, :, None])[:, :, 0]


def inverse_roots(C):
    """G'^-1, (B, k, k), lower triangular, and log|G|, (B,), of C = G'G; nan where there is none."""
    k = C.shape[1]
    if k > FEW_COLUMNS:
        return _by_lapack(C)
    left = np.ascontiguousarray(C.transpose(1, 2, 0))   # elementwise: the responses come last
    inverse = np.zeros_like(left)
    logs = np.zeros(len(C))
    for j in range(k):
        pivot = left[j, j].copy()
        logs += np.log(pivot)
        of_row = left[j].copy()
        inverse[j, j] = 1.0
        for i in range(j + 1, k):
            share = of_row[i] / pivot
            left[i, i:] -= share * of_row[i:]
            inverse[i, : j + 1] -= share * inverse[j, : j + 1]
        inverse[j, : j + 1] /= np.sqrt(pivot)
    return inverse.transpose(2, 0, 1), 0.5 * logs


def _by_lapack(C):
    """The same for more columns."""
    L = triangles_or_nan(C)
    logs = np.log(np.einsum("bii->bi", L)).sum(axis=1)
    bad = ~np.isfinite(logs)
    if bad.any():
        L = np.where(bad[:, None, None], np.eye(C.shape[1]), L)
    return np.linalg.inv(L), np.where(bad, np.nan, logs)
