"""The engine for many levels: terms are eliminated in closed form, then one Cholesky factor.

Let Z1 = Q1 R1 be the columns of the term with most of them, Z2 the others, A = Z1 psi1 Z1' +
sigma^2 I, so that V = A + Z2 psi2 Z2', psi2 = Lambda2 Lambda2'. As each row has one level of the
first term, R1 and

    D = sigma^2 (R1 psi1 R1' + sigma^2 I)^-1

are block-diagonal, a matrix c x c for each level. With R12 = Q1'Z2 and U = [Q_X e]:

    (1)  S = sigma^2 Z2' A^-1 Z2 = (Z2'Z2 - R12'R12) + R12' D R12
         likewise Z2' A^-1 U and U' A^-1 U
         K = Lambda2' S Lambda2 + sigma^2 I = L L'
         sigma^2 U' V^-1 U = sigma^2 U' A^-1 U - |L^-1 Lambda2' (sigma^2 Z2' A^-1 U)|^2
    (2)  log|V| = log|R1 psi1 R1' + sigma^2 I| + log|K| + (n - p) log sigma^2

S and its like are the cross-products of a smaller model of the same kind. So where S is
block-diagonal over the levels of another term, as it is for classes after the pupils in them, that
term is eliminated from it in the same way, and only the columns that are kept at last get a
triangle: a dense one (last_stage.py), or where few of them meet a sparse one (sparse_rest.py).

Only the sum for S meets the levels of Z1, and its pattern does not depend on theta. Where most
columns of Z2 meet in a level, it is one product by BLAS; otherwise their pairs are found once, and
it is one sparse product with D (coupling.py). An evaluation (stages.py) is that and the triangle of
p2 columns: O(p2^3 + pairs), or O(p2^3 + p1 p2^2), independent of n, with about 32 p2^2 bytes and 24
a pair. Second derivatives are exact where one term is eliminated and p2 is small (exact.py),
otherwise average information, which also does while the optimum is far and p2 is not so small.
Scalar terms of which each is nested in the next one need none of that (nested.py).

Sources: the elimination of the largest grouping first, Bates, Maechler, Bolker and Walker (2015),
section 5; average information in place of (7), Gilmour, Thompson and Cullis (1995).
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf

import numpy as np
from scipy import sparse

from ...machine import refuse_too_large
from ...model import Entries
from ..algebra import ends_of, numbers_within, row_of_entries, with_entries
from ..dense import make_pairs
from .crossproducts import CrossProducts, cross_products
from .elimination import filled, layout_of
from .layout import Grouping, Kept
from .levels import triangles_of_rows
from .nested import NestedState, Nesting, leaves_of, nesting_of
from .state import RelativePsi, State, StatePosterior

FEW_KEPT = 100          # kept columns up to which exact second derivatives cost little more
MOST_EXACT = 300        # kept columns up to which second derivatives are exact: they cost several
                        # times the triangle


@dataclass(frozen=True, eq=False)
class Blocked:
    """What stands for Z and U: their cross-products, in the order in which terms are eliminated."""

    of_psi: Entries = field(repr=False)         # which two blocks each entry of psi relates
    matrices: tuple = field(repr=False)         # the blocks of Z
    U: np.ndarray = field(repr=False)           # (rows, r)
    n: int                                      # how many rows there are, or these stand for
    cross_products: CrossProducts = field(repr=False)
    overlaps: np.ndarray = field(repr=False)        # (J, J) the sums of squares of Z_i'Z_j
    nesting: Nesting | None = field(repr=False)     # of terms nested in each other, if they are

    # -- the contract of engines

    name = "blocked"
    cheap = False

    def crowding_block(self):
        """None: where any block dwarfs sigma, digits are kept by `State.root`."""

    def __call__(self, phi):
        """log|V| and U' V^-1 U at `phi`: sigma^2, then the entries of psi.

        Raises an ArithmeticError where phi is too extreme for that.
        """
        with silently():
            V = self.state(phi).evaluation()
        if not V.logdet < inf:
            raise OverflowError
        refuse_infinite(V.cross)
        return V

    def many(self, phis):
        """log|V|, (B,), and U'WU, (B, m, m), at several phi, (B, 1 + q), one after the other."""
        m = self.U.shape[1]
        logdets = np.full(len(phis), np.nan)
        crosses = np.full((len(phis), m, m), np.nan)
        for i, phi in enumerate(phis):
            with suppress(ArithmeticError):
                logdets[i], crosses[i], *_ = self(phi)
        return logdets, crosses

    def information(self, phi, state, pulled, reml, averaged=False):
        """First derivatives of nll in phi by their two parts, and (7) or average information.

        Raises an ArithmeticError where phi is too extreme for that.
        """
        with silently():
            state = state or self.state(phi)
            found = state.information(pulled, reml, self.exact and not averaged)
        refuse_infinite(*found)
        return found

    def moments(self, phi, pulled):
        """See contract.py; where the engine is `exact`.

        Raises an ArithmeticError where phi is too extreme for that.
        """
        with silently():
            found = self.state(phi).moments(pulled)
        refuse_infinite(*found)
        return found

    def rounding(self, phi, state=None):
        """How far rounding may take 1/2 log|V| from its value, to first order."""
        with silently():
            state = state or self.state(phi)
            return 0.5 * state.rounding

    def sums_of_squares(self):
        """|Z_j'e|^2, (J,), and |Z_i'Z_j|^2, (J, J)."""
        e = self.U[:, -1]
        along = [Z.T @ e for Z in self.matrices]
        return np.array([v @ v for v in along]), self.overlaps

    def products_with_U(self, phi):
        """Z' V^-1 U, (p, r), columns of Z in the order of the blocks."""
        state = self.state(phi)
        return self.by_blocks(state.products_with_U())

    def conditional(self, phi, Lambda):
        """Z' V^-1 U, and the variance of b given y and beta, a `StatePosterior`."""
        state = self.state(phi)
        N = self.by_blocks(state.products_with_U())
        return N, StatePosterior(state)

    def responding(self, e, low):
        """The same engine with e in place of the last column of U. O(n)."""
        others = self.U[:, :-1]
        return self._with_U(np.column_stack([others, e]))

    def combined(self, A):
        """The same engine for U A in place of U."""
        of_U = self.cross_products.combined(A)
        return replace(self, U=self.U @ A, cross_products=of_U)

    def reordered(self, order, entries):
        """The same with the blocks in another order within their terms: block i is order[i]."""
        matrices = [self.matrices[j] for j in order]
        return eliminate(matrices, self.U, self.of_psi, self.n)

    def state(self, phi):
        """The `State` at phi."""
        kind = State if self.nesting is None else NestedState
        return kind(self, phi)

    @cached_property
    def leaves(self):
        """The `Leaves` of nested terms."""
        return leaves_of(self.nesting, self.cross_products)

    @property
    def exact(self):
        """Whether second derivatives are those of nll, and not average information."""
        if self.nesting is not None:
            return True
        remaining = self.layout.remaining
        return isinstance(remaining, Kept) and remaining.q <= MOST_EXACT

    @property
    def averages(self):
        """Whether average information costs much less: of scalar terms, with many columns kept."""
        if self.nesting is not None or len(self.of_psi.pairs) > self.of_psi.J:
            return False
        return self.layout.kept > FEW_KEPT

    @property
    def widest(self):
        """The number of columns of the widest matrix that BLAS gets to see."""
        return 0 if self.nesting is not None else self.layout.kept

    def describe(self):
        """One line about its size."""
        if self.nesting is not None and len(self.nesting.blocks) > 1:
            how = "nested, in closed form; exact second derivatives"
            return f"blocked: {self.p} columns of Z, {how}"
        second = "exact second derivatives" if self.exact else "average information"
        kept = self.layout.kept
        return (
            f"blocked: {self.p - kept} of {self.p} columns of Z eliminated, {kept} factored; "
            f"{second}"
        )

    @property
    def p(self):
        """The number of columns of Z."""
        return int(self.ends[-1])

    @cached_property
    def mean_squares(self):
        """(J,): the mean squared length of the columns of Z of each block."""
        squares = [np.sum(Z.data**2) for Z in self.matrices]
        return np.array(squares) / np.diff(self.ends)

    @cached_property
    def residual_ss(self):
        """e'e, e being the last column of U."""
        e = self.U[:, -1]
        return float(e @ e)

    # -- the columns of Z: by blocks, and in the order of elimination

    @property
    def layout(self):
        """The `Eliminated` term, and what remains of it."""
        return self.cross_products.layout

    @cached_property
    def ends(self):
        """Where each block's columns begin among those of Z, and where the last ones end."""
        return ends_of(Z.shape[1] for Z in self.matrices)

    @cached_property
    def order(self):
        """The blocks in the order of elimination."""
        groupings = self.layout.groupings
        return [j for grouping in groupings for j in grouping.numbers]

    @cached_property
    def columns_by_elimination(self):
        """(p,) which column of Z, in the order of the blocks, each column by elimination is."""
        return numbers_within(self.ends, self.order)

    @cached_property
    def block_slices(self):
        """(J,) where the columns of each block are in the order of elimination."""
        found = [None] * len(self.order)
        start = 0
        for j in self.order:
            stop = start + self.matrices[j].shape[1]
            found[j] = slice(start, stop)
            start = stop
        return found

    def by_blocks(self, v):
        """The rows of v, (p, s), from the order of elimination to that of the blocks."""
        parts = [v[of_block] for of_block in self.block_slices]
        return np.concatenate(parts)

    # -- rows

    def without_effects(self, b):
        """U - Z b, (n, r), for b (p, r), columns of Z in the order of the blocks."""
        left = self.U.copy()
        for Z, start, stop in zip(self.matrices, self.ends, self.ends[1:]):
            left -= Z @ b[start:stop]
        return left

    def of_columns(self, rows):
        """Z'v, (p, r), for v (n, r)."""
        return np.vstack([Z.T @ rows for Z in self.matrices])

    # -- the entries of psi

    def relative_psi(self, phi):
        """The `RelativePsi` at phi."""
        sigma2 = phi[0]
        if not sigma2 > 0:
            raise OverflowError
        refuse_infinite(phi)
        psi = self.of_psi.psi_of(phi) / sigma2
        return RelativePsi(psi)

    @cached_property
    def entries(self):
        """The two blocks of each entry of psi, (2, q)."""
        return np.array([self.of_psi.rows, self.of_psi.columns])

    @cached_property
    def _is_own(self):
        """(q,) which entries are of the term that is eliminated first."""
        i, _ = self.entries
        return np.isin(i, self.layout.grouping.numbers)

    @cached_property
    def own_entries(self):
        """The entries of the term that is eliminated first, as pairs of its effects."""
        own = self.entries[:, self._is_own]
        effects = own - self.layout.grouping.blocks.start
        return _listed(effects)

    @cached_property
    def entry_places(self):
        """(q,) where each entry is when the own ones come first, and then the others."""
        in_order = np.argsort(~self._is_own, kind="stable")
        return np.argsort(in_order)

    @cached_property
    def kept_pairs(self):
        """The `ColumnPairs` of the other entries, where nothing but kept columns remains."""
        kept = self.layout.remaining.groupings
        of_terms = [np.repeat(grouping.numbers, grouping.m) for grouping in kept]
        block = np.concatenate([np.zeros(0, int), *of_terms])
        others = self.entries[:, ~self._is_own]
        return make_pairs(block, _listed(others))

    def times_entries(self, x):
        """Z_a x, (p, s, q), for x (p, s): Z_a swaps the columns of the two blocks of an entry."""
        entries = _listed(self.entries)
        found = np.zeros((*x.shape, len(entries)))
        for a, (i, j) in enumerate(entries):
            of_i = self.block_slices[i]
            of_j = self.block_slices[j]
            found[of_i, :, a] = x[of_j]
            found[of_j, :, a] = x[of_i]
        return found

    def _with_U(self, U):
        """The engine with another U."""
        first, *others = self.layout.groupings
        Z1 = self.matrices[first.blocks]
        Z2 = _blocks_of(others, self.matrices)
        of_U = self.cross_products.with_rows(Z1, Z2, U)
        return replace(self, U=U, cross_products=of_U)


def _listed(entries):
    """Entries of psi, (2, q), as a list of pairs."""
    i, j = entries.tolist()
    return list(zip(i, j))


def silently():
    """A context in which numbers overflow without a warning; whether they have is looked for after.

    Not one in which numpy raises: some builds of BLAS set its flags for nothing.
    """
    return np.errstate(over="ignore", divide="ignore", invalid="ignore")


def refuse_infinite(*arrays):
    """Raise an OverflowError if any number in these arrays is not finite."""
    for numbers in arrays:
        if not np.isfinite(numbers).all():
            raise OverflowError


def eliminate(blocks, U, of_psi, n=None):
    """The engine of [blocks] and U, the term with most columns eliminated first.

    Parameters
    ----------
    blocks : sequence of scipy.sparse.csr_array, each (n, p_j)
        The blocks of Z, one entry in each row.
    U : ndarray, shape (n, r)
    of_psi : Entries
    n : int, optional
        How many rows these stand for, if there are more (summary.py).

    Returns
    -------
    Blocked

    Notes
    -----
    O(n + pairs): the pairs of columns of Z2 that meet in a level of Z1, at 12 bytes each, c^2
    times.
    """
    groupings = []
    for span in of_psi.spans:
        n_levels = blocks[span.start].shape[1]
        groupings.append(Grouping(span, n_levels))
    first = max(groupings, key=lambda grouping: grouping.width)
    others = [grouping for grouping in groupings if grouping is not first]
    Z1 = blocks[first.blocks]

    # -- the order of elimination, from which columns meet
    Z2 = _columns(blocks, others, len(U))
    pattern = _pattern_of_product(Z1[0], Z2)
    layout = layout_of(
        first,
        pattern,
        lambda: _pattern_of_product(Z2, Z2),
        others,
    )
    in_order = layout.remaining.groupings
    if list(in_order) != others:
        Z2 = _columns(blocks, in_order, len(U))
        pattern = _pattern_of_product(Z1[0], Z2)
    if layout.is_full:
        pattern = filled(pattern)
    refuse_too_large(layout.kept, layout.products_held)

    # -- the cross-products of Z in this order, and those with U
    own = _own_products(Z1, first.m)
    between = _products_on_pattern(Z1, Z2, pattern)
    upper = sparse.csr_array(sparse.triu(Z2.T @ Z2))
    overlaps = _overlaps(layout.groupings, own, between, pattern.indices, upper)
    packed = _packed(upper, layout.remaining)
    R1 = triangles_of_rows([Z.data for Z in Z1], Z1[0].indices, first.m)
    of_Z = cross_products(layout, R1, between, packed)
    nesting = nesting_of(groupings, blocks)
    engine = Blocked(of_psi, tuple(blocks), U, n or len(U), of_Z, overlaps, nesting)
    return engine._with_U(U)


def _columns(blocks, groupings, n):
    """The columns of Z of these terms, (n, q)."""
    nothing = sparse.csr_array((n, 0))
    matrices = [nothing, *_blocks_of(groupings, blocks)]
    together = sparse.hstack(matrices, format="csr")
    return sparse.csr_array(together)


def _blocks_of(groupings, blocks):
    """The blocks of these terms, of those of all."""
    return [blocks[j] for grouping in groupings for j in grouping.numbers]


def _pattern_of_product(A, B):
    """Where A'B has entries, sorted: a product of ones, of which no sum is zero by chance."""
    ones_A = with_entries(A, np.ones(A.nnz))
    ones_B = with_entries(B, np.ones(B.nnz))
    pattern = sparse.csr_array(ones_A.T @ ones_B)
    pattern.sort_indices()
    return pattern


def _own_products(Z1, m):
    """Z1'Z1, (c, c, m), for the blocks Z1 of one term."""
    c = len(Z1)
    level = Z1[0].indices
    products = np.empty((c, c, m))
    for i, j in zip(*np.triu_indices(c)):
        of_rows = Z1[i].data * Z1[j].data
        products[i, j] = np.bincount(level, of_rows, m)
        products[j, i] = products[i, j]
    return products


def _products_on_pattern(Z1, Z2, pattern):
    """Z1'Z2 for each effect, its entries on the pattern of any: (c, nnz)."""
    if len(Z1) == 1 and _is_of_ones(Z1[0]) and _is_of_ones(Z2):
        return pattern.data[None, :]        # the pattern's sums count the rows
    keys = _keys(pattern)
    products = np.zeros((len(Z1), pattern.nnz))
    for a, Z in enumerate(Z1):
        product = sparse.csr_array(Z.T @ Z2)
        entry = np.searchsorted(keys, _keys(product))
        products[a, entry] = product.data
    return products


def _is_of_ones(Z):
    """Whether all entries of a sparse matrix are ones."""
    return not (Z.data - 1).any()


def _keys(matrix):
    """(nnz,) each entry of a sparse matrix as one number, row x columns + column."""
    _, n_columns = matrix.shape
    row = row_of_entries(matrix.indptr).astype(np.int64)
    return row * n_columns + matrix.indices


def _overlaps(groupings, own, between, indices, upper):
    """The sums of squares of Z_i'Z_j, (J, J), from these products, the upper half of Z2'Z2 last."""
    first, *others = groupings
    of_terms = [np.repeat(grouping.numbers, grouping.m) for grouping in others]
    block = np.concatenate([np.zeros(0, int), *of_terms])
    J = sum(grouping.c for grouping in groupings)
    found = np.zeros((J, J))
    found[first.blocks, first.blocks] = np.sum(own**2, axis=2)
    for j, entries in zip(first.numbers, between):
        found[j] += np.bincount(block[indices], entries**2, J)
        found[:, j] = found[j]
    # -- among the others: a block with another one is in the upper half alone
    i = block[row_of_entries(upper.indptr)]
    j = block[upper.indices]
    among = np.bincount(i * J + j, upper.data**2, J * J).reshape(J, J)
    return found + np.maximum(among, among.T)


def _packed(upper, layout):
    """Z2'Z2, packed, from its upper half."""
    i = row_of_entries(upper.indptr).astype(np.int64)
    j = upper.indices.astype(np.int64)
    packed = np.zeros(layout.size)
    packed[layout.places(i, j)] = upper.data
    return packed
