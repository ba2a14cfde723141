"""What is taken as data: pandas' frames, and what becomes one; of everything else what it is."""

import os
from collections.abc import Mapping
from dataclasses import is_dataclass

import numpy as np
import pandas as pd
from pandas.api import types

from ..datasets import models
from ..errors import LMMError, shorten

TABLES = (
    "a pandas DataFrame, a polars or pyarrow frame, a dict of columns, a record array "
    "or a list of dicts"
)
READERS = {                 # of files, by how their names end
    ".xlsx": "pd.read_excel({!r})",
    ".xls": "pd.read_excel({!r})",
    ".parquet": "pd.read_parquet({!r})",
    ".feather": "pd.read_feather({!r})",
    ".json": "pd.read_json({!r})",
    ".dta": "pd.read_stata({!r})",
    ".sav": "pd.read_spss({!r})",
    ".tsv": "pd.read_csv({!r}, sep='\\t')",
    ".csv": "pd.read_csv({!r})",
    ".txt": "pd.read_csv({!r})",
}


def as_frame(dat, name="dat"):
    """`dat` as a pandas DataFrame, itself if it is one; an LMMError, by `name`, if it is no table.

    What has ``to_pandas`` is asked for it. A dict of single values is one row.
    """
    if isinstance(dat, pd.DataFrame):
        return dat
    try:
        frame = _made(dat)
    except (TypeError, ValueError, AttributeError, ImportError) as error:
        raise LMMError(f"{name} cannot be made a DataFrame: {_in_one_line(error)}") from error
    if not isinstance(frame, pd.DataFrame):
        raise _no_table(dat, name)
    return frame


def _made(dat):
    """A DataFrame of what is one in another form; None where it is none."""
    if hasattr(dat, "to_pandas"):
        return dat.to_pandas()
    if isinstance(dat, Mapping):
        columns = dict(dat)
        if columns and all(map(types.is_scalar, columns.values())):
            return pd.DataFrame([columns])
        _check_lengths(columns)
        return pd.DataFrame(columns)
    if isinstance(dat, np.ndarray) and dat.dtype.names and dat.ndim == 1:
        return pd.DataFrame({name: _native(dat[name]) for name in dat.dtype.names})
    if isinstance(dat, (list, tuple)) and len(dat) and all(map(_is_row, dat)):
        return pd.DataFrame(list(dat))
    return None


def _check_lengths(columns):
    """Raise a ValueError that names two columns of different lengths."""
    lengths = {name: len(values) for name, values in columns.items() if np.ndim(values) == 1}
    if len(set(lengths.values())) > 1 and not any(map(_has_index, columns.values())):
        shortest = min(lengths, key=lengths.get)
        longest = max(lengths, key=lengths.get)
        raise ValueError(
            f"its column {shortest!r} has {lengths[shortest]} values, "
            f"and {longest!r} has {lengths[longest]}"
        )


def _has_index(values):
    """Whether pandas brings these values together with others by labels."""
    return isinstance(values, (pd.Series, Mapping))


def _native(column):
    """A column of a record array in this machine's order of bytes, and text as text."""
    if column.dtype.kind == "S":
        return np.char.decode(column)
    return pd.Series(column.astype(column.dtype.newbyteorder("=")))


def _is_row(row):
    """Whether an element of a list says which column each of its values belongs to."""
    named = isinstance(row, (Mapping, pd.Series)) or hasattr(row, "_fields")
    return named or (is_dataclass(row) and not isinstance(row, type))


# -- what is no table


def refuse_swapped(form, dat, ref=()):
    """Raise an LMMError if the formula comes second, or the data third."""
    if isinstance(dat, str) and "~" in dat and not isinstance(form, str):
        raise LMMError(
            f"the formula is of type {type(form).__name__}, and dat is {dat!r}; "
            f"the two are swapped: the formula comes first, then dat"
        )
    if isinstance(ref, pd.DataFrame) and isinstance(dat, (str, list, tuple)):
        raise LMMError("dat and ref are swapped: the data come second, as in lmm(form, dat, ref)")


def _no_table(given, name):
    """The LMMError about something that is no table: what it is, and what to give instead."""
    kind = type(given).__name__
    if given is None:
        return LMMError(
            f"{name} is of type NoneType, not a pandas DataFrame; "
            "what a method with inplace=True changes it does not return"
        )
    if isinstance(given, (str, os.PathLike)):
        return _no_file(os.fspath(given), name)
    if isinstance(given, (np.ndarray, list, tuple)):
        return LMMError(
            f"{name} is of type {kind}, without names of columns; it is {TABLES}: "
            f"pd.DataFrame({name}, columns=[...]) says what each column is"
        )
    if isinstance(given, pd.Series):
        return LMMError(
            f"{name} is of type Series, one column or one row; it is {TABLES}, "
            f"and one row of a frame is dat.iloc[[0]]"
        )
    for method in ("collect", "compute"):               # frames that are still to be computed
        if hasattr(given, method):
            return LMMError(f"{name} is of type {kind}; it is to be computed first: .{method}()")
    return LMMError(f"{name} is of type {kind}, not a pandas DataFrame; it is {TABLES}")


def _no_file(text, name):
    """The LMMError about text in place of data: a file's name, or that of shipped data."""
    shipped = {known.lower(): known for known in models().index}
    known = shipped.get(text.lower())
    if known:
        return LMMError(f"{name} is the text {text!r}; the shipped data are load_data({known!r})")
    end = os.path.splitext(text)[1].lower()
    if end in READERS or os.path.exists(text):
        read = READERS.get(end, READERS[".csv"]).format(text)
        return LMMError(
            f"{name} is the name of a file, {text!r}; read it first: {name} = {read}; "
            "or give a list of names for data in chunks"
        )
    return LMMError(f"{name} is the text {shorten([text])}; it is {TABLES}")


def _in_one_line(error):
    return " ".join(str(error).split())


def as_categories(column):
    """A column as categories; codes that are whole stay so where one is missing."""
    if column.dtype.kind == "f" and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("category")
