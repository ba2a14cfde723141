"""From the description of what a submission returned to beta and theta, or to a sentence on why it is none."""

import re
from dataclasses import dataclass

import numpy as np

BETA = ("beta", "coef", "coefficients", "params", "fixef")
THETA = ("theta", "par", "x")


class Unusable(Exception):
    """What was returned is no answer; the message is the sentence that says so."""


@dataclass(frozen=True, eq=False)
class Answer:
    """beta and theta as they were returned, and notes on their form."""

    beta: np.ndarray
    theta: np.ndarray
    notes: tuple = ()
    named: bool = True          # whether beta and theta had names, so that an exchange is a mistake


def read_answer(returned, k, blocks):
    """The `Answer` in a description, for k fixed effects and so many blocks; raises `Unusable`."""
    beta, theta, notes, named = _parts(returned, k, blocks)
    beta, theta = numbers(beta, "beta"), numbers(theta, "theta")
    if len(beta) == 1 + blocks != k and len(theta) == k != 1 + blocks:
        if named:
            raise Unusable("beta and theta are exchanged: beta has the length of theta, theta that of beta")
        beta, theta, notes = theta, beta, (*notes, "a tuple (theta, beta); the sheet lists beta first")
    if len(theta) != 1 + blocks:
        logs = {0: "", 1: " and the block's log standard deviation"}.get(
            blocks, f" and {blocks} log standard deviations, one for each block in the order of ref")
        were = "were" if blocks else "was"
        raise Unusable(f"theta has {_count(len(theta))}, where {1 + blocks} {were} asked: log sigma{logs}")
    if len(beta) != k:
        raise Unusable(f"beta has {_count(len(beta))}, where X has {k} column{'s' if k != 1 else ''}")
    for name, values in (("beta", beta), ("theta", theta)):
        for i, value in enumerate(values):
            if not np.isfinite(value) and not (name == "theta" and i and value == -np.inf):
                raise Unusable(f"{name}[{i}] is {value}")
    return Answer(beta, theta, notes, named)


def _parts(returned, k, blocks):
    """(beta, theta, notes, whether they are named), descriptions still."""
    kind = returned["kind"]
    if kind == "none":
        raise Unusable("lmm returned None: is a return statement missing?")
    if kind == "text":
        raise Unusable(f"lmm returned a text, {returned['text']!r}, where beta and theta were asked")
    if kind == "callable":
        raise Unusable("lmm returned a function, where beta and theta were asked")
    if kind in ("mapping", "object"):
        found, notes = [], []
        for names, wanted in ((BETA, "beta"), (THETA, "theta")):
            names = [name for alias in names for name in returned["items"] if name.lower() == alias]
            if not names:
                what = "keys" if kind == "mapping" else "attributes"
                raise Unusable(f"lmm returned a {returned['type']} without {wanted!r}; its {what} are "
                               f"{', '.join(map(repr, list(returned['items'])[:8])) or 'none'}")
            if names[0] != wanted:
                notes.append(f"{wanted} is called {names[0]!r}")
            found.append(returned["items"][names[0]])
        return *found, tuple(notes), True
    if kind == "array" and len(returned["shape"]) == 2 and returned["shape"][0] == 2 and "values" in returned:
        rows = np.reshape(returned["values"], returned["shape"])        # two lists of one length
        return *({"kind": "array", "shape": [len(row)], "values": row.tolist()} for row in rows), (), False
    if kind == "sequence" and returned["length"] >= 2:
        extra = returned["length"] - 2
        notes = (f"a {returned['type']} of {returned['length']}, its first two taken as beta and theta",) if extra else ()
        return *returned["items"][:2], notes, False
    if kind == "array":
        count = int(np.prod(returned["shape"]))
        raise Unusable(f"lmm returned {'one number' if count == 1 else f'one array of {count} numbers'}, "
                       "where beta and theta were asked")
    raise Unusable(f"lmm returned a {returned['type']}, where beta and theta were asked")


def numbers(described, name):
    """The numbers of a description as a flat array; raises `Unusable`."""
    kind = described["kind"]
    if kind == "number":
        return np.array([described["value"]])
    if kind == "array" and "values" in described:
        shape = [length for length in described["shape"] if length != 1]
        if len(shape) > 1:
            raise Unusable(f"{name} has shape {tuple(described['shape'])}, where a vector was asked")
        return np.array(described["values"], float)
    if kind == "array":
        raise Unusable(f"{name} has shape {tuple(described['shape'])}, where a vector was asked")
    if kind == "mapping" and described["items"] and all(x["kind"] in ("number", "array") for x in described["items"].values()):
        return np.concatenate([numbers(x, name) for x in described["items"].values()])
    if kind == "sequence" and described["length"] == 0:
        return np.zeros(0)
    if kind == "sequence" and all(x["kind"] in ("number", "array") for x in described["items"]):
        return np.concatenate([numbers(x, name) for x in described["items"]])
    if kind == "none":
        raise Unusable(f"{name} is None")
    texts = [x["text"] for x in (described, *described.get("items", ())) if isinstance(x, dict) and x.get("kind") == "text"]
    what = f"a text, {texts[0]!r}" if texts else f"a {described['type']}"
    raise Unusable(f"{name} is {what}, where numbers were asked")


def read_value(returned):
    """The number of an `LMMprof`, and its beta or None; raises `Unusable`."""
    kind, items = returned["kind"], returned.get("items") or {}
    if kind in ("mapping", "object") and items:
        name = next((name for name in ("nll", "value", "fun", "loglik", "negloglik", "ll") if name in
                     {item.lower() for item in items}), None)
        value = next((x for key, x in items.items() if key.lower() == name), None)
        if value is None:
            value = next((x for x in items.values() if _is_scalar(x)), None)
        beta = items.get("beta")
    elif kind == "sequence" and returned["length"] >= 1:
        value, beta = returned["items"][0], (returned["items"] + [None])[1]
    else:
        value, beta = returned, items.get("beta") if isinstance(items, dict) else None
    if value is None or not _is_scalar(value):
        raise Unusable(f"LMMprof returned a {returned['type']} in which no single number was found")
    try:
        beta = None if beta is None else numbers(beta, "beta")
    except Unusable:
        beta = None
    return float(numbers(value, "the value")[0]), beta


def _is_scalar(described):
    return described["kind"] == "number" or (described["kind"] == "array" and len(described.get("values", ())) == 1)


def raised(error, function):
    """A clause on an exception: what, where, and its message."""
    kind, place = error["type"], ""
    if error.get("line"):
        inside = f", in {error['function']}" if error.get("function") not in (None, "<module>") else ""
        place = f" at line {error['line']} of {error['file']}{inside}"
    message = re.sub(r"\s+", " ", error["message"])
    if kind == "RecursionError":
        return f"{function} calls itself without end{place}"
    if kind == "MemoryError":
        return f"{function} needs more memory than it was given{place}" + (f": {message}" if message else "")
    if kind == "SystemExit":
        return f"{function} ends the program{place}, by sys.exit or quit"
    return f"{function} raises {kind}{place}" + (f": {message}" if message else "")


def _count(number):
    return f"{number} element{'s' if number != 1 else ''}"
