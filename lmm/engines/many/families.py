"""Which family a design belongs to, and what its responses become: from rows to a few numbers."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from ...errors import LMMError
from ...model import Entries
from ..algebra import ends_of, numbers_within
from ..blocked.levels import in_Q1, in_Z1, triangles_of_rows
from ..qr import back_substitute
from . import by_level, stacks
from .alike import SAME, Alike, alike
from .by_level import ByLevel
from .masked import masked
from .stacks import Stacks

MOST_COMMUTING = 300        # columns of Z, up to which a common eigenbasis is looked for
LEAST_SQUARE = 1e-300       # in place of a mean square of zero
LEAST_OWN = 1e-9            # of an effect, what those before leave of it: below, none are mixed
LEAST_EIGENVALUE = 1e-9     # of Z'Z, its columns of length 1, relative to the largest, above which
                            # a direction is one of Z, and ...
NO_DIRECTION = 1e-12       # ... below which it is none
MOST_EFFECTS = 6            # of one grouping, by level
MOST_KEPT = 200             # columns that go in stacks, and ...
MOST_IN_STACKS = 300_000    # ... products of columns with those that are eliminated
MOST_OF_ROWS = 20_000_000   # numbers, of the columns that are left by row
MADE_BY_OTHERS = 1e-7       # of a direction of X, what rows leave of it, below which it is none
DIGITS_LOST = 1e7           # y over its residual: beyond that, digits of e are lost in floats
LOST_IN_ONE_PASS = 1e4      # the same of squares, where e is never made


class Unsuitable(LMMError):
    """A design, or its rows for some responses, that is not fitted in stacks, and why."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a design for some responses, weighted: n of them."""

    kept: np.ndarray | None     # which rows of the design, or None for all
    X: np.ndarray               # (n, k) Q_X
    R_X: np.ndarray             # (k, k)
    blocks: list                # of Z, sparse (n, m_j)
    known: np.ndarray           # (n,) offset, not weighted
    roots: np.ndarray | None    # (n,) of the weights
    constant: float
    turn: np.ndarray            # (J, J) K: the blocks are those of effects b~, b = K b~

    @property
    def units(self):
        """(J,): log sds of b~ that add as much as sigma does to an average level's whole."""
        squares = [np.sum(Z.data**2) / max(1, Z.shape[1]) for Z in self.blocks]
        return -0.5 * np.log(np.maximum(squares, LEAST_SQUARE))

    @property
    def n(self):
        """How many there are."""
        return len(self.X)


@dataclass(frozen=True, eq=False)
class Family:
    """A design, ready for responses.

    Attributes
    ----------
    design : ByLevel or Stacks
        What `look` and `slopes` take.
    rows : Rows
    Z1, R : list of sparse (n, m), and (c, c, m)
        The first term, Z1 = Q1 R; or Q1 itself and None: dense, (n, pieces).
    Z2 : sparse, (n, p2), or None
        The columns that go in stacks.
    alike : Alike or None
    entries : Entries or None
        Of psi, where there is one grouping.
    """

    design: object
    rows: Rows
    Z1: object
    R: np.ndarray | None
    Z2: object = None
    alike: Alike | None = None
    entries: Entries | None = None

    def respond(self, Y):
        """What stands for the responses Y, (n, B), on the rows of the family, and their beta_0.

        Returns
        -------
        responses : tuple of ndarray
        beta_0 : ndarray, shape (B, k)
            Of least squares.
        whole : ndarray, shape (B,)
            e'e, e = y - X beta_0.
        lost : ndarray of bool, shape (B,)
            Where y is so large beside e that digits are lost.
        """
        rows = self.rows
        if sparse.issparse(Y):
            return self._respond_sparse(Y)
        Y = Y - rows.known[:, None]
        if rows.roots is not None:
            Y = Y * rows.roots[:, None]
        size = np.einsum("nb,nb->b", Y, Y)
        along = rows.X.T @ Y
        E = Y - rows.X @ along
        more = rows.X.T @ E
        E -= rows.X @ more
        beta_0 = self._solved(along + more)
        whole = np.einsum("nb,nb->b", E, E)
        return self.of_residuals(E), beta_0, whole, size > DIGITS_LOST**2 * whole

    def of_residuals(self, E):
        """What stands for responses whose residuals e = y - X beta_0, weighted, are E, (n, B)."""
        y1, rest = self.split(E)
        Xy = (self.rows.X.T @ rest).T
        yy = np.einsum("nb,nb->b", rest, rest)
        return self._assembled(y1, rest, Xy, yy)

    def respond_masked(self, Y):
        """The same for Y with missing values, nan: a `Masked`. For one grouping."""
        return masked(self, self.entries, Y, DIGITS_LOST)

    @property
    def is_one_grouping(self):
        """Whether it takes responses with missing values, or sparse ones, as they are."""
        return self.Z2 is None and self.R is not None

    @property
    def kind(self):
        """What families of different rows have in common whose designs can be joined."""
        return type(self.design), self.R is None, self.Z2 is None, len(self.rows.blocks)

    def _respond_sparse(self, Y):
        """The same for a sparse Y, by sums over its entries: e is never made."""
        rows = self.rows
        if rows.roots is not None:
            Y = sparse.diags(rows.roots) @ Y
        known = rows.known if rows.roots is None else rows.known * rows.roots
        Y = sparse.csc_array(Y)
        size = np.asarray(Y.multiply(Y).sum(axis=0)).ravel()
        size = size - 2 * (Y.T @ known) + known @ known
        X, of_levels = self._of_sparse
        along = (Y.T @ X).T - (known @ X)[:, None]
        whole = size - np.sum(along**2, axis=0)

        def products(Z, Z_X):
            """Z'e, (B, m)."""
            return (Y.T @ Z).toarray() - Z.T @ known - (Z_X @ along).T

        Z_e = np.array([products(Z, Z_X) for Z, Z_X in zip(self.Z1, of_levels)])
        y1 = in_Q1(self.R, Z_e)
        yy = whole - np.sum(y1**2, axis=(0, 2))
        X1 = in_Q1(self.R, np.array([Z_X.T for Z_X in of_levels]))
        Xy = -sum(y1[i] @ X1[i].T for i in range(len(y1)))
        responses = self._assembled(y1, None, Xy, np.maximum(yy, 0.0))
        return responses, self._solved(along), whole, size > LOST_IN_ONE_PASS * whole

    @cached_property
    def _of_sparse(self):
        """Q_X by rows, as products with sparse matrices take it, and Z_j'Q_X for each effect."""
        X = np.ascontiguousarray(self.rows.X)
        return X, [Z.T @ X for Z in self.Z1]

    def _solved(self, along):
        """R_X^-1 of these columns, as rows."""
        return back_substitute(self.rows.R_X, np.asfortranarray(along)).T

    def split(self, V):
        """Q1'V, (c, r, m), and what Q1 leaves of V, (n, r), in two passes."""
        if self.R is None:
            y1 = 0.0
            for _ in range(2):
                more = self.Z1.T @ V
                V = V - self.Z1 @ more
                y1 = y1 + more
            return y1.T[None], V
        y1 = 0.0
        for _ in range(2):
            V_Z = np.array([(Z.T @ V).T for Z in self.Z1])
            more = in_Q1(self.R, V_Z)
            y1 = y1 + more
            for Z, of_effect in zip(self.Z1, in_Z1(self.R, more)):
                V = V - Z @ of_effect.T
        return y1, V

    def _assembled(self, y1, rest, Xy, yy):
        """The responses as the design takes them."""
        if self.Z2 is None:
            y1 = y1 if self.alike is None else self.alike.of_y(y1)
            return np.ascontiguousarray(y1), Xy, yy
        return y1[0], (self.Z2.T @ rest).T, Xy, yy


def taken(design, responses, chosen):
    """What stands for the chosen responses of a `ByLevel` or a `Stacks` design."""
    module = by_level if isinstance(design, ByLevel) else stacks
    return module.taken(responses, chosen)


# -- which family ----------------------------------------------------------------------------------


def family_of(setup):
    """The `Family` of a set-up, all of its rows. Raises Unsuitable where there is none."""
    design = setup.design
    if not design.keeps_rows:
        raise Unsuitable("the rows are not kept")
    blocks, turn = _turned(setup)
    rows = Rows(
        None,
        setup.Q_X,
        setup.R_X,
        blocks,
        design.offset,
        design.root_weights,
        -setup.log_weights,
        turn,
    )
    return _family(setup, rows, whole=True)


def family_of_rows(setup, whole, kept):
    """The `Family` of some rows of a set-up, (n,) of bool; `whole` is that of all.

    Raises Unsuitable where X has not the rank there that it has on all rows.
    """
    design = setup.design
    part = setup.Q_X[kept]                                      # weighted already
    Q_X, L = np.linalg.qr(part)
    if len(part) < part.shape[1] or (np.abs(L.diagonal()) < MADE_BY_OTHERS).any():
        raise Unsuitable("a fixed effect cannot be estimated from the rows where it is there")
    roots = None if design.root_weights is None else design.root_weights[kept]
    rows = Rows(
        kept,
        Q_X,
        np.asfortranarray(L @ setup.R_X),
        [block[kept] for block in whole.rows.blocks],
        design.offset[kept],
        roots,
        0.0 if roots is None else -float(np.sum(np.log(roots))),
        whole.rows.turn,
    )
    return _family(setup, rows, whole=False)


def _family(setup, rows, whole):
    """The `Family` of these rows; commuting terms are looked for where it is the `whole` design."""
    covariance = setup.design.covariance
    entries = covariance.entries
    one_entry = [bool((np.diff(Z.indptr) <= 1).all()) for Z in rows.blocks]
    k = rows.X.shape[1]
    common = {
        "reml": setup.reml,
        "df": np.array([rows.n - (k if setup.reml else 0.0)]),
        "constant": np.array([rows.constant]),
        "log_root": np.array([np.sum(np.log(np.abs(rows.R_X.diagonal())))]),
    }
    if 0 < entries.J <= MOST_EFFECTS and all(one_entry) and _same_levels(rows.blocks):
        return _of_grouping(rows, entries, common)
    if entries.q == entries.J:                          # variances alone
        p = sum(Z.shape[1] for Z in rows.blocks)
        if p == 0:
            return _of_eigenbasis(rows, np.zeros((rows.n, 0)), np.zeros((0, 0)), common)
        if whole and p <= MOST_COMMUTING:
            found = _commuting(rows.blocks)
            if found is not None:
                return _of_eigenbasis(rows, *found, common)
    return _in_stacks(rows, covariance, one_entry, common)


def _turned(setup):
    """The blocks of Z, weighted, of effects b~ that are orthogonal on the whole, and K, b = K b~.

    Correlated effects of a term are mixed so that the mean of Z_i'Z_i over the levels is I: with C
    C' that mean, Z~ = Z C'^-1 and K = C'^-1. A slope in a variable far from zero is nearly its
    intercept otherwise, and neither grids nor decisions at the boundary see what is between them.
    """
    design = setup.design
    covariance = design.covariance
    blocks = [sparse.csr_array(design.weighted(block.matrix)) for block in design.blocks]
    turn = np.eye(len(blocks))
    for one, span in zip(covariance.structures, covariance.spans):
        own = blocks[span]
        if not hasattr(one, "turned") or not _same_levels(own):
            continue
        values = np.array([block.data for block in own])                # (c, n)
        G = values @ values.T / own[0].shape[1]
        try:
            C = np.linalg.cholesky(G)
        except np.linalg.LinAlgError:
            continue
        if C.diagonal().min() < LEAST_OWN * np.sqrt(G.diagonal().max()):
            continue
        K = np.linalg.inv(C).T
        turn[span, span] = K
        for place, mixed in enumerate(K.T @ values):
            old = own[place]
            entries = (mixed, old.indices, old.indptr)
            blocks[span.start + place] = sparse.csr_array(entries, old.shape)
    return blocks, turn


def _same_levels(blocks):
    """Whether each row has the same column in all blocks: they are of one grouping."""
    first, *others = blocks
    return all(
        one.shape == first.shape and np.array_equal(one.indices, first.indices) for one in others
    )


def _of_grouping(rows, entries, common):
    """One grouping: a piece for each level."""
    m = rows.blocks[0].shape[1]
    c = entries.J
    R = triangles_of_rows([Z.data for Z in rows.blocks], rows.blocks[0].indices, m)
    first = Family(None, rows, rows.blocks, R, entries=entries)
    X1, rest = first.split(rows.X)
    A = []
    relations = []
    for i, j in entries.pairs:
        products = R[:, None, i] * R[None, :, j]                # R E_a R'
        A.append(products if i == j else products + products.swapaxes(0, 1))
        relations.append(((i, i, 1.0),) if i == j else ((i, j, 1.0), (j, i, 1.0)))
    kinds = R.reshape(c * c, -1).T
    found = alike(kinds, X1)
    design = _by_level(found, np.array(A), R, tuple(relations), X1, rest, common)
    return replace(first, design=design, alike=found)


def _by_level(found, A, R, relations, X1, rest, common):
    """The `ByLevel` of pieces of which a few stand for all."""
    places, counts = found.representatives()
    X1 = found.of_X(X1)
    return ByLevel(
        **common,
        A=np.ascontiguousarray(A[..., None, places]),
        R=None if R is None else np.ascontiguousarray(R[..., None, places]),
        relations=relations,
        counts=counts[None],
        X1=np.ascontiguousarray(X1[:, None]),
        XX=(rest.T @ rest)[None],
    )


def _of_eigenbasis(rows, basis, eigenvalues, common):
    """Terms that commute: a piece for each vector of the basis, (n, pieces)."""
    first = Family(None, rows, basis, None)
    X1, rest = first.split(rows.X)
    pieces = basis.shape[1]
    found = alike(eigenvalues.T, X1) if pieces else Alike(())
    if pieces:
        places, _ = found.representatives()
    else:
        places = np.zeros(0, int)
    eigenvalues = eigenvalues[:, places]
    relations = tuple(((0, 0, of_entry[None]),) for of_entry in eigenvalues)
    if not pieces:
        design = ByLevel(
            **common,
            A=np.zeros((0, 1, 1, 1, 0)),
            R=None,
            relations=(),
            counts=np.zeros((1, 0)),
            X1=np.zeros((1, 1, rows.X.shape[1], 0)),
            XX=(rest.T @ rest)[None],
        )
        return replace(first, design=design)
    A = eigenvalues[:, None, None]
    found_A = np.zeros((len(A), 1, 1, pieces))
    found_A[..., places] = A
    design = _by_level(found, found_A, None, relations, X1, rest, common)
    return replace(first, design=design, alike=found)


def _commuting(blocks):
    """An orthonormal basis of Z's columns, (n, r), and the eigenvalues, (J, r), of each Z_j Z_j'.

    None where there is no common one. With Z'Z = E S E' the columns of B = Z E S^-1/2 are one, and
    B'Z_j Z_j'B are the small matrices that are diagonal in the basis of one of their combinations,
    if they commute.
    """
    Z = sparse.csr_array(sparse.hstack(blocks))
    ends = ends_of(block.shape[1] for block in blocks)
    products = (Z.T @ Z).toarray()
    lengths = np.sqrt(products.diagonal())
    lengths = np.where(lengths > 0, lengths, 1.0)
    squares, vectors = np.linalg.eigh(products / lengths / lengths[:, None])
    kept = squares > LEAST_EIGENVALUE * squares[-1]
    if (squares[~kept] > NO_DIRECTION * squares[-1]).any():         # neither there nor not there
        return None
    to_basis = vectors[:, kept] / np.sqrt(squares[kept]) / lengths[:, None]
    of_blocks = []
    for j in range(len(blocks)):
        root = to_basis.T @ products[:, numbers_within(ends, [j])]
        of_blocks.append(root @ root.T)
    shares = np.sqrt(np.arange(2.0, 2.0 + len(blocks)))         # no two combinations are equal
    scales = np.array([one.trace() for one in of_blocks])
    mixed = sum(share / scale * one for share, scale, one in zip(shares, scales, of_blocks))
    _, turned = np.linalg.eigh(mixed)
    eigenvalues = []
    for one in of_blocks:
        inside = turned.T @ one @ turned
        diagonal = inside.diagonal().copy()
        beside = inside - np.diag(diagonal)
        if np.abs(beside).max(initial=0.0) > SAME * diagonal.max():
            return None
        diagonal[diagonal < SAME * diagonal.max()] = 0.0
        whole = blocks[len(eigenvalues)].power(2).sum()
        if abs(diagonal.sum() - whole) > SAME * whole:              # a direction was left out
            return None
        eigenvalues.append(diagonal)
    basis = Z @ (to_basis @ turned)
    return basis, np.array(eigenvalues)


def _in_stacks(rows, covariance, one_entry, common):
    """Several terms: the largest block that is related to no other one is eliminated."""
    entries = covariance.entries
    related = {j for i, j in entries.pairs if i != j} | {i for i, j in entries.pairs if i != j}
    sizes = [Z.shape[1] for Z in rows.blocks]
    alone = [j for j in range(entries.J) if one_entry[j] and j not in related]
    first = max(alone, key=lambda j: sizes[j], default=None)
    others = [j for j in range(entries.J) if j != first]
    block_of = np.repeat(others, [sizes[j] for j in others]).astype(int)
    m1 = 0 if first is None else sizes[first]
    p2 = len(block_of)
    if p2 > MOST_KEPT or m1 * p2 > MOST_IN_STACKS:
        raise Unsuitable(f"{p2} columns of Z are left beside {m1} that are eliminated")
    if rows.n * p2 > MOST_OF_ROWS:
        raise Unsuitable(f"{p2} columns of Z are left in {rows.n} rows")
    Z2 = sparse.csr_array(sparse.hstack([rows.blocks[j] for j in others])) if others else None
    if first is None:
        Z1 = [sparse.csr_array((rows.n, 0))]
        R = np.zeros((1, 1, 0))
    else:
        Z1 = [rows.blocks[first]]
        R = np.sqrt(_column_sums(Z1[0], Z1[0]))[None, None]
    family = Family(None, rows, Z1, R, Z2)
    X1, rest = family.split(rows.X)
    of_Z2, left = family.split(Z2.toarray())
    R12 = of_Z2[0].T                                            # (m1, p2)
    design = Stacks(
        **common,
        entries=entries,
        first=first,
        block_of=block_of,
        lambda_=R[0] ** 2,
        R12=np.ascontiguousarray(R12)[None],
        S=(left.T @ left)[None],
        X1=np.ascontiguousarray(X1[0])[None],
        X2=(rest.T @ left)[None],
        XX=(rest.T @ rest)[None],
    )
    return replace(family, design=design)


def _column_sums(Z, other):
    """(m,): the sums over the rows of the products of two blocks with the same levels."""
    m = Z.shape[1]
    if len(Z.data) == len(other.data):
        return np.bincount(Z.indices, Z.data * other.data, m)
    return np.asarray(Z.multiply(other).sum(axis=0)).ravel()


# -- rows of their own for each response -----------------------------------------------------------


def families_of_patterns(designs):
    """The design of several responses, each with one of these designs, of one kind: b is their sum.

    Pieces that one has and another has not stand for nothing there.
    """
    first = designs[0]
    if isinstance(first, ByLevel):
        return _joined_by_level(designs)
    names = ("df", "constant", "log_root", "lambda_", "R12", "S", "X1", "X2", "XX")
    parts = {name: np.concatenate([getattr(one, name) for one in designs]) for name in names}
    return replace(first, **parts)


def _joined_by_level(designs):
    """The same by level."""
    first = designs[0]
    most = max(one.counts.shape[1] for one in designs)

    def joined(arrays, axis):
        padded = [padded_pieces(array, most) for array in arrays]
        return np.concatenate(padded, axis=axis)

    relations = first.relations
    return ByLevel(
        reml=first.reml,
        df=np.concatenate([one.df for one in designs]),
        constant=np.concatenate([one.constant for one in designs]),
        log_root=np.concatenate([one.log_root for one in designs]),
        A=joined([one.A for one in designs], 3),
        R=None if first.R is None else joined([one.R for one in designs], 2),
        relations=relations,
        counts=joined([one.counts for one in designs], 0),
        X1=joined([one.X1 for one in designs], 1),
        XX=np.concatenate([one.XX for one in designs]),
    )


def padded_pieces(array, pieces):
    """An array with zeros for pieces that it has not."""
    missing = pieces - array.shape[-1]
    if not missing:
        return array
    nothing = np.zeros((*array.shape[:-1], missing))
    return np.concatenate([array, nothing], axis=-1)
