"""Any Python object as plain JSON: numbers, texts, and what they are in.

What a submission returned is never unpickled.
"""

from collections.abc import Mapping
from numbers import Real

import numpy as np

MOST_DESCRIBED = 2000     # of an array, and ...
MOST_ITEMS = 40         # ... of a mapping or a sequence, that are sent
LONGEST_TEXT = 60       # characters
DEEPEST = 4
# attributes that are looked for even where vars() has none
ASKED = ("beta", "theta", "nll", "value", "fun", "x")


def describe(value, depth=0):
    """A dict with ``type``, ``kind``, and what goes with the kind; never raises.

    The kinds: ``none``, ``text``, ``number``, ``array`` (``shape``, ``values``), ``sequence``
    (``items``, a list, and ``length``), ``mapping`` and ``object`` (``items``, a dict: of an
    object its attributes), ``callable``, ``opaque``.
    """
    name = type(value).__name__
    try:
        return {"type": name, **_described(value, depth)}
    except BaseException as error:      # a hostile object: its properties may even exit
        return {"type": name, "kind": "opaque", "text": type(error).__name__}


def _described(value, depth):
    if value is None:
        return {"kind": "none"}
    if isinstance(value, (str, bytes, complex)):
        return _text(value if isinstance(value, str) else repr(value))
    if isinstance(value, Real) and not isinstance(value, np.generic):
        beta = _attributes(value, depth, ("beta",))
        return {"kind": "number", "value": float(value), "items": beta}
    if hasattr(value, "toarray"):
        value = value.toarray()                     # of scipy's sparse matrices
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()                    # of pandas
    if isinstance(value, (np.ndarray, np.generic)):
        return _array(value, depth)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        value = dict(zip(value._fields, value))
    if isinstance(value, Mapping):
        first = list(value.items())[:MOST_ITEMS]
        return {"kind": "mapping", "items": _items(first, depth)}
    if isinstance(value, (list, tuple)):
        return _sequence(value, depth)
    if callable(value):
        return {"kind": "callable"}
    return {"kind": "object", "items": _attributes(value, depth, ASKED)}


def _text(text):
    return {"kind": "text", "text": text[:LONGEST_TEXT]}


def _array(value, depth):
    array = np.asarray(value)
    if array.dtype.kind == "O":
        try:
            array = array.astype(float)
        except (TypeError, ValueError):
            return _sequence(array.ravel().tolist(), depth)
    if array.dtype.kind == "c" and not array.imag.any():
        array = array.real
    if array.dtype.kind not in "biuf":
        return _text(f"an array of {array.dtype.name}")
    described = {"kind": "array", "shape": list(array.shape), "items": {}}
    if array.size <= MOST_DESCRIBED:
        described["values"] = array.astype(float).ravel().tolist()
    if type(value) not in (np.ndarray, array.dtype.type):           # a class of its own
        described["items"] = _attributes(value, depth, ("beta",))
    return described


def _sequence(value, depth):
    """A list: an array if it is one of numbers, or of equally long lists of them."""
    if len(value) and all(isinstance(one, (Real, list, tuple)) for one in value):
        try:
            array = np.asarray(value)
        except ValueError:                          # lists of several lengths
            array = np.empty(0, object)
        if array.dtype.kind in "biuf":
            return _array(array.astype(float), depth)
    items = []
    if depth < DEEPEST:
        items = [describe(one, depth + 1) for one in value[:MOST_ITEMS]]
    return {"kind": "sequence", "items": items, "length": len(value)}


def _items(named, depth):
    """The descriptions of (name, value)s by name, none beyond a depth."""
    if depth >= DEEPEST:
        return {}
    return {str(name)[:LONGEST_TEXT]: describe(value, depth + 1) for name, value in named}


def _attributes(value, depth, asked):
    """The attributes that hold something: its own, and those `asked` for."""
    names = [*getattr(value, "__dict__", {})]
    names += [name for name in asked if hasattr(value, name)]
    public = []
    for name in list(dict.fromkeys(names))[:MOST_ITEMS]:
        if str(name).startswith("_"):
            continue
        held = getattr(value, name)
        if not callable(held):
            public.append((name, held))
    return _items(public, depth)
