"""In what other words the same answer may be given: scales and orders of theta, codings of X.

Who grades a submission, and who compares what programs print, ask the same questions of numbers.
"""

from .codings import codings
from .scales import THETA_ORDERS, THETA_SCALES, in_another_scale_or_order

__all__ = ["THETA_ORDERS", "THETA_SCALES", "codings", "in_another_scale_or_order"]
