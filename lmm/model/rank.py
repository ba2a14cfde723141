"""The rank of X: which of its columns those before them make, and what cannot be estimated then.

Where columns of X are combinations of the others, X beta is what it is without them; they are left
out, always the later ones, and beta is that of the others. A row x of new data can be estimated if
it is one of the row space of X: if what is left out of it is the same combination of its others.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import linalg

from ..errors import LMMError
from ..machine import few_threads

# X has full rank ...
CLEAR_EIGENVALUE = 1e-4     # ... if the correlations of its columns have no smaller eigenvalue, or
MULTIPLE = 1e-9             # ... if those before leave more of each column, relative to its norm,
ROUNDING_ERRORS = 30.0      # ... and more than this, times eps sqrt(n), of what is rounded there.

ESTIMABLE = 1e-7            # of what is left out of a row, relative to what it is a sum of


@dataclass(frozen=True, eq=False)
class LeftOut:
    """The d columns of X that are left out, of K, and how the k others make them.

    Attributes
    ----------
    names : tuple of str
        Of the columns left out, in the order of the formula.
    zero : tuple of str
        Those of them that are 0 in every row.
    places, kept : ndarray of int, shapes (d,) and (k,)
        Where these and the others are among all.
    combinations : ndarray, shape (k, d)
        X without them times this is them.
    """

    names: tuple = ()
    zero: tuple = ()
    places: np.ndarray = field(default=None, repr=False)
    kept: np.ndarray = field(default=None, repr=False)
    combinations: np.ndarray = field(default=None, repr=False)

    def all_names(self, names):
        """The names of all K columns, from those of the others, (k,)."""
        if not self.names:
            return list(names)
        found = [""] * (len(self.kept) + len(self.places))
        for place, name in [*zip(self.kept, names), *zip(self.places, self.names)]:
            found[place] = name
        return found

    def whole(self, X):
        """(n, K): X, (n, k), with what is left out of it."""
        if not self.names:
            return X
        whole = np.empty((len(X), len(self.kept) + len(self.places)))
        whole[:, self.kept] = X
        whole[:, self.places] = X @ self.combinations
        return whole

    def reduced(self, whole):
        """(m, k): the rows of new data, (m, K), without what is left out."""
        return whole[:, self.kept] if self.names else whole

    def not_estimable(self, whole):
        """(m, d): of which rows of new data which column is another combination than in X."""
        if not self.names:
            return np.zeros((len(whole), 0), bool)
        others = whole[:, self.kept]
        left_out = whole[:, self.places]
        sizes = np.abs(left_out) + np.abs(others) @ np.abs(self.combinations)
        return np.abs(left_out - others @ self.combinations) > ESTIMABLE * sizes


FULL_RANK = LeftOut()


def full_rank(X, names):
    """X without the columns that those before them make, the names of the others, and `LeftOut`.

    An LMMError unless X has more rows than that.
    """
    n, k = X.shape
    with few_threads():
        if k < n and _clearly_independent(X):
            return X, tuple(names), FULL_RANK
        kept, combinations = _independent_columns(X)
    if len(kept) >= n:
        independent = "" if len(kept) == k else f", {len(kept)} of them independent,"
        raise LMMError(
            f"X has {k} columns{independent} for {n} observations; "
            "it takes more observations than fixed effects"
        )
    if len(kept) == k:
        return X, tuple(names), FULL_RANK
    places = np.setdiff1d(np.arange(k), kept)
    left_out = LeftOut(
        names=tuple(names[j] for j in places),
        zero=tuple(names[j] for j in places if not X[:, j].any()),
        places=places,
        kept=kept,
        combinations=combinations,
    )
    return X[:, kept], tuple(names[j] for j in kept), left_out


def _clearly_independent(X):
    """Whether the columns' correlations about 0 leave no doubt: the usual case, at k^2 n flops."""
    with np.errstate(over="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->j", X, X))
    if not norms.all() or not np.isfinite(norms).all():
        return False
    correlations = X.T @ X / norms / norms[:, None]
    return np.linalg.eigvalsh(correlations).min(initial=1.0) > CLEAR_EIGENVALUE


def _independent_columns(X):
    """The numbers of the columns that those before them do not make, (k,); and the combinations.

    One is made by those before it where what they leave of it is nothing beside its norm, or beside
    the rounding errors of that combination, each column's share being relative to its norm: a
    covariate shifted by 1e7 is let through. By X = QR it is decided for R, (K, K), whose columns
    have the lengths and angles of X's: Gram and Schmidt's way, twice, without those left out.
    """
    n, K = X.shape
    scale = np.abs(X).max(axis=0, initial=0.0)          # so that no square is inf
    scale[scale == 0] = 1.0
    R = linalg.qr(X / scale, mode="r", check_finite=False)[0]
    R = R[:K]
    norms = np.sqrt(np.sum(R * R, axis=0))
    eps = np.finfo(float).eps
    rounding = ROUNDING_ERRORS * eps * np.sqrt(n)

    # -- column by column: what those kept before it leave of it
    basis = np.empty((len(R), 0))
    triangle = np.zeros((K, K))                 # of the columns kept: R[:, kept] = basis triangle
    kept = []
    combinations = np.zeros((K, K))             # by the columns kept, one for each that is not
    for j in range(K):
        along, left = _along(basis, R[:, j])
        length = np.linalg.norm(left)
        r = len(kept)
        made = along
        if r:
            made = linalg.solve_triangular(triangle[:r, :r], along)
        shares = np.abs(made) * norms[kept]
        size = norms[j] + shares.sum()
        nothing = max(MULTIPLE * norms[j], rounding * size)
        if length <= nothing:
            made[shares <= nothing] = 0.0
            combinations[:r, j] = made * scale[j] / scale[kept]
            continue
        triangle[:r, r] = along
        triangle[r, r] = length
        direction = left / length
        basis = np.column_stack([basis, direction])
        kept.append(j)
    others = np.setdiff1d(np.arange(K), kept)
    combinations = combinations[: len(kept), others]
    return np.array(kept, int), combinations


def _along(basis, column):
    """The coordinates of a column along an orthonormal basis, and what the basis leaves of it."""
    along = np.zeros(basis.shape[1])
    for _ in range(2):                          # what rounding leaves once is gone when done twice
        more = basis.T @ column
        column = column - basis @ more
        along += more
    return along, column
