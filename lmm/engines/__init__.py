"""From matrices and phi to log|V| and U'WU, by one contract: see contract.py, and qr.py first."""

from .algebra import triangles_or_nan
from .contract import Engine, Evaluation, Information
from .many import (
    ByLevel,
    Unsuitable,
    families_of_patterns,
    family_of,
    family_of_rows,
    look,
    look_around,
    padded_pieces,
    slopes,
    taken,
    told_apart,
)
from .qr import back_substitute, covariance_of_beta, log_diagonal, triangle_of
from .setup import (
    Setup,
    checked_reml,
    responding,
    set_up,
    set_up_again,
    set_up_condensed,
    with_criterion,
)
from .summary import cells_of
from .summary import merged as merged_cells

__all__ = [
    "ByLevel",
    "Engine",
    "Evaluation",
    "Information",
    "Setup",
    "Unsuitable",
    "back_substitute",
    "cells_of",
    "checked_reml",
    "covariance_of_beta",
    "families_of_patterns",
    "family_of",
    "family_of_rows",
    "log_diagonal",
    "look",
    "look_around",
    "merged_cells",
    "padded_pieces",
    "responding",
    "set_up",
    "set_up_again",
    "set_up_condensed",
    "slopes",
    "taken",
    "told_apart",
    "triangle_of",
    "triangles_or_nan",
    "with_criterion",
]
