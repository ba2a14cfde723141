"""Any Python object as plain JSON: numbers, texts, and what they are in. What a submission returned is never unpickled."""

from collections.abc import Mapping
from numbers import Real

import numpy as np

MOST_NUMBERS = 2000     # of an array, and ...
MOST_ITEMS = 40         # ... of a mapping or a sequence, that are sent
DEEPEST = 4
ASKED = ("beta", "theta", "nll", "value", "fun", "x")   # attributes that are looked for even where vars() has none


def describe(value, depth=0):
    """A dict with ``type``, ``kind``, and what goes with the kind; never raises.

    The kinds: ``none``, ``text``, ``number``, ``array`` (``shape``, ``values``), ``sequence`` (``items``, a list, and
    ``length``), ``mapping`` and ``object`` (``items``, a dict: of an object its attributes), ``callable``, ``opaque``.
    """
    kind = type(value).__name__
    try:
        return {"type": kind, **_described(value, depth)}
    except BaseException as error:                  # a hostile object: its properties may do anything, even exit
        return {"type": kind, "kind": "opaque", "text": type(error).__name__}


def _described(value, depth):
    if value is None:
        return {"kind": "none"}
    if isinstance(value, (str, bytes, complex)):
        return {"kind": "text", "text": value[:60] if isinstance(value, str) else repr(value)[:60]}
    if isinstance(value, Real) and not isinstance(value, np.generic):
        return {"kind": "number", "value": float(value), "items": _attributes(value, depth, ("beta",))}
    if hasattr(value, "toarray"):
        value = value.toarray()                     # of scipy's sparse matrices
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()                    # of pandas
    if isinstance(value, (np.ndarray, np.generic)):
        return _array(value, depth)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        value = dict(zip(value._fields, value))
    if isinstance(value, Mapping):
        return {"kind": "mapping", "items": _items(list(value.items())[:MOST_ITEMS], depth)}
    if isinstance(value, (list, tuple)):
        return _sequence(value, depth)
    if callable(value):
        return {"kind": "callable"}
    return {"kind": "object", "items": _attributes(value, depth, ASKED)}


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
        return {"kind": "text", "text": f"an array of {array.dtype.name}"}
    numbers = {"values": array.astype(float).ravel().tolist()} if array.size <= MOST_NUMBERS else {}
    beta = _attributes(value, depth, ("beta",)) if type(value) not in (np.ndarray, array.dtype.type) else {}
    return {"kind": "array", "shape": list(array.shape), "items": beta, **numbers}


def _sequence(value, depth):
    """A list: an array if it is one of numbers, or of equally long lists of them."""
    if len(value) and all(isinstance(x, (Real, list, tuple)) for x in value):
        try:
            return _array(np.asarray(value, float), depth)
        except (TypeError, ValueError):
            pass
    items = [describe(x, depth + 1) for x in value[:MOST_ITEMS]] if depth < DEEPEST else []
    return {"kind": "sequence", "items": items, "length": len(value)}


def _items(pairs, depth):
    return {str(key)[:60]: describe(x, depth + 1) for key, x in pairs} if depth < DEEPEST else {}


def _attributes(value, depth, asked):
    """The attributes that hold something: its own, and those `asked` for."""
    names = dict.fromkeys([*getattr(value, "__dict__", {}), *(name for name in asked if hasattr(value, name))])
    public = [(name, getattr(value, name)) for name in list(names)[:MOST_ITEMS] if not str(name).startswith("_")]
    return _items([pair for pair in public if not callable(pair[1])], depth)
