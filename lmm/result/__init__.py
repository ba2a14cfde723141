"""One fit, read off: the result, modes, predictions, tables and their renderings."""

from . import rendering, tables
from .components import corr, icc, psi, r2, rank, sd, singular, varcorr
from .fixed_effects import bse, cov_params, fixed_names, params, tvalues
from .modes import coef, column_starts, modes_of, ranef
from .parameters import (
    check_level,
    correlation_pairs,
    natural,
    natural_se,
    on_straight_scale,
    parameter_names,
    sd_se,
    trace,
)
from .prediction import model_matrix, predict
from .result import LMMResult
from .rows import align, cooks_distance, fittedvalues, leverage, resid, resid_scaled
from .tables import summary

__all__ = [
    "LMMResult",
    "align",
    "bse",
    "check_level",
    "coef",
    "column_starts",
    "cooks_distance",
    "corr",
    "correlation_pairs",
    "cov_params",
    "fittedvalues",
    "fixed_names",
    "icc",
    "leverage",
    "model_matrix",
    "modes_of",
    "natural",
    "natural_se",
    "on_straight_scale",
    "parameter_names",
    "params",
    "predict",
    "psi",
    "r2",
    "ranef",
    "rank",
    "rendering",
    "resid",
    "resid_scaled",
    "sd",
    "sd_se",
    "singular",
    "summary",
    "tables",
    "trace",
    "tvalues",
    "varcorr",
]
