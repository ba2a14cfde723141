"""The columns a model uses: numbers or categories, at the rows where none of them is missing."""

from decimal import Decimal

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten


def complete_rows(dat, used):
    """The columns `used`, copied and read-only, at the rows where none is missing, and those rows' positions."""
    for name in used:
        if (count := list(dat.columns).count(name)) > 1:
            raise LMMError(f"dat has {count} columns named {name!r}; rename all but one")
    columns = {name: dat[name] for name in used}
    missing = np.zeros(len(dat), bool)
    for column in columns.values():
        missing |= column.isna().to_numpy(bool)
    if missing.all():
        most = max(used, key=lambda name: columns[name].isna().sum())
        raise LMMError(f"every row of dat has a missing value among {shorten(used)} "
                       f"({most!r} misses {columns[most].isna().sum()} of {len(dat)}); nothing is left to fit")
    kept = np.flatnonzero(~missing)
    return {name: plain(column, kept, name) for name, column in columns.items()}, kept


def is_numeric(column):
    """Whether a column holds numbers; two columns of one name are refused elsewhere."""
    if not isinstance(column, pd.Series):
        return True
    number = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    return number or _objects_are_numbers(column)


def _objects_are_numbers(column):
    """Whether a column of Python objects holds numbers, as it does after a transposition, say."""
    return pd.api.types.is_object_dtype(column.dtype) and pd.api.types.infer_dtype(column, skipna=True) in (
        "integer", "floating", "mixed-integer-float", "decimal")


def plain(column, kept, name):
    """A Series of numbers or a categorical without unused categories, at the rows `kept`."""
    if len(kept) < len(column):
        column = column.iloc[kept]
    if _objects_are_numbers(column):
        column = pd.to_numeric(column.astype(float) if isinstance(column.iloc[0], Decimal) else column)
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        values = column.array
        if not np.bincount(values.codes, minlength=len(kind.categories)).all():
            values = values.remove_unused_categories()
        return pd.Series(values, copy=False)
    if pd.api.types.is_bool_dtype(kind):
        return pd.Series(pd.Categorical(column.to_numpy(bool)))
    if pd.api.types.is_complex_dtype(kind) or not (
            pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind)):
        raise LMMError(f"column {name!r} is of type {kind}, neither numbers nor categories; turn it into one of them, "
                       f'for instance dat["{name}"] = dat["{name}"].astype("category")')
    if not pd.api.types.is_numeric_dtype(kind):
        values = column.to_numpy(object)
        try:
            return pd.Series(pd.Categorical(values))
        except TypeError as error:
            raise LMMError(f"column {name!r} holds values that are neither numbers nor categories: {error}") from error
    integer = pd.api.types.is_integer_dtype(kind) and int(column.max()) <= np.iinfo(np.int64).max
    values = column.to_numpy(np.int64 if integer else float, copy=True)
    if not integer and not np.isfinite(values).all():
        row = np.flatnonzero(~np.isfinite(values))[0]
        raise LMMError(f"column {name!r} is {values[row]} in row {kept[row]} of dat, counted from 0; "
                       "mend it, or make it missing (nan) to leave the row out")
    values.flags.writeable = False
    return pd.Series(values, copy=False)


def like(data, newdata, used, advice):
    """The columns `used` of `newdata` in the form they have in `data`, at the rows where none is missing; and those rows.

    A category that `data` has not becomes a missing value, but for one that differs from a known one only in being text
    or a number, an error. `advice` is what to add to the message about a missing column, by name.
    """
    sources = {name: source_of(name, newdata.columns) for name in used}
    for name, source in sources.items():
        if (count := list(newdata.columns).count(source)) != 1:
            raise LMMError(f"newdata has {'several columns' if count else 'no column'} {source!r}, which the model uses; "
                           f"its columns are {shorten(newdata.columns)}{advice.get(name, '') if not count else ''}")
    missing = np.zeros(len(newdata), bool)
    for source in sources.values():
        missing |= newdata[source].isna().to_numpy(bool)
    kept = np.flatnonzero(~missing)
    new = {}
    for name, source in sources.items():
        column = newdata[source].iloc[kept]
        if isinstance(data[name].dtype, pd.CategoricalDtype):
            known, found = data[name].array.categories, column.to_numpy(object)
            codes = known.get_indexer(found)
            alike = {str(category): category for category in known}
            for row in np.flatnonzero(codes < 0):
                if str(found[row]) in alike:
                    raise LMMError(f"{name!r} is {found[row]!r} in row {kept[row]} of newdata, counted from 0, where the fit "
                                   f"had {alike[str(found[row])]!r}; give the column the type it has in the data of the fit")
            new[name] = pd.Series(pd.Categorical.from_codes(codes, dtype=data[name].dtype))
            continue
        if (not is_numeric(column) and len(kept)) or pd.api.types.is_complex_dtype(column.dtype):
            raise LMMError(f"column {name!r} of newdata is of type {column.dtype}, where the fit had numbers")
        values = column.to_numpy(float)
        if not np.isfinite(values).all():
            raise LMMError(f"column {name!r} of newdata is {values[~np.isfinite(values)][0]} in row "
                           f"{kept[~np.isfinite(values)][0]}, counted from 0")
        new[name] = pd.Series(values)
    return new, kept


def as_factor(column):
    """The column of a grouping: categories also where it holds numbers."""
    return column if isinstance(column.dtype, pd.CategoricalDtype) else pd.Series(pd.Categorical(column), copy=False)


def source_of(name, columns):
    """The column that a variable is made from: x for ``factor(x)``, the grouping by a variable that is also used as numbers."""
    return name[7:-1] if name not in columns and name.startswith("factor(") else name


def over_rows(values, index, kept):
    """A Series by `index`, its values at the positions `kept` given and nan elsewhere."""
    whole = np.full(len(index), np.nan)
    whole[kept] = values
    return pd.Series(whole, index)
