"""A set-up from chunks: three passes, and the rows that stand for all others.

1.  A survey: the levels of the factors, and some rows (model/recipe.py).
2.  The triangle R of [X y], by QR of each chunk's rows and of two triangles, one on the other.
3.  What stands for the rows of each cell, of U = [X R_X^-1, y - X beta_0] (engines/summary.py).

Covariates and the response are first taken relative to their means at the remembered rows, where
there is an intercept: with X = X' A^-1, A = I - e_1 m' for the columns' means m, large means cost
no digits. U then has no large part that its squares would lose.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dgeqrf

from ..engines import back_substitute, cells_of, merged_cells, set_up_condensed
from ..errors import LMMError
from ..machine import memory, refuse_too_large
from ..model import (
    Condensed,
    Covariance,
    Recipe,
    Survey,
    check_distinct,
    check_response,
    full_rank,
)
from .blocks import blocks_of
from .sources import source_of_chunks

SAME_COLUMN = 1e-12         # relative: two effects with the same values at the remembered rows
BYTES = 8
GIB = 2**30


def set_up_chunks(
    form,
    dat,
    ref=(),
    reml=False,
    weights=None,
    offset=None,
    engine=None,
    bars=False,
    levels=None,
):
    """The `Setup` of a model from chunks, or a source of them.

    Errors name the chunk. Each pass costs some 0.1 microseconds a row and column beside reading.
    """
    source = source_of_chunks(dat)
    recipe = Recipe(form, source.first(), ref, weights, offset, bars=bars)
    survey = source.reduced(recipe.survey, Survey.merged, "levels")
    recipe.surveyed(survey, levels)
    refuse_many_cells(recipe, survey.n)

    # -- the triangle of [X' y']
    shift = Shift.of(recipe)
    second = source.reduced(Triangle(recipe, shift), merged_triangles, "fixed effects")
    check_same_rows(survey.n, second and second.n)

    # -- the cells
    layout = Layout.of(recipe, shift, second)
    cells = source.reduced(layout, layout.merged, "random effects")
    check_same_rows(survey.n, cells and cells.n)
    return condensed(recipe, survey, second, layout, cells, reml, engine)


def refuse_many_cells(recipe, n):
    """Refuse so many cells that there is no room for them, or that their keys are no numbers."""
    possible = np.prod([1.0, *(len(recipe.categories[name]) for name in recipe.factors)])
    if possible > np.iinfo(np.int64).max:
        raise LMMError(
            "the groupings have too many combinations of levels; use fewer groupings"
        )
    c = sum(values.shape[1] for values in recipe.remembered_effects)
    needed = BYTES * min(possible, n) * (1 + c * (c + len(recipe.names) + 1)) / GIB
    if needed > memory():
        raise LMMError(
            f"up to {min(possible, n):.3g} combinations of levels may be met, which need "
            f"{needed:.1f} GiB, and there are {memory():.1f}; use coarser groupings, or a machine "
            "with more memory"
        )


def check_same_rows(before, now):
    """Refuse a source that has other rows in another pass."""
    if before != now:
        raise LMMError(
            f"the chunks had {before} rows in the first pass and {now} in another; the source "
            "changes, or is an iterator that was used up: give a function that makes a new one"
        )


# -- the second pass


@dataclass(frozen=True, eq=False)
class Shift:
    """What is taken off first: X' = X A, y' = y - m_y, where the first column is a constant."""

    means: np.ndarray           # (K,) m, with 0 for the constant itself; and ...
    mean_y: float               # ... m_y; all of them 0 without a constant

    @classmethod
    def of(cls, recipe):
        """The means at the remembered rows."""
        K = len(recipe.names)
        has_constant = recipe.names[:1] == ("Intercept",)
        if not has_constant:
            return cls(np.zeros(K), 0.0)
        means = recipe.X.mean(axis=0)
        means[0] = 0.0
        return cls(means, float(recipe.y.mean()))

    def taken_off(self, rows):
        """[X' y'], (n, K + 1), weighted, of a chunk's rows."""
        return rows.relative_to(self.means, self.mean_y)

    def undone(self, R):
        """The triangle of X, from that of X': R A^-1 = R (I + e_1 m')."""
        found = R.copy()
        if len(found):
            found[:1] += found[0, 0] * self.means
        return found


@dataclass(frozen=True, eq=False)
class Triangles:
    """What the second pass knows of some rows."""

    R: np.ndarray               # (K + 1, K + 1) the triangle of [X' y']
    n: int
    log_roots: float            # the sum of the logs of the root weights
    square_of_y: float
    lowest: float               # y's lowest and highest value
    highest: float


def merged_triangles(one, other):
    """The `Triangles` of both."""
    return Triangles(
        np.linalg.qr(np.vstack([one.R, other.R]), mode="r"),
        one.n + other.n,
        one.log_roots + other.log_roots,
        one.square_of_y + other.square_of_y,
        min(one.lowest, other.lowest),
        max(one.highest, other.highest),
    )


@dataclass(frozen=True, eq=False)
class Triangle:
    """Of a chunk its `Triangles`."""

    recipe: Recipe
    shift: Shift

    def __call__(self, frame):
        rows = self.recipe.rows(frame)
        return None if rows is None else self.of_rows(rows)

    def of_rows(self, rows):
        """Of the rows that the model makes of a chunk."""
        both = self.shift.taken_off(rows)
        K = both.shape[1]
        reflectors, *_ = dgeqrf(both, overwrite_a=1)
        R = np.zeros((K, K))
        R[: len(both)] = np.triu(reflectors[:K])
        of_y = rows.square_of_y, rows.lowest, rows.highest
        return Triangles(R, rows.n, rows.log_roots, *of_y)


# -- the third pass


@dataclass(frozen=True, eq=False)
class Layout:
    """What the third pass makes: the cells by the factors, and U by the triangle.

    Attributes
    ----------
    kept : ndarray of int, shape (k,)
        The columns of X that the others do not make.
    R : ndarray, shape (k, k)
        The triangle of X', of these columns.
    beta : ndarray, shape (k,)
        Of least squares, for X' and y'.
    sizes : tuple of int
        By factor of a grouping, how many levels.
    effects : tuple
        The distinct effects: (number of the term, of its effect).
    effect_of : tuple of ndarray of int
        By term, which of those each of its effects is.
    """

    recipe: Recipe
    shift: Shift
    kept: np.ndarray
    R: np.ndarray
    beta: np.ndarray
    sizes: tuple
    effects: tuple
    effect_of: tuple
    x_names: tuple = field(repr=False)
    left_out: object = field(repr=False)
    R_X: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, recipe, shift, second):
        """From the second pass."""
        K = len(recipe.names)
        check_response(np.array([second.lowest, second.highest]), recipe.formula.response)
        R = second.R[:K, :K]
        of_X = shift.undone(R)
        padded = np.vstack([of_X, np.zeros((max(0, second.n - K), K))[:1]])
        if second.n <= K:
            raise LMMError(f"X has {K} columns for {second.n} observations; it takes more "
                           "observations than fixed effects")
        _, x_names, left_out = full_rank(padded, recipe.names)
        kept = left_out.kept if left_out.names else np.arange(K)
        along, R_kept = np.linalg.qr(R[:, kept])
        R_kept = np.asfortranarray(R_kept)
        beta = back_substitute(R_kept, along.T @ second.R[:K, K])
        effects, effect_of = distinct_effects(recipe.remembered_effects)
        return cls(
            recipe,
            shift,
            kept,
            R_kept,
            beta,
            tuple(len(recipe.categories[name]) for name in recipe.factors),
            effects,
            effect_of,
            x_names,
            left_out,
            np.asfortranarray(Shift(shift.means[kept], 0.0).undone(R_kept)),
        )

    @property
    def size(self):
        """How many cells are possible."""
        return int(np.prod([1, *self.sizes], dtype=float))

    def __call__(self, frame):
        """The cells of a chunk."""
        rows = self.recipe.rows(frame)
        return None if rows is None else self.of_rows(rows)

    def of_rows(self, rows):
        """The cells of the rows that the model makes of a chunk."""
        both = self.shift.taken_off(rows)
        U = both
        if both.shape[1] > len(self.kept) + 1:
            U = both[:, [*self.kept, both.shape[1] - 1]]
        U[:, -1] -= U[:, :-1] @ self.beta
        if len(self.kept):
            U[:, :-1] = dtrsm(1.0, self.R, U[:, :-1], side=1)           # X R^-1
        keys = np.zeros(len(U), np.int64)
        for name, size in zip(self.recipe.factors, self.sizes):
            keys = keys * size + rows.codes[name]
        E = []
        of_terms = rows.effects()
        for term, effect in self.effects:
            values = of_terms[term][:, effect]
            E.append(values if rows.roots is None else values * rows.roots)
        return replace(cells_of(keys, self.size, E, U), n=rows.n)

    def merged(self, one, other):
        """The cells of both, if there is room for them."""
        cells = merged_cells(one, other)
        refuse_too_large(0, cells.nbytes // BYTES)
        return cells

    def codes(self, keys):
        """By factor the level of each cell."""
        found = {}
        for name, size in reversed(list(zip(self.recipe.factors, self.sizes))):
            keys, found[name] = np.divmod(keys, size)
        return found


def distinct_effects(of_terms):
    """The distinct effects of terms, whose values at some rows these are; see `Layout`."""
    effects = []
    known = []
    effect_of = []
    for term, values in enumerate(of_terms):
        places = []
        for effect, column in enumerate(values.T):
            same = [np.allclose(column, other, rtol=SAME_COLUMN, atol=0.0) for other in known]
            if any(same):
                places.append(same.index(True))
            else:
                places.append(len(known))
                known.append(column)
                effects.append((term, effect))
        effect_of.append(np.array(places))
    return tuple(effects), tuple(effect_of)


# -- the design


def condensed(recipe, survey, second, layout, cells, reml, engine):
    """The `Setup` of what the three passes found."""
    E, U, place = cells.rows()
    codes = layout.codes(cells.keys[place])

    # -- [Q_X e], and beta_0: what rounding left of X in e, and of Q'Q beside I, is taken out
    Q, R2 = np.linalg.qr(U[:, :-1])
    along = Q.T @ U[:, -1]
    e = U[:, -1] - Q @ along
    U = np.asfortranarray(np.column_stack([Q, e]))
    R_X = np.asfortranarray(R2 @ layout.R_X)
    beta = layout.beta + back_substitute(layout.R, back_substitute(np.asfortranarray(R2), along))
    beta_0 = beta.copy()
    if len(beta):
        beta_0[0] += layout.shift.mean_y - layout.shift.means[layout.kept] @ beta

    # -- Z
    blocks = []
    structures = []
    for number, term in enumerate(recipe.named_terms):
        of_effects = E[:, layout.effect_of[number]]
        of_term, structure = blocks_of(term, recipe.data, of_effects, codes)
        blocks += of_term
        structures.append(structure)
    check_distinct(blocks)

    means = {name: total / survey.n for name, total in survey.sums.items()}
    design = Condensed(
        formula=recipe.formula,
        terms=recipe.named_terms,
        covariance=Covariance(structures),
        x_names=layout.x_names,
        blocks=tuple(blocks),
        n=survey.n,
        n_dropped=survey.n_dropped,
        data=recipe.data,
        whole_x_of_data=recipe.X,
        effects=tuple(recipe.remembered_effects),
        dtypes=survey.dtypes,
        means=means,
        counts=survey.counts,
        R_X=R_X,
        e=e,
        length_of_y=float(np.sqrt(second.square_of_y)),
        is_weighted=recipe.given["weights"] is not None,
        source=object(),
        dictionaries=recipe.dictionaries,
        given=recipe.given,
        form=recipe.form,
        left_out=layout.left_out,
    )
    return set_up_condensed(design, reml, U, beta_0, second.log_roots, engine)
