"""`lmm`: start, Nelder-Mead, the exact finish, the certificate, the result. The only caller of scipy.optimize."""

import sys
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from time import perf_counter

import numpy as np
from scipy.optimize import minimize

from .dense import Dense
from .design import make_design
from .errors import ConvergenceWarning, LMMError, point_at, warn
from .finish import DONE, best_optimum, dominant, newton, opened, rescaled
from .formula import without_dots
from .identifiability import refuse_contained_blocks
from .likelihood import LOST_DIGITS, LMMprof, LMMsetup, checked, checked_reml, responding, set_up
from .matrices import Matrices
from .optimum import certify
from .result import LMMResult
from .terms import split_bars, with_bars_of

X_TOLERANCE = 0.5       # of the simplex in theta, log units: Nelder-Mead finds the basin, Newton the optimum
F_TOLERANCE = 0.5       # of nll over the simplex, units of log-likelihood
STEP = 0.5              # of the first simplex, log units
MOST_SCALAR, MOST = 60, 3   # evaluations per element of theta; with correlations Newton's iteration is the better searcher
PATIENCE = 3.0          # seconds after which a terminal is told how far a fit is
ONE_THREAD = 60, 4000   # columns to factor between which BLAS is held to one thread
AVERAGED = 2e-6         # the same with average information, which converges linearly, by a factor of ten or so
SOON = 1e-4             # `done` of Newton's iteration in a bootstrap
LEAST_SIGMA = 1e-12     # of sigma relative to the spread of e, below which it is zero but for rounding, and ...
FALLING = 0.25          # ... by how much nll must fall there when log sigma does by 1, to be falling without bound


def lmm(form, dat, ref=(), reml=False, start=None, verbose=False, weights=None, offset=None, engine=None):
    """Fit a linear mixed model by maximum likelihood, or REML.

    Parameters
    ----------
    form : str
        The fixed effects, e.g. ``"score ~ Machine"``; see `LMMsetup`.
    dat : pandas.DataFrame
        The data; never changed.
    ref : str or list, optional
        The random effects, one element per block of Z, e.g. ``["Worker", ["Worker", "Machine"]]``; see `LMMsetup`.
    reml : bool, optional
        Whether to maximise the REML criterion; the default is the likelihood, as in the practical.
    start : array_like, shape (1 + number of blocks,), optional
        Where Nelder-Mead starts: finite log sigma and log standard deviations, units of y. By default the data decide.
    verbose : bool, optional
        Whether to print every evaluation: its number and phase, the criterion, theta.
    weights, offset : str or array_like, one per row of `dat`, optional
        Prior weights, residual variances being sigma^2 / weight, and what is known of the mean; see `LMMsetup`.
    engine : {None, "dense", "blocked"}, optional
        The linear algebra, by default chosen by the number of levels; see `LMMsetup`.

    Returns
    -------
    LMMResult
        A mapping with the keys ``"beta"`` (k,) and ``"theta"`` (1 + number of blocks,): the estimated fixed
        effects, and the estimated log sigma and log standard deviations of the blocks, in the units of y
        (``-inf`` where the estimate is zero). Everything else is an attribute; printing it shows a table.

    Raises
    ------
    LMMError
        If the input is no model that can be fitted, or the likelihood grows without bound.
    patsy.PatsyError
        If patsy cannot read or evaluate `form`.

    Warns
    -----
    ConvergenceWarning
        If the optimum could not be certified.
    LMMWarning
        As `LMMsetup` warns.

    Notes
    -----
    scipy's Nelder-Mead finds the basin; Newton's iteration on exact derivatives takes it to machine precision
    and decides which standard deviations are zero; a certificate, ``fit.optimum``, says how good the optimum is.
    One evaluation is O(p^3), p the number of columns of Z.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
    >>> fit.beta.round(3).tolist()
    [52.356, 7.967, 13.917]
    """
    return started(LMMsetup(form, dat, ref, reml, weights, offset, engine), start, verbose)


def lmer(formula, dat, reml=True, start=None, verbose=False, weights=None, offset=None, engine=None):
    """Fit a linear mixed model written as one of lme4's formulas; by REML, as there.

    Parameters
    ----------
    formula : str
        Fixed effects and, in parentheses with a bar, random ones: ``"Reaction ~ Days + (Days | Subject)"``. Left of the bar
        stand the effects, as patsy reads them, their intercept included; right of it the grouping. Effects of one bar are
        correlated:

        ==============================  =======================================================================
        ``(1 | g)``                     a random intercept for each level of g
        ``(x | g)``, ``(1 + x | g)``    an intercept and a slope in x, correlated
        ``(0 + x | g)``                 a slope alone
        ``(x || g)``                    ``(1 | g) + (0 + x | g)``: independent
        ``(0 + f | g)``                 one effect for each level of the factor f, correlated
        ``(1 | a:b)``, ``(1 | a/b)``    for each combination of a and b; the same and ``(1 | a)``
        ==============================  =======================================================================

        A grouping by numbers is a factor here, unlike in the `ref` of `lmm`.
    dat : pandas.DataFrame
        The data; never changed.
    reml : bool, optional
        Whether to maximise the REML criterion, as lme4 does by default, or else the likelihood.
    start, verbose, weights, offset, engine : optional
        As for `lmm`; ``setup.log_labels`` names the elements of theta.

    Returns
    -------
    LMMResult
        As from `lmm`.

    Raises
    ------
    LMMError
        If the formula has no bar, or one that cannot be read, with carets below it; and as `lmm`.
    patsy.PatsyError
        If patsy cannot read or evaluate what is not in bars.

    Warns
    -----
    ConvergenceWarning
        If the optimum could not be certified.

    References
    ----------
    The formulas: Bates, Maechler, Bolker and Walker (2015), "Fitting Linear Mixed-Effects Models Using lme4", section 2.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> fit.sd.round(4).to_dict(), fit.corr.round(4).to_dict()
    ({'Subject': 24.7405, 'Subject:Days': 5.9221}, {'Subject (Intercept, Days)': 0.0656})
    """
    design = make_design(formula, dat, (), weights, offset, bars=True)
    if not design.terms:
        at = formula.index("~") + 1
        raise point_at("formula has no random effects, such as (1 | g); for a model without any, call lmm",
                       formula, at, len(formula))
    return started(set_up(design, checked_reml(reml), engine=engine), start, verbose)


def started(setup, start=None, verbose=False):
    """The fit of a model from `start`, or from where the data say."""
    theta = first_theta(setup) if start is None else checked_start(start, setup)
    return fitted(setup, theta, phases_for(setup), verbose)


def phases_for(setup):
    """How to search: where an evaluation is expensive, derivatives drive from the start."""
    if isinstance(setup.engine, Dense):
        return "simplex", "newton", "elsewhere"
    return ("newton", "elsewhere") if setup.engine.exact else ("newton",)


def refitted(fit, y=None, reml=None, thorough=True):
    """The fit of the same model to another response, or by the other criterion, from where `fit` ended.

    Newton's iteration alone drives it; unless `thorough`, other optima are only looked for where the one it finds
    cannot be certified.
    """
    setup = fit.setup if y is None else responding(fit.setup, y)
    if reml is not None and reml != setup.reml:
        setup = replace(setup, reml=reml)
        if reml:
            refuse_contained_blocks(setup.design, setup.Q_X)
    if not thorough:
        again = fitted(setup, opened(fit.theta, setup), ("newton",), quiet=True, done=SOON)
        if again.converged:
            return again
    phases = [phase for phase in phases_for(setup) if phase != "simplex"]
    return fitted(setup, opened(fit.theta, setup), phases, quiet=not thorough)


def updated(fit, form=None, ref=None, dat=None, reml=None):
    """The model of a fit with some arguments of `lmm` or `lmer` changed; see `LMMResult.update`."""
    design = fit.setup.design
    reml = checked_reml(fit.reml if reml is None else reml)
    if form is None and ref is None and dat is None:
        return refitted(fit, reml=reml)
    if isinstance(design.formula, Matrices):
        raise LMMError("this is a fit of matrices, which has no formula to update; call lmm with other matrices")
    bars = ref is None and any(term.bar for term in design.terms)
    if form is None:
        form = design.form if bars else design.formula.form
    elif not isinstance(form, str):
        raise LMMError(f"form is of type {type(form).__name__}; it is a formula string such as '. ~ . + x'")
    elif (form := f".{form}" if form.lstrip().startswith("~") else form) and bars:
        form = with_bars_of(form, design.form)
    elif "|" in form and split_bars(form)[0]:
        raise LMMError("form has random effects with bars, where this fit has them in ref; give update(ref=...), or call lmer")
    else:
        form = without_dots(form, design.formula.form)
    ref = [list(term.variables) for term in design.terms] if ref is None else ref
    dat = design.dat if dat is None else dat
    return started(set_up(make_design(form, dat, ref, **design.given, functions=design.formula.functions, bars=bars), reml))


def by_likelihood(fit):
    """The fit itself, or by maximum likelihood if it was by REML."""
    return refitted(fit, reml=False) if fit.reml else fit


def fitted(setup, theta, phases, verbose=False, quiet=False, done=DONE):
    """The result of these phases of a fit, from theta; see `search`. BLAS is held to one thread where more do not pay."""
    with few_threads(setup.engine):
        return search(setup, theta, phases, verbose, quiet, done)


def few_threads(engine):
    """One thread for BLAS, if threadpoolctl is installed and the factorisation is small: threads wait for a busy core."""
    if not ONE_THREAD[0] < engine.factored < ONE_THREAD[1] or thread_controller() is None:
        return nullcontext()                                # too small for OpenBLAS to start threads, or large enough
    return thread_controller().limit(limits=1, user_api="blas")


@cache
def thread_controller():
    """threadpoolctl's, or None if it is not installed. It looks through all loaded libraries, so once for all fits."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


def search(setup, theta, phases, verbose=False, quiet=False, done=DONE):
    """The result of these phases of a fit, from theta; a warning if it is not certified, unless `quiet`."""
    record = Record(setup, verbose)
    if not setup.engine.exact:
        done = max(done, AVERAGED)
    message = "No search: Newton's iteration alone."
    least = log_spread(setup) + np.log(LEAST_SIGMA)
    if "simplex" in phases:
        with record.phase("simplex"):
            theta, message = search_simplex(theta, record)
    with record.phase("newton"):
        theta, value = newton(theta, record, setup, done=done)
        first = dominant(theta, setup)
        if first is not None or lost_digits(value):
            setup = record.setup = set_up(setup.design, setup.reml, value.beta, first, setup.engine_name)
            theta, value = newton(theta, record, setup)
    if "elsewhere" in phases:
        with record.phase("elsewhere"):
            theta, value = best_optimum(theta, value, record, setup)
    if not np.isfinite(value) or (theta[0] < least and LMMprof(theta + np.eye(len(theta))[0], setup) > value + FALLING):
        raise LMMError("the likelihood grows without bound as the residual sd goes to 0; the random effects "
                       "can fit the response perfectly: use fewer or coarser blocks in ref")
    theta.flags.writeable = value.beta.flags.writeable = False
    optimum = certify(theta, setup, record.evaluations(), record.seconds, value)
    if not (optimum.certified or quiet):
        warn(f"the optimum is not certified: {'; '.join(optimum.reasons)}; try another start=, or fewer or coarser "
             "blocks in ref", ConvergenceWarning)
    return LMMResult(beta=value.beta, theta=theta, nll=float(value), factor=value.factor, setup=setup, optimum=optimum,
                     message=message, evaluated=tuple(record.rows))


class Record:
    """Evaluates the criterion and keeps every evaluation: phase, nll, theta; and the seconds of each phase."""

    def __init__(self, setup, verbose=False):
        self.setup, self.verbose = setup, verbose
        self.name, self.rows, self.seconds, self.started, self.shown = "", [], {}, perf_counter(), False

    @contextmanager
    def phase(self, name):
        """Evaluations within belong to this phase."""
        self.name, start = name, perf_counter()
        yield
        self.seconds[name] = perf_counter() - start
        if self.shown:
            print(file=sys.stderr)
            self.shown = False

    def __call__(self, theta):
        value = LMMprof(theta, self.setup)
        self.rows.append((self.name, float(value), tuple(theta)))
        if not self.verbose and (waited := perf_counter() - self.started) > PATIENCE and sys.stderr.isatty():
            print(f"\rlmm: evaluation {len(self.rows)}, {self.name}, nll {value:.4f}, {waited:.0f} s ", end="", file=sys.stderr)
            self.shown = True
        if self.verbose:
            print(f"{len(self.rows) - 1:4d} {self.name:8s}{value:16.8f}: " + " ".join(f"{t:9.5f}" for t in theta))
        return value

    def evaluations(self):
        """How many evaluations each phase took."""
        phases = [row[0] for row in self.rows]
        return {phase: phases.count(phase) for phase in dict.fromkeys(phases)}


def checked_start(start, setup):
    try:
        theta = np.array(checked(start, setup), float)
    except LMMError as error:
        raise LMMError(f"start is no theta: {error}") from None
    return opened(theta, setup)


def first_theta(setup):
    """A theta on the data's scale: sigma and every block explain the same share of the residual variance of OLS."""
    n = len(setup.design.y)
    shares = np.array([1.0, *(np.sum(block.matrix.data**2) / n for block in setup.design.blocks)])    # of diag Z_j Z_j'
    theta = np.zeros(len(setup.labels))
    theta[[0, *setup.covariance.diagonal]] = log_spread(setup) - 0.5 * np.log(len(shares) * shares)
    return theta


def log_spread(setup):
    """The log of the root mean square of e = y - X beta_0."""
    return 0.5 * np.log(setup.engine.spread / len(setup.design.y))


def lost_digits(value):
    """Whether e is so large beside the residual y - X beta that it should be built anew around this beta."""
    column = value.factor[:, -1] if value.factor is not None else np.ones(1)
    return column[-1] ** 2 < LOST_DIGITS * (column @ column)


def search_simplex(theta, record):
    """The theta where Nelder-Mead ends, loosely, and its message; the scale of theta is made right first."""
    value = record(theta)
    if value.factor is None:
        raise LMMError(f"the likelihood cannot be evaluated at the start, theta {np.round(theta, 3).tolist()}; "
                       "give start= on the scale of the data")
    theta = rescaled(theta, value, record.setup)
    if len(theta) == 1:
        return theta, "No random effects: the optimum is known in closed form."
    covariance = record.setup.covariance
    lengths = np.ones(len(theta))                           # of what is no logarithm: its effect's standard deviation
    lengths[~covariance.on_log] = np.exp(theta[covariance.diagonal][covariance.rows])[~covariance.on_log[1:]]
    simplex = theta / lengths + np.vstack([np.zeros(len(theta)), STEP * np.eye(len(theta))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)             # inf - inf among failed evaluations
        search = minimize(lambda x: record(x * lengths), simplex[0], method="Nelder-Mead", options={
            "initial_simplex": simplex, "xatol": X_TOLERANCE, "fatol": F_TOLERANCE,
            "maxfev": (MOST_SCALAR if covariance.scalar else MOST) * len(theta)})
    ended = search.message if search.success else "Left to Newton's iteration after so many evaluations."
    return search.x * lengths, f"Nelder-Mead: {ended}"
