"""The columns a model uses: numbers or categories, at the rows where none of them is missing."""

from decimal import Decimal

import numpy as np
import pandas as pd
from pandas.api import types

from ..errors import LMMError, shorten, unknown_column

# What `infer_dtype` calls columns of Python objects that are numbers.
NUMBERS_AS_OBJECTS = ("integer", "floating", "mixed-integer-float", "decimal")
LARGEST_INTEGER = np.iinfo(np.int64).max


# -- what a column is


def is_factor(column):
    """Whether a column that is ready for use holds categories."""
    return isinstance(column.dtype, pd.CategoricalDtype)


def is_numeric(column):
    """Whether a column holds numbers; two columns of one name are refused elsewhere."""
    if not isinstance(column, pd.Series):
        return True
    kind = column.dtype
    return _is_real(kind) or types.is_complex_dtype(kind) or _objects_are_numbers(column)


def kind_of(column):
    """What a column is to a formula: "numbers", "booleans" (true and false) or "categories"."""
    if is_numeric(column):
        return "numbers"
    return "booleans" if _is_true_or_false(column) else "categories"


def _is_true_or_false(column):
    """Whether a column holds true and false, as such and not as categories."""
    if types.is_object_dtype(column.dtype):
        return types.infer_dtype(column, skipna=True) == "boolean"
    return types.is_bool_dtype(column.dtype) and not is_factor(column)


def _is_real(kind):
    """Whether a dtype is one of real numbers, true and false not among them."""
    return types.is_numeric_dtype(kind) and kind.kind not in "bc"       # bool, complex


def _objects_are_numbers(column):
    """Whether a column of Python objects holds numbers, as it does after a transposition, say."""
    if not types.is_object_dtype(column.dtype):
        return False
    return types.infer_dtype(column, skipna=True) in NUMBERS_AS_OBJECTS


def source_of(name, columns):
    """The column that a variable is made from: x for ``factor(x)``, else the one of its name.

    The former is a grouping by a variable that is also used as numbers.
    """
    if name in columns or not name.startswith("factor("):
        return name
    return name.removeprefix("factor(").removesuffix(")")


# -- the columns of a fit


def complete_rows(dat, used):
    """The columns `used`, each `plain`, at the rows where none is missing; and their positions."""
    if not dat.columns.is_unique:
        _refuse_duplicates(dat, used)
    columns = {name: dat[name] for name in used}
    kept = _rows_without_missing(columns.values(), len(dat))
    if not len(kept):
        missing = {name: column.isna().sum() for name, column in columns.items()}
        most = max(missing, key=missing.get)
        raise LMMError(
            f"every row of dat has a missing value among {shorten(used)} "
            f"({most!r} misses {missing[most]} of {len(dat)}); nothing is left to fit"
        )
    return {name: plain(column, kept, name) for name, column in columns.items()}, kept


def _refuse_duplicates(dat, used):
    """Raise an LMMError if a column that is used is not the only one of its name."""
    names = list(dat.columns)
    for name in used:
        count = names.count(name)
        if count > 1:
            raise LMMError(f"dat has {count} columns named {name!r}; rename all but one")


def _rows_without_missing(columns, n):
    """The positions of the rows, out of n, where no column is missing."""
    missing = np.zeros(n, bool)
    for column in columns:
        missing |= column.isna().to_numpy(bool)
    return np.flatnonzero(~missing)


def plain(column, kept, name):
    """Finite numbers, or a categorical without unused categories, at the rows `kept`: a Series."""
    if len(kept) < len(column):
        column = column.iloc[kept]
    if is_factor(column):
        return _observed_categories(column)
    if types.is_object_dtype(column.dtype):
        column = _numbers_of_objects(column)
    if _is_real(column.dtype):
        return _finite_numbers(column, kept, name)
    return _new_categories(column, name)


def _observed_categories(column):
    """A categorical as it is, without the categories that no row is of."""
    values = column.array
    observed = np.bincount(values.codes, minlength=len(values.categories))
    if not observed.all():
        values = values.remove_unused_categories()
    return pd.Series(values, copy=False)


def _numbers_of_objects(column):
    """A column of Python's numbers as one of numpy's; as it is if it holds others, or larger."""
    if not _objects_are_numbers(column):
        return column
    if isinstance(column.iloc[0], Decimal):
        column = column.astype(float)
    return pd.to_numeric(column)


def _finite_numbers(column, kept, name):
    """Numbers, copied and read-only: int64 where they are integers that it holds, else floats."""
    integer = types.is_integer_dtype(column.dtype) and int(column.max()) <= LARGEST_INTEGER
    values = column.to_numpy(np.int64 if integer else float, copy=True)
    if not integer and not np.isfinite(values).all():
        row = np.flatnonzero(~np.isfinite(values))[0]
        raise LMMError(
            f"column {name!r} is {values[row]} in row {kept[row]} of dat, counted from 0; "
            "mend it, or make it missing (nan) to leave the row out"
        )
    values.flags.writeable = False
    return pd.Series(values, copy=False)


def _new_categories(column, name):
    """A column of text, bools or objects as a categorical; an error where its type is another."""
    kind = column.dtype
    if types.is_bool_dtype(kind):
        return pd.Series(pd.Categorical(column.to_numpy(bool)))
    if not (types.is_object_dtype(kind) or types.is_string_dtype(kind)):
        raise LMMError(
            f"column {name!r} is of type {kind}, neither numbers nor categories; "
            "turn it into one of them, "
            f'for instance dat["{name}"] = dat["{name}"].astype("category")'
        )
    try:
        return pd.Series(pd.Categorical(column.to_numpy(object)))
    except TypeError as error:
        raise LMMError(
            f"column {name!r} holds values that are neither numbers nor categories: {error}"
        ) from error


def as_factor(column):
    """The column of a grouping: categories also where it holds numbers."""
    if is_factor(column):
        return column
    return pd.Series(pd.Categorical(column), copy=False)


# -- arguments with a number for each row


def root_of_weights(weights, dat, kept):
    """The square roots of the weights, which are positive, at the rows `kept`."""
    weights = by_row(weights, "weights", dat, kept)
    if not (weights > 0).all():
        row = np.flatnonzero(~(weights > 0))[0]
        raise LMMError(
            f"weights is {weights[row]:g} in row {kept[row]} of dat, counted from 0; "
            "weights are positive: leave out the rows that are not to count"
        )
    return np.sqrt(weights)


def by_row(argument, name, dat, kept):
    """`weights` or `offset`, a column's name or one number per row of dat, at the rows `kept`."""
    if isinstance(argument, str):
        if argument not in dat.columns:
            raise LMMError(f"{name} is {unknown_column(argument, list(dat.columns))}")
        argument = dat[argument]
    try:
        if isinstance(argument, pd.Series) and not is_numeric(argument):
            raise TypeError
        values = np.array(argument, float)
    except (TypeError, ValueError):
        raise LMMError(
            f"{name} holds values that are no numbers; it is a column of dat, or one number "
            "for each of its rows"
        ) from None
    if values.shape != (len(dat),):
        raise LMMError(
            f"{name} has shape {values.shape}; it takes {len(dat)} numbers, one for each row of dat"
        )
    used = values[kept]
    if not np.isfinite(used).all():
        row = np.flatnonzero(~np.isfinite(used))[0]
        raise LMMError(
            f"{name} is {used[row]} in row {kept[row]} of dat, counted from 0; "
            "it takes finite numbers"
        )
    return used


# -- the same columns of other data


def like(data, newdata, used, advice):
    """The columns `used` of `newdata` as `data` has them, at the rows where none is missing.

    And the positions of those rows.

    A category that `data` has not becomes a missing value, but for one that differs from a known
    one only in being text or a number, an error. `advice` is what to add to the message about a
    missing column, by name.
    """
    columns = {}
    for name in used:
        source = source_of(name, newdata.columns)
        _check_there_once(newdata, source, advice.get(name, ""))
        columns[name] = newdata[source]
    kept = _rows_without_missing(columns.values(), len(newdata))
    new = {}
    for name, column in columns.items():
        as_fitted = _categories_like if is_factor(data[name]) else _numbers_like
        new[name] = as_fitted(data[name], column.iloc[kept], kept, name)
    return new, kept


def _check_there_once(newdata, source, advice):
    """Raise an LMMError unless `newdata` has one column of this name."""
    count = list(newdata.columns).count(source)
    if count == 1:
        return
    found = "several columns" if count else "no column"
    raise LMMError(
        f"newdata has {found} {source!r}, which the model uses; "
        f"its columns are {shorten(newdata.columns)}{'' if count else advice}"
    )


def _categories_like(fitted, column, kept, name):
    """A column with the categories of the fit's: missing where its value is none of them."""
    known = fitted.array.categories
    found = column.to_numpy(object)
    codes = known.get_indexer(found)
    by_text = {str(category): category for category in known}
    for row in np.flatnonzero(codes < 0):
        text = str(found[row])
        if text in by_text:
            raise LMMError(
                f"{name!r} is {found[row]!r} in row {kept[row]} of newdata, counted from 0, "
                f"where the fit had {by_text[text]!r}; "
                "give the column the type it has in the data of the fit"
            )
    return pd.Series(pd.Categorical.from_codes(codes, dtype=fitted.dtype))


def _numbers_like(fitted, column, kept, name):
    """A column of finite numbers, as the fit's was."""
    kind = column.dtype
    not_numbers = len(kept) and not is_numeric(column)
    if not_numbers or types.is_complex_dtype(kind):
        raise LMMError(f"column {name!r} of newdata is of type {kind}, where the fit had numbers")
    values = column.to_numpy(float)
    if not np.isfinite(values).all():
        row = np.flatnonzero(~np.isfinite(values))[0]
        raise LMMError(
            f"column {name!r} of newdata is {values[row]} in row {kept[row]}, counted from 0"
        )
    return pd.Series(values)


def over_rows(values, index, kept):
    """A Series by `index`, its values at the positions `kept` given and nan elsewhere."""
    whole = np.full(len(index), np.nan)
    whole[kept] = values
    return pd.Series(whole, index)
