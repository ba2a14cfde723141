"""From formula, data and terms to y, X and the blocks of Z, with every check of the input."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from ..errors import NO_STRINGS, LMMError, UserFrame, shorten
from ..formula import (
    Formula,
    column_written,
    has_dot,
    parse_bars,
    parse_ref,
    split_bars,
    with_columns_for_dots,
)
from .advice import check_levels, warn_of_codes, warn_of_many_levels
from .blocks import check_distinct, effect_variables, make_blocks
from .columns import (
    as_factor,
    complete_rows,
    finite,
    floats,
    in_order,
    is_factor,
    kind_of,
    numbers_by_row,
    root_of_weights,
)
from .compound_symmetry import CompoundSymmetry
from .covariance import Covariance, Independent
from .frames import as_frame, refuse_swapped
from .rank import FULL_RANK, LeftOut, full_rank
from .unstructured import Unstructured

VECTORS = (np.ndarray, pd.Series, list, tuple)
SMALLEST_RESPONSE = 1e-70   # of y, the largest in absolute value: sums of squares, and ...
LARGEST_RESPONSE = 1e70     # ... their products, are to be numbers, neither 0 nor inf


class Labelled:
    """The labels of a design: of its blocks, its covariance and its formula."""

    # -- labels

    @cached_property
    def term_names(self):
        """The names of the terms: of its one block, else ``"Subject (Intercept, Days)"``."""
        structures = zip(self.covariance.spans, self.covariance.structures)
        return tuple(_term_name(self.blocks[span], one.kind) for span, one in structures)

    @cached_property
    def labels(self):
        """The names of theta's elements: ``"sigma"``, then what the structures of the terms say.

        Of independent effects the blocks' names, of others ``"T[Subject: Days, Intercept]"``.
        """
        return ("sigma", *self._by_structure("labels"))

    @property
    def direction_names(self):
        """The names of what may be zero: blocks, or of correlated effects their term."""
        return self._by_structure("direction_names", self.term_names)

    def _by_structure(self, method, *names):
        """What the terms' structures say of their blocks, one after the other."""
        said = []
        for t, (span, one) in enumerate(zip(self.covariance.spans, self.covariance.structures)):
            said += getattr(one, method)(self.blocks[span], *(each[t] for each in names))
        return said

    @property
    def response(self):
        """The formula's left-hand side."""
        return self.formula.response

    @property
    def p(self):
        """The number of columns of Z."""
        return sum(block.matrix.shape[1] for block in self.blocks)


@dataclass(frozen=True, eq=False)
class Design(Labelled):
    """The model matrices and their labels.

    Attributes
    ----------
    formula : Formula
        The fixed effects, ready to be evaluated on other data.
    terms : tuple of Term
        The random effects.
    covariance : Covariance
        How the blocks belong to the terms, and what theta means.
    y : ndarray, shape (n,)
        The response.
    X : ndarray, shape (n, k)
        The model matrix of the fixed effects, of full column rank.
    x_names : tuple of str
        The labels of its columns, e.g. ``"Machine[T.B]"``.
    left_out : LeftOut
        The columns that the formula says beside them, which the others make.
    blocks : tuple of Block
        The blocks of Z, in the order of `ref`; a term with several effects per level has as many
        blocks, with the same levels.
    offset : ndarray, shape (n,)
        What is known of the mean, added to X beta.
    root_weights : ndarray, shape (n,), or None
        The square roots of the weights, if there are any: the residual of row i has the variance
        sigma^2 / weight_i.
    data : dict of Series, each of length n
        The columns of `dat` that the model uses, numbers or categories, at the rows used.
    rows : ndarray, shape (n,)
        The positions of the rows used; the others lack a variable of the model.
    dat : pandas.DataFrame
        What the user gave, and ...
    given : dict
        ... the arguments `weights` and `offset`.
    form : str
        The formula as the user wrote it, bars included.
    """

    formula: Formula
    terms: tuple
    covariance: Covariance
    y: np.ndarray = field(repr=False)
    X: np.ndarray = field(repr=False)
    x_names: tuple
    blocks: tuple
    offset: np.ndarray = field(repr=False)
    root_weights: np.ndarray = field(repr=False)
    data: dict = field(repr=False)
    rows: np.ndarray = field(repr=False)
    dat: pd.DataFrame = field(repr=False)
    given: dict = field(repr=False)
    form: str
    left_out: LeftOut = field(default=FULL_RANK, repr=False)

    keeps_rows = True

    # -- sizes and rows

    @cached_property
    def is_row_by_row(self):
        """Whether rows of X, and of the random effects, are the same where others are left out."""
        effects = [term.effects for term in self.terms if term.effects is not None]
        return all(one.is_row_by_row(self.data) for one in (self.formula, *effects))

    @property
    def n(self):
        """The number of rows used."""
        return len(self.y)

    @property
    def index(self):
        """The index of `dat` at the rows used."""
        return self.dat.index[self.rows]

    @property
    def n_dropped(self):
        """How many rows of `dat` were left out because a variable of the model is missing there."""
        return len(self.dat) - len(self.rows)

    def weighted(self, rows):
        """An array by row, or a block's matrix, times the square roots of the weights."""
        if self.root_weights is None:
            return rows
        roots = self.root_weights
        if sparse.issparse(rows):
            entries = rows.data * np.repeat(roots, np.diff(rows.indptr))
            return sparse.csr_array((entries, rows.indices, rows.indptr), rows.shape)
        if rows.ndim == 1:
            return rows * roots
        return rows * roots[:, None]

    @property
    def length_of_y(self):
        """The length of y, weighted."""
        return float(np.linalg.norm(self.weighted(self.y)))

    # -- what new data are coded by

    @property
    def dtypes(self):
        """The types of the columns of `dat`, by name."""
        return dict(zip(self.dat.columns, self.dat.dtypes))

    @property
    def whole_x_of_data(self):
        """The same with the columns that are left out."""
        return self.left_out.whole(self.X)

    @property
    def x_of_data(self):
        """X at the rows of `data`, by which X of other data is made."""
        return self.X

    def remembered_effects(self, b):
        """The values, (., c), of the effects of the term with these blocks, a slice, likewise."""
        return np.column_stack([block.matrix.data for block in self.blocks[b]])

    def mean_of(self, name):
        """The mean of a variable over the rows."""
        return float(np.mean(self.data[name]))

    def counts_of(self, names):
        """How many rows have each combination of levels of these variables: a Series."""
        rows = pd.DataFrame({name: np.asarray(self.data[name]) for name in names})
        return rows.groupby(list(names), observed=True).size()

    @property
    def root_of_X(self):
        """Rows with the cross-products of X, not weighted: X itself."""
        return self.X

    # -- another response

    def responding(self, y):
        """The same design with another response: n numbers, or one for each row of `dat`.

        Raises an LMMError if `y` is none.
        """
        if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
            y = y.iloc[:, 0]
        if isinstance(y, pd.Series):
            y = in_order(y, (self.index, self.dat.index), "y")
        if np.asarray(y).dtype.kind not in "iuf":
            raise LMMError("y holds values that are no numbers; it is one number for each row used")
        y = np.array(floats(y))
        if y.shape == (len(self.dat),):
            y = y[self.rows]
        if y.shape != self.y.shape:
            raise LMMError(
                f"y has shape {y.shape}; it takes {len(self.y)} numbers, one for each row used"
            )
        if not np.isfinite(y).all():
            row = np.flatnonzero(~np.isfinite(y))[0]
            raise LMMError(f"y[{row}] is {y[row]}; it takes finite numbers")
        check_response(y, self.response)
        y.flags.writeable = False
        return replace(self, y=y)


def _term_name(blocks, kind):
    """The name of the term of these blocks: that of the one, or the grouping and the effects."""
    if len(blocks) == 1:
        return blocks[0].name
    effects = ", ".join(block.effect for block in blocks)
    return f"{blocks[0].group} ({effects}{kind and f'; {kind}'})"


# What the covariance of a term is made from, by the word of its formula.
STRUCTURES = {
    "unstructured": Unstructured,
    "diagonal": Independent,
    "compound symmetry": CompoundSymmetry,
}


def structure_of(term, c):
    """The structure of a term with c effects; one alone is independent of nothing."""
    kind = STRUCTURES[term.structure] if c > 1 else Independent
    return kind(c)


# -- from the arguments of a fit to its design


def are_matrices(form):
    """Whether the first argument of `LMMsetup` is y itself."""
    return isinstance(form, VECTORS) or (isinstance(form, pd.DataFrame) and form.shape[1] == 1)


def make_design(form, dat, ref=(), weights=None, offset=None, functions=(), bars=False):
    """Build the `Design` of a model: y, X, the blocks of Z, offset and weights, each checked.

    Parameters
    ----------
    form, dat, ref, weights, offset
        As in `LMMsetup`, which says what is refused.
    functions : dict, optional
        As in `Formula`: those of a formula that this one continues.
    bars : bool, optional
        Whether the random effects are those of `form`, as in lmer's formulas, in place of `ref`.

    Returns
    -------
    Design
    """
    refuse_swapped(form, dat, ref)
    dat = as_frame(dat)
    if not len(dat):
        raise LMMError("dat has no rows")

    # -- the formula of the fixed effects, and the terms of the random ones
    weights = column_given(weights, dat)
    offset = column_given(offset, dat)
    formula, terms = read(form, dat, ref, functions, bars, (weights, offset))
    form = with_columns_for_dots(form, formula.dotted)

    # -- the columns that they use, and the numbers by row, where none of them is missing
    given = {"weights": weights, "offset": offset}
    by_row = _by_row(given, dat)
    used = variables_of(formula, terms)
    data, rows = complete_rows(dat, used, by_row, groupings_alone(formula, terms, bars))
    odd = _check_factors(formula, data, dat)
    warn_of_codes(formula, terms, data, dat)
    check_not_response(formula, terms)
    if bars:
        terms, data = with_factors(formula, terms, data)
    roots = root_of_weights(by_row["weights"], rows) if "weights" in by_row else None

    # -- Z: the blocks of each term
    made = [make_blocks(term, data, structure_of, roots) for term in terms]
    blocks = tuple(block for of_term, _ in made for block in of_term)
    covariance = Covariance([structure for _, structure in made])
    check_distinct(blocks)

    # -- y, X, and what is known of the mean: by the formula, and by the argument
    y, X, x_names, known, left_out = _fixed_effects(formula, data, rows)
    warn_of_many_levels([name for name in formula.predictors if name not in odd], data, len(rows))
    if "offset" in by_row:
        known = known + finite(by_row["offset"], "offset", rows)
    for name, values in by_row.items():
        if isinstance(given[name], str):
            data = data | {given[name]: pd.Series(values[rows])}

    return Design(
        formula, terms, covariance,
        y, X, x_names, blocks, known, roots,
        data, rows, dat.copy(deep=False), given, form, left_out,
    )


# -- the formula and the terms, as text


def read(form, dat, ref, functions, bars, given):
    """The `Formula` of the fixed effects, and the terms: of `ref`, or of the bars in `form`.

    Weights and offset as they were `given` may be the names of columns.
    """
    found, fixed = split_bars(form) if bars else ((), form)
    columns = list(dat.columns)

    def kind_of_column(name):
        return kind_of(dat[name])

    def formula_of(text, shown=None, others=None):
        return Formula(text, columns, kind_of_column, UserFrame(), functions, shown, others)

    def terms():
        if bars:
            return parse_bars(form, found, columns, formula_of, kind_of_column)
        return parse_ref(ref, columns)

    if isinstance(fixed, str) and has_dot(fixed):
        of_terms = terms()
        return formula_of(fixed, form, _others(columns, of_terms, given)), of_terms
    return formula_of(fixed, form), terms()


def _others(columns, terms, given):
    """The columns that are in no term, nor are the weights or the offset: those of ``y ~ .``."""
    named = [name for name in given if isinstance(name, str)]
    taken = {*named, *_of_terms(terms)}
    others = [name for name in columns if name not in taken]
    if not all(isinstance(name, str) for name in others):
        found = NO_STRINGS.format(shorten(columns))
        raise LMMError(f"form holds a lone '.', for the other columns of dat; {found}")
    return others


def column_given(given, dat):
    """Weights or an offset as given; the column of `dat` that is meant, where that is a name."""
    if not isinstance(given, str) or not isinstance(dat, pd.DataFrame):
        return given
    return column_written(given, list(dat.columns)) or given


# -- the columns that they use


def variables_of(formula, terms):
    """The columns that the model uses, as keys: of the formula, the effects, the groupings."""
    return dict.fromkeys([*formula.variables, *_of_terms(terms)])


def _of_terms(terms):
    """The columns that the random effects use: of the effects, the groupings."""
    effects = [name for term in terms for name in effect_variables(term)]
    groupings = [name for term in terms for name in term.variables]
    return [*effects, *groupings]


def _by_row(given, dat):
    """The numbers for each row of dat of the arguments that are given, (len(dat),) each."""
    found = {}
    for name, argument in given.items():
        if argument is not None:
            found[name] = numbers_by_row(argument, name, dat)
    return found


def groupings_alone(formula, terms, bars):
    """The columns that bars group by and that are used as nothing else: there dates are groups."""
    if not bars:
        return set()
    groupings = {name for term in terms for name in term.variables}
    effects = {name for term in terms for name in effect_variables(term)}
    return groupings - effects - set(formula.variables)


def _check_factors(formula, data, dat):
    """The factors of the formula have levels as they should; those with a warning about them."""
    warned = set()
    for name in formula.variables:
        if is_factor(data[name]):
            levels = data[name].array.categories
            if check_levels(levels, dat[name].dtype, name):
                warned.add(name)
    return warned


def check_not_response(formula, terms):
    """Raise an LMMError if a term is made of the response."""
    for term in terms:
        used = {*term.variables, *effect_variables(term)}
        if not used.isdisjoint(formula.response_variables):
            raise LMMError(
                f"block {term.bar or term.name!r} is the response, or an interaction with it; "
                "name a grouping column"
            )


def with_factors(formula, terms, data):
    """The terms of bars, and `data` with their grouping variables as categories.

    A column of numbers that is also used as such stays, and its categories are ``factor(x)``.
    """
    as_given = {*formula.variables}
    for term in terms:
        as_given.update(effect_variables(term))
    data = dict(data)
    grouped = []
    for term in terms:
        names = []
        for name in term.variables:
            stays = name in as_given and not is_factor(data[name])
            names.append(f"factor({name})" if stays else name)
            data[names[-1]] = as_factor(data[name])
        grouped.append(replace(term, variables=tuple(names)))
    return tuple(grouped), data


# -- y and X


def _fixed_effects(formula, data, rows):
    """y, X of full rank, the names of its columns, the formula's offset, and what is left out."""
    y, X, x_names, known = formula.evaluate(data)
    if len(y) != len(rows):
        raise LMMError(f"the response {formula.response!r} is one number, not one per row")
    check_finite(y[:, None], (formula.response,), rows, "the response")
    check_finite(X, x_names, rows, "the column of X")
    if len(set(x_names)) < len(x_names):
        twice = next(name for name in x_names if x_names.count(name) > 1)
        raise LMMError(f"X has two columns named {twice!r}; rename the column of dat, or a level")
    X, x_names, left_out = full_rank(X, x_names)
    check_response(y, formula.response)
    y.flags.writeable = X.flags.writeable = False
    return y, X, x_names, known, left_out


def check_finite(matrix, names, rows, what):
    """Raise an LMMError that names the first element that is no finite number; `rows` are dat's."""
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise LMMError(
            f"{what} {names[column]!r} is {matrix[row, column]} in row {rows[row]} of dat, "
            "counted from 0; a function in form is not defined for the values there"
        )


def check_response(y, name):
    """Raise an LMMError if y is constant, or so large or small that its squares are not."""
    largest = np.abs(y).max()
    if largest and not SMALLEST_RESPONSE < largest < LARGEST_RESPONSE:
        raise LMMError(f"the response {name!r} reaches {largest:.3g}; rescale it")
    if np.all(y == y[0]):
        raise LMMError(
            f"the response {name!r} is constant ({y[0]:g} in every row), "
            "so there is no variation to model"
        )
