"""From a criterion to its optimum.

Start, derivatives, Newton, boundary, elsewhere, certificate, record.
"""

from .criterion import NEWTON_DONE, SEARCH, Criterion, Derivatives, Plan
from .elsewhere import FEW_ROWS
from .many import LOST, Batch, found_at, search
from .newton import minimum, opened, rescaled, size_of
from .optimum import NLL_ERROR, Optimum, certify, finished, first_theta
from .proof import OPEN, PROVED, REFUTED, proved
from .proof import Problem as BoundProblem
from .proof import criterion as criterion_at

__all__ = [
    "FEW_ROWS",
    "LOST",
    "NEWTON_DONE",
    "NLL_ERROR",
    "OPEN",
    "PROVED",
    "REFUTED",
    "SEARCH",
    "Batch",
    "BoundProblem",
    "Criterion",
    "Derivatives",
    "Optimum",
    "Plan",
    "certify",
    "criterion_at",
    "finished",
    "first_theta",
    "found_at",
    "minimum",
    "opened",
    "proved",
    "rescaled",
    "search",
    "size_of",
]
