"""Cases from a file, JSON, with the data in CSV files beside it."""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from patsy import PatsyError

from ..datasets import KeyTwice, without_doubles
from ..errors import LMMError, nearest, shorten, warn, with_category_advice
from ..model import as_categories
from .cases import Case

NEEDED = ("name", "form", "data")
OPTIONAL = (
    "ref",
    "factors",
    "why",
    "points",
    "hidden",
    "sd",
    "beta",
    "source",
    "nll_tolerance",
    "beta_tolerance",
)
PASSED_TO_CASE = ("points", "hidden", "source", "nll_tolerance", "beta_tolerance")
ANSWERS = ("sd", "beta")
FROM_FILE = "the file of cases"     # of an answer that does not say where it is from


def read_cases(path):
    """The cases of a JSON file.

    Parameters
    ----------
    path : path
        A list of objects, each with ``name``, ``form`` and ``data``, a CSV file beside it; and
        optionally ``ref``, a list of lists of columns; ``factors``, the columns to be read as
        categories; ``why``, ``points``, ``hidden``; the answer where it is known better than by
        this package's fit: ``sd``, sigma first, or ``beta``, or both, and their ``source``; and
        the tolerances of `Case`.

    Returns
    -------
    tuple of Case

    Raises
    ------
    LMMError
        If the file is no such list; the message names the file, the case and the entry.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        entries = json.loads(text, object_pairs_hook=without_doubles)
    except OSError as error:
        said = error.strerror or error
        raise LMMError(f"the file of cases {str(path)!r} cannot be read: {said}") from error
    except KeyTwice as error:
        raise LMMError(f"{path.name} has a case with {error.args[0]!r} twice") from None
    except (ValueError, RecursionError) as error:
        raise LMMError(f"{path.name} is no JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise LMMError(f"{path.name} holds no list of cases")
    cases = tuple(_read_case(entry, i, path) for i, entry in enumerate(entries))
    names = [case.name for case in cases]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise LMMError(f"{path.name} has two cases of one name, {twice[0]!r}; rename one of them")
    return cases


def _read_case(entry, i, path):
    """The `Case` of an entry; warnings name it, and what to write into the file of cases."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        case = _case(entry, i, path)
    categories = {str(one.message): one.category for one in caught}
    for message, category in categories.items():
        said = with_category_advice(message, _factors_entry)
        warn(f"case {i} of {path.name}, {case.name!r}: {said}", category)
    return case


def _factors_entry(columns):
    """The entry of a case that makes these columns categories."""
    return f'"factors": {json.dumps(columns)}'


def _case(entry, i, path):
    """The `Case` of the i-th entry of the file."""
    where = f"case {i} of {path.name}"
    _check_entry(entry, where)
    ref = [[names] if isinstance(names, str) else names for names in entry.get("ref", [])]
    known = {name: entry[name] for name in ANSWERS if name in entry}
    passed = {name: entry[name] for name in PASSED_TO_CASE if name in entry}
    if known:
        passed.setdefault("source", FROM_FILE)
    data = path.parent / entry["data"]
    case = Case(
        entry["name"],
        entry["form"],
        _data(data, entry.get("factors", []), where),
        ref,
        entry.get("why", ""),
        known=known or None,
        files=(path, data),
        **passed,
    )
    where = f"{where}, {case.name!r}"
    _check_model(case, where, entry["data"])
    if known:
        _check_answer(case, where)
    return case


# -- what an entry may be ------------------------------------------------------------------------

def _is_text(value):
    return isinstance(value, str) and bool(value.strip())


def _is_number(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) < math.inf


def _is_positive(value):
    return _is_number(value) and value > 0


def _is_names(value):
    return isinstance(value, list) and all(_is_text(one) for one in value)


def _is_ref(value):
    if not isinstance(value, list):
        return False
    return all(_is_text(one) or (_is_names(one) and one) for one in value)


def _is_numbers(value):
    return isinstance(value, list) and all(_is_number(one) for one in value)


def _is_sd(value):
    if not _is_numbers(value) or not value:
        return False
    sigma, *sds = value
    return sigma > 0 and all(sd >= 0 for sd in sds)


KINDS_OF_VALUES = {
    "name": (_is_text, "a text"),
    "form": (_is_text, "a text"),
    "data": (_is_text, "a text"),
    "ref": (_is_ref, "a list of blocks, each a column's name or a list of some"),
    "factors": (_is_names, "a list of names of columns"),
    "why": (lambda value: isinstance(value, str), "a text"),
    "points": (_is_positive, "a positive number"),
    "hidden": (lambda value: isinstance(value, bool), "true or false"),
    "sd": (_is_sd, "a list of numbers that are not negative, sigma first, which is positive"),
    "beta": (_is_numbers, "a list of numbers"),
    "source": (_is_text, "a text"),
    "nll_tolerance": (_is_positive, "a positive number"),
    "beta_tolerance": (_is_positive, "a positive number"),
}


def _check_entry(entry, where):
    """Raise an LMMError unless an entry has the right keys, with values of the right types."""
    if not isinstance(entry, dict):
        raise LMMError(f"{where} is no object with name, form and data")
    known = (*NEEDED, *OPTIONAL)
    for name in entry:
        if name not in known:
            meant = nearest(name, known)
            listed = shorten(known, len(known))
            advice = f"; did you mean {meant!r}?" if meant else ""
            raise LMMError(f"{where} has {name!r}, which is none of {listed}{advice}")
    for name in NEEDED:
        if name not in entry:
            raise LMMError(f"{where} has no {name!r}; it needs {shorten(NEEDED)}")
    for name, value in entry.items():
        is_right, words = KINDS_OF_VALUES[name]
        if not is_right(value):
            shown = json.dumps(value) if isinstance(value, bool) else repr(value)
            empty = " an empty text" if value == "" else ""
            raise LMMError(f"{where}: {name!r} is{empty or ' ' + shown}; it takes {words}")


# -- the model and the answer --------------------------------------------------------------------

def _check_model(case, where, file):
    """Raise an LMMError if the model cannot be set up, or not be fitted."""
    try:
        case.setup  # noqa: B018 - it is kept
        case.fit  # noqa: B018
    except (ValueError, ArithmeticError, TypeError, PatsyError) as error:
        said = str(error).replace("a column of dat;", f"a column of {file};")
        raise LMMError(f"{where}: {_on_one_line(said, case.form)}") from error


def _on_one_line(said, form):
    """A message that shows the formula with carets below it as one that names it first."""
    lines = [line.strip() for line in said.splitlines()]
    kept = [line for line in lines if line != form.strip() and set(line) != {"^"}]
    shown = f"'form' is {form!r}: " if len(kept) < len(lines) else ""
    return shown + " ".join(kept)


def _check_answer(case, where):
    """Raise an LMMError if the answer given is not the model's: too long, or not the optimum."""
    design = case.setup.design
    sds = 1 + len(design.blocks)
    k = len(design.x_names)
    wrong_sd = len(case.known.get("sd", case.fit.theta)) != sds
    wrong_beta = len(case.known.get("beta", case.fit.beta)) != k
    if wrong_sd or wrong_beta:
        raise LMMError(f"{where}: sd has {sds} numbers, sigma first, and beta {k}")
    excess = case.best - case.fit.nll
    if excess > case.nll_tolerance:
        best = _rounded((case.fit.sigma, *case.fit.sd))
        raise LMMError(
            f"{where}: at the answer given the criterion is {excess:.2g} above its minimum, "
            f"where sd is {best}, sigma first"
        )
    far = np.abs((case.beta - case.best.beta) / case.fit.bse.to_numpy()).max(initial=0.0)
    if far > case.beta_tolerance:
        raise LMMError(
            f"{where}: the 'beta' given is {far:.2g} standard errors from that of the "
            f"criterion's minimum, which is {_rounded(case.best.beta)}"
        )


def _rounded(values):
    """Numbers as they are written into a file of cases."""
    return [float(f"{value:.6g}") for value in values]


def _data(path, factors, where):
    """The data of a case, the columns named in `factors` as categories."""
    if not path.exists():
        raise LMMError(
            f"{where}: its data cannot be read: 'data' is {path.name!r}, and there is no such file "
            f"in {str(path.parent)!r}"
        )
    try:
        dat = pd.read_csv(path)
    except (OSError, ValueError) as error:
        message = " ".join(str(error).split())
        raise LMMError(
            f"{where}: its data cannot be read: 'data' is {path.name!r}: {message}"
        ) from error
    for column in factors:
        if column not in dat:
            raise LMMError(
                f"{where}: 'factors' names {column!r}, which is not a column of {path.name}"
            )
        dat[column] = as_categories(dat[column])
    return dat
