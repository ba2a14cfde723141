"""From matrices and phi to log|V| and U'WU, by one contract: see contract.py, and qr.py first."""

from .algebra import triangles_or_nan
from .contract import Engine, Evaluation, Information
from .many import (
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
from .setup import Setup, checked_reml, responding, set_up, with_criterion

__all__ = [
    "Engine",
    "Evaluation",
    "Information",
    "Setup",
    "Unsuitable",
    "back_substitute",
    "checked_reml",
    "covariance_of_beta",
    "families_of_patterns",
    "family_of",
    "family_of_rows",
    "log_diagonal",
    "look",
    "look_around",
    "padded_pieces",
    "responding",
    "set_up",
    "slopes",
    "taken",
    "told_apart",
    "triangle_of",
    "triangles_or_nan",
    "with_criterion",
]
