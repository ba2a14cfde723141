"""What goes on, but probably not as intended: a warning each, with the cure."""

import re

import numpy as np
import pandas as pd
from pandas.api import types

from ..errors import LMMError, warn
from .columns import is_factor, is_numeric

MOSTLY = 0.5                # of the levels of a text, beyond which it reads as numbers, or as dates
FEW_LEVELS = 6              # of a fixed factor: a design; more than these, and than ...
LEVELS_BY_ROW = 0.1         # ... this times the rows, are probably a sample

# Whole numbers within the levels of a factor are codes where there are ...
MOST_CODES = 20             # ... at most so many of them in a level, on average, and ...
ROWS_OF_A_CODE = 2          # ... at least so many rows for each

MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
DATE = re.compile(
    rf"""(?: \d{{4}} ([-/.]) \d\d? (?:\1 \d\d?)?            # 2024-03-01, 2024/3
       | \d\d? ([-/.]) \d\d? \2 \d{{4}}                     # 1.3.2024, 03/01/2024
       | \d\d? / \d\d? / \d\d                               # 03/01/24
       | \d\d? [-. ]+ {MONTH} (?:[-., ]+ (?:\d{{4}}|\d\d))? # 1 Mar 2024, 1-Mar
       | {MONTH} [. ]+ \d\d? (?:st|nd|rd|th)? [, ]+ \d{{4}} # March 1, 2024
       )
       (?: [T ]+ \d\d? : \d\d .* )?                         # and a time
    """,
    re.VERBOSE | re.IGNORECASE,
)


# -- the levels of a fixed factor


def check_levels(levels, kind, name):
    """A factor of the formula has several levels; whether there was a warning about its text.

    `kind` is the dtype of the column as it was given.
    """
    if len(levels) == 1:
        raise LMMError(
            f"{name!r} has one level, {str(levels[0])!r}, so it cannot be a fixed effect; "
            "leave it out of form"
        )
    if isinstance(kind, pd.CategoricalDtype) or types.is_bool_dtype(kind):
        return False
    return _warn_of_numbers(levels, name) or _warn_of_dates(levels, name)


def _warn_of_numbers(levels, name):
    """Warn where the levels of a text mostly read as numbers, and name one that does not."""
    text = pd.Series(levels.astype(str))
    reads = pd.to_numeric(text, errors="coerce").notna()
    if reads.mean() <= MOSTLY:
        return False
    odd = "" if reads.all() else f", {levels[~reads][0]!r} among them"
    warn(
        f"{name!r} is text that mostly reads as numbers, so it is a factor with {len(levels)} "
        f"levels{odd}; "
        f'for numbers: dat["{name}"] = pd.to_numeric(dat["{name}"], errors="coerce")'
    )
    return True


def _warn_of_dates(levels, name):
    """Warn where the levels of a text mostly read as dates, and name one that does."""
    reads = np.array([bool(DATE.fullmatch(str(level).strip())) for level in levels])
    if reads.mean() <= MOSTLY:
        return False
    warn(
        f"{name!r} is text that reads as dates, such as {levels[reads][0]!r}, so it is a factor "
        f'with {len(levels)} levels; for days, with d = pd.to_datetime(dat["{name}"]): '
        f'dat["{name}"] = (d - d.min()).dt.days'
    )
    return True


def warn_of_many_levels(names, data, n):
    """Warn of fixed factors with so many levels for n rows that they are probably a sample."""
    for name in names:
        if not is_factor(data[name]):
            continue
        m = len(data[name].array.categories)
        if m > max(FEW_LEVELS, LEVELS_BY_ROW * n):
            warn(
                f"{name!r} is a fixed effect with {m} levels for {n} observations; "
                "if these are a sample of more, name it in ref, or in a bar, instead of form"
            )


# -- codes among the numbers of a block


def warn_of_codes(formula, terms, data, dat):
    """Warn, once a column, where whole numbers that look like codes stand in a block with a factor.

    There a number is a slope. What stands in the formula as a number is one; and what stands in a
    block without a factor is warned of there.
    """
    warned = set()
    for term in terms:
        if not any(is_factor(data[name]) for name in term.variables):
            warned.update(term.variables)
    for term in terms:
        factors = [name for name in term.variables if is_factor(data[name])]
        if term.bar or not factors or len(factors) == len(term.variables):
            continue
        slopes = set(term.variables).difference(factors, warned, _numbers_of(formula))
        for name in term.variables:
            if name not in slopes:
                continue
            if _were_whole(data[name], dat[name]) and _look_like_codes(name, factors, data):
                warned.add(name)
                warn(
                    f"{name!r} holds integers, so block {term.name!r} is one slope for each level "
                    f"of {':'.join(factors)!r}, not groups; if it labels groups make it a "
                    f'category: dat = dat.astype({{"{name}": "category"}})'
                )


def _numbers_of(formula):
    """The variables of a formula's right-hand side that stand there as numbers, not within C()."""
    found = set()
    for summand in formula.summands:
        for expression in summand:
            if expression.coded is None:
                found.update(expression.variables)
    return found


def _were_whole(column, given):
    """Whether a column's numbers are whole, and not negative, as codes are.

    Of floats only where some are missing, which makes floats of integers.
    """
    if not is_numeric(given) or is_factor(column):
        return False
    if not types.is_integer_dtype(column.dtype):
        whole = given.isna().any() and (column % 1 == 0).all()
        if not whole:
            return False
    return column.min() >= 0


def _look_like_codes(name, factors, data):
    """Whether the values repeat within the factors' levels, and there are few of them in each."""
    by_level = [data[factor].array.codes for factor in factors]
    levels = pd.DataFrame(np.column_stack(by_level))
    n = len(levels)
    m = len(levels.drop_duplicates())
    combinations = len(levels.assign(value=data[name].to_numpy()).drop_duplicates())
    varies = combinations > m
    return varies and combinations <= MOST_CODES * m and combinations * ROWS_OF_A_CODE <= n
