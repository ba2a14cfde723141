"""From formula and data to y, X, the blocks of Z and psi: every check of the input."""

from .arguments import with_arguments
from .blocks import codes_of, values_of
from .by_correlation import EDGE, LARGEST_Z, ByCorrelation
from .columns import (
    floats,
    in_order,
    like,
    numbers_by_row,
    over_rows,
    root_of_weights,
    source_of,
)
from .compound_symmetry import LARGEST_LOGIT, ByCommonCorrelation, CompoundSymmetry
from .covariance import Covariance, Independent, Variances, refused_theta
from .design import Design, make_design
from .frames import as_frame
from .matrices import Matrices, matrix_design
from .psi import Entries, over_levels, root_of
from .rank import full_rank
from .traces import linear_parts, projected_trace_products, trace_product, trace_products
from .unstructured import Unstructured

__all__ = [
    "EDGE",
    "LARGEST_LOGIT",
    "LARGEST_Z",
    "ByCommonCorrelation",
    "ByCorrelation",
    "CompoundSymmetry",
    "Covariance",
    "Design",
    "Entries",
    "Independent",
    "Matrices",
    "Unstructured",
    "Variances",
    "as_frame",
    "codes_of",
    "floats",
    "full_rank",
    "in_order",
    "like",
    "linear_parts",
    "make_design",
    "matrix_design",
    "numbers_by_row",
    "over_levels",
    "over_rows",
    "projected_trace_products",
    "refused_theta",
    "root_of",
    "root_of_weights",
    "source_of",
    "trace_product",
    "trace_products",
    "values_of",
    "with_arguments",
]
