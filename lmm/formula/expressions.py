"""Expressions of a formula: how they are shown, how they are evaluated, how columns enter them.

A column that stands alone, or in a coding such as ``C(x)``, is used as it is. Everywhere else it
enters as floats: integers wrap around in silence where floats do not, and a column of true and
false is 0 and 1 in arithmetic. So each column has two names for Python, neither of which can be
that of a function.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd


class Expression(NamedTuple):
    """What stands between the operators of a formula."""

    shown: str              # as it was written, the columns by the names that data have
    code: str               # what Python evaluates
    variables: tuple        # the columns it uses
    column: str = None      # the column that it is, if it is no more than that
    coded: str = None       # the column whose categories it is by C(...)


def column_expression(name):
    """The `Expression` of a column that stands alone."""
    return Expression(name, as_it_is(name), (name,), name)


def as_it_is(name):
    """What Python calls a column where it is used as it is."""
    return "_column_" + name.encode().hex()


def as_number(name):
    """What Python calls the floats of a column."""
    return "_number_" + name.encode().hex()


def entering(data, names):
    """The columns `names` of `data` by both names that Python has for them."""
    columns = {}
    for name in names:
        columns[as_it_is(name)] = data[name]
        columns[as_number(name)] = _floats(data[name])
    return columns


def _floats(column):
    """Integers as floats, true and false as 1.0 and 0.0; other columns as they are.

    No function can write into what others read.
    """
    if column.dtype == float:
        return column
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = column.array.categories
        if categories.inferred_type != "boolean":
            return column
        values = np.append(np.asarray(categories, float), np.nan)[column.array.codes]
    else:
        values = column.to_numpy(float)
    values.flags.writeable = False
    return pd.Series(values, column.index, copy=False)


# -- what functions return, where it is reckoned with


def arithmetic(value):
    """Integers, true and false as floats; other values as they are."""
    return _converted(value, "iub")


def no_integers(value):
    """Integers as floats; other values, true and false among them, as they are."""
    return _converted(value, "iu")


def _converted(value, kinds):
    dtype = getattr(value, "dtype", None)
    if dtype is not None and dtype.kind in kinds:
        return value.astype(float)
    return value


# What Python finds these functions by: no name that a formula may use begins with _.
CONVERTERS = {"_arithmetic": arithmetic, "_no_integers": no_integers}
