"""A model ready for any theta, the `Setup`: X, y and Z met once, in the engine that the levels ask
for."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import linalg

from ..errors import LMMError, shorten, warn
from ..machine import few_threads, refuse_too_dense
from ..model import Design, linear_parts, trace_products
from .blocked import eliminate
from .contract import Engine
from .dense import factorise
from .fixed import decompose_X
from .qr import back_substitute

MOST_DENSE = 100            # columns of Z, beyond which the largest term is eliminated
MOST_WIDE = 1000  # columns of Z, more than rows, up to which QR finds whether they fit y perfectly
# lengths of what y - X beta is the difference of, relative to it: little cancels
CANCELLING = 100.0
LEAST_SINGULAR = 1e-10  # singular value of the matrices that V is linear in, each of length 1 ...
# ... and an eigenvalue of their products, from which no closer look is needed
CLEARLY_REGULAR = 1e-6
CONTAINED = 1e-10           # of a block's squared length, left by X, below which X spans it
NOTHING_LEFT = 30           # rounding errors of y's length


@dataclass(frozen=True, eq=False)
class Setup:
    """A model ready for any theta: what `LMMsetup` returns. Nothing in it changes.

    X is represented by an orthonormal basis of its columns, X = Q_X R_X, and y by a residual,
    y = X beta_0 + e: the likelihood is the same whatever beta_0, and large means cannot cancel.
    Weights
    w, where the residuals have the variances sigma^2 / w, come in as rows times sqrt(w): log|V| is
    then
    the sum of log w less.
    """

    design: Design
    reml: bool                                  # the criterion: REML's, or the likelihood's
    engine: Engine = field(repr=False)          # knows Z and U = [Q_X e]
    Q_X: np.ndarray = field(repr=False)         # (n, k) orthonormal
    R_X: np.ndarray = field(repr=False)         # (k, k) upper triangular
    beta_0: np.ndarray = field(repr=False)      # (k,)
    log_weights: float = 0.0                    # half the sum of the logs of the weights

    @property
    def df(self):
        """How many observations the criterion counts: n, or n - k for REML."""
        return len(self.design.y) - (len(self.beta_0) if self.reml else 0)

    @property
    def labels(self):
        """The names of theta's elements: 'sigma', then the blocks in the order of `ref`; see
        `Design.labels`."""
        return self.design.labels

    @property
    def log_labels(self):
        """The same with 'log' before those that are on the log scale."""
        named = zip(self.labels, self.covariance.logs)
        return tuple(f"log {label}" if log else label for label, log in named)

    @property
    def covariance(self):
        """What theta means for psi: a `Covariance`."""
        return self.design.covariance

    @property
    def units(self):
        """(J,): log sds that add as much as sigma does to the variance of an average level's
        whole."""
        return -0.5 * np.log(self.engine.mean_squares)

    def __repr__(self):
        d = self.design
        Z = ", ".join(f"{block.name}: {block.matrix.shape[1]}" for block in d.blocks) or "none"
        reml = ", reml" if self.reml else ""
        return (
            f"LMMsetup({d.form!r}{reml}: y ({len(d.y)},), X ({len(d.y)}, {len(d.x_names)}), "
            f"columns of Z by block ({Z}), theta ({', '.join(self.log_labels)}))"
        )


def checked_reml(reml):
    """Whether REML is meant."""
    if not isinstance(reml, (bool, np.bool_)):
        raise LMMError(f"reml is {reml!r}; it is True or False")
    return bool(reml)


def set_up(design, reml, engine=None, beta_0=None, first=None):
    """The `Setup` of a design, y represented by e = y - X beta_0; if not given, beta_0 is that of
    least squares.

    `engine` is its name, or None for a choice by size; `first` the block to decompose first.
    """
    dense = chosen(engine, design) == "dense"
    with few_threads(design.p if dense else 0):
        return _set_up(design, checked_reml(reml), dense, beta_0, first)


def _set_up(design, reml, dense, beta_0, first):
    n, k = design.X.shape
    U = np.empty((n, k + 1), order="F")                         # [Q_X e], Q_X contiguous

    # -- X = Q_X R_X
    Q_X = U[:, :-1]
    Q_X[:], R_X = decompose_X(design)
    R_X = np.asfortranarray(R_X)
    if reml:
        refuse_contained_blocks(design, Q_X)

    # -- y = X beta_0 + e
    if beta_0 is None:
        beta_0 = back_substitute(R_X, Q_X.T @ design.weighted(design.y - design.offset))
    U[:, -1], low = residual(design, beta_0, R_X, dense)

    # -- Z
    blocks = [design.weighted(block.matrix) for block in design.blocks]
    entries = design.covariance.entries
    if dense:
        refuse_too_dense(n, design.p, entries.q)
        engine = factorise(blocks, U, low, entries, first)
        if design.p < n:
            refuse_unidentified(design, engine)
        else:                   # the coordinates of Q that R has are not all of the rows' space
            refuse_dependent(design)
        refuse_perfect_fit(design, engine, reml)
    else:
        if max(design.covariance.sizes) > 1:    # others were told apart before
            refuse_dependent(design)
        engine = eliminate(blocks, U, entries)
    log_weights = 0.0
    if design.root_weights is not None:
        log_weights = float(np.sum(np.log(design.root_weights)))
    return Setup(design, reml, engine, Q_X, R_X, beta_0, log_weights)


def chosen(engine, design):
    """The name of the engine to use: the one asked for, if the design allows it, or by the columns
    of Z."""
    p = design.p
    if engine is None and p <= MOST_DENSE:
        return "dense"
    if engine not in (None, "dense", "blocked"):
        raise LMMError(
            f"engine is {engine!r}; it is 'dense', 'blocked', or None for a choice by size"
        )
    one_entry = all((np.diff(block.matrix.indptr) == 1).all() for block in design.blocks)
    enough_rows = len(design.y) > p + len(design.x_names) or p > MOST_WIDE
    if engine == "blocked" and not (p and one_entry and enough_rows):
        raise LMMError(
            "the blocked engine takes one level of each block in each row, and, up to 1000 columns "
            "of Z, more rows than columns of X and Z; "
            f"here are {len(design.y)} rows and {p} columns of Z: "
            "give engine='dense'"
        )
    if engine == "dense" and p > MOST_WIDE and one_entry:
        warn(
            f"engine='dense' factors all {p} columns of Z in every evaluation; "
            "the default eliminates most of them first"
        )
    if engine is None:
        return "blocked" if one_entry and enough_rows else "dense"
    return engine


def responding(setup, y):
    """The `Setup` for another response: only what holds y is computed anew. O(n p)."""
    design = setup.design.responding(y)
    beta_0 = back_substitute(setup.R_X, setup.Q_X.T @ design.weighted(design.y - design.offset))
    dense = setup.engine.name == "dense"
    engine = setup.engine.responding(*residual(design, beta_0, setup.R_X, dense))
    if dense:
        refuse_perfect_fit(design, engine, setup.reml)
    return replace(setup, design=design, engine=engine, beta_0=beta_0)


def residual(design, beta, R_X, doubled):
    """y - offset - X beta, weighted, as a sum of two, the second what rounding takes from the
    first.

    Unless `doubled`, where the second is not wanted, in plain arithmetic if little cancels.
    """
    if not doubled:
        e = design.weighted(design.y - design.offset - design.X @ beta)
        parts = sum(np.linalg.norm(design.weighted(part)) for part in (design.y, design.offset))
        parts += np.abs(beta) @ np.linalg.norm(R_X, axis=0)
        if parts < CANCELLING * np.linalg.norm(e):
            return e, 0.0
    longer = np.longdouble  # where the platform has a type longer than float
    exact = design.y - design.offset.astype(longer) - design.X.astype(longer) @ beta
    exact = design.weighted(exact)
    e = exact.astype(float)
    return e, (exact - e).astype(float)


# -- what no data, or these data, cannot tell
# ---------------------------------------------------------


def refuse_perfect_fit(design, engine, reml):
    """Raise an LMMError if X and Z reproduce y, and not any y: nll falls without bound as sigma
    goes to 0.

    "Any" means Z alone for the likelihood, X and Z for REML.
    """
    n = len(design.y)
    p = engine.p
    epsilon = np.finfo(float).eps
    nothing = NOTHING_LEFT * np.sqrt(n) * epsilon * linalg.norm(design.weighted(design.y))

    def left(T):                                                # of T's last column by the others
        others = T[:, :-1]
        return linalg.norm(T[:, -1] - others @ linalg.lstsq(others, T[:, -1], cond=1e-10)[0])

    if abs(engine.S[-1, -1]) > nothing or left(engine.S) > nothing:
        return                                                  # the usual case, in m dimensions
    T = np.block([[engine.R, engine.QtU], [np.zeros((len(engine.S), p)), engine.S]])
    lengths = linalg.norm(T[:, :-1], axis=0)
    T[:, :-1] /= np.where(lengths > 0, lengths, 1)
    if left(T) > nothing:
        return
    reproducing = T[:, :-1] if reml else T[:, :p]
    if p == 0 or np.linalg.matrix_rank(reproducing, tol=1e-10) < n:
        blocks = f" and the random effects {shorten([b.name for b in design.blocks])}" if p else ""
        raise LMMError(
            f"the fixed effects{blocks} fit {design.response!r} perfectly, so the residual sd "
            "would be 0 and the likelihood infinite; use a coarser model, or a response that varies "
            "within it"
        )


def refuse_unidentified(design, engine):
    """Raise an LMMError if I and the matrices that V is linear in depend on each other: no data
    tell them apart."""
    n, p = engine.n, engine.p
    if not p:
        return
    # -- the matrices in the coordinates of Q: R's p dimensions, and the other n - p as one
    parts = np.vstack([engine.parts, np.zeros(engine.parts.shape[1])])
    parts[: p * p : p + 1, 0] = np.arange(p) < n
    parts[-1, 0] = np.sqrt(max(n - p, 0))
    parts = parts @ design.covariance.free_parts
    lengths = linalg.norm(parts, axis=0)
    parts /= np.where(lengths > 0, lengths, 1.0)
    # at first from squares, at less cost
    if np.linalg.eigvalsh(parts.T @ parts)[0] < CLEARLY_REGULAR:
        _, singular, vectors = np.linalg.svd(parts, full_matrices=False)
        if singular[-1] < LEAST_SINGULAR:
            raise _dependent(design, vectors[-1])


def refuse_dependent(design):
    """The same from products of sparse matrices."""
    covariance = design.covariance
    known = [(None, None), *linear_parts(design)]
    products = trace_products(known, known, len(design.y))
    free = covariance.free_parts
    products = free.T @ products @ free
    lengths = np.sqrt(products.diagonal())
    lengths = np.where(lengths > 0, lengths, 1.0)
    values, vectors = np.linalg.eigh(products / lengths / lengths[:, None])
    if values[0] < LEAST_SINGULAR:
        raise _dependent(design, vectors[:, 0])


def _dependent(design, vector):
    """The LMMError about the (co)variances whose matrices sum to nothing with these coefficients,
    sigma's first."""
    large = np.abs(vector) > 0.1 * np.abs(vector).max()
    culprits = [design.labels[i] for i in np.flatnonzero(large)]
    return LMMError(
        f"the (co)variances {shorten(culprits)} cannot be told apart, whatever the response; "
        "use fewer random effects, or a coarser grouping"
    )


def refuse_contained_blocks(design, Q_X):
    """Raise an LMMError if X spans a whole block of Z: REML's criterion does not depend on its
    variance then."""
    for block in design.blocks:
        Z = design.weighted(block.matrix)
        whole = np.sum(Z.data**2)
        if whole - np.sum((Z.T @ Q_X) ** 2) < CONTAINED * whole:
            raise LMMError(
                f"block {block.name!r} is contained in the fixed effects, so REML cannot estimate "
                "its variance; drop it from form or from ref"
            )
