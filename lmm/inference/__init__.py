"""What fits again, or tests: profiles, intervals, bootstrap, comparison, hypotheses."""

from .comparison import Comparison, anova
from .curvature import cov_theta, hessian
from .hypotheses import contrast
from .intervals import conf_int
from .kenward_roger import cov_params
from .means import Comparisons, Means, means, slopes
from .profiles import profile
from .reductions import RandomTests, ranova
from .satterthwaite import df, p_of_t, pvalues
from .simulation import Bootstrap, bootstrap, simulate
from .term_tests import TermTests, drop1

__all__ = [
    "Bootstrap",
    "Comparison",
    "Comparisons",
    "Means",
    "RandomTests",
    "TermTests",
    "anova",
    "bootstrap",
    "conf_int",
    "contrast",
    "cov_params",
    "cov_theta",
    "df",
    "drop1",
    "hessian",
    "means",
    "p_of_t",
    "profile",
    "pvalues",
    "ranova",
    "simulate",
    "slopes",
]
