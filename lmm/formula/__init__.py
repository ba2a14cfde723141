"""The text of a formula: bars, fixed effects, and what may stand in them."""

from .bars import parse_bars, split_bars
from .fixed import Formula
from .hypotheses import rows_of_text, separate
from .terms import IndependentEffects, Term, parse_ref
from .text import column_written, has_dot, ticked, tildes
from .updating import with_bars_of, with_columns_for_dots, without_dots

__all__ = [
    "Formula",
    "IndependentEffects",
    "Term",
    "column_written",
    "has_dot",
    "parse_bars",
    "parse_ref",
    "rows_of_text",
    "separate",
    "split_bars",
    "ticked",
    "tildes",
    "with_bars_of",
    "with_columns_for_dots",
    "without_dots",
]
