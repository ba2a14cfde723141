"""The practical's engine: what is asked of Z = QR besides (1) and (2)."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import sqrt

import numpy as np
from scipy.linalg.blas import dtrsm

from ..model import Entries
from .algebra import triangles_or_nan
from .contract import Information, Moments
from .qr import Decomposed, Rotation, cholesky, decompose, parts_of

ROWS_AT_A_TIME = 1000       # of p numbers each


# -- which columns of Z each entry of psi relates
#
# V is linear in the entries of psi, dV / d psi_a = V_a = Z Z_a Z' for an entry a of the blocks i
# and j. Z_a, (p, p), has ones where a column of block i meets the column of block j of the same
# level, above the diagonal and below it. So a trace with Z_a is a sum over a few pairs of columns,
# and Z_a is never formed.


@dataclass(frozen=True, eq=False)
class ColumnPairs:
    """Where the ones of each Z_a are: at (left, right), for the pairs of columns that a owns.

    Two columns of different blocks are two pairs, (left, right) and (right, left), so that

        Z_a = the sum over the pairs of a of e_left e_right',    e a column of the identity,

    and ``owners.T @ f``, for a number f of each pair, sums it over the pairs of each entry.
    """

    left: np.ndarray        # columns of Z; all, as a slice, where each entry is a variance, ...
    right: np.ndarray       # ... so that each column is paired with itself alone
    owners: np.ndarray      # (number of pairs, q) 1 where a pair belongs to an entry, 0 elsewhere

    def traces(self, M):
        """tr(M Z_a), (q,), for M (p, p): the sums of M over the pairs of each entry of psi."""
        if isinstance(self.left, slice):
            return self.owners.T @ M.diagonal()
        of_pairs = M[self.left, self.right]
        return self.owners.T @ of_pairs

    def quadratic_forms(self, d):
        """d' Z_a d, (q,), for d (p,)."""
        of_pairs = d[self.left] * d[self.right]
        return self.owners.T @ of_pairs

    def squares(self, M):
        """tr(M Z_a M Z_b), (q, q), for M (p, p).

        Of the pairs (i, j) of a and (k, l) of b it is the sum of M_li M_jk.
        """
        crossed = M[self.left][:, self.right]           # of two pairs, M_il
        of_pairs = crossed * crossed.T
        return self.owners.T @ of_pairs @ self.owners

    def times_entries(self, x):
        """Z_a x, (p, q, k), for x (p, k): to row i of a pair (i, j) of a comes row j of x."""
        p, q = len(x), self.owners.shape[1]
        columns = np.arange(p)
        found = np.zeros((p, q, x.shape[1]))
        owner = self.owners.argmax(axis=1)
        found[columns[self.left], owner] = x[self.right]
        return found

    def sandwiched_forms(self, d, M):
        """d' Z_a M Z_b d, (q, q), for d (p,) and M (p, p).

        As Z_b is symmetric, it is the sum of d_i M_jl d_k over the pairs (i, j) of a, (k, l) of b.
        """
        left = d[self.left]
        between = M[self.right][:, self.right]
        of_pairs = left[:, None] * between * left
        return self.owners.T @ of_pairs @ self.owners


def make_pairs(block, entries):
    """The `ColumnPairs` of the entries of psi.

    Parameters
    ----------
    block : ndarray, shape (p,)
        Of which block each column is. The columns of a block stand in the order of its levels.
    entries : sequence of (int, int)
        The two blocks of each entry, the same for a variance.

    Examples
    --------
    Two effects, blocks 0 and 1, of two levels: two variances, and the covariance in between.

    >>> pairs = make_pairs(np.array([0, 0, 1, 1]), [(0, 0), (1, 0), (1, 1)])
    >>> print(pairs.left, pairs.right, pairs.owners.argmax(axis=1), sep="\\n")
    [0 1 2 3 0 1 2 3]
    [0 1 0 1 2 3 2 3]
    [0 0 1 1 1 1 2 2]
    """
    if all(i == j for i, j in entries):
        blocks = [i for i, _ in entries]
        owners = np.equal.outer(block, blocks)
        everything = slice(None)
        return ColumnPairs(everything, everything, owners * 1.0)
    left = []
    right = []
    owner = []
    for a, entry in enumerate(entries):
        for i, j in orders(entry):
            of_i = np.flatnonzero(block == i)
            of_j = np.flatnonzero(block == j)
            left.append(of_i)
            right.append(of_j)
            owner.append(np.full(len(of_i), a))
    left = np.concatenate(left)
    right = np.concatenate(right)
    owner = np.concatenate(owner)
    owners = np.equal.outer(owner, np.arange(len(entries)))
    return ColumnPairs(left, right, owners * 1.0)


def orders(entry):
    """The entry (i, j), and (j, i) if that is another."""
    i, j = entry
    if i == j:
        return [(i, j)]
    return [(i, j), (j, i)]


@dataclass(frozen=True, eq=False)
class Dense(Decomposed):
    """`Decomposed`, and what contract.py lists."""

    block_of: np.ndarray = field(repr=False)    # (p,) the block of Z of each column of R
    entries: Entries = field(repr=False)
    pairs: ColumnPairs = field(repr=False)            # which columns of R each entry of psi relates
    rotation: Rotation = field(repr=False)      # applies Q'

    name = "dense"
    cheap = True
    exact = True
    averages = False

    @property
    def p(self):
        """The number of columns of Z."""
        return len(self.block_of)

    widest = p

    @cached_property
    def mean_squares(self):
        """(J,): the mean squared length of the columns of Z of each block."""
        squares = np.einsum("ij,ij->j", self.R, self.R)
        return np.bincount(self.block_of, squares) / np.bincount(self.block_of)

    @property
    def residual_ss(self):
        """e'e, e being the last column of U."""
        along = self.QtU[:, -1]
        beside = self.S[:, -1]
        return float(along @ along + beside @ beside)

    def describe(self):
        """One line about its size."""
        return f"dense: QR of the {self.p} columns of Z"

    def crowding_block(self):
        """The block that was decomposed first: it may dwarf sigma and the others without loss."""
        return self.block_of[0]

    def many(self, phis):
        """log|V|, (B,), and U'WU, (B, m, m), at several phi, (B, 1 + q): a stack of triangles.

        Bordered by QtU they hold B = L'^-1 QtU too:

            [ A     QtU ]   [ L'  0 ] [ L  B ]
            [ QtU'  d I ] = [ B'  * ] [ 0  * ],     d large enough that there is a triangle.
        """
        p, m = self.QtU.shape
        sigma2 = phis[:, 0]
        A = (self.parts @ phis.T).T.reshape(-1, p, p)
        bordered = np.zeros((len(phis), p + m, p + m))
        bordered[:, :p, :p] = A
        bordered[:, p:, :p] = self.QtU.T
        large = 1.0 + 2 * np.sum(self.QtU**2) / sigma2
        bordered[:, range(p, p + m), range(p, p + m)] = large[:, None]
        triangles = triangles_or_nan(bordered)
        logdets = (self.n - p) * np.log(sigma2)
        logdets += 2 * np.log(np.einsum("bii->bi", triangles[:, :p, :p])).sum(axis=1)       # (2)
        B = triangles[:, p:, :p]
        crosses = B @ B.transpose(0, 2, 1) + self.S.T @ self.S / sigma2[:, None, None]      # (1)
        return logdets, crosses

    # -- derivatives (6), (7) ----------------------------------------------------------------------

    def information(self, phi, state, pulled, reml, averaged=False):
        """tr(W V_a), y'P V_a P y and (7) for the entries a of psi. O(p^3)."""
        M, N = self._products(phi, state)
        d, F = pulled(N)
        M_P = M - F.T @ F                                       # Z'PZ
        traced = M_P if reml else M
        pairs = self.pairs
        hessian = pairs.sandwiched_forms(d, M_P) - 0.5 * pairs.squares(traced)
        return Information(pairs.traces(traced), pairs.quadratic_forms(d), hessian, False)

    def moments(self, phi, pulled):
        """tr(W V_a), tr(W V_a W V_b), F Z_a F' and F Z_a Z'WZ Z_b F'. O(p^2 k q)."""
        M, N = self._products(phi)
        F = pulled(N)
        Z_F = self.pairs.times_entries(F.T)                     # (p, q, k)
        p, q, k = Z_F.shape
        forms = np.tensordot(F, Z_F, 1).transpose(1, 0, 2)
        side_by_side = Z_F.reshape(p, q * k)
        products = side_by_side.T @ (M @ side_by_side)
        products = products.reshape(q, k, q, k).transpose(0, 2, 1, 3)
        return Moments(self.pairs.traces(M), self.pairs.squares(M), forms, products)

    def _products(self, phi, state=None):
        """Z'WZ, (p, p), and Z'WU, (p, m), columns of Z in the order of R's: what (5)-(8) need."""
        if not self.p:
            return self.R, self.QtU
        _, L, B = state or self(phi).state
        A = dtrsm(1.0, L, self.R, trans_a=1)                    # (1): Z'WZ = R' (L'L)^-1 R = A'A
        return A.T @ A, A.T @ B

    def rounding(self, phi, state=None):
        """How far rounding may take 1/2 log|V|: a pivot L_jj^2 is a difference of A_jj."""
        if not self.p:
            return 0.0
        state = state or self(phi).state
        return rounding_of(state.L)

    def sums_of_squares(self):
        """|Z_j'e|^2 = |R_j' Q'e|^2, (J,), and |Z_i'Z_j|^2 = |R_i'R_j|^2, (J, J)."""
        along = self.R.T @ self.QtU[:, -1]
        products = self.R.T @ self.R
        owners = np.equal.outer(self.block_of, np.arange(self.entries.J)) * 1.0
        return along**2 @ owners, owners.T @ products**2 @ owners

    # -- conditional modes (5) ---------------------------------------------------------------------

    @property
    def _order(self):
        """Where the columns of Z, in the order of its blocks, are among those of R."""
        return np.argsort(self.block_of, kind="stable")

    def products_with_U(self, phi):
        """Z'WU, (p, m), columns of Z in the order of the blocks."""
        return self._products(phi)[1][self._order]

    def conditional(self, phi, Lambda):
        """Z'WU, and the variance of b given y and beta, a `Posterior`."""
        return self.products_with_U(phi), Posterior(self._root_of_variance(sqrt(phi[0]), Lambda))

    def _root_of_variance(self, sigma, Lambda):
        """A, (p, p), with A'A = Var[b | y, beta] = psi - psi Z'WZ psi, (5), not by subtraction.

        Var = Lambda (Lambda' Z'Z Lambda / sigma^2 + I)^-1 Lambda', and K = Lambda' Z'Z Lambda +
        sigma^2 I = L'L.
        """
        if not self.p:
            return self.R
        root = Lambda.T @ self.R[:, self._order].T              # Lambda' R'
        K = root @ root.T
        K.flat[:: len(K) + 1] += sigma**2
        L = cholesky(np.asfortranarray(K))
        return dtrsm(sigma, L, np.asfortranarray(Lambda.T.toarray()), trans_a=1)

    # -- which parameters data can tell ------------------------------------------------------------

    def identifying_parts(self, projected):
        """I and the V_a as columns, of which dependent ones cannot be told apart; or P V_a P.

        In the coordinates of Q: Q'V_a Q is R_i R_j' (+ R_j R_i') in R's p dimensions, I has n - p
        more, as one number. Where projected, P = I - Q_X Q_X', (R ; 0) becomes what P leaves of it,
        and P itself takes the place of I. For n > p + m.
        """
        n, p = self.n, self.p
        if not projected:
            parts = np.vstack([self.parts, np.zeros(self.parts.shape[1])])
            parts[-1, 0] = np.sqrt(n - p)
            return parts
        Q_X = np.vstack([self.QtU[:, :-1], self.S[:, :-1]])     # Q'Q_X, without its rows of zeros
        rows = len(Q_X)
        P = np.eye(rows) - Q_X @ Q_X.T
        R = P[:, :p] @ self.R
        parts = parts_of(R, self.block_of, self.entries.pairs)
        parts[:, 0] = P.ravel()
        others = np.zeros(parts.shape[1])
        others[0] = np.sqrt(n - rows)
        return np.vstack([parts, others])

    # -- the same engine for something else --------------------------------------------------------

    def combined(self, A):
        """The same engine for U A in place of U."""
        QtU = np.asfortranarray(self.QtU @ A)
        S = np.asfortranarray(self.S @ A)
        return replace(self, **_read_only(QtU=QtU, S=S))

    def responding(self, e, low):
        """The same engine with e, and `low` from `residual`, in place of the last column of U."""
        column, length = self.rotation(e, low)
        QtU = self.QtU.copy(order="F")
        S = self.S.copy(order="F")
        QtU[:, -1] = column[: self.p]
        S[:-1, -1] = column[self.p :]
        S[-1, -1] = length
        return replace(self, **_read_only(QtU=QtU, S=S))

    def reordered(self, order, entries):
        """The same with block number order[i] as block i, and the `Entries` of psi then."""
        block_of = np.argsort(order)[self.block_of]
        return _dense(self.n, self.R, self.QtU, self.S, block_of, entries, self.rotation)


def factorise(blocks, U, low, entries, first=None, n=None):
    """The engine of Z = [blocks] and U; see `decompose` for `low` and `first`.

    `n` is how many rows these stand for, if there are more (summary.py).
    """
    (R, QtU, S), block_of, rotation = decompose(blocks, U, low, first)
    return _dense(n or len(U), R, QtU, S, block_of, entries, rotation)


def _dense(n, R, QtU, S, block_of, entries, rotation):
    """The engine of a decomposition: the parts of R psi R' for these entries are made here."""
    parts = parts_of(R, block_of, entries.pairs)
    arrays = _read_only(R=R, QtU=QtU, S=S, parts=parts, block_of=block_of)
    pairs = make_pairs(block_of, entries.pairs)
    return Dense(n=n, **arrays, entries=entries, pairs=pairs, rotation=rotation)


def _read_only(**arrays):
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def rounding_of(L):
    """eps / 2 times the sum of A_jj / L_jj^2, A = L'L: how far rounding may take 1/2 log|A|."""
    squares = np.triu(L) ** 2
    return float(0.5 * np.finfo(float).eps * np.sum(squares.sum(axis=0) / squares.diagonal()))


@dataclass(frozen=True, eq=False)
class Posterior:
    """Var[b | y, beta] = A'A, by its root A, (p, p)."""

    root: np.ndarray

    def sds(self):
        """The standard deviations, (p,)."""
        return np.linalg.norm(self.root, axis=0)

    def quadratic_forms(self, Z):
        """z' Var z for each row of Z, sparse: (n,)."""
        root = np.ascontiguousarray(self.root.T)
        total = np.empty(Z.shape[0])
        for start in range(0, len(total), ROWS_AT_A_TIME):
            rows = slice(start, start + ROWS_AT_A_TIME)
            total[rows] = np.sum((Z[rows] @ root) ** 2, axis=1)
        return total
