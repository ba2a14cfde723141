"""A model ready for any theta: the `Setup`, in the engine that suits its levels."""

import itertools
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import linalg

from ..errors import LMMError, shorten, warn
from ..machine import few_threads, refuse_too_dense
from ..model import Design, linear_parts, projected_trace_products, trace_products
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
REPRESENTED = 8             # rounding errors of y's length, as which y itself is given, and ...
NOTHING_LEFT = 30           # ... of e's, in each row, by which it is not found exactly
MOST_SUBSETS = 6            # terms, of which each subset is looked at


@dataclass(frozen=True, eq=False)
class Setup:
    """A model ready for any theta: what `LMMsetup` returns. Nothing in it changes.

    X is represented by an orthonormal basis of its columns, X = Q_X R_X, and y by a residual, y = X
    beta_0 + e: the likelihood is the same whatever beta_0, and large means cannot cancel. Weights
    w, where the residuals have the variances sigma^2 / w, come in as rows times sqrt(w): log|V| is
    then the sum of log w less.
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
        return self.design.n - (len(self.beta_0) if self.reml else 0)

    @property
    def labels(self):
        """The names of theta's elements: 'sigma', then the blocks in the order of `ref`.

        See `Design.labels`.
        """
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
        """(J,): log sds that add as much as sigma does to an average level's whole."""
        return -0.5 * np.log(self.engine.mean_squares)

    def __repr__(self):
        d = self.design
        Z = ", ".join(f"{block.name}: {block.matrix.shape[1]}" for block in d.blocks) or "none"
        reml = ", reml" if self.reml else ""
        return (
            f"LMMsetup({d.form!r}{reml}: y ({d.n},), X ({d.n}, {len(d.x_names)}), "
            f"columns of Z by block ({Z}), theta ({', '.join(self.log_labels)}))"
        )


def checked_reml(reml):
    """Whether REML is meant."""
    if not isinstance(reml, (bool, np.bool_)):
        raise LMMError(f"reml is {reml!r}; it is True or False")
    return bool(reml)


def set_up(design, reml, engine=None, beta_0=None, first=None):
    """The `Setup` of a design, y represented by e = y - X beta_0.

    If not given, beta_0 is that of least squares.

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

    # -- y = X beta_0 + e
    if beta_0 is None:
        beta_0 = back_substitute(R_X, Q_X.T @ design.weighted(design.y - design.offset))
    U[:, -1], low = residual(design, beta_0, R_X, dense)
    refuse_fitted_by_X(design, Q_X, U[:, -1])

    # -- Z
    engine = _engine_of(design, U, low, dense, reml, first)
    log_weights = 0.0
    if design.root_weights is not None:
        log_weights = float(np.sum(np.log(design.root_weights)))
    return Setup(design, reml, engine, Q_X, R_X, beta_0, log_weights)


def set_up_again(setup, engine, beta_0, first=None):
    """The same model with y represented by another beta_0, and this block decomposed first."""
    design = setup.design
    if design.keeps_rows:
        return set_up(design, setup.reml, engine, beta_0, first)
    e = design.e + setup.Q_X @ (setup.R_X @ (setup.beta_0 - beta_0))
    design = replace(design, e=e)
    U = np.asfortranarray(np.column_stack([setup.Q_X, e]))
    return set_up_condensed(design, setup.reml, U, beta_0, setup.log_weights, engine, first)


def set_up_condensed(design, reml, U, beta_0, log_weights, engine=None, first=None):
    """The `Setup` of rows that stand for many, a `Condensed` design: of U = [Q_X e] at these rows.

    `log_weights` is half the sum of the logs of the weights of all rows.
    """
    dense = chosen(engine, design) == "dense"
    with few_threads(design.p if dense else 0):
        refuse_fitted_by_X(design, U[:, :-1], U[:, -1])
        low = np.zeros(len(U))
        engine = _engine_of(design, U, low, dense, checked_reml(reml), first)
    return Setup(design, reml, engine, U[:, :-1], design.R_X, beta_0, log_weights)


def _engine_of(design, U, low, dense, reml, first=None):
    """The engine of a design, which can tell its variances apart."""
    blocks = [design.weighted(block.matrix) for block in design.blocks]
    entries = design.covariance.entries
    if dense:
        refuse_too_dense(len(U), design.p, entries.q)
        engine = factorise(blocks, U, low, entries, first, design.n)
    else:
        engine = eliminate(blocks, U, entries, design.n)
    refuse_untellable(design, engine, U[:, :-1], reml)
    refuse_fitted_by_terms(design, engine, reml)
    return engine


def chosen(engine, design):
    """The name of the engine to use: the one asked for, or by the columns of Z.

    One that was asked for is refused if the design does not allow it.
    """
    p = design.p
    if engine is None and p <= MOST_DENSE:
        return "dense"
    if engine not in (None, "dense", "blocked"):
        raise LMMError(
            f"engine is {engine!r}; it is 'dense', 'blocked', or None for a choice by size"
        )
    one_entry = all((np.diff(block.matrix.indptr) == 1).all() for block in design.blocks)
    enough_rows = design.n > p + len(design.x_names) or p > MOST_WIDE
    if engine == "blocked" and not (p and one_entry and enough_rows):
        raise LMMError(
            "the blocked engine takes one level of each block in each row, and, "
            f"up to {MOST_WIDE} columns of Z, more rows than columns of X and Z; "
            f"here are {design.n} rows and {p} columns of Z: "
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


def with_criterion(setup, reml):
    """The `Setup` for REML or the likelihood, whichever it was for: nothing is factored anew."""
    if reml == setup.reml:
        return setup
    refuse_untellable(setup.design, setup.engine, setup.Q_X, reml)
    refuse_fitted_by_terms(setup.design, setup.engine, reml)
    return replace(setup, reml=reml)


def responding(setup, y):
    """The `Setup` for another response: only what holds y is computed anew. O(n p)."""
    design = setup.design.responding(y)
    beta_0 = back_substitute(setup.R_X, setup.Q_X.T @ design.weighted(design.y - design.offset))
    e, low = residual(design, beta_0, setup.R_X, setup.engine.name == "dense")
    refuse_fitted_by_X(design, setup.Q_X, e)
    engine = setup.engine.responding(e, low)
    refuse_fitted_by_terms(design, engine, setup.reml)
    return replace(setup, design=design, engine=engine, beta_0=beta_0)


def residual(design, beta, R_X, doubled):
    """y - offset - X beta, weighted, as a sum of two.

    The second is what rounding takes from the first.

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


# -- what no data, or these data, cannot tell ------------------------------------------------------


def refuse_fitted_by_X(design, Q_X, e):
    """Raise an LMMError if X alone reproduces y, whose residual is e: nll has no bound then."""
    left = e
    for _ in range(2):                      # what rounding leaves once is gone when done twice
        left = left - Q_X @ (Q_X.T @ left)
    if linalg.norm(left) <= nothing_left(design, linalg.norm(e)):
        raise fits_perfectly(design, [])


def refuse_fitted_by_terms(design, engine, reml):
    """Raise an LMMError if X and some terms reproduce y, and not any y: nll has no bound then.

    As sigma goes to zero, and all other terms with it, V becomes singular while y - X beta stays
    within its range. "Any" means these terms alone for the likelihood, X and they for REML: where
    they have rank n, log|V| is bounded. The dense engine alone can say so before any theta is; in
    the blocked one nll is seen to fall.
    """
    if engine.name != "dense":
        return
    n = design.n
    nothing = nothing_left(design, np.sqrt(engine.residual_ss))

    def left(T):                                                # of T's last column by the others
        others = T[:, :-1]
        return linalg.norm(T[:, -1] - others @ linalg.lstsq(others, T[:, -1], cond=1e-10)[0])

    if abs(engine.S[-1, -1]) > nothing or left(engine.S) > nothing:
        return                                                  # the usual case, in m dimensions
    p = engine.p
    T = np.block([[engine.R, engine.QtU], [np.zeros((len(engine.S), p)), engine.S]])
    lengths = linalg.norm(T[:, :-1], axis=0)
    T[:, :-1] /= np.where(lengths > 0, lengths, 1)
    of_X = np.arange(p, T.shape[1])                             # and y, the last column
    for terms in subsets(design.covariance.spans):
        blocks = [j for span in terms for j in range(span.start, span.stop)]
        of_Z = np.flatnonzero(np.isin(engine.block_of, blocks))
        if left(T[:, np.concatenate([of_Z, of_X])]) > nothing:
            continue
        reproducing = np.concatenate([of_Z, of_X[:-1]]) if reml else of_Z
        if np.linalg.matrix_rank(T[:, reproducing], tol=1e-10) < n:
            raise fits_perfectly(design, blocks)


def nothing_left(design, length):
    """The length up to which what X and Z leave of y is rounding, e having this length."""
    epsilon = np.finfo(float).eps
    represented = REPRESENTED * design.length_of_y
    return epsilon * (represented + NOTHING_LEFT * np.sqrt(design.n) * length)


def fits_perfectly(design, blocks):
    """The LMMError about X and these blocks, which reproduce y."""
    names = shorten([design.blocks[j].name for j in blocks])
    random = f" and the random effects {names}" if blocks else ""
    return LMMError(
        f"the fixed effects{random} fit {design.response!r} perfectly, so the residual sd "
        "would be 0 and the likelihood infinite; use a coarser model, or a response that "
        "varies within it"
    )


def subsets(terms):
    """Each subset of the terms but none, small ones first; of many terms each alone, and all."""
    sizes = range(1, len(terms) + 1) if len(terms) <= MOST_SUBSETS else (1, len(terms))
    return itertools.chain.from_iterable(itertools.combinations(terms, size) for size in sizes)


def refuse_untellable(design, engine, Q_X, reml):
    """Raise an LMMError if the criterion cannot tell the (co)variances apart, whatever y is."""
    if reml:
        refuse_contained_blocks(design, Q_X)
    n = design.n
    k = Q_X.shape[1]
    if engine.name == "dense":
        if engine.p + k + 1 < n:
            refuse_unidentified(design, engine, reml)
        else:                   # the coordinates of Q that R has are not all of the rows' space
            refuse_dependent(design, Q_X, reml)
    else:
        several = max(design.covariance.sizes) > 1
        if several or (reml and len(design.blocks) > 1):    # others were told apart before
            refuse_dependent(design, Q_X, reml)


def refuse_unidentified(design, engine, reml):
    """Raise an LMMError if I and the matrices that V is linear in depend on each other.

    No data tell their parameters apart then. The REML criterion knows y by K'y alone, K'X = 0, so
    it is K'V_a K that matter there, or P V_a P with P = I - Q_X Q_X'.
    """
    p = engine.p
    if not p:
        return
    parts = engine.identifying_parts(reml) @ design.covariance.free_parts
    lengths = linalg.norm(parts, axis=0)
    parts = parts / np.where(lengths > 0, lengths, 1.0)
    if np.linalg.eigvalsh(parts.T @ parts)[0] < CLEARLY_REGULAR:        # at first from squares
        _, singular, vectors = np.linalg.svd(parts, full_matrices=False)
        if singular[-1] < LEAST_SINGULAR:
            if reml:
                refuse_unidentified(design, engine, reml=False)         # the plainer reason
            raise _dependent(design, vectors[-1], reml)


def refuse_dependent(design, Q_X, reml):
    """The same from products of sparse matrices, tr(V_a V_b), for REML tr(P V_a P V_b)."""
    covariance = design.covariance
    known = [(None, None), *linear_parts(design)]
    free = covariance.free_parts
    products = free.T @ _trace_products(known, Q_X, design.n, reml) @ free
    lengths = np.sqrt(np.maximum(products.diagonal(), 0.0))     # a difference, if projected
    lengths = np.where(lengths > 0, lengths, 1.0)
    values, vectors = np.linalg.eigh(products / lengths / lengths[:, None])
    if values[0] < LEAST_SINGULAR:
        if reml:
            refuse_dependent(design, Q_X, reml=False)                   # the plainer reason
        raise _dependent(design, vectors[:, 0], reml)


def _trace_products(parts, Q_X, n, reml):
    """tr(V_a V_b) for each two parts of V, for REML tr(P V_a P V_b)."""
    if reml:
        return projected_trace_products(parts, Q_X, n)
    return trace_products(parts, parts, n)


def _dependent(design, vector, reml):
    """The LMMError about (co)variances that cannot be told apart.

    Their matrices sum to nothing with these coefficients, sigma's first.
    """
    large = np.abs(vector) > 0.1 * np.abs(vector).max()
    culprits = [design.labels[i] for i in np.flatnonzero(large)]
    beside = " beside the fixed effects by REML" if reml else ""
    return LMMError(
        f"the (co)variances {shorten(culprits)} cannot be told apart{beside}, whatever the "
        "response; use fewer random effects, or a coarser grouping"
    )


def refuse_contained_blocks(design, Q_X):
    """Raise an LMMError if X spans a whole block of Z.

    REML's criterion does not depend on its variance then.
    """
    for block in design.blocks:
        Z = design.weighted(block.matrix)
        whole = np.sum(Z.data**2)
        if whole - np.sum((Z.T @ Q_X) ** 2) < CONTAINED * whole:
            raise LMMError(
                f"block {block.name!r} is contained in the fixed effects, so REML cannot estimate "
                "its variance; drop it from form or from ref"
            )
