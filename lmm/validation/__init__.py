"""What the package is held to, run again by whoever has it: the dossier of `lmm validate`."""

from .arbiter import Arbitration, compare
from .breaking import BREAKS, broken
from .dossier import SECTIONS, Dossier, validate
from .rows import Row, digits_of, row_of_digits, row_of_truth

__all__ = [
    "BREAKS",
    "SECTIONS",
    "Arbitration",
    "Dossier",
    "Row",
    "broken",
    "compare",
    "digits_of",
    "row_of_digits",
    "row_of_truth",
    "validate",
]
