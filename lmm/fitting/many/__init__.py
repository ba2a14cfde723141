"""The optima of many responses at once: see search.py.

The boundary is decided as in newton.py: a direction that makes use of few degrees of freedom
becomes zero, if nll does not fall as it leaves zero again. Other optima are looked for on a grid of
thetas, the same for all responses; the better end counts.
"""

from .batch import Batch
from .search import LOST, found_at, optimum_of_one, search

__all__ = ["LOST", "Batch", "found_at", "optimum_of_one", "search"]
