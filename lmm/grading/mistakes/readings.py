"""The model misread: other columns in the blocks of Z, other rows, another response.

Each is the right likelihood of the wrong model.
"""

import re
import warnings
from functools import reduce

import numpy as np
import pandas as pd

from ...errors import LMMError
from ...model import is_factor
from ...practical import LMMsetup
from .model import Mistake, Model

IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


def mistaken_readings(case, model):
    """The misreadings of a case, each a `Mistake`; `model` is the case read rightly."""
    if all(name in case.dat for names in case.ref for name in names):
        yield from _of_blocks(case, model)
    yield from _of_rows(case, model)
    yield from _of_response(case)
    yield from _of_X(model)


def _mistake(sentence, model):
    return Mistake(sentence, model.evaluate, model.n)


# -- blocks of Z ---------------------------------------------------------------------------------

def _of_blocks(case, model):
    """Other columns in all blocks in which they can be others."""
    used = case.setup.design.data                   # categories, whatever dat has, or numbers
    blocks = [[used[name].rename(name) for name in names] for names in case.ref]
    for sentence, coded in _codings(blocks):
        others = tuple(coded(columns) for columns in blocks)
        if not all(map(np.array_equal, others, map(_right, blocks))):
            yield _mistake(sentence, Model(model.y, model.X, others))
    unlike_y = _first_rows(case, model)
    if unlike_y is not None:
        yield _mistake(
            "the rows of Z are not those of y and X: rows with missing values are to be left out "
            "of all",
            unlike_y,
        )


def _codings(blocks):
    """(sentence, the columns of a block as a function of its variables) for each misreading."""
    intercept = "a block of Z has an intercept: `- 1` is forgotten, or `0 +`"
    yield intercept, _with_intercept
    yield intercept, _with_intercept_as_patsy_has_it
    first = "a block of Z lacks the column of its first level, as by drop_first=True"
    yield first, _without_first_combination
    yield first, _without_first_by_alphabet
    yield first, _without_first_levels
    sums = "a block of Z has sum contrasts, where each level is to have a column of ones and zeros"
    yield sums, _by_sums
    yield sums, _by_sums_alone
    if any(len(columns) > 1 for columns in blocks):
        yield from _codings_of_interactions(blocks)
    yield from _codings_of_kinds(blocks)


def _codings_of_interactions(blocks):
    """Where a block has several variables."""
    longest = max(blocks, key=len)
    names = [column.name for column in longest]
    name = ":".join(names)
    main = f"the block {name} has main effects, {' + '.join(names)}, in place of the interaction"
    yield main, _main_effects
    yield main, _main_effects_as_patsy_has_them
    yield main, _main_effects_with_intercept
    yield f"the block {name} has main effects beside the interaction", _crossed_with_margins
    kept = [column.name for column in longest if is_factor(column)]
    numbers = [column.name for column in longest if not is_factor(column)]
    if kept and numbers:
        yield (
            f"{', '.join(numbers)} is ignored in the block {name}, which has its values where "
            f"{':'.join(kept)}'s block has ones",
            _without_numbers,
        )
    if not (kept == names[:1] and numbers):                 # which is the same
        yield f"only the first name of the block {name} is used, {names[0]}", _first_alone
    yield f"only the last name of the block {name} is used, {names[-1]}", _last_alone
    if len(names) > 2:
        yield f"the last name of the block {name} is left out, {names[-1]}", _without_last


def _codings_of_kinds(blocks):
    """Numbers taken as factors, and factors whose levels are numbers as numbers."""
    for columns in blocks:
        name = ":".join(column.name for column in columns)
        for column in columns:
            if not is_factor(column):
                yield (
                    f"{column.name} is taken as a factor in the block {name}, where it is a "
                    "number: one slope for each level of the rest",
                    _numbers_as_factors,
                )
            elif _has_numbers(column):
                yield (
                    f"{column.name}, a factor with integer levels, is taken as a number",
                    _factors_as_numbers,
                )


def _right(columns):
    return _product(map(_whole, columns))


def _product(matrices):
    """The columns of the interaction: products of one column of each, the last varying fastest."""
    def of_two(A, B):
        return (A[:, :, None] * B[:, None, :]).reshape(len(A), -1)

    return reduce(of_two, matrices)


def _ones(columns):
    return np.ones((len(columns[0]), 1))


# one variable

def _whole(column):
    """A column of ones and zeros for each level; a number is its own column."""
    if is_factor(column):
        return pd.get_dummies(column).to_numpy(float)
    return column.to_numpy(float)[:, None]


def _treatment(column):
    """Without the column of the first level."""
    return _whole(column)[:, 1:] if is_factor(column) else _whole(column)


def _sum_contrasts(column):
    """The columns of the levels but the last, less that of the last."""
    if not is_factor(column):
        return _whole(column)
    indicators = _whole(column)
    return indicators[:, :-1] - indicators[:, -1:]


def _ones_and_sum_contrasts(column):
    if not is_factor(column):
        return _whole(column)
    return np.column_stack([np.ones(len(column)), _sum_contrasts(column)])


def _has_numbers(column):
    levels = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    return pd.api.types.is_numeric_dtype(levels)


# one block

def _with_intercept(columns):
    """Ones beside the interaction; of a factor alone they replace the first level."""
    if len(columns) == 1:
        return np.column_stack([_ones(columns), _treatment(columns[0])])
    return np.column_stack([_ones(columns), _right(columns)])


def _with_intercept_as_patsy_has_it(columns):
    """Of two factors the first is coded within the levels of the other."""
    if len(columns) == 2 and all(map(is_factor, columns)):
        first, second = columns
        within = _product([_treatment(first), _whole(second)])
        return np.column_stack([_ones(columns), _treatment(second), within])
    return _with_intercept(columns)


def _without_first_combination(columns):
    matrix = _right(columns)
    return matrix[:, 1:] if any(map(is_factor, columns)) else matrix


def _without_first_by_alphabet(columns):
    """The levels in the order of their texts, as of columns joined to texts."""
    texts = [_as_texts(column) if is_factor(column) else column for column in columns]
    return _without_first_combination(texts)


def _as_texts(column):
    return column.astype(str).astype("category")


def _without_first_levels(columns):
    return _product(map(_treatment, columns))


def _by_sums(columns):
    return _product(map(_ones_and_sum_contrasts, columns))


def _by_sums_alone(columns):
    return _product(map(_sum_contrasts, columns))


def _main_effects(columns):
    return np.column_stack([_whole(column) for column in columns])


def _main_effects_as_patsy_has_them(columns):
    """The first factor has all its levels, the others all but one."""
    first, *others = sorted(columns, key=lambda column: not is_factor(column))
    return np.column_stack([_whole(first), *map(_treatment, others)])


def _main_effects_with_intercept(columns):
    if len(columns) == 1:
        return _right(columns)
    return np.column_stack([_ones(columns), *map(_treatment, columns)])


def _crossed_with_margins(columns):
    if len(columns) == 1:
        return _right(columns)
    margins = _main_effects_as_patsy_has_them(columns)
    return np.column_stack([margins, _product(map(_treatment, columns))])


def _without_numbers(columns):
    factors = [column for column in columns if is_factor(column)]
    return _right(factors or columns)


def _first_alone(columns):
    return _whole(columns[0])


def _without_last(columns):
    return _right(columns[:-1] or columns)


def _last_alone(columns):
    return _whole(columns[-1])


def _numbers_as_factors(columns):
    return _right([column.astype("category") for column in columns])


def _factors_as_numbers(columns):
    return _right([
        column.astype(float) if is_factor(column) and _has_numbers(column) else column
        for column in columns
    ])


# -- rows ----------------------------------------------------------------------------------------

def _first_rows(case, model):
    """The model with the first rows of Z in place of those that y and X have, or None."""
    if not case.setup.design.n_dropped:
        return None
    design = case.setup.design
    first = {
        name: case.dat[name].iloc[:model.n].astype(design.data[name].dtype)
        for names in case.ref
        for name in names
    }
    blocks = tuple(_right([first[name] for name in names]) for names in case.ref)
    if any(np.isnan(block).any() for block in blocks):
        return None
    return Model(model.y, model.X, blocks)


def _of_rows(case, model):
    """Rows left out for what the model does not use, and missing values taken as numbers."""
    complete = case.dat.dropna()
    if len(complete) < model.n:
        other = _model_of(case.form, complete, case.ref)
        if other is not None:
            yield _mistake(
                "rows are left out where a column that the model does not use is missing, as by "
                "dat.dropna()",
                other,
            )
    if case.setup.design.n_dropped:
        other = _model_of(case.form, _with_zeros(case.dat), case.ref)
        if other is not None:
            yield _mistake("missing values are taken as 0; such rows are to be left out", other)


def _with_zeros(dat):
    numbers = dat.select_dtypes("number").columns
    return dat.assign(**{str(name): dat[name].fillna(0) for name in numbers})


# -- the response, and X -------------------------------------------------------------------------

def _of_response(case):
    """The variable itself where a function of it is the response."""
    asked, _, rest = case.form.partition("~")
    asked = asked.strip()
    for name in dict.fromkeys(IDENTIFIER.findall(asked)):
        if name == asked or name not in case.dat:
            continue
        other = _model_of(f"{name} ~ {rest}", case.dat, case.ref)
        if other is not None:
            yield _mistake(f"{name} is fitted, where {asked} was asked", other)


def _of_X(model):
    """X without its column of ones."""
    is_one = (model.X == 1.0).all(axis=0)
    if is_one.any() and not is_one.all():
        yield _mistake("X lacks its intercept", Model(model.y, model.X[:, ~is_one], model.blocks))


def _model_of(form, dat, ref):
    """The `Model` of other arguments, or None if it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Model.of(LMMsetup(form, dat, ref).design)
        except LMMError:
            return None


# -- counts --------------------------------------------------------------------------------------

def columns_as_products(case):
    """(sentence, number) for the columns of Z counted as products of numbers of levels."""
    p = case.setup.design.p
    try:
        levels = [[case.dat[name].nunique() for name in names] for names in case.ref]
    except KeyError:
        return []
    count = sum(int(np.prod(of_block)) for of_block in levels)
    words = (
        f"the columns of Z are counted as products of numbers of levels, {count} where Z has {p} "
        "columns, in (n - p) log sigma^2"
    )
    return [(words, count)] if count != p else []
