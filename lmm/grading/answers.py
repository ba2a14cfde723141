"""From the description of what a submission returned to beta and theta, or to why it is none.

A description is what `inside.describing.describe` makes of an object: a dict of plain numbers and
texts, whose ``kind`` says what else it holds.
"""

import re
from dataclasses import dataclass

import numpy as np

BETA_NAMES = ("beta", "coef", "coefficients", "params", "fixef")
THETA_NAMES = ("theta", "par", "x")
VALUE_NAMES = ("nll", "value", "fun", "loglik", "negloglik", "ll")
MOST_LISTED = 8         # keys or attributes in a message


class Unusable(Exception):
    """What was returned is no answer; the message is the sentence that says so."""


@dataclass(frozen=True, eq=False)
class Answer:
    """beta and theta as they were returned, and notes on how they were."""

    beta: np.ndarray
    theta: np.ndarray
    notes: tuple = ()
    named: bool = True          # whether beta and theta had names, so that an exchange is a mistake


# -- beta and theta ------------------------------------------------------------------------------

def read_answer(returned, k, blocks):
    """The `Answer` in a description, for k fixed effects and so many blocks; raises `Unusable`."""
    beta, theta, notes, named = _beta_and_theta(returned)
    notes = (*notes, *_form_of_theta(theta))
    beta = numbers(beta, "beta")
    theta = numbers(theta, "theta")
    exchanged = len(beta) == 1 + blocks != k and len(theta) == k != 1 + blocks
    if exchanged and named:
        raise Unusable(
            "beta and theta are exchanged: beta has the length of theta, theta that of beta"
        )
    if exchanged:
        beta, theta = theta, beta
        notes = (*notes, "a tuple (theta, beta); the sheet lists beta first")
    if len(theta) != 1 + blocks:
        raise Unusable(_wrong_length_of_theta(len(theta), blocks))
    if len(beta) != k:
        width = f"{k} column{'s' if k != 1 else ''}"
        raise Unusable(f"beta has {_elements(len(beta))}, where X has {width}")
    _check_finite(beta, "beta")
    _check_finite(theta[:1], "theta")
    _check_finite(theta, "theta", allowed=-np.inf)          # a standard deviation may be zero
    return Answer(beta, theta, notes, named)


def _form_of_theta(theta):
    """A note on a theta that is no plain vector, in a tuple, or none."""
    if theta["kind"] == "mapping":
        names = ", ".join(map(repr, theta["items"]))
        return (f"theta is a dict, its values taken in its order: {names}",)
    if theta["kind"] == "array" and len(theta["shape"]) > 1:
        shape = " x ".join(map(str, theta["shape"]))
        return (f"theta is an array of {shape}, where a vector was asked",)
    return ()


def _wrong_length_of_theta(length, blocks):
    """The sentence on a theta that has another length than 1 + blocks."""
    if blocks == 0:
        logs = ""
    elif blocks == 1:
        logs = " and the block's log standard deviation"
    else:
        logs = f" and {blocks} log standard deviations, one for each block in the order of ref"
    were = "were" if blocks else "was"
    return f"theta has {_elements(length)}, where {1 + blocks} {were} asked: log sigma{logs}"


def _check_finite(values, name, allowed=None):
    """Raise `Unusable` for an element that is neither finite nor the value allowed."""
    for i, value in enumerate(values):
        if not np.isfinite(value) and value != allowed:
            raise Unusable(f"{name}[{i}] is {value}")


def _beta_and_theta(returned):
    """(beta, theta, notes, whether they are named), descriptions still."""
    kind = returned["kind"]
    if kind == "none":
        raise Unusable("lmm returned None: is a return statement missing?")
    if kind == "text":
        text = repr(returned["text"])
        raise Unusable(f"lmm returned a text, {text}, where beta and theta were asked")
    if kind == "callable":
        raise Unusable("lmm returned a function, where beta and theta were asked")
    if kind in ("mapping", "object"):
        return _by_name(returned)
    if kind == "sequence" and returned["length"] >= 2:
        return _by_position(returned)
    if kind == "array":
        return _two_rows(returned)
    raise Unusable(f"lmm returned a {returned['type']}, where beta and theta were asked")


def _by_name(returned):
    """beta and theta of a mapping or an object, each the first of its names that is there."""
    beta, beta_name = _first_named(returned, BETA_NAMES)
    theta, theta_name = _first_named(returned, THETA_NAMES)
    notes = []
    if beta_name != "beta":
        notes.append(f"beta is called {beta_name!r}")
    if theta_name != "theta":
        notes.append(f"theta is called {theta_name!r}")
    return beta, theta, tuple(notes), True


def _first_named(returned, aliases):
    """The item with the first of these names, whatever its case, and how it is spelled."""
    items = returned["items"]
    for alias in aliases:
        for name in items:
            if name.lower() == alias:
                return items[name], name
    what = "keys" if returned["kind"] == "mapping" else "attributes"
    listed = ", ".join(map(repr, list(items)[:MOST_LISTED])) or "none"
    raise Unusable(
        f"lmm returned a {returned['type']} without {aliases[0]!r}; its {what} are {listed}"
    )


def _by_position(returned):
    """beta and theta as the first two of a sequence."""
    beta, theta = returned["items"][:2]
    notes = ()
    if returned["length"] > 2:
        sequence = f"a {returned['type']} of {returned['length']}"
        notes = (f"{sequence}, its first two taken as beta and theta",)
    return beta, theta, notes, False


def _two_rows(returned):
    """beta and theta as the rows of an array: two lists of one length."""
    shape = returned["shape"]
    if len(shape) == 2 and shape[0] == 2 and "values" in returned:
        rows = np.reshape(returned["values"], shape)
        beta, theta = ({"kind": "array", "shape": [len(row)], "values": row} for row in rows)
        return beta, theta, (), False
    count = int(np.prod(shape))
    what = "one number" if count == 1 else f"one array of {count} numbers"
    raise Unusable(f"lmm returned {what}, where beta and theta were asked")


def numbers(described, name):
    """The numbers of a description as a flat array; raises `Unusable`."""
    kind = described["kind"]
    if kind == "number":
        return np.array([described["value"]])
    if kind == "array":
        return _vector(described, name)
    if kind == "sequence" and described["length"] == 0:
        return np.zeros(0)
    parts = []
    if kind == "mapping":
        parts = list(described["items"].values())
    if kind == "sequence":
        parts = described["items"]
    if parts and all(part["kind"] in ("number", "array") for part in parts):
        return np.concatenate([numbers(part, name) for part in parts])
    if kind == "none":
        raise Unusable(f"{name} is None")
    listed = parts if kind == "sequence" else [described]
    texts = [part["text"] for part in listed if part["kind"] == "text"]
    what = f"a text, {texts[0]!r}" if texts else f"a {described['type']}"
    raise Unusable(f"{name} is {what}, where numbers were asked")


def _vector(described, name):
    """The numbers of an array that has at most one dimension longer than 1."""
    long = [length for length in described["shape"] if length != 1]
    if "values" not in described or len(long) > 1:
        shape = tuple(described["shape"])
        raise Unusable(f"{name} has shape {shape}, where a vector was asked")
    return np.array(described["values"], float)


# -- a value of the criterion --------------------------------------------------------------------

def read_value(returned):
    """The number of an `LMMprof`, and its beta or None; raises `Unusable`."""
    value, beta = _value_and_beta(returned)
    if value is None or not _is_scalar(value):
        raise Unusable(
            f"LMMprof returned a {returned['type']} in which no single number was found"
        )
    try:
        beta = None if beta is None else numbers(beta, "beta")
    except Unusable:
        beta = None
    return float(numbers(value, "the value")[0]), beta


def _value_and_beta(returned):
    """(value, beta) of an evaluation, descriptions still, None where there is none."""
    kind = returned["kind"]
    items = returned.get("items") or {}
    if kind in ("mapping", "object") and items:
        return _value_in(items), items.get("beta")
    if kind == "sequence" and returned["length"] >= 1:
        value, beta, *_ = [*returned["items"], None]
        return value, beta
    return returned, items.get("beta")


def _value_in(items):
    """The value of the criterion among items: by its name, else the first number, or None."""
    by_name = {}
    for name, item in items.items():
        by_name.setdefault(name.lower(), item)
    for name in VALUE_NAMES:
        if name in by_name:
            return by_name[name]
    return next((item for item in items.values() if _is_scalar(item)), None)


def _is_scalar(described):
    if described["kind"] == "array":
        return len(described.get("values", ())) == 1
    return described["kind"] == "number"


# -- an exception --------------------------------------------------------------------------------

def raised(error, function):
    """A clause on an exception: what, where, and its message."""
    kind = error["type"]
    place = _place(error)
    message = re.sub(r"\s+", " ", error["message"])
    said = f": {message}" if message else ""
    if kind == "RecursionError":
        return f"{function} calls itself without end{place}"
    if kind == "MemoryError":
        return f"{function} needs more memory than it was given{place}{said}"
    if kind == "SystemExit":
        return f"{function} ends the program{place}, by sys.exit or quit"
    return f"{function} raises {kind}{place}{said}"


def _place(error):
    """Where in the submission an exception was raised, as a clause, or ""."""
    if not error.get("line"):
        return ""
    place = f" at line {error['line']} of {error['file']}"
    if error.get("function") in (None, "<module>"):
        return place
    return f"{place}, in {error['function']}"


def _elements(count):
    return f"{count} element{'s' if count != 1 else ''}"
