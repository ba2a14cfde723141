"""The engine for many levels: terms are eliminated in closed form, then one dense Cholesky factor of the rest.

Let Z1 = Q1 R1 be the columns of the term with most levels, Z2 the others, A = Z1 psi1 Z1' + sigma^2 I, so that
V = A + Z2 psi2 Z2', psi2 = Lambda2 Lambda2'. As each row has one level of the first term, R1 and

    D = sigma^2 (R1 psi1 R1' + sigma^2 I)^-1

are block-diagonal, a block of c x c for each level. With R12 = Q1'Z2 and U = [Q_X e]:

    (1)  S = sigma^2 Z2' A^-1 Z2 = (Z2'Z2 - R12'R12) + R12' D R12,    likewise Z2' A^-1 U and U' A^-1 U
         K = Lambda2' S Lambda2 + sigma^2 I = L L'
         sigma^2 U' V^-1 U = sigma^2 U' A^-1 U - |L^-1 Lambda2' (sigma^2 Z2' A^-1 U)|^2
    (2)  log|V| = log|R1 psi1 R1' + sigma^2 I| + log|K| + (n - p) log sigma^2

S and its like are the cross-products of a smaller model of the same kind. So where S is block-diagonal over the levels of
another term, as it is for classes after the pupils in them, that term is eliminated from it in the same way, and only the last
rest gets a dense factor.

Only the sum for S meets the levels of Z1, and its pattern does not depend on theta: the pairs of columns of Z2 that meet in a
level are found once (elimination.py), so that an evaluation (stages.py) is one sparse product with D and a Cholesky
factorisation of p2 columns: O(p2^3 + pairs), independent of n, with about 32 p2^2 bytes and 24 a pair. Second derivatives are
exact where one term is eliminated and p2 is small (`Stage.traces`), otherwise average information. Sources: the elimination
of the largest factor first, Bates, Maechler, Bolker and Walker (2015), section 5; average information in place of (7),
Gilmour, Thompson and Cullis (1995).
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from ...machine import refuse_too_large
from ...model import Entries
from ..pairs import make_pairs
from .elimination import Kept, layout_of
from .gram import Gram, gram_of
from .state import State, StatePosterior

MOST_EXACT = 300        # columns left to factor up to which second derivatives are exact: they cost several times the factor


@dataclass(frozen=True, eq=False)
class Blocked:
    """What stands for Z and U = (n, r): their cross-products, in the order in which terms are eliminated.

    Symmetric matrices are held by their upper triangle, zeros below.
    """

    covariance: Entries
    matrices: tuple = field(repr=False)         # the blocks of Z
    U: np.ndarray = field(repr=False)           # (n, r)
    gram: Gram = field(repr=False)

    def __call__(self, phi):
        """log|V| and U' V^-1 U at `phi`: sigma^2, then the entries of psi."""
        return State(self, phi).evaluation()

    name = "blocked"
    cheap = False

    def crowding_block(self):
        """None: the order of elimination is fixed."""

    @property
    def exact(self):
        """Whether second derivatives are those of nll, and not average information."""
        return isinstance(self.layout.inner, Kept) and self.layout.kept <= MOST_EXACT

    @property
    def widest(self):
        """The number of columns of the widest matrix that BLAS gets to see."""
        return self.layout.kept

    def describe(self):
        """One line about its size."""
        second = "exact second derivatives" if self.exact else "average information"
        kept = self.layout.kept
        return f"blocked: {self.p - kept} of {self.p} columns of Z eliminated, {kept} factored; {second}"

    @property
    def layout(self):
        """The `Eliminated` term, and what is in it."""
        return self.gram.layout

    @property
    def n(self):
        """The number of rows."""
        return len(self.U)

    @property
    def p(self):
        """The number of columns of Z."""
        return int(self.ends[-1])

    @cached_property
    def ends(self):
        """Where each block's columns begin among those of Z, and where the last one ends."""
        return np.cumsum([0, *(Z.shape[1] for Z in self.matrices)])

    @cached_property
    def mean_squares(self):
        """(J,): the mean squared length of the columns of Z of each block."""
        return np.array([np.sum(Z.data**2) / Z.shape[1] for Z in self.matrices])

    @cached_property
    def residual_ss(self):
        """e'e, e being the last column of U."""
        return float(self.U[:, -1] @ self.U[:, -1])

    def responding(self, e, low):
        """The same engine with e in place of the last column of U; see `Dense.responding`. O(n)."""
        return self._with_U(np.column_stack([self.U[:, :-1], e]))

    def combined(self, A):
        """The same engine for U A in place of U."""
        return replace(self, U=self.U @ A, gram=self.gram.combined(A))

    def reordered(self, order, entries):
        """The same engine with the blocks in another order within their terms: block i is that of number order[i]."""
        return eliminate([self.matrices[j] for j in order], self.U, self.covariance)

    def information(self, phi, state, pulled, reml):
        """First derivatives of nll in phi by their two parts, and (7) or average information; see `Dense.information`."""
        return (state or State(self, phi)).information(pulled, reml)

    @cached_property
    def own_entries(self):
        """The entries of psi of the term that is eliminated first: pairs of its effects."""
        first = self.layout.blocks
        own = (self.covariance.rows >= first.start) & (self.covariance.rows < first.stop)
        return list(zip(self.covariance.rows[own] - first.start, self.covariance.columns[own] - first.start))

    @cached_property
    def entries_by_elimination(self):
        """The numbers of these entries of psi, and then those of the others."""
        first = self.layout.blocks
        return np.argsort((self.covariance.rows < first.start) | (self.covariance.rows >= first.stop), kind="stable")

    @cached_property
    def rest_pairs(self):
        """The `Pairs` of the columns that are left then, for the other entries."""
        covariance, terms = self.covariance, self.layout.inner.terms
        block = np.concatenate([np.zeros(0, int), *(np.repeat(range(b.start, b.stop), m) for b, m in terms)])
        others = self.entries_by_elimination[len(self.own_entries) :]
        return make_pairs(block, list(zip(covariance.rows[others], covariance.columns[others])))

    def arranged(self, x):
        """Z_a x, (p, r, q), for x (p, r) and the matrix Z_a of each entry of psi, which relates the columns of two blocks."""
        rows, columns, at = self.covariance.rows, self.covariance.columns, self.columns
        Z_x = np.zeros((*x.shape, len(rows)))
        for a, (i, j) in enumerate(zip(rows, columns)):
            Z_x[at[i], :, a], Z_x[at[j], :, a] = x[at[j]], x[at[i]]
        return Z_x

    @cached_property
    def columns(self):
        """Where the columns of each block are, slices, in the order of elimination."""
        sizes = [self.matrices[j].shape[1] for j in self.order]
        slices = {j: slice(end - size, end) for j, size, end in zip(self.order, sizes, np.cumsum(sizes))}
        return [slices[j] for j in range(len(slices))]

    def conditional(self, phi, Lambda):
        """Z' V^-1 U, and the variance of b given y and beta, a `StatePosterior`; see `Dense.conditional`."""
        state = State(self, phi)
        return self.by_blocks(state.products_with_U()), StatePosterior(state)

    def products_with_U(self, phi):
        """Z' V^-1 U, (p, r), columns of Z in the order of the blocks."""
        return self.by_blocks(State(self, phi).products_with_U())

    @cached_property
    def order(self):
        """The blocks in the order of elimination."""
        return [j for b, _ in self.layout.terms for j in range(b.start, b.stop)]

    def by_blocks(self, v):
        """The rows of v, (p, q), from the order of elimination to that of the blocks."""
        return np.concatenate([v[of_block] for of_block in self.columns])

    def _with_U(self, U):
        """The engine with another U."""
        c, in_order = self.layout.c, [self.matrices[j] for j in self.order]
        return replace(self, U=U, gram=self.gram.with_rows(in_order[:c], in_order[c:], U))


def eliminate(blocks, U, covariance):
    """The engine of [blocks] and U, the term with most columns eliminated first.

    Parameters
    ----------
    blocks : sequence of scipy.sparse.csr_array, each (n, p_j)
        The blocks of Z, one entry in each row.
    U : ndarray, shape (n, r)
    covariance : Covariance

    Returns
    -------
    Blocked

    Notes
    -----
    O(n + pairs): the pairs of columns of Z2 that meet in a level of Z1, at 12 bytes each, c^2 times.
    """
    n = len(U)
    terms = [(b, blocks[b.start].shape[1]) for b in covariance.spans]
    first, m = max(terms, key=lambda term: (term[0].stop - term[0].start) * term[1])
    others, own = [term for term in terms if term[0] != first], blocks[first]
    Z2, pattern, Z1Z2 = _products(own, blocks, others, n)
    layout = layout_of(first, m, pattern, lambda: _ones(Z2).T @ _ones(Z2), others)
    if list(layout.inner.terms) != others:
        Z2, pattern, Z1Z2 = _products(own, blocks, layout.inner.terms, n)
    refuse_too_large(layout.kept, layout.needed)
    c = len(own)
    G = np.empty((m, c, c))
    for i in range(c):
        for j in range(c):
            G[:, i, j] = np.bincount(own[0].indices, own[i].data * own[j].data, m)
    gram = sparse.coo_array(sparse.triu(Z2.T @ Z2))
    i, j = gram.coords if hasattr(gram, "coords") else (gram.row, gram.col)
    rest = np.zeros(layout.inner.size)
    rest[layout.inner.places(i.astype(np.int64), j.astype(np.int64))] = gram.data
    return Blocked(covariance, tuple(blocks), U, gram_of(layout, G, Z1Z2, rest))._with_U(U)


def _products(own, blocks, terms, n):
    """Z2, the columns of these terms, and Z1'Z2: a sparse pattern, (m, q), and the entries for each effect, (c, nnz)."""
    others = [Z for b, _ in terms for Z in blocks[b]]
    Z2 = sparse.csr_array(sparse.hstack([sparse.csr_array((n, 0)), *others], format="csr"))
    pattern = sparse.csr_array(_ones(own[0]).T @ _ones(Z2))         # of ones: none of its sums is zero by chance
    pattern.sort_indices()
    if len(own) == 1 and not (own[0].data - 1).any() and not (Z2.data - 1).any():
        return Z2, pattern, pattern.data[None, :]
    q = Z2.shape[1]

    def places(matrix):
        return np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr)) * q + matrix.indices

    values, known = np.zeros((len(own), pattern.nnz)), places(pattern)
    for a, Z in enumerate(own):
        product = sparse.csr_array(Z.T @ Z2)
        values[a, np.searchsorted(known, places(product))] = product.data
    return Z2, pattern, values


def _ones(Z):
    """The pattern of Z: ones where it has entries."""
    return sparse.csr_array((np.ones(Z.nnz), Z.indices, Z.indptr), Z.shape)
