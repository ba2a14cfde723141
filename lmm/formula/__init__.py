"""The text of a formula: bars, fixed effects, and what may stand in them."""

from .bars import Term, parse_bars, parse_ref, split_bars, with_bars_of
from .fixed import Formula, without_dots

__all__ = [
    "Formula",
    "Term",
    "parse_bars",
    "parse_ref",
    "split_bars",
    "with_bars_of",
    "without_dots",
]
