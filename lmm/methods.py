"""Which functions of a fit are methods of the result: said once, here.

A function keeps its name and its docstring at home; its first argument is the fit.
"""

from .fit import refit, update
from .inference import bootstrap, conf_int, df, profile, pvalues, simulate
from .result import LMMResult, predict, summary

METHODS = (
    bootstrap,
    conf_int,
    predict,
    profile,
    refit,
    simulate,
    summary,
    update,
)
PROPERTIES = (
    df,
    pvalues,
)


def attach():
    """Make them methods and properties of `LMMResult`."""
    for function in METHODS:
        setattr(LMMResult, function.__name__, function)
    for function in PROPERTIES:
        setattr(LMMResult, function.__name__, property(function))
