"""Linear mixed models on numpy, scipy, pandas and patsy: exact, fast, and small enough to read.

>>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
>>> print(fit)                                                                 # doctest: +SKIP
"""

from . import plots
from .datasets import lme4_reference, load_data, models
from .errors import ConvergenceWarning, LMMError, LMMWarning
from .fit import certify, derivatives, lmer
from .fitting import Optimum
from .inference import Bootstrap, Comparison, anova
from .methods import attach
from .practical import LMMprof, LMMsetup, lmm
from .result import LMMResult

attach()

__all__ = ["Bootstrap", "Comparison", "ConvergenceWarning", "LMMError", "LMMResult", "LMMWarning", "LMMprof", "LMMsetup",
           "Optimum", "anova", "certify", "derivatives", "grade", "lme4_reference", "lmer", "lmm", "load_data", "models",
           "plots"]


def __getattr__(name):
    """`grade` and the version, imported when they are asked for."""
    if name == "__version__":
        from importlib.metadata import version
        return version("lmm")
    if name == "grade":
        from .grading import grade
        return grade
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    """What a user calls, not the rooms of the house."""
    return sorted([*__all__, "__version__"])
