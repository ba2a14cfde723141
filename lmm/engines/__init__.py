"""From matrices and phi to log|V| and U'WU, by one contract: see contract.py, and qr.py first."""

from .algebra import triangles_or_nan
from .contract import Engine, Evaluation, Information
from .qr import back_substitute, covariance_of_beta, log_diagonal, triangle_of
from .setup import Setup, checked_reml, responding, set_up, with_criterion

__all__ = [
    "Engine",
    "Evaluation",
    "Information",
    "Setup",
    "back_substitute",
    "checked_reml",
    "covariance_of_beta",
    "log_diagonal",
    "responding",
    "set_up",
    "triangle_of",
    "triangles_or_nan",
    "with_criterion",
]
