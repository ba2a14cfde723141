"""Responses of one design, as they are given: columns of a frame, an array, or a sparse matrix."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from ..errors import LMMError, shorten
from ..model import as_frame, floats, in_order, is_numeric


@dataclass(frozen=True, eq=False)
class Responses:
    """Columns of numbers by row: of a frame, an array, or a sparse matrix."""

    names: pd.Index
    values: object          # DataFrame, ndarray or sparse, (rows, m)
    rows: np.ndarray        # which of its rows are those of the design

    def __len__(self):
        return len(self.names)

    @property
    def are_sparse(self):
        """Whether they are a sparse matrix."""
        return sparse.issparse(self.values)

    def block(self, columns):
        """The values of some columns at the rows of the design, (n, B); sparse if they are."""
        if sparse.issparse(self.values):
            return self.values[:, columns][self.rows]
        if isinstance(self.values, pd.DataFrame):
            part = self.values.iloc[:, columns].to_numpy(float, na_value=np.nan)
        else:
            part = np.asarray(self.values[:, columns], float)
        everything = len(self.rows) == len(part) and (np.diff(self.rows) == 1).all()
        return part if everything else part[self.rows]

    def missing(self, columns):
        """How many values of each are missing, (B,)."""
        part = self.block(columns)
        if not sparse.issparse(part):
            return np.count_nonzero(np.isnan(part), axis=0)
        entries = sparse.coo_array(part)
        return np.bincount(entries.col[np.isnan(entries.data)], minlength=len(columns))

    def column(self, i):
        """The values of one, at the rows of the design, (n,)."""
        part = self.block([i])
        return (part.toarray() if sparse.issparse(part) else part)[:, 0]


def checked_responses(Y, design, name="Y"):
    """The `Responses` that Y is meant to be, for the rows of a design.

    An LMMError if it is of other rows, holds what is no number, or two columns have one name.
    """
    dat = design.dat
    Y = _as_columns(Y, name)
    if isinstance(Y, pd.DataFrame):
        _check_columns(Y, name)
        names = pd.Index(list(Y.columns), tupleize_cols=False)
        Y = _in_order_of(Y, design, name).copy()        # the caller's later changes do not matter
    else:
        names = pd.RangeIndex(Y.shape[1])
        Y = Y.copy()
    if not len(names):
        raise LMMError(f"{name} has no columns; it takes one for each response")
    n = Y.shape[0]
    if n == len(dat):
        rows = design.rows
    elif n == len(design.y):
        rows = np.arange(n)
    else:
        transposed = Y.shape[1] in (len(dat), len(design.y))
        raise LMMError(
            f"{name} has {n} rows; it takes {len(design.y)}, one for each row used"
            + (f", or {len(dat)}, one for each row of dat" if len(dat) != len(design.y) else "")
            + (f"; it has so many columns, so {name}.T may be meant" if transposed else "")
        )
    if sparse.issparse(Y):
        Y = sparse.csc_array(Y, dtype=float)
    return Responses(names.rename("response"), Y, rows)


def _as_columns(Y, name):
    """Y as a frame, an array of two dimensions, or a sparse matrix: of numbers."""
    if sparse.issparse(Y) or isinstance(Y, pd.DataFrame):
        return Y
    if isinstance(Y, pd.Series):
        return Y.to_frame("response" if Y.name is None else Y.name)
    if hasattr(Y, "to_pandas") or isinstance(Y, Mapping):
        return as_frame(Y, name)
    if np.ma.isMaskedArray(Y):
        Y = floats(Y)
    try:
        array = np.asarray(Y)
    except ValueError:                                          # of lists of several lengths
        array = np.zeros(0, object)
    if array.ndim != 2 or array.dtype.kind not in "iufb":
        found = f"an array of {array.ndim} dimensions of type {array.dtype.name}"
        if not isinstance(Y, np.ndarray):
            found = f"of type {type(Y).__name__}"
        raise LMMError(
            f"{name} is {found}; it is a frame, or an array of two dimensions, of numbers, "
            "with a column for each response"
        )
    return array


def _check_columns(frame, name):
    """Refuse columns that are no numbers, or have one name."""
    for place, (column, kind) in enumerate(zip(frame.columns, frame.dtypes)):
        is_number = pd.api.types.is_numeric_dtype(kind) and kind.kind != "c"
        of_objects = pd.api.types.is_object_dtype(kind) and is_numeric(frame.iloc[:, place])
        if not (is_number or of_objects):
            raise LMMError(f"{name} has {kind} values in column {column!r}; responses are numbers")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].unique()
        raise LMMError(f"{name} has several columns named {shorten(list(twice))}; rename them")


def _in_order_of(Y, design, name):
    """The frame with its rows in the order of the rows used, or of `dat`."""
    for index in (design.index, design.dat.index):
        if Y.index.equals(index):
            return Y
    positions = pd.Series(np.arange(len(Y)), Y.index)
    return Y.iloc[in_order(positions, (design.index, design.dat.index), name).to_numpy()]


def named_columns(responses, dat):
    """The columns of `dat` that are meant, a list; None where the responses are a frame."""
    if isinstance(responses, str):
        responses = [responses]
    is_list = isinstance(responses, (list, tuple, pd.Index))
    if isinstance(responses, np.ndarray) and responses.ndim == 1:
        is_list = True
    if not is_list or not all(map(pd.api.types.is_scalar, responses)):
        return None
    columns = list(responses)
    missing = [column for column in columns if column not in dat.columns]
    if missing:
        raise LMMError(
            f"responses names {shorten(missing)}, which is no column of dat; "
            f"these are {shorten(list(dat.columns))}"
        )
    if len(set(columns)) < len(columns):
        raise LMMError("responses names a column twice")
    return columns
