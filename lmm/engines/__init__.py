"""From matrices and phi to log|V| and U'WU."""

from .algebra import full, scaled_columns, scaled_rows, symmetric, symmetric_times
from .dense import CHUNK, Dense, Evaluation, NotPositiveDefinite
from .identifiability import refuse_contained_blocks
from .pairs import make_pairs
from .setup import Setup, checked_reml, responding, set_up
from .triangular import LOST_DIGITS, back_substitute, covariance_of_beta, log_diagonal, triangle

__all__ = [
    "CHUNK",
    "LOST_DIGITS",
    "Dense",
    "Evaluation",
    "NotPositiveDefinite",
    "Setup",
    "back_substitute",
    "checked_reml",
    "covariance_of_beta",
    "full",
    "log_diagonal",
    "make_pairs",
    "refuse_contained_blocks",
    "responding",
    "scaled_columns",
    "scaled_rows",
    "set_up",
    "symmetric",
    "symmetric_times",
    "triangle",
]
