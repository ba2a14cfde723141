"""`lmm`: from formula and data to the fit. The only caller of scipy.optimize."""

import warnings

import numpy as np
from scipy.optimize import minimize

from .errors import ConvergenceWarning, LMMError, warn
from .likelihood import LMMprof, LMMsetup
from .result import LMMResult

X_TOLERANCE = 1e-6      # of the simplex in theta, log units: a standard deviation to a millionth
F_TOLERANCE = 1e-9      # of nll over the simplex, relative to max(1, |nll|)
STEP = 0.5              # of the first simplex, log units


def lmm(form, dat, ref=()):
    """Fit a linear mixed model by maximum likelihood.

    Parameters
    ----------
    form : str
        The fixed effects, e.g. ``"score ~ Machine"``; see `LMMsetup`.
    dat : pandas.DataFrame
        The data; never changed.
    ref : str or list, optional
        The random effects, one element per block of Z, e.g. ``["Worker", ["Worker", "Machine"]]``; see `LMMsetup`.

    Returns
    -------
    LMMResult
        A mapping with the keys ``"beta"`` (k,) and ``"theta"`` (1 + number of blocks,): the estimated fixed
        effects, and the estimated log sigma and log standard deviations of the blocks, in the units of y.
        Everything else is an attribute; printing it shows a table.

    Raises
    ------
    LMMError
        If the input is no model that can be fitted, or the likelihood grows without bound.
    patsy.PatsyError
        If patsy cannot read or evaluate `form`.

    Warns
    -----
    ConvergenceWarning
        If Nelder-Mead stopped before it reached its tolerances.
    LMMWarning
        If a numeric variable stands alone in a block.

    Notes
    -----
    scipy's Nelder-Mead minimises `LMMprof` over theta, from a start on the data's scale, and again from where
    it ends until that gains nothing. One evaluation is O(p^3), p the number of columns of Z.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
    >>> fit.beta.round(3).tolist()
    [52.356, 7.967, 13.917]
    """
    setup = LMMsetup(form, dat, ref)
    theta, search = search_simplex(setup)
    best = LMMprof(theta, setup)
    sigma_floor = 1e-12 * np.sqrt(np.mean(setup.design.y**2))
    if not np.isfinite(best) or np.exp(theta[0]) <= sigma_floor:
        raise LMMError("the likelihood grows without bound as the residual sd goes to 0; the random effects "
                       "can fit the response perfectly: use fewer or coarser blocks in ref")
    if not search.success:
        warn(f"Nelder-Mead did not converge: {search.message} (theta {np.round(theta, 3).tolist()}, "
             f"nll {best:.6g}, {search.nfev} evaluations)", ConvergenceWarning)
    return LMMResult(beta=best.beta, theta=theta, nll=float(best), factor=best.factor, setup=setup,
                     converged=bool(search.success), message=search.message, nfev=search.nfev)


def start(setup):
    """A theta on the data's scale: sigma and every block explain the same share of the residual variance of OLS."""
    n, blocks = len(setup.design.y), setup.design.blocks
    engine = setup.engine
    residual = np.sqrt(np.sum(engine.QtU[:, -1] ** 2) + np.sum(engine.S[:, -1] ** 2))     # |e| = |Q'e|
    shares = [1.0, *(np.sum(block.matrix.data**2) / n for block in blocks)]               # of Z_j Z_j' in the diagonal of V
    return np.log(residual / np.sqrt(n)) - 0.5 * np.log(len(shares) * np.array(shares))


def search_simplex(setup):
    """The theta where Nelder-Mead ends, started afresh from each end until that gains nothing, and its report."""
    theta = start(setup)
    best = LMMprof(theta, setup)
    if len(theta) == 1:                         # no random effects: sigma = sqrt(RSS / n) is the optimum
        from scipy.optimize import OptimizeResult
        return theta, OptimizeResult(success=True, message="Closed form: no random effects.", nfev=1)
    fatol = F_TOLERANCE * max(1.0, abs(best))
    evaluations = 1
    while True:
        simplex = theta + np.vstack([np.zeros(len(theta)), STEP * np.eye(len(theta))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)             # inf - inf among failed evaluations
            search = minimize(LMMprof, theta, args=(setup,), method="Nelder-Mead", options={
                "initial_simplex": simplex, "xatol": X_TOLERANCE, "fatol": fatol,
                "maxiter": 500 * len(theta), "maxfev": 1000 * len(theta)})
        evaluations += search.nfev
        gain = best - search.fun
        theta, best = search.x, search.fun
        if gain <= 10 * fatol or not search.success:
            search.nfev = evaluations
            return theta, search
