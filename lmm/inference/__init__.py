"""What fits again, or tests: profiles, intervals, bootstrap, comparison, hypotheses."""

from .comparison import Comparison, anova
from .curvature import cov_theta, hessian
from .fits import Fits
from .grid import variables_of
from .hypotheses import contrast
from .influence import influence
from .intervals import conf_int
from .kenward_roger import cov_params
from .many import lmer_many, lmm_many, refit
from .means import Comparisons, Means, means, slopes
from .profiles import profile
from .proving import Proof, proof, prove
from .reductions import RandomTests, ranova
from .robust import robust_cov
from .satterthwaite import df, p_of_t, pvalues
from .side_by_side import SideBySide, compare_table
from .simulation import Bootstrap, bootstrap, simulate
from .term_tests import TermTests, drop1
from .tidy import augment, glance, tidy

__all__ = [
    "Bootstrap",
    "Comparison",
    "Comparisons",
    "Fits",
    "Means",
    "Proof",
    "RandomTests",
    "SideBySide",
    "TermTests",
    "anova",
    "augment",
    "bootstrap",
    "compare_table",
    "conf_int",
    "contrast",
    "cov_params",
    "cov_theta",
    "df",
    "drop1",
    "glance",
    "hessian",
    "influence",
    "lmer_many",
    "lmm_many",
    "means",
    "p_of_t",
    "profile",
    "proof",
    "prove",
    "pvalues",
    "ranova",
    "refit",
    "robust_cov",
    "simulate",
    "slopes",
    "tidy",
    "variables_of",
]
