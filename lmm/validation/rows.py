"""A row of the dossier: what is required, how it was tested, and how many digits were reached.

Digits are counted by McCullough's (1998) log relative error, -log10(|found - right| / |right|),
with the difference taken between exact rationals: the reference may have more digits than a double.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import floor, isfinite, log10

ALL_DIGITS = 16.0       # what is equal has all the digits of a double, which are no more than these


@dataclass(frozen=True)
class Row:
    """One requirement, tested.

    Attributes
    ----------
    requirement : str
        What is required, in a sentence or less.
    test : str
        What was done.
    reference : str
        Where the right number comes from.
    digits : float or None
        The fewest digits that were reached, as log relative error; None of what has none.
    least : float or None
        The digits that are required; None if what decides is not a number of digits.
    passed : bool
        Whether the requirement is met.
    section : str
        The part of the dossier to which the row belongs.
    detail : str, optional
        What else is to be said: which number was worst, what was counted.
    measured : str, optional
        What is measured in time, and so differs from run to run.
    """

    requirement: str
    test: str
    reference: str
    digits: float | None
    least: float | None
    passed: bool
    section: str
    detail: str = ""
    measured: str = ""


def digits_of(found, right):
    """The log relative error of a number: how many of its digits are right.

    Parameters
    ----------
    found : float or an exact number
        What was computed.
    right : float, int, str, fractions.Fraction or decimal.Decimal
        What is right; text is read as the decimal number that it shows, exactly.

    Returns
    -------
    float
        At least 0, at most 16; of a `right` of zero by the absolute error.

    Examples
    --------
    >>> digits_of(3.1416, "3.14159265358979323846")
    5.6
    """
    if not (is_finite(found) and is_finite(right)):
        return ALL_DIGITS if found == right else 0.0
    right = Fraction(right)
    error = abs(Fraction(found) - right)
    relative = float(error / abs(right) if right else error)
    if relative <= 0.1**ALL_DIGITS:
        return ALL_DIGITS
    # to a tenth, downwards: a digit that is not there is not shown
    return max(floor(-10 * log10(relative)) / 10, 0.0)


def is_finite(number):
    """Whether it is, whatever kind of number it is; text is."""
    return not isinstance(number, float) or isfinite(number)


def row_of_digits(section, requirement, test, reference, least, pairs):
    """The `Row` of numbers beside their right values, each of which needs so many digits.

    Parameters
    ----------
    section, requirement, test, reference : str
        As in `Row`.
    least : float
        The digits that each needs.
    pairs : iterable of (str, float, exact)
        The name of each number, what was found, and what is right, as `digits_of` takes it.

    Returns
    -------
    Row
        Its detail names the number with the fewest digits, unless there is one alone. Where the
        numbers could not be computed it is not passed, and the detail is the error.
    """
    try:
        reached = [(digits_of(found, right), name) for name, found, right in pairs]
    except Exception as error:
        return Row(requirement, test, reference, 0.0, least, False, section, said(error))
    if not reached:
        return Row(requirement, test, reference, 0.0, least, False, section, "nothing was compared")
    fewest, worst = min(reached)
    detail = f"fewest of {len(reached)} numbers: {worst}" if len(reached) > 1 else ""
    return Row(requirement, test, reference, fewest, least, fewest >= least, section, detail)


def row_of_truth(section, requirement, test, reference, find):
    """The `Row` of what is true or is not: `find` returns whether, and the detail.

    With a third value, what was measured in time. Where it raises, the row is not passed.
    """
    try:
        passed, *more = find()
    except Exception as error:
        passed, more = False, [said(error)]
    return Row(requirement, test, reference, None, None, bool(passed), section, *more)


def said(error):
    """An error on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
