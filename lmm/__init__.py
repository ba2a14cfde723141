"""Linear mixed models on numpy, scipy, pandas and patsy: exact, fast, and small enough to read.

>>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
>>> print(fit)                                                                 # doctest: +SKIP
"""

import sys

from . import plots
from .chunks import load_setup
from .datasets import lme4_reference, load_data, models
from .errors import ConvergenceWarning, LMMError, LMMWarning
from .fit import certify, derivatives, lmer
from .fitting import Optimum
from .inference import (
    Bootstrap,
    Comparison,
    Fits,
    Proof,
    anova,
    compare_table,
    drop1,
    lmer_many,
    lmm_many,
    ranova,
)
from .methods import attach
from .practical import LMMprof, LMMsetup, lmm
from .result import LMMResult
from .summaries import combine, summarise
from .translation import is_import, missing_from_package

attach()

__all__ = [
    "Bootstrap",
    "Comparison",
    "ConvergenceWarning",
    "Fits",
    "LMMError",
    "LMMResult",
    "LMMWarning",
    "LMMprof",
    "LMMsetup",
    "Optimum",
    "Proof",
    "anova",
    "certify",
    "combine",
    "compare",
    "compare_table",
    "derivatives",
    "drop1",
    "grade",
    "lme4_reference",
    "lmer",
    "lmer_many",
    "lmm",
    "lmm_many",
    "load_data",
    "load_setup",
    "models",
    "plots",
    "ranova",
    "summarise",
]


def __getattr__(name):
    """What is imported when it is asked for; what to write for names that there are not."""
    if name == "__version__":
        from importlib.metadata import version
        return version("lmm")
    if name == "grade":
        from .grading import grade
        return grade
    if name == "compare":
        from .validation import compare
        return compare
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    message = missing_from_package(name, __all__, LMMResult)
    raise (ImportError if is_import(sys._getframe(1)) else AttributeError)(message)


def __dir__():
    """What a user calls, not the rooms of the house."""
    return sorted([*__all__, "__version__"])
