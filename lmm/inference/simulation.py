"""Simulation from a fitted model, and the parametric bootstrap: refits to simulated responses.

Source: Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapters 6 and 13; lme4's ``bootMer``.
"""

import multiprocessing
import pickle
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten, warn
from ..fit import refitted
from ..result import check_level, natural, parameter_names, tables

CHUNK = 20              # replicates that a worker process does between two reports
GUARD = 'in a script, keep what is to run under if __name__ == "__main__":'


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap(tables.Shown):
    """What `bootstrap` returns.

    Attributes
    ----------
    replicates : DataFrame
        One row per refit, the statistic's values by name; nan where the refit failed.
    estimate : Series
        The statistic of the fit itself.
    failed : int
        How many refits failed, having no certified optimum.
    reasons : tuple of str
        Why, each reason once.
    """

    replicates: pd.DataFrame = field(repr=False)
    estimate: pd.Series = field(repr=False)
    failed: int
    reasons: tuple

    def __repr__(self):
        return f"Bootstrap({self.nsim} refits, {self.failed} failed; {len(self.estimate)} numbers each)"

    def _tables(self):
        return tables.of_bootstrap(self)

    @property
    def nsim(self):
        """The number of refits done, the failed ones included."""
        return len(self.replicates)

    @property
    def se(self):
        """The standard deviations of the replicates."""
        return self.replicates.std().rename("std_error")

    @property
    def bias(self):
        """The means of the replicates minus the estimate."""
        return (self.replicates.mean() - self.estimate).rename("bias")

    def conf_int(self, level=0.95):
        """The quantiles of the replicates that leave (1 - level) / 2 on each side: a DataFrame, lower and upper."""
        check_level(level)
        tail = (1 - level) / 2
        return self.replicates.quantile([tail, 1 - tail]).T.set_axis(["lower", "upper"], axis=1)


def simulated(fit, rng):
    """One response drawn from the fitted model, (n,): X beta + Z b + e, drawing e first, then b block by block."""
    design = fit.setup.design
    e = fit.sigma * rng.standard_normal(len(design.y))
    y = design.X @ fit.beta + design.offset + (e if design.root_weights is None else e / design.root_weights)
    T = fit.setup.covariance.root(fit.theta)
    u = [rng.standard_normal(block.matrix.shape[1]) for block in design.blocks]
    for block, row in zip(design.blocks, T):
        y += block.matrix @ sum(t * u[j] for j, t in enumerate(row) if t) if row.any() else 0.0
    return y


def check_count(value, name, things):
    """Raise an LMMError if the argument `name` is no number of things."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise LMMError(f"{name} is {value!r}; it is a number of {things}, 1 or more")


def checked_seed(nsim, seed):
    """The seed, ready for numpy; an LMMError if it is none, or `nsim` no number of simulations."""
    check_count(nsim, "nsim", "simulations")
    try:
        return np.random.SeedSequence(seed)
    except (TypeError, ValueError) as error:
        raise LMMError(f"seed is {seed!r}; it is a whole number, not negative, or None for chance") from error


def generators(nsim, seed):
    """One random generator per simulation, so that results do not depend on who computes which."""
    return [np.random.default_rng(s) for s in checked_seed(nsim, seed).spawn(int(nsim))]


def simulate(fit, nsim=1, seed=None):
    """Responses drawn from the fitted model, random effects and residuals anew: a DataFrame, one column each."""
    return pd.DataFrame({i: simulated(fit, rng) for i, rng in enumerate(generators(nsim, seed))}, fit.setup.design.index)


def bootstrap(fit, nsim=1000, seed=None, statistic=None, processes=1, progress=True):
    """Refits to responses simulated from the fitted model: the parametric bootstrap.

    Parameters
    ----------
    nsim : int, optional
        How many. With few, intervals are too narrow.
    seed : int, optional
        The same seed, the same result, whatever `processes` is.
    statistic : callable, optional
        Of a fit, to a number, a Series or a list of numbers; by default all fixed effects, standard deviations and
        correlations.
    processes : int, optional
        Over how many processes to spread the work. A script that asks for several keeps its calls under
        ``if __name__ == "__main__":``, and the statistic is a function of a module.
    progress : bool, optional
        Whether to show a progress bar after two seconds, if tqdm is installed.

    Returns
    -------
    Bootstrap
        ``replicates``, ``se``, ``bias``, ``conf_int()``, ``failed``.

    Warns
    -----
    LMMWarning
        If refits failed, for want of a certified optimum; they are left out. If Ctrl-C ended it early; what was done
        is kept.

    Notes
    -----
    A refit starts from this fit's theta and takes Newton's iteration alone, to about 1e-8 in theta; other optima are
    looked for only where its end cannot be certified.
    """
    if not (statistic is None or callable(statistic)):
        raise LMMError(f"statistic is of type {type(statistic).__name__}; it is a function of a fit")
    if statistic is None:
        estimate = pd.Series(parameters(fit), parameter_names(fit), name="estimate")
    else:
        estimate = as_series(statistic(fit)).rename("estimate")
    measure = parameters if statistic is None else Numbers(statistic, estimate.index)
    values = draws(fit, [fit], measure, nsim, seed, processes, progress)
    table = np.full((len(values), len(estimate)), np.nan)
    failures = []
    for row, value in zip(table, values):
        if isinstance(value, str):
            failures.append(value)
        else:
            if len(value) != len(row):
                raise LMMError(f"statistic returned {len(row)} numbers for the fit and {len(value)} for a refit")
            row[:] = value
    if failures:
        warn(f"{len(failures)} of {len(values)} refits failed and are left out: {shorten(dict.fromkeys(failures), 2)}")
    return Bootstrap(pd.DataFrame(table, columns=estimate.index), estimate, len(failures), tuple(dict.fromkeys(failures)))


def parameters(fit):
    """The default statistic: fixed effects, sigma, standard deviations and correlations, named as by `parameter_names`."""
    return np.concatenate([fit.beta, natural(fit)])


def as_series(value):
    """What a user's statistic returned, as numbers with names."""
    try:
        series = value if isinstance(value, pd.Series) else pd.Series(np.atleast_1d(value))
        if value is None:
            raise TypeError
        return series.astype(float)
    except (TypeError, ValueError) as error:
        raise LMMError(f"statistic returned {type(value).__name__}; "
                       "it returns a number, a Series or a list of numbers") from error


@dataclass(frozen=True)
class Numbers:
    """A user's statistic, its value as an array in the order of the estimate's labels."""

    statistic: object
    labels: pd.Index

    def __call__(self, fit):
        value = self.statistic(fit)
        series = as_series(value)
        if isinstance(value, pd.Series) and self.labels.is_unique and series.index.is_unique:
            if len(series) == len(self.labels) and series.index.isin(self.labels).all():
                return series[self.labels].to_numpy()
            raise LMMError(f"statistic returned {shorten(self.labels)} for the fit and {shorten(series.index)} for a refit")
        return series.to_numpy()


def draws(source, fits, statistic, nsim, seed, processes, progress):
    """For each response simulated from `source`: statistic(refits of `fits`), or a string, why one failed. A list.

    Ctrl-C ends it early, with what is done.
    """
    check_count(processes, "processes", "processes")
    rngs = generators(nsim, seed)
    task, done = (source, fits, statistic), []
    try:
        with workers(task, processes) as run:
            for value in counted(run(rngs), nsim, progress):
                done.append(value)
    except KeyboardInterrupt:
        if not done:
            raise
        warn(f"interrupted after {len(done)} of {nsim} refits; these are kept")
    return done


@contextmanager
def workers(task, processes):
    """A function from random generators to an iterator over their replicates, in this process or in several."""
    if processes == 1:
        yield lambda rngs: (replicate(task, rng) for rng in rngs)
        return
    if multiprocessing.parent_process() is not None:
        raise LMMError(f"this process was itself started for a computation, so it starts no others; {GUARD}")
    try:
        message = pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise LMMError(f"the fit, or the statistic, cannot be sent to other processes ({error}); define functions in a module, "
                       "or at the top of a script, or use processes=1") from error
    with TemporaryDirectory() as folder:                # a pipe to a process that ends early would not come back
        (file := Path(folder) / "task").write_bytes(message)
        pool = ProcessPoolExecutor(processes, initializer=_receive, initargs=(file,))
        try:
            yield lambda rngs: pool.map(_replicate, rngs, chunksize=CHUNK)
        except BrokenProcessPool as error:
            raise LMMError(f"a worker process ended early; {GUARD}") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _receive(file):
    """In a worker process: read the task, and leave Ctrl-C to the parent."""
    global _task
    _task = pickle.loads(file.read_bytes())
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _replicate(rng):
    return replicate(_task, rng)


def replicate(task, rng):
    source, fits, statistic = task
    y = simulated(source, rng)
    try:
        again = [refitted(fit, y, thorough=False) for fit in fits]
    except LMMError as error:
        return str(error)
    reasons = [reason for fit in again for reason in fit.optimum.reasons]
    if reasons:
        return "; ".join(reasons)
    return statistic(*again)


def counted(iterator, total, progress):
    """The iterator, behind a progress bar after two seconds, if tqdm is installed."""
    if not progress:
        return iterator
    try:
        from tqdm import tqdm
    except ImportError:
        return iterator
    return tqdm(iterator, total=total, desc="refits", delay=2, leave=False)
