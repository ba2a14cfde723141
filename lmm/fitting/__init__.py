"""From a criterion to its optimum."""

from .newton import newton, opened, without
from .optimum import NLL_ERROR, Optimum, certify, derivatives, units
from .search import fitted, phases_for, started

__all__ = [
    "NLL_ERROR",
    "Optimum",
    "certify",
    "derivatives",
    "fitted",
    "newton",
    "opened",
    "phases_for",
    "started",
    "units",
    "without",
]
