"""What fits again, or tests: profiles, intervals, bootstrap, comparison, hypotheses."""

from .comparison import Comparison, anova
from .curvature import cov_theta, hessian
from .intervals import conf_int
from .profiles import profile
from .satterthwaite import df, p_of_t, pvalues
from .side_by_side import SideBySide, compare_table
from .simulation import Bootstrap, bootstrap, simulate
from .tidy import augment, glance, tidy

__all__ = [
    "Bootstrap",
    "Comparison",
    "SideBySide",
    "anova",
    "augment",
    "bootstrap",
    "compare_table",
    "conf_int",
    "cov_theta",
    "df",
    "glance",
    "hessian",
    "p_of_t",
    "profile",
    "pvalues",
    "simulate",
    "tidy",
]
