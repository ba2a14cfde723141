"""Responses that were transformed, and the way back."""

import re
from typing import NamedTuple

import numpy as np

from ..errors import LMMError


class Scale(NamedTuple):
    """The way back from a transformed response."""

    name: str
    inside: str             # what was transformed, as it is written
    inverse: object         # of an array on the scale of the model
    slope: object           # its derivative there

    @property
    def base(self):
        """The base of a logarithm, of which a difference is a ratio; None if it is none."""
        return _BASES.get(_CALL.match(self.name)[1])


_WAYS_BACK = {
    "log": (np.exp, np.exp),
    "log2": (np.exp2, lambda x: np.log(2) * np.exp2(x)),
    "log10": (lambda x: 10.0**x, lambda x: np.log(10) * 10.0**x),
    "log1p": (np.expm1, np.exp),
    "sqrt": (np.square, lambda x: 2 * x),
    "exp": (np.log, lambda x: 1 / x),
}
_BASES = {"log": np.e, "log2": 2.0, "log10": 10.0, "log1p": np.e}
_CALL = re.compile(r"\s*(?:np\.|numpy\.)?(\w+)\((.*)\)\s*$")


def scale_of(response):
    """The `Scale` of a response as it is written, such as ``"np.log(y)"``."""
    found = _CALL.match(response)
    if not found or found[1] not in _WAYS_BACK or not _is_closed(found[2]):
        known = ", ".join(_WAYS_BACK)
        raise LMMError(
            f"the response {response!r} is not on a scale with a known way back, which is one of "
            f"{known}"
        )
    return Scale(response, found[2].strip(), *_WAYS_BACK[found[1]])


def _is_closed(text):
    """Whether each bracket in a text closes one that it opened."""
    depth = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return False
    return depth == 0
