"""A model ready for any theta, the `Setup`: X, y and Z met once, in the engine that the number of levels asks for."""

from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import LMMError, warn
from ..machine import few_threads, refuse_too_dense
from ..model import Design
from .blocked import Blocked, eliminate
from .dense import Dense, factor
from .identifiability import (
    refuse_contained_blocks,
    refuse_dependent,
    refuse_perfect_fit,
    refuse_unidentified,
)
from .triangular import back_substitute

MOST_DENSE = 100        # columns of Z, beyond which the largest term is eliminated
MOST_WIDE = 1000        # columns of Z, more than rows, up to which a QR of Z finds whether they fit the response perfectly
CANCELLING = 100.0      # lengths of what y - X beta is the difference of, relative to it, up to which little cancels


@dataclass(frozen=True, eq=False)
class Setup:
    """A model ready for any theta: what `LMMsetup` returns. Nothing in it changes.

    X is represented by an orthonormal basis of its columns, X = Q_X R_X, and y by a residual, y = X beta_0 + e:
    the likelihood is the same whatever beta_0, and large means cannot cancel. Weights w, where the residuals have the
    variances sigma^2 / w, come in as rows times sqrt(w): log|V| is then the sum of log w less.
    """

    design: Design
    reml: bool                                  # the criterion: REML's, or the likelihood's
    engine: Dense | Blocked = field(repr=False)     # knows Z and U = [Q_X e]
    Q_X: np.ndarray = field(repr=False)         # (n, k) orthonormal
    R_X: np.ndarray = field(repr=False)         # (k, k) upper triangular
    beta_0: np.ndarray = field(repr=False)      # (k,)
    log_weights: float = 0.0                    # half the sum of the logs of the weights
    asked: str = None                           # the name of the engine that was asked for

    @property
    def engine_name(self):
        """Which linear algebra it uses: "dense" or "blocked"."""
        return "dense" if isinstance(self.engine, Dense) else "blocked"

    @property
    def df(self):
        """How many observations the criterion counts: n, or n - k for REML."""
        return len(self.design.y) - (len(self.beta_0) if self.reml else 0)

    @property
    def labels(self):
        """The names of theta's elements: 'sigma', then the blocks in the order of `ref`; see `Design.labels`."""
        return self.design.labels

    @property
    def log_labels(self):
        """The same with 'log' before those that are on the log scale."""
        return tuple(f"log {label}" if log else label for label, log in zip(self.labels, self.covariance.on_log))

    @property
    def covariance(self):
        """What theta means for psi: a `Covariance`."""
        return self.design.covariance

    def __repr__(self):
        d = self.design
        Z = ", ".join(f"{b.name}: {b.matrix.shape[1]}" for b in d.blocks) or "none"
        return (f"LMMsetup({d.form!r}{', reml' if self.reml else ''}: y ({len(d.y)},), X ({len(d.y)}, {len(d.x_names)}), "
                f"columns of Z by block ({Z}), theta ({', '.join(self.log_labels)}))")


def checked_reml(reml):
    if not isinstance(reml, (bool, np.bool_)):
        raise LMMError(f"reml is {reml!r}; it is True or False")
    return bool(reml)


def set_up(design, reml, beta_0=None, first=None, engine=None):
    """The `Setup` of a design, y represented by e = y - X beta_0; if not given, beta_0 is that of least squares.

    `first` is the block to factor first, see `factor`; `engine` is its name, or None for a choice by size.
    """
    dense = chosen(engine, design) == "dense"
    with few_threads(design.p if dense else 0):
        return _set_up(design, reml, beta_0, first, dense, engine)


def _set_up(design, reml, beta_0, first, dense, asked):
    U = np.empty((len(design.y), design.X.shape[1] + 1), order="F")         # so that Q_X is contiguous
    Q_X = U[:, :-1]
    Q_X[:], R_X = np.linalg.qr(design.weighted(design.X))
    if reml:
        refuse_contained_blocks(design, Q_X)
    if beta_0 is None:
        beta_0 = back_substitute(R_X, Q_X.T @ design.weighted(design.y - design.offset))
    U[:, -1], low = residual(design, beta_0, R_X, dense)
    blocks = [design.weighted(block.matrix) for block in design.blocks]
    if dense:
        refuse_too_dense(len(U), design.p, len(design.covariance.rows))
        engine = factor(blocks, U, low, list(zip(design.covariance.rows, design.covariance.columns)), first)
        refuse_unidentified(design, engine)
        refuse_perfect_fit(design, engine, reml)
    else:
        refuse_dependent(design)
        engine = eliminate(blocks, U, design.covariance)
    log_weights = 0.0 if design.root_weights is None else float(np.sum(np.log(design.root_weights)))
    return Setup(design, reml, engine, Q_X, np.asfortranarray(R_X), beta_0, log_weights, asked)


def chosen(engine, design):
    """The name of the engine to use: the one asked for, if the design allows it, or by the number of columns of Z."""
    if engine not in (None, "dense", "blocked"):
        raise LMMError(f"engine is {engine!r}; it is 'dense', 'blocked', or None for a choice by size")
    p = design.p
    one_entry = all((np.diff(block.matrix.indptr) == 1).all() for block in design.blocks)
    enough_rows = len(design.y) > p + len(design.x_names) or p > MOST_WIDE
    if engine == "blocked" and not (p and one_entry and enough_rows):
        raise LMMError("the blocked engine takes one level of each block in each row, and, up to 1000 columns of Z, more rows "
                       f"than columns of X and Z; here are {len(design.y)} rows and {p} columns of Z: give engine='dense'")
    if engine == "dense" and p > MOST_WIDE and one_entry:
        warn(f"engine='dense' factors all {p} columns of Z in every evaluation; the default eliminates most of them first")
    return engine or ("blocked" if p > MOST_DENSE and one_entry and enough_rows else "dense")


def responding(setup, y):
    """The `Setup` for another response: only what holds y is computed anew. O(n p)."""
    design = setup.design.responding(y)
    beta_0 = back_substitute(setup.R_X, setup.Q_X.T @ design.weighted(design.y - design.offset))
    dense = isinstance(setup.engine, Dense)
    engine = setup.engine.responding(*residual(design, beta_0, setup.R_X, dense))
    if dense:
        refuse_perfect_fit(design, engine, setup.reml)
    return replace(setup, design=design, engine=engine, beta_0=beta_0)


def residual(design, beta, R_X, doubled):
    """y - offset - X beta, weighted, as a sum of two, the second what rounding takes from the first.

    Unless `doubled`, where the second is not wanted, in plain arithmetic if little cancels.
    """
    if not doubled:
        e = design.weighted(design.y - design.offset - design.X @ beta)
        parts = sum(np.linalg.norm(design.weighted(part)) for part in (design.y, design.offset))
        if parts + np.abs(beta) @ np.linalg.norm(R_X, axis=0) < CANCELLING * np.linalg.norm(e):
            return e, 0.0
    longer = np.longdouble                                             # where the platform has a longer type than float
    exact = design.weighted(design.y - design.offset.astype(longer) - design.X.astype(longer) @ beta)
    e = exact.astype(float)
    return e, (exact - e).astype(float)
