"""Hypotheses written as text: from ``"Machine[T.B] - Machine[T.C] = 0"`` to the rows L and rhs."""

import re

import patsy

from ..errors import LMMError, shorten

OPENING, CLOSING = "([{", ")]}"


def separate(text):
    """The parts of a text between commas, those within brackets left alone."""
    parts = [""]
    depth = 0
    for letter in text:
        depth += (letter in OPENING) - (letter in CLOSING)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def rows_of_text(text, names):
    """``(L, rhs)``, (r, K) and (r,), of one hypothesis about coefficients with these names.

    A sum of multiples of coefficients, ``= number`` or not; with several signs ``=`` several rows.
    Read by patsy.
    """
    if not text.strip():
        raise LMMError(
            f"a hypothesis is empty; it is a sum of multiples of coefficients, whose names are "
            f"{shorten(list(names))}"
        )
    try:
        found = patsy.DesignInfo(list(names)).linear_constraint(text)
    except patsy.PatsyError as error:
        raise LMMError(
            f"the hypothesis {text!r} cannot be read{_hint(text, names)}; it is a sum of multiples "
            f"of coefficients, = number or not, whose names are {shorten(list(names))}"
        ) from error
    except ValueError as error:
        raise LMMError(f"the hypothesis {text!r} cannot be read: {error}") from error
    return found.coefs, found.constants[:, 0]


def _hint(text, names):
    """What may be wrong with a hypothesis, to be put after "cannot be read"."""
    if "==" in text:
        return ": one = is an equality"
    if "<" in text or ">" in text:
        return ": it is an equality, =; the sign of an estimate is in the table"
    rest = text
    for name in sorted(names, key=len, reverse=True):
        rest = rest.replace(name, " ")
    unknown = re.search(r"[^\W\d][\w.\[\]():]*", rest)
    return f": {unknown[0]!r} is no coefficient" if unknown else ""
