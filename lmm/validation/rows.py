"""A row of the dossier: what is required, how it was tested, and how many digits were reached.

Digits are counted by the log relative error of McCullough (1998), -log10(|found - right| / |right|),
with the difference taken between exact rationals: the reference may have more digits than a double.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite, log10

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
    """

    requirement: str
    test: str
    reference: str
    digits: float | None
    least: float | None
    passed: bool
    section: str
    detail: str = ""


def digits_of(found, right):
    """The log relative error of a number: how many of its digits are right.

    Parameters
    ----------
    found : float
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
    found = float(found)
    if not isfinite(found):
        return ALL_DIGITS if found == right else 0.0
    if isinstance(right, float) and not isfinite(right):
        return 0.0
    right = Fraction(right)
    error = abs(Fraction(found) - right)
    if error == 0:
        return ALL_DIGITS
    relative = error / abs(right) if right else error
    # to a tenth, downwards: a digit that is not there is not shown
    tenths = int(-10 * _log10(relative) // 1)
    return min(max(tenths / 10, 0.0), ALL_DIGITS)


def _log10(ratio):
    """log10 of a positive rational, however small."""
    value = float(ratio)
    if value > 0:
        return log10(value)
    return -inf


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
        Its detail names the number with the fewest digits, unless there is one alone.
    """
    reached = [(digits_of(found, right), name) for name, found, right in pairs]
    if not reached:
        return Row(requirement, test, reference, None, least, False, section, "nothing was compared")
    fewest, worst = min(reached)
    detail = f"fewest of {len(reached)} numbers: {worst}" if len(reached) > 1 else ""
    return Row(requirement, test, reference, fewest, least, fewest >= least, section, detail)
