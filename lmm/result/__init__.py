"""One fit, read off: the result, modes, predictions, tables and their renderings."""

from . import tables
from .components import (
    check_level,
    correlation_pairs,
    natural,
    on_straight_scale,
    parameter_names,
)
from .modes import fixed_names, modes_by_group, modes_of, offsets
from .prediction import predict
from .result import LMMResult
from .tables import summary

__all__ = [
    "LMMResult",
    "check_level",
    "correlation_pairs",
    "fixed_names",
    "modes_by_group",
    "modes_of",
    "natural",
    "offsets",
    "on_straight_scale",
    "parameter_names",
    "predict",
    "summary",
    "tables",
]
