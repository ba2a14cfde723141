"""Which functions of a fit are methods and properties of the result: said once, here.

Each keeps its name and its docstring at home, where its numerics are. Its first argument is the
fit, which its docstring leaves out of the parameters, as those of methods leave out ``self``. To an
attribute or argument that there is not, lme4's and statsmodels' words, the answer is ours.
"""

from .chunks import save_setup
from .engines import Setup
from .fit import update
from .inference import (
    augment,
    bootstrap,
    conf_int,
    contrast,
    cov_params,
    cov_theta,
    df,
    glance,
    influence,
    means,
    profile,
    proof,
    prove,
    pvalues,
    refit,
    robust_cov,
    simulate,
    slopes,
    tidy,
)
from .result import (
    LMMResult,
    align,
    bse,
    coef,
    cooks_distance,
    corr,
    fittedvalues,
    icc,
    leverage,
    model_matrix,
    params,
    predict,
    psi,
    r2,
    ranef,
    rank,
    resid,
    resid_scaled,
    sd,
    sd_se,
    singular,
    summary,
    trace,
    tvalues,
    varcorr,
)
from .summaries import residuals
from .translation import explained, missing_from_fit

METHODS = (
    # to look at, and tests
    summary,
    conf_int,
    profile,
    contrast,
    means,
    slopes,
    # as frames
    tidy,
    glance,
    augment,
    # the fixed effects, the random ones, what they explain
    cov_params,
    varcorr,
    psi,
    cov_theta,
    ranef,
    coef,
    icc,
    r2,
    # rows, old and new
    align,
    predict,
    residuals,
    model_matrix,
    # the optimum
    prove,
    # what each level does
    influence,
    robust_cov,
    # again
    refit,
    update,
    simulate,
    bootstrap,
)
PROPERTIES = (
    # the fixed effects
    params,
    bse,
    tvalues,
    df,
    pvalues,
    # the random effects
    sd,
    sd_se,
    corr,
    rank,
    singular,
    # rows
    fittedvalues,
    resid,
    resid_scaled,
    leverage,
    cooks_distance,
    # the search
    trace,
    proof,
)


def attach():
    """Make them methods and properties of `LMMResult`; and `Setup.save`."""
    for function in METHODS:
        setattr(LMMResult, function.__name__, _method(function))
    for function in PROPERTIES:
        setattr(LMMResult, function.__name__, property(function))
    LMMResult.__getattr__ = missing_from_fit
    Setup.save = save_setup


def _method(function):
    """The function, explained, under the name by which a pickle finds it: ``lmm.LMMResult...``."""
    method = explained(function)
    method.__module__ = __package__
    method.__qualname__ = f"{LMMResult.__qualname__}.{function.__name__}"
    return method
