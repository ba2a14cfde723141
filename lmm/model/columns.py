"""The columns a model uses: numbers or categories, at the rows where none of them is missing."""

import datetime
from decimal import Decimal
from numbers import Number

import numpy as np
import pandas as pd
from pandas.api import types

from ..errors import LMMError, shorten, unknown_column

# What `infer_dtype` calls columns of Python objects that are numbers, of several kinds, dates.
NUMBERS_AS_OBJECTS = ("integer", "floating", "mixed-integer-float", "decimal")
SEVERAL_KINDS = ("mixed", "mixed-integer")
DATES_AS_OBJECTS = ("date", "datetime", "datetime64", "period")
DURATIONS_AS_OBJECTS = ("timedelta", "timedelta64")
MOST_OF_RANGE = 4               # times the rows: a range of integers whose values are looked up
LARGEST_SMALL = 2**31 - 1       # rows whose numbers take four bytes each
LARGEST_INTEGER = np.iinfo(np.int64).max

# What a value of a column of Python objects is, for a message.
KINDS = (
    (str, "text"),
    ((bool, np.bool_), "true and false"),
    (Number, "numbers"),
    ((datetime.date, np.datetime64, pd.Period), "dates"),
)


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
    inferred = types.infer_dtype(column, skipna=True)
    if inferred in SEVERAL_KINDS:               # a Decimal beside an int
        return set(_examples(column.dropna())) == {"numbers"}
    return inferred in NUMBERS_AS_OBJECTS


def _examples(values):
    """By kind of value, text or numbers, say: the first one of it."""
    found = {}
    for value in values:
        kinds = [kind for types_of_kind, kind in KINDS if isinstance(value, types_of_kind)]
        found.setdefault([*kinds, "others"][0], value)
    return found


def holds_dates(column):
    """Whether a column holds dates, with or without a time, or periods such as months."""
    kind = column.dtype
    if types.is_object_dtype(kind):
        return types.infer_dtype(column, skipna=True) in DATES_AS_OBJECTS
    return types.is_datetime64_any_dtype(kind) or isinstance(kind, pd.PeriodDtype)


def _holds_durations(column):
    """Whether a column holds differences of dates."""
    kind = column.dtype
    if types.is_object_dtype(kind):
        return types.infer_dtype(column, skipna=True) in DURATIONS_AS_OBJECTS
    return types.is_timedelta64_dtype(kind)


def source_of(name, columns):
    """The column that a variable is made from: x for ``factor(x)``, else the one of its name.

    The former is a grouping by a variable that is also used as numbers.
    """
    if name in columns or not name.startswith("factor("):
        return name
    return name.removeprefix("factor(").removesuffix(")")


# -- the columns of a fit


def complete_rows(dat, used, numbers=None, groupings=()):
    """The columns `used`, each `plain`, at the rows where none is missing; and their positions.

    `numbers` are arguments with a number for each row, nan where it is missing, by name; dates are
    taken among the `groupings` alone.
    """
    if not dat.columns.is_unique:
        _refuse_duplicates(dat, used)
    columns = {name: dat[name] for name in used}
    by_row = {name: pd.Series(values) for name, values in (numbers or {}).items()}
    kept = rows_without_missing([*columns.values(), *by_row.values()], len(dat))
    if not len(kept):
        missing = {name: column.isna().sum() for name, column in (columns | by_row).items()}
        most = max(missing, key=missing.get)
        raise LMMError(
            f"every row of dat has a missing value among {shorten(missing)} "
            f"({most!r} misses {missing[most]} of {len(dat)}); nothing is left to fit"
        )
    data = {}
    for name, column in columns.items():
        if name in groupings and holds_dates(column):
            column = column.astype("category")
        data[name] = plain(column, kept, name)
    return data, kept


def _refuse_duplicates(dat, used):
    """Raise an LMMError if a column that is used is not the only one of its name."""
    names = list(dat.columns)
    for name in used:
        count = names.count(name)
        if count > 1:
            raise LMMError(f"dat has {count} columns named {name!r}; rename all but one")


def rows_without_missing(columns, n):
    """The positions of the rows, out of n, where no column is missing."""
    missing = np.zeros(n, bool)
    for column in columns:
        kind = column.dtype
        if isinstance(kind, pd.CategoricalDtype):
            missing |= column.array.codes < 0
        elif kind.kind == "f" and isinstance(kind, np.dtype):
            missing |= np.isnan(column.to_numpy())
        elif not (kind.kind in "iu" and isinstance(kind, np.dtype)):
            missing |= column.isna().to_numpy(bool)
    kept = np.flatnonzero(~missing)
    return kept.astype(np.int32) if n < LARGEST_SMALL else kept


def plain(column, kept, name):
    """Finite numbers, or a categorical without unused categories, at the rows `kept`: a Series."""
    if len(kept) < len(column):
        column = column.iloc[kept]
    if is_factor(column):
        return _observed_categories(column, name)
    if types.is_object_dtype(column.dtype):
        column = _numbers_of_objects(column)
    if _is_real(column.dtype):
        return _finite_numbers(column, kept, name)
    return _new_categories(column, name)


def _observed_categories(column, name):
    """A categorical as it is, without the categories that no row is of."""
    values = column.array
    if types.is_object_dtype(values.categories.dtype):
        _refuse_several_kinds(values.categories, name)
    observed = np.bincount(values.codes, minlength=len(values.categories))
    if not observed.all():
        values = values.remove_unused_categories()
    return pd.Series(values, copy=False)


def _numbers_of_objects(column):
    """A column of Python's numbers as one of numpy's; as it is if it holds others, or larger."""
    if not _objects_are_numbers(column):
        return column
    if any(isinstance(value, Decimal) for value in column):
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
    if holds_dates(column) or _holds_durations(column):
        raise _no_time(column, name)
    if not (types.is_object_dtype(kind) or types.is_string_dtype(kind)):
        raise LMMError(
            f"column {name!r} is of type {kind}, neither numbers nor categories; "
            "turn it into one of them, "
            f'for instance dat["{name}"] = dat["{name}"].astype("category")'
        )
    if types.is_object_dtype(kind):
        _refuse_several_kinds(column, name)
    try:
        return pd.Series(pd.Categorical(column.to_numpy(object)))
    except TypeError as error:
        raise LMMError(
            f"column {name!r} holds values that are neither numbers nor categories: {error}"
        ) from error


def _no_time(column, name):
    """The LMMError about a column of dates, or of durations, which stands where numbers do."""
    kind = column.dtype
    if _holds_durations(column):
        return LMMError(
            f"column {name!r} is of type {kind}, durations, neither numbers nor categories; "
            f'count days, with d = pd.to_timedelta(dat["{name}"]): dat["{name}"] = d.dt.days'
        )
    dates = f'pd.to_datetime(dat["{name}"])'
    if isinstance(kind, pd.PeriodDtype):
        dates = f'dat["{name}"].dt.to_timestamp()'
    return LMMError(
        f"column {name!r} is of type {kind}, dates, neither numbers nor categories; "
        f'count days, with d = {dates}: dat["{name}"] = (d - d.min()).dt.days, '
        f'or for groups dat["{name}"] = dat["{name}"].astype("category")'
    )


def _refuse_several_kinds(values, name):
    """Raise an LMMError if some values are text and others numbers, say: 1 and "1" look alike."""
    if types.infer_dtype(values, skipna=True) not in SEVERAL_KINDS:
        return
    found = _examples(values)
    if len(found) < 2:
        return
    kind, other_kind = list(found)[:2]
    one, other = _look_alike(values) or (found[kind], found[other_kind])
    raise LMMError(
        f"column {name!r} holds both {kind} and {other_kind}, such as {one!r} and {other!r}; "
        f'make it all text, dat["{name}"] = dat["{name}"].astype("string"), or all numbers, '
        f'dat["{name}"] = pd.to_numeric(dat["{name}"], errors="coerce")'
    )


def _look_alike(values):
    """Two values that are written alike, one of them text; None if there are none."""
    written = {}
    for value in values:
        other = written.setdefault(str(value), value)
        if isinstance(other, str) != isinstance(value, str):
            return other, value
    return None


def as_factor(column):
    """The column of a grouping: categories also where it holds numbers."""
    if is_factor(column):
        return column
    if column.dtype == np.int64:
        values = column.to_numpy()
        low = int(values.min())
        if int(values.max()) - low < MOST_OF_RANGE * len(values):
            return pd.Series(_counted_levels(values - low, low), copy=False)
    return pd.Series(pd.Categorical(column), copy=False)


def _counted_levels(values, low):
    """The categorical of integers, not negative, of a small range; `low` is added to its levels."""
    seen = np.zeros(int(values.max()) + 1, bool)
    seen[values] = True
    codes = (np.cumsum(seen, dtype=np.int32) - 1)[values]
    return pd.Categorical.from_codes(codes, np.flatnonzero(seen) + low)


# -- arguments with a number for each row


def numbers_by_row(argument, name, dat):
    """`weights` or `offset`, a column's name or one number for each row of dat: (n,).

    nan where it is missing. A Series goes by its index, anything else by position.
    """
    if isinstance(argument, str):
        argument = _column_named(argument, name, dat)
    elif isinstance(argument, pd.DataFrame) and argument.shape[1] == 1:
        argument = argument.iloc[:, 0]
    if isinstance(argument, pd.Series):
        argument = in_order(argument, (dat.index,), name)
    try:
        values = floats(argument)
    except (TypeError, ValueError):
        raise LMMError(
            f"{name} holds values that are no numbers; it is a column of dat, or one number "
            "for each of its rows"
        ) from None
    if values.shape != (len(dat),):
        raise LMMError(
            f"{name} has shape {values.shape}; it takes {len(dat)} numbers, one for each row of dat"
        )
    return values


def _column_named(column, name, dat):
    """The column of dat that the argument `name` names."""
    if column not in dat.columns:
        raise LMMError(f"{name} is {unknown_column(column, list(dat.columns))}")
    _refuse_duplicates(dat, [column])
    return dat[column]


def in_order(series, indices, name):
    """A Series in the order of the first of these indices that has the same labels.

    Labels that come twice say no order, so the two indices must be equal then.
    """
    for index in indices:
        if series.index.equals(index):
            return series
        one_to_one = len(series) == len(index) and index.is_unique and series.index.is_unique
        if one_to_one and series.index.isin(index).all():
            return series.loc[index]
    raise LMMError(
        f"the index of {name} is not that of dat; to go by position, give {name}.to_numpy()"
    )


def floats(values):
    """An array of floats, copied, nan where a value is missing; a TypeError if they are none."""
    if isinstance(values, pd.Series):
        if not is_numeric(values) or types.is_complex_dtype(values.dtype):
            raise TypeError
        return values.to_numpy(float, copy=True, na_value=np.nan)
    if np.ma.isMaskedArray(values):
        return np.ma.filled(values.astype(float), np.nan)
    return np.array(values, float)


def finite(values, name, kept, whose="dat"):
    """The numbers of `numbers_by_row` at the rows `kept`, all of them finite."""
    used = values[kept]
    if not np.isfinite(used).all():
        row = np.flatnonzero(~np.isfinite(used))[0]
        raise LMMError(
            f"{name} is {used[row]} in row {kept[row]} of {whose}, counted from 0; "
            "it takes finite numbers"
        )
    return used


def root_of_weights(values, kept, whose="dat"):
    """The square roots of the weights, which are positive, at the rows `kept`."""
    weights = finite(values, "weights", kept, whose)
    if not (weights > 0).all():
        row = np.flatnonzero(~(weights > 0))[0]
        raise LMMError(
            f"weights is {weights[row]:g} in row {kept[row]} of {whose}, counted from 0; "
            "weights are positive: leave out the rows that are not to count"
        )
    return np.sqrt(weights)


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
    kept = rows_without_missing(columns.values(), len(newdata))
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
