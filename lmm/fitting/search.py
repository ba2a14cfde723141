"""From a set-up to a fit: start, Nelder-Mead, the finish, the certificate, the result. The only caller of scipy.optimize."""

import sys
import warnings
from contextlib import contextmanager
from time import perf_counter

import numpy as np
from scipy.optimize import minimize

from ..engines import LOST_DIGITS, Dense, set_up
from ..errors import ConvergenceWarning, LMMError, warn
from ..machine import few_threads
from ..practical import LMMprof, checked
from ..result import LMMResult
from .newton import DONE, best_optimum, dominant, newton, opened, rescaled
from .optimum import certify, derivatives

X_TOLERANCE = 0.5       # of the simplex in theta, log units: Nelder-Mead finds the basin, Newton the optimum
F_TOLERANCE = 0.5       # of nll over the simplex, units of log-likelihood
STEP = 0.5              # of the first simplex, log units
MOST_SCALAR, MOST = 60, 3   # evaluations per element of theta; with correlations Newton's iteration is the better searcher
PATIENCE = 3.0          # seconds after which a terminal is told how far a fit is
AVERAGED = 2e-6         # where Newton's iteration may end with average information, linear, by a factor of ten or so
LEAST_SIGMA = 1e-12     # of sigma relative to the spread of e, below which it is zero but for rounding, and ...
SHRINKING = 1e-4        # by how much a variance becomes less at most at the start
FALLING = 0.25          # ... by how much nll must fall there when log sigma does by 1, to be falling without bound


def started(setup, start=None, verbose=False):
    """The fit of a model from `start`, or from where the data say."""
    theta, phases = first_theta(setup) if start is None else checked_start(start, setup), phases_for(setup)
    if start is None and "simplex" not in phases:
        phases = ("start", *phases)
    return fitted(setup, theta, phases, verbose)


def phases_for(setup):
    """How to search: where an evaluation is expensive, derivatives drive from the start."""
    if isinstance(setup.engine, Dense):
        return "simplex", "newton", "elsewhere"
    return ("newton", "elsewhere") if setup.engine.exact else ("newton",)


def fitted(setup, theta, phases, verbose=False, quiet=False, done=DONE):
    """The result of these phases of a fit, from theta; see `search`. BLAS is held to one thread where more do not pay."""
    with few_threads(setup.engine.widest):
        return search(setup, theta, phases, verbose, quiet, done)


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
    elif "start" in phases:
        with record.phase("start"):
            theta = fixed_point(theta, record)
    with record.phase("newton"):
        theta, value = newton(theta, record, setup, done=done)
        first = dominant(theta, setup)
        if first is not None or lost_digits(value):
            setup = record.setup = set_up(setup.design, setup.reml, value.beta, first, setup.asked)
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
    return LMMResult(beta=value.beta, theta=theta, nll=float(value), triangle=value.triangle, setup=setup, optimum=optimum,
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


def fixed_point(theta, record):
    """theta with each variance times (y'P V_j P y) / tr(W V_j), two numbers that are equal at an optimum.

    From far above, where a Newton step on the log scale would be about one half, this is close to the estimate at once: the sum
    of squares of the modes over the degrees of freedom they make use of. For theta without correlations.
    """
    covariance, value = record.setup.covariance, record(theta)
    if value.triangle is None:
        return theta
    theta, value = rescaled(theta, value, record.setup)
    D, theta = derivatives(theta, record.setup, value), theta.copy()
    at = covariance.diagonal
    used = D.extent[1:] / np.exp(2 * theta[at])                                     # tr(W V_j), and slopes have the difference
    theta[at] += 0.5 * np.log(np.maximum(1 - 2 * D.slopes[at - 1] / used, SHRINKING))
    return theta


def log_spread(setup):
    """The log of the root mean square of e = y - X beta_0."""
    return 0.5 * np.log(setup.engine.residual_ss / len(setup.design.y))


def lost_digits(value):
    """Whether e is so large beside the residual y - X beta that it should be built anew around this beta."""
    column = value.triangle[:, -1] if value.triangle is not None else np.ones(1)
    return column[-1] ** 2 < LOST_DIGITS * (column @ column)


def search_simplex(theta, record):
    """The theta where Nelder-Mead ends, loosely, and its message; the scale of theta is made right first."""
    value = record(theta)
    if value.triangle is None:
        raise LMMError(f"the likelihood cannot be evaluated at the start, theta {np.round(theta, 3).tolist()}; "
                       "give start= on the scale of the data")
    theta, _ = rescaled(theta, value, record.setup)
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
