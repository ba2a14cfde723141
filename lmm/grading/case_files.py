"""Cases from a file, JSON, with the data in CSV files beside it."""

import json
import warnings
from pathlib import Path

import pandas as pd

from ..errors import LMMError, shorten, warn, with_category_advice
from .cases import Case

JSON_NUMBER = (int, float)
NEEDED = {
    "name": str,
    "form": str,
    "data": str,
}
OPTIONAL = {
    "ref": list,
    "factors": list,
    "why": str,
    "points": JSON_NUMBER,
    "hidden": bool,
    "sd": list,
    "beta": list,
    "source": str,
    "nll_tolerance": JSON_NUMBER,
    "beta_tolerance": JSON_NUMBER,
}
KIND_WORDS = {
    str: "a text",
    list: "a list",
    JSON_NUMBER: "a number",
    bool: "true or false",
}
PASSED_TO_CASE = ("points", "hidden", "source", "nll_tolerance", "beta_tolerance")


def read_cases(path):
    """The cases of a JSON file.

    Parameters
    ----------
    path : path
        A list of objects, each with ``name``, ``form`` and ``data``, a CSV file beside it; and
        optionally ``ref``, a list of lists of columns; ``factors``, the columns to be read as
        categories; ``why``, ``points``, ``hidden``; the answer where it is known better than by
        this package's fit: ``sd``, sigma first, and ``beta``, and their ``source``; and the
        tolerances of `Case`.

    Returns
    -------
    tuple of Case

    Raises
    ------
    LMMError
        If the file is no such list; the message names the case and the entry.
    """
    path = Path(path)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LMMError(f"the file of cases cannot be read: {error}") from error
    except ValueError as error:
        raise LMMError(f"{path.name} is no JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise LMMError(f"{path.name} holds no list of cases")
    cases = tuple(_read_case(entry, i, path) for i, entry in enumerate(entries))
    names = {case.name for case in cases}
    if len(names) < len(cases):
        raise LMMError(f"{path.name} has two cases of one name; rename one of them")
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
    known = None
    if "sd" in entry:
        known = {name: entry[name] for name in ("sd", "beta") if name in entry}
    case = Case(
        entry["name"],
        entry["form"],
        _data(path.parent / entry["data"], entry.get("factors", []), where),
        ref,
        entry.get("why", ""),
        known=known,
        **{name: entry[name] for name in PASSED_TO_CASE if name in entry},
    )
    _check_model_and_answer(case, f"{where}, {case.name!r}")
    return case


def _check_entry(entry, where):
    """Raise an LMMError unless an entry has the right keys, with values of the right types."""
    if not isinstance(entry, dict):
        raise LMMError(f"{where} is no object with name, form and data")
    for name, kind in (NEEDED | OPTIONAL).items():
        if name in entry and not isinstance(entry[name], kind):
            raise LMMError(f"{where}: {name!r} is {entry[name]!r}; it takes {KIND_WORDS[kind]}")
    points = entry.get("points", 1)
    if not points > 0:
        raise LMMError(f"{where}: 'points' is {points!r}; it takes a positive number")
    missing = [name for name in NEEDED if name not in entry]
    if missing:
        raise LMMError(f"{where} has no {missing[0]!r}; it needs {shorten(NEEDED)}")
    unknown = sorted(set(entry) - set(NEEDED) - set(OPTIONAL))
    if unknown:
        known = shorten([*NEEDED, *OPTIONAL], 20)
        raise LMMError(f"{where} has {unknown[0]!r}, which is none of {known}")


def _check_model_and_answer(case, where):
    """Raise an LMMError if the model cannot be set up, or the answer is not its optimum."""
    try:
        design = case.setup.design
    except ValueError as error:
        raise LMMError(f"{where}: {error}") from error
    if case.known is None:
        return
    sds = 1 + len(design.blocks)
    k = len(design.x_names)
    wrong_sd = len(case.known["sd"]) != sds
    wrong_beta = "beta" in case.known and len(case.known["beta"]) != k
    if wrong_sd or wrong_beta:
        raise LMMError(f"{where}: sd has {sds} numbers, sigma first, and beta {k}")
    excess = case.best - case.fit.nll
    if excess > case.nll_tolerance:
        best = [float(f"{sd:.6g}") for sd in (case.fit.sigma, *case.fit.sd)]
        raise LMMError(
            f"{where}: at the answer given the criterion is {excess:.2g} above its minimum, "
            f"where sd is {best}, sigma first"
        )


def _data(path, factors, where):
    """The data of a case, the columns named in `factors` as categories."""
    try:
        dat = pd.read_csv(path)
    except (OSError, ValueError) as error:
        message = " ".join(str(error).split())
        raise LMMError(f"{where}: its data cannot be read: {message}") from error
    for column in factors:
        if column not in dat:
            raise LMMError(
                f"{where}: 'factors' names {column!r}, which is not a column of {path.name}"
            )
        dat[column] = dat[column].astype("category")
    return dat
