"""From formula and data to y, X, the blocks of Z and psi: every check of the input."""

from .blocks import codes_of, values_of
from .columns import like, over_rows, root_of_weights
from .correlation import EDGE, LARGEST_Z, WithCorrelation
from .covariance import Covariance, over_levels
from .design import Design, are_matrices, make_design
from .matrices import Matrices, matrix_design
from .traces import linear_parts, trace_product, trace_products

__all__ = [
    "EDGE",
    "LARGEST_Z",
    "Covariance",
    "Design",
    "Matrices",
    "WithCorrelation",
    "are_matrices",
    "codes_of",
    "like",
    "linear_parts",
    "make_design",
    "matrix_design",
    "over_levels",
    "over_rows",
    "root_of_weights",
    "trace_product",
    "trace_products",
    "values_of",
]
