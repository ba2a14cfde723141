"""Simulation from a fitted model, and the parametric bootstrap: refits to simulated responses.

Source: Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapters 6 and 13; lme4's
``bootMer``.
"""

from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten, warn
from ..fit import made_at, refitted
from ..result import check_level, correlation_pairs, natural, parameter_names, tables
from ..translation import explained
from .batches import Batches
from .replicates import replicated

DRAWN_TOGETHER = 100             # responses that are drawn together: they have one seed, ...
NUMBERS_TOGETHER = 2_000_000    # ... and these are the random numbers for them, at most

# -- simulation ------------------------------------------------------------------------------------


def simulate(fit, nsim=1, seed=None):
    """Responses drawn from the fitted model, random effects and residuals anew.

    Parameters
    ----------
    nsim : int, optional
        How many.
    seed : int, optional
        The same seed, the same responses; more of them begin with the same ones.

    Returns
    -------
    DataFrame
        One column per response, from 0, on the scale of the formula's left-hand side, by the index
        of the rows used.

    Raises
    ------
    LMMError
        If `nsim` is no number of simulations, or `seed` no seed.

    Examples
    --------
    >>> fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
    >>> fit.simulate(2, seed=1).shape
    (30, 2)
    """
    parts = [simulated(fit, draw) for draw in draws_of(fit, nsim, seed)]
    return pd.DataFrame(np.hstack(parts), fit.setup.design.index)


class Draw(NamedTuple):
    """Responses that are drawn together: a seed, how many numbers it is for, how many are wanted.

    Their random numbers depend on the seed alone, whoever draws them, and however many are wanted.
    """

    seed: np.random.SeedSequence
    count: int


def draws_of(fit, nsim, seed):
    """The `Draw` of each block of responses."""
    sequence = checked_seed(nsim, seed)
    together = drawn_together(fit)
    starts = range(0, nsim, together)
    seeds = sequence.spawn(len(starts))
    return [Draw(one, min(together, nsim - start)) for one, start in zip(seeds, starts)]


def drawn_together(fit):
    """How many responses are drawn together."""
    design = fit.setup.design
    numbers = len(design.y) + design.p
    return max(1, min(DRAWN_TOGETHER, NUMBERS_TOGETHER // numbers))


def simulated(fit, draw):
    """Responses drawn from the fitted model, (n, count): X beta + offset + Z b + e.

    e ~ N(0, sigma^2 / weights), and u ~ N(0, I) block by block: in each level of a term b = T u, so
    that Var[b] = T T'.
    """
    design = fit.setup.design
    n = len(design.y)
    sizes = [block.matrix.shape[1] for block in design.blocks]
    rng = np.random.default_rng(draw.seed)
    numbers = rng.standard_normal((draw.count, n + sum(sizes))).T
    e = fit.sigma * numbers[:n]
    if design.root_weights is not None:
        e = e / design.root_weights[:, None]
    Y = e + (design.X @ fit.beta + design.offset)[:, None]
    T = fit.setup.covariance.root(fit.theta)
    u = np.split(numbers[n:], np.cumsum(sizes)[:-1])
    for block, row in zip(design.blocks, T):
        if row.any():
            b = sum(row[j] * u[j] for j in np.flatnonzero(row))
            Y += block.matrix @ b
    return Y


def checked_seed(nsim, seed):
    """The seed, ready for numpy; an LMMError if it is none, or `nsim` no number of simulations."""
    check_count(nsim, "nsim", "simulations")
    try:
        return np.random.SeedSequence(seed)
    except (TypeError, ValueError) as error:
        raise LMMError(
            f"seed is {seed!r}; it is a whole number, not negative, or None for chance"
        ) from error


def check_count(value, name, things):
    """Raise an LMMError if the argument `name` is no number of things."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise LMMError(f"{name} is {value!r}; it is a number of {things}, 1 or more")


# -- the bootstrap ---------------------------------------------------------------------------------

SHOWN_LEVEL = 0.95      # of the intervals that are printed


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
        return (
            f"Bootstrap({self.nsim} refits, {self.failed} failed; "
            f"{len(self.estimate)} numbers each)"
        )

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

    @property
    def table(self):
        """What printing shows: estimate, std_error, bias, lower, upper, by name."""
        columns = [self.estimate, self.se, self.bias, self.conf_int(SHOWN_LEVEL)]
        return pd.concat(columns, axis=1)

    @explained
    def conf_int(self, level=0.95):
        """Intervals that leave (1 - level) / 2 of the replicates on each side.

        Parameters
        ----------
        level : float, optional
            Between 0 and 1.

        Returns
        -------
        DataFrame
            The quantiles lower and upper, by name.
        """
        check_level(level)
        tail = (1 - level) / 2
        quantiles = self.replicates.quantile([tail, 1 - tail])
        return quantiles.T.set_axis(["lower", "upper"], axis=1)

    def _tables(self):
        failed = f", {self.failed} of them failed and left out" if self.failed else ""
        title = (
            f"Parametric bootstrap, {self.nsim} refits{failed}; "
            f"intervals: quantiles, {100 * SHOWN_LEVEL:g} %"
        )
        names = []
        for label in self.estimate.index:
            names.append(" ".join(map(str, label)) if isinstance(label, tuple) else str(label))
        table = self.table
        columns = [tables.numbers(table[column]) for column in table]
        headings = ("<", "Estimate", "Std. Error", "Bias", "lower", "upper")
        return [tables.Table(title), tables.Table("", headings, tables.rows_of(names, *columns))]


def bootstrap(fit, nsim=1000, seed=None, statistic=None, processes=1, progress=True):
    """Refits to responses simulated from the fitted model: the parametric bootstrap.

    Parameters
    ----------
    nsim : int, optional
        How many. With few, intervals are too narrow.
    seed : int, optional
        The same seed, the same result, whatever `processes` is.
    statistic : callable, optional
        Of a fit, to a number, a Series or a list of numbers; by default all fixed effects,
        standard deviations and correlations.
    processes : int, optional
        Over how many processes to spread the work. A script that asks for several keeps its calls
        under ``if __name__ == "__main__":``, and the statistic is a function of a module.
    progress : bool, optional
        Whether to show a progress bar after two seconds, if tqdm is installed.

    Returns
    -------
    Bootstrap
        ``replicates``, ``se``, ``bias``, ``conf_int()``, ``failed``.

    Raises
    ------
    LMMError
        If an argument is none of the above, or the statistic returns no numbers, or other ones for
        a refit than for the fit.

    Warns
    -----
    LMMWarning
        If refits failed, for want of a certified optimum; they are left out. If Ctrl-C ended it
        early; what was done is kept.

    Notes
    -----
    The refits are made together, as by `lmm_many`: some microseconds each for the default
    statistic; with a function of your own, of a fit each, about a millisecond.
    """
    if not (statistic is None or callable(statistic)):
        kind = type(statistic).__name__
        raise LMMError(f"statistic is of type {kind}; it is a function of a fit")
    if statistic is None:
        estimate = pd.Series(parameters(fit), parameter_names(fit), name="estimate")
        measure = Parameters()
    else:
        estimate = as_series(statistic(fit)).rename("estimate")
        measure = Statistic(statistic, estimate.index)

    values = draws(fit, [fit], measure, nsim, seed, processes, progress)
    replicates = np.full((len(values), len(estimate)), np.nan)
    failures = []
    for row, value in zip(replicates, values):
        if isinstance(value, str):
            failures.append(value)
            continue
        if len(value) != len(row):
            raise LMMError(
                f"statistic returned {len(row)} numbers for the fit and {len(value)} for a refit; "
                "it returns as many for each fit"
            )
        row[:] = value
    reasons = tuple(dict.fromkeys(failures))
    if failures:
        warn(
            f"{len(failures)} of {len(values)} refits failed and are left out: "
            f"{shorten(reasons, 2)}"
        )
    replicates = pd.DataFrame(replicates, columns=estimate.index)
    return Bootstrap(replicates, estimate, len(failures), reasons)


def draws(source, fits, measure, nsim, seed, processes, progress):
    """For each response simulated from `source`: what is measured of the refits of `fits`. A list.

    In its place stands a string, why a refit failed. Ctrl-C ends it early, with what is done.
    """
    check_count(processes, "processes", "processes")
    task = Replicates(source, fits, measure)
    blocks = draws_of(source, nsim, seed)
    if processes == 1 and not measure.needs_fits:
        most = max(1, task.together // drawn_together(source))
        groups = [blocks[start : start + most] for start in range(0, len(blocks), most)]
    else:
        groups = [[block] for block in blocks]
    sizes = [sum(block.count for block in group) for group in groups]
    return replicated(task, groups, sizes, processes, progress)


@dataclass(frozen=True)
class Replicates:
    """Replicates: responses simulated from `source`, and what is measured of their refits."""

    source: object
    fits: list
    measure: object

    @cached_property
    def batches(self):
        """How the responses are fitted, for each of the fits."""
        found = []
        for fit in self.fits:
            start = fit.setup.covariance.rescaled(fit.theta, -fit.theta[0])
            found.append(Batches(fit.setup, fit.plan, start))
        return found

    @property
    def together(self):
        """How many replicates go in a block."""
        return min(batches.together() for batches in self.batches)

    def __call__(self, group):
        """What is measured of each replicate of these draws, one by one; or a string, why not."""
        Y = np.hstack([simulated(self.source, draw) for draw in group])
        estimates = []
        for fit, batches in zip(self.fits, self.batches):

            def alone(y, fit=fit):
                return refitted(fit, y, quiet=True)

            estimates.append(batches.fit(Y, alone))
        failures = []
        for reasons in zip(*(one.reasons for one in estimates)):
            failures.append("; ".join(reason for reason in reasons if reason))
        good = np.flatnonzero([not failure for failure in failures])
        measured = iter(self.measure(self.fits, estimates, Y, good))
        for failure in failures:
            yield failure or next(measured)


# -- statistics ------------------------------------------------------------------------------------


def parameters(fit):
    """The default statistic, named as by `parameter_names`.

    That is the fixed effects, sigma, the standard deviations and the correlations.
    """
    return np.concatenate([fit.beta, natural(fit)])


class Parameters:
    """`parameters` of replicates, from their estimates: no fit is made."""

    needs_fits = False

    def __call__(self, fits, estimates, Y, good):
        """The values of the replicates `good`."""
        (fit,) = fits
        (found,) = estimates
        design = fit.setup.design
        theta = found.theta[good]
        sigma = np.exp(theta[:, :1])
        sds = np.exp(design.covariance.log_sds(theta))
        pairs, _ = correlation_pairs(design)
        R = design.covariance.correlations(theta)
        correlations = np.array([R[:, i, j] for i, j in pairs]).reshape(len(pairs), len(good)).T
        return np.hstack([found.beta[good], sigma, sds, correlations])


@dataclass(frozen=True)
class Statistic:
    """A user's statistic, its value as an array in the order of the estimate's labels."""

    function: object
    labels: pd.Index

    needs_fits = True

    def __call__(self, fits, estimates, Y, good):
        """The values of the replicates `good`, each of a fit that is made at its optimum."""
        (fit,) = fits
        (found,) = estimates
        return (self.of(made_at(fit, Y[:, b], found.theta[b])) for b in good)

    def of(self, fit):
        """The value of a fit."""
        value = self.function(fit)
        series = as_series(value)
        labels = series.index
        is_named = isinstance(value, pd.Series) and labels.is_unique and self.labels.is_unique
        if not is_named:
            return series.to_numpy()
        if len(labels) != len(self.labels) or not labels.isin(self.labels).all():
            raise LMMError(
                f"statistic returned {shorten(self.labels)} for the fit and "
                f"{shorten(labels)} for a refit; it returns the same names for each fit"
            )
        return series[self.labels].to_numpy()


def as_series(value):
    """What a user's statistic returned, as numbers with names."""
    try:
        if value is None:
            raise TypeError
        series = value if isinstance(value, pd.Series) else pd.Series(np.atleast_1d(value))
        return series.astype(float)
    except (TypeError, ValueError) as error:
        raise LMMError(
            f"statistic returned {type(value).__name__}; "
            "it returns a number, a Series or a list of numbers"
        ) from error
