"""The columns of Z that are kept when terms have been eliminated, at one theta: one triangle.

Answers what a `Stage` does, see stages.py; sigma is the unit. Symmetric matrices are held by their
upper triangle.
"""

from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

from ..algebra import row_sums, symmetric, symmetric_times
from ..contract import NotPositiveDefinite
from .levels import times, transposed

LARGE_SHARE = 1e-4      # a column's part of the variance of a row, relative to sigma^2, from which
                        # it is divided by without loss
DIGITS_GONE = 1e-14     # of a difference, relative to what it is the difference of: nothing but
                        # rounding is below
CANCELLED = 1e-4        # of U' A^-1 U, what is left of it, below which digits are lost
EPSILON = float(np.finfo(float).eps)
ROWS_AT_ONCE = 1000     # of quadratic forms, each of q numbers


class LastStage:
    """S are the cross-products of the kept columns, (q, q), ZU and UU those with U.

    K = Lambda' S Lambda + I = L L',    psi = Lambda Lambda'

    Lambda is held as a vector where it is diagonal: where each effect is independent of the others.
    """

    def __init__(self, layout, relative, S, ZU, UU):
        self.layout = layout
        self.relative = relative
        self.S = S
        self.Lambda = root_over_levels(relative, layout)
        K = _congruent(S, self.Lambda)
        diagonal = K.diagonal() + 1.0
        K.flat[:: len(K) + 1] = diagonal
        self.L = _triangle(K)

        # -- (2): log|K|
        pivots = self.L.diagonal()
        logs = np.log(pivots)
        self.logdet = 2 * np.add.reduce(logs)
        # -- (1): U' V^-1 U = U' A^-1 U - |L^-1 Lambda' Z2' A^-1 U|^2
        w = self._half_solved(ZU)
        self.cross = UU - w.T @ w
        # no result where psi is so large that nothing but rounding remains of a pivot; where digits
        # are lost of U' V^-1 U, a difference, it is found otherwise: `State.root`
        if layout.q:
            refuse_rounding(pivots * pivots, diagonal)
        self.cancels = bool((self.cross.diagonal() < CANCELLED * UU.diagonal()).any())
        self.rounding = float(np.sum(EPSILON * diagonal / pivots**2))       # of log|K|

    def _half_solved(self, s):
        """L^-1 Lambda' s."""
        s = _times(self.Lambda.T, s)
        if not len(s):
            return s
        return dtrsm(1.0, self.L, s, lower=1)

    def scaled(self, v):
        """Lambda v."""
        return _times(self.Lambda, v)

    def scaled_transposed(self, v):
        """Lambda' v."""
        return _times(self.Lambda.T, v)

    def penalised(self, v):
        """K^-1 v."""
        return dpotrs(self.L, v, lower=1)[0] if len(v) else v

    def modes(self, zu):
        """b = psi Z' V^-1 u and Z' V^-1 u, (q, r), for u given by Z'u.

        w = K^-1 Lambda' Z'u solves Lambda' (Z'u - S b) = w, so that Z' V^-1 u = Z'u - S b is
        Lambda'^-1 w, without a difference, where that exists.
        """
        Lambda = self.Lambda
        w = _times(Lambda.T, zu)
        if len(w):
            w, _ = dpotrs(self.L, w, lower=1)
        b = _times(Lambda, w)
        if _is_diagonal(Lambda) and Lambda.all():
            return b, w / Lambda[:, None]
        return b, zu - symmetric_times(self.S, b)

    # -- the variance of b given y and beta, B = Lambda K^-1 Lambda'

    @cached_property
    def _inverted(self):
        """K^-1 within each level of each term, (c, c, m), and B, packed, in the memory of K^-1."""
        Lambda = self.Lambda
        inverse = self._inverse()           # its lower triangle; zeros above, as K has them
        within = []
        for columns in self._columns:
            c, m = columns.shape
            of_term = np.empty((c, c, m))
            for i, j in np.ndindex(c, c):
                row = np.maximum(columns[i], columns[j])
                column = np.minimum(columns[i], columns[j])
                of_term[i, j] = inverse[row, column]
            within.append(of_term)
        B = inverse.T
        if _is_diagonal(Lambda):
            B *= Lambda
            B *= Lambda[:, None]
        else:
            B = _congruent(B, Lambda.T)
        return within, B.ravel()

    def _inverse(self):
        """K^-1, its lower triangle."""
        if not len(self.L):
            return self.L
        inverse, _ = dpotri(self.L, lower=1)
        return inverse

    @property
    def B(self):
        """B, packed."""
        return self._inverted[1]

    @cached_property
    def _columns(self):
        """The numbers of the columns of each term, (c, m), by effect and level."""
        found = []
        start = 0
        for grouping in self.layout.groupings:
            numbers = np.arange(start, start + grouping.width)
            by_effect = numbers.reshape(grouping.c, grouping.m)
            found.append(by_effect)
            start += grouping.width
        return found

    def diagonal(self):
        """The diagonal of B, (q,)."""
        return self.B[:: self.layout.q + 1]

    def quadratic_forms(self, Z):
        """z' B z for each row of Z, sparse: (n,)."""
        upper = self.B.reshape(self.S.shape)
        B = symmetric(upper)
        total = np.empty(Z.shape[0])
        for start in range(0, len(total), ROWS_AT_ONCE):
            chosen = slice(start, start + ROWS_AT_ONCE)
            rows = sparse.csr_array(Z[chosen])
            products = rows.multiply(rows @ B)
            total[chosen] = row_sums(products)
        return total

    # -- M = Z' V^-1 Z, two ways: M = S - S B S cancels where standard deviations are large, and
    # -- M = Lambda'^-1 (I - K^-1) Lambda^-1 where they are small

    def in_full(self):
        """B, I - psi M and M, (q, q), both triangles."""
        Lambda = self.Lambda
        S = symmetric(self.S)
        eye = np.eye(self.layout.q)
        inverse = self._inverse()
        if len(inverse):
            inverse = symmetric(inverse)
        B = _times(Lambda, _times(Lambda, inverse).T)
        is_diagonal = _is_diagonal(Lambda)
        large = np.zeros(self.layout.q, bool)
        if is_diagonal:
            large = Lambda**2 * S.diagonal() > LARGE_SHARE
        if len(large) and large.all():
            of_pair = Lambda * Lambda[:, None]
            return B, Lambda[:, None] * inverse / Lambda, (eye - inverse) / of_pair
        shrunk = eye - B @ S                                    # I - psi M = I - B S
        if not is_diagonal:
            return B, shrunk, S @ shrunk                        # M = S - S B S
        divisor = np.where(large, Lambda, 1.0)
        shrunk_by_division = Lambda[:, None] * inverse / divisor    # Lambda K^-1 Lambda^-1
        shrunk = np.where(large, shrunk_by_division, shrunk)
        M_by_division = (eye - inverse) / divisor / divisor[:, None]
        both_large = large & large[:, None]
        M = np.where(both_large, M_by_division, S @ shrunk)
        return B, shrunk, M

    def within_levels(self):
        """M within each level: an iterator over the terms, (blocks, (c, c, m))."""
        within, _ = self._inverted
        squares = self.S.diagonal()
        terms = zip(self.layout.groupings, self._columns, within)
        for grouping, columns, inverse in terms:
            blocks = grouping.blocks
            T = self.relative.T[blocks, blocks]
            mean_squares = squares[columns].mean(axis=1)
            shares = T.diagonal() ** 2 * mean_squares
            if np.all(shares > LARGE_SHARE):
                yield blocks, _divided(T, inverse)
            else:
                yield blocks, self._subtracted(columns)

    def _subtracted(self, columns):
        """S - S B S within each level, (c, c, m), for a term's columns (c, m): without forming it.

        With V = L^-1 Lambda' S_columns, S B S is V'V.
        """
        c, m = columns.shape
        chosen = columns.ravel()
        numbers = np.arange(c * m)
        S = self.S[:, chosen] + self.S[chosen].T
        S[chosen, numbers] *= 0.5           # the diagonal stands in both triangles
        V = self._half_solved(S)
        of_effect = numbers.reshape(c, m)
        M = np.empty((c, c, m))
        for i, j in np.ndindex(c, c):
            S_ij = S[columns[i], of_effect[j]]
            V_i = V[:, i * m : (i + 1) * m]
            V_j = V[:, j * m : (j + 1) * m]
            VV_ij = np.einsum("kl,kl->l", V_i, V_j)
            M[i, j] = S_ij - VV_ij
        return M


def _divided(T, inverse):
    """T'^-1 (I - K^-1) T^-1 within each level, (c, c, m), for K^-1 there."""
    difference = np.eye(len(T))[:, :, None] - inverse
    left = np.linalg.inv(T.T)[:, :, None]
    return times(times(left, difference), transposed(left))


def _triangle(K):
    """The lower triangular L with L L' = K, from K's upper triangle; K is used up."""
    if not len(K):
        return K
    L, info = dpotrf(K.T, lower=1, overwrite_a=1)
    if info:
        raise NotPositiveDefinite
    return L


def refuse_rounding(differences, squares):
    """Raise if a difference of sums of squares is so small a part that its sign is chance."""
    if (differences < DIGITS_GONE * squares).any():
        raise NotPositiveDefinite


def root_over_levels(relative, layout):
    """Lambda: T x I over the levels of the kept terms; a vector where it is diagonal."""
    if not layout.q:
        return np.zeros(0)
    T = relative.T
    if any(_is_correlated(T, grouping) for grouping in layout.groupings):
        return layout.over_levels(T)
    sds = T.diagonal()
    of_terms = [np.repeat(sds[blocks], m) for blocks, m in layout.groupings]
    return np.concatenate(of_terms)


def _is_correlated(T, grouping):
    """Whether the effects of a term are: whether its T has anything below the diagonal."""
    if grouping.c == 1:
        return False
    of_term = T[grouping.blocks, grouping.blocks]
    return np.tril(of_term, -1).any()


def _is_diagonal(Lambda):
    """Whether it is held as a vector."""
    return isinstance(Lambda, np.ndarray)


def _times(Lambda, X):
    """Lambda X."""
    if _is_diagonal(Lambda):
        return Lambda[:, None] * X
    return Lambda @ X


def _congruent(S, Lambda):
    """Lambda' S Lambda, its upper triangle, of S by its upper triangle."""
    if _is_diagonal(Lambda):
        product = S * Lambda
        product *= Lambda[:, None]
        return product
    half = Lambda.T @ symmetric(S)
    return np.triu(Lambda.T @ half.T)
