"""From formula and data to y, X, the blocks of Z and psi: every check of the input."""

from .arguments import with_arguments
from .blocks import (
    Block,
    block_names,
    check_distinct,
    check_independent,
    codes_of,
    effect_variables,
    values_of,
)
from .by_correlation import EDGE, LARGEST_Z, ByCorrelation
from .columns import (
    floats,
    in_order,
    is_factor,
    is_numeric,
    like,
    numbers_by_row,
    over_rows,
    root_of_weights,
    source_of,
)
from .compound_symmetry import LARGEST_LOGIT, ByCommonCorrelation, CompoundSymmetry
from .condensed import Condensed
from .covariance import Covariance, Independent, Variances, refused_theta
from .design import (
    Design,
    check_not_response,
    check_response,
    make_design,
    read,
    structure_of,
    with_factors,
)
from .frames import as_categories, as_frame
from .grouping import observed_levels, plain_grouping
from .matrices import Matrices, matrix_design
from .psi import Entries, over_levels, root_of
from .rank import full_rank
from .recipe import Recipe, Survey, check_same_names
from .traces import linear_parts, projected_trace_products, trace_product, trace_products
from .unstructured import Unstructured

__all__ = [
    "EDGE",
    "LARGEST_LOGIT",
    "LARGEST_Z",
    "Block",
    "ByCommonCorrelation",
    "ByCorrelation",
    "CompoundSymmetry",
    "Condensed",
    "Covariance",
    "Design",
    "Entries",
    "Independent",
    "Matrices",
    "Recipe",
    "Survey",
    "Unstructured",
    "Variances",
    "as_categories",
    "as_frame",
    "block_names",
    "check_distinct",
    "check_independent",
    "check_not_response",
    "check_response",
    "check_same_names",
    "codes_of",
    "effect_variables",
    "floats",
    "full_rank",
    "in_order",
    "is_factor",
    "is_numeric",
    "like",
    "linear_parts",
    "make_design",
    "matrix_design",
    "numbers_by_row",
    "observed_levels",
    "over_levels",
    "over_rows",
    "plain_grouping",
    "projected_trace_products",
    "read",
    "refused_theta",
    "root_of",
    "root_of_weights",
    "source_of",
    "structure_of",
    "trace_product",
    "trace_products",
    "values_of",
    "with_arguments",
    "with_factors",
]
