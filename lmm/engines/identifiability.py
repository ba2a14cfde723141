"""What no data, or these data, cannot tell: models that are refused once Z has been factored."""

import numpy as np
from scipy import linalg

from ..errors import LMMError, shorten
from ..model import linear_parts, trace_products

INDEPENDENT = 1e-10     # smallest singular value of the matrices that V is linear in, each of length 1


def refuse_perfect_fit(design, engine, reml):
    """Raise an LMMError if X and Z reproduce y, and not any y: then nll falls without bound as sigma goes to zero.

    "Any" means Z alone for the likelihood, X and Z for REML.
    """
    n, p = len(design.y), len(engine.R)
    nothing = 30 * np.sqrt(n) * np.finfo(float).eps * linalg.norm(design.weighted(design.y))    # the size of rounding errors

    def residual(T):                            # of T's last column on the others
        return linalg.norm(T[:, -1] - T[:, :-1] @ linalg.lstsq(T[:, :-1], T[:, -1], cond=1e-10)[0])

    if abs(engine.S[-1, -1]) > nothing or residual(engine.S) > nothing:     # the usual case, in m dimensions
        return
    T = np.block([[engine.R, engine.QtU], [np.zeros((len(engine.S), p)), engine.S]])
    lengths = linalg.norm(T[:, :-1], axis=0)
    T[:, :-1] /= np.where(lengths > 0, lengths, 1)
    if residual(T) <= nothing and (p == 0 or np.linalg.matrix_rank(T[:, :-1] if reml else T[:, :p], tol=1e-10) < n):
        blocks = f" and the random effects {shorten([b.name for b in design.blocks])}" if p else ""
        raise LMMError(f"the fixed effects{blocks} fit {design.response!r} perfectly, so the residual sd would be 0 "
                       "and the likelihood infinite; use a coarser model, or a response that varies within it")


def refuse_unidentified(design, engine):
    """Raise an LMMError if I and the matrices that V is linear in depend on each other: then no data tell their parameters."""
    n, p = engine.n, len(engine.R)
    parts = np.vstack([engine.parts, np.zeros(engine.parts.shape[1])])
    parts[: p * p : p + 1, 0] = np.arange(p) < n                        # I has n dimensions, of which R's are the first p, ...
    parts[-1, 0] = np.sqrt(max(n - p, 0))                               # ... the others as one
    lengths = linalg.norm(parts, axis=0)
    parts /= np.where(lengths > 0, lengths, 1.0)
    if p and np.linalg.eigvalsh(parts.T @ parts)[0] < 1e-6:        # at first from squares, at less cost
        _, singular, vectors = np.linalg.svd(parts, full_matrices=False)
        if singular[-1] < INDEPENDENT:
            raise _dependent(design, vectors[-1])


def refuse_dependent(design):
    """The same from products of sparse matrices, for terms with several effects; those with one have been told apart before."""
    if design.covariance.scalar:
        return
    known = [(None, None), *linear_parts(design)]
    G = trace_products(known, known, len(design.y))
    lengths = np.sqrt(G.diagonal())
    values, vectors = np.linalg.eigh(G / lengths / lengths[:, None])
    if values[0] < INDEPENDENT:
        raise _dependent(design, vectors[:, 0])


def _dependent(design, vector):
    """The LMMError about the (co)variances whose matrices sum to nothing with these coefficients, sigma's in front."""
    culprits = [design.labels[i] for i in np.flatnonzero(np.abs(vector) > 0.1 * np.abs(vector).max())]
    return LMMError(f"the (co)variances {shorten(culprits)} cannot be told apart, whatever the response; "
                    "use fewer random effects, or a coarser grouping")


def refuse_contained_blocks(design, Q_X):
    """Raise an LMMError if X spans a whole block of Z: REML's criterion does not depend on its variance then."""
    for block in design.blocks:
        Z = design.weighted(block.matrix)
        whole = np.sum(Z.data**2)
        if whole - np.sum((Z.T @ Q_X) ** 2) < 1e-10 * whole:
            raise LMMError(f"block {block.name!r} is contained in the fixed effects, so REML cannot estimate its variance; "
                           "drop it from form or from ref")
