"""The text of a formula: bars, fixed effects, and what may stand in them."""

from .bars import parse_bars, split_bars, with_bars_of
from .fixed import Formula, without_dots
from .terms import IndependentEffects, Term, parse_ref

__all__ = [
    "Formula",
    "IndependentEffects",
    "Term",
    "parse_bars",
    "parse_ref",
    "split_bars",
    "with_bars_of",
    "without_dots",
]
