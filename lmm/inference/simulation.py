"""Simulation from a fitted model, and the parametric bootstrap: refits to simulated responses.

Source: Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapters 6 and 13; lme4's
``bootMer``.
"""

from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten, warn
from ..fit import refitted
from ..result import check_level, natural, parameter_names, tables
from ..translation import explained
from .replicates import replicated

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
    responses = [simulated(fit, rng) for rng in generators(nsim, seed)]
    return pd.DataFrame(dict(enumerate(responses)), fit.setup.design.index)


def simulated(fit, rng):
    """One response drawn from the fitted model, (n,): X beta + offset + Z b + e.

    e is drawn first, then u ~ N(0, I) block by block: in each level of a term b = T u, so that
    Var[b] = T T'.
    """
    design = fit.setup.design
    e = fit.sigma * rng.standard_normal(len(design.y))
    if design.root_weights is not None:
        e = e / design.root_weights
    y = design.X @ fit.beta + design.offset + e
    T = fit.setup.covariance.root(fit.theta)
    u = [rng.standard_normal(block.matrix.shape[1]) for block in design.blocks]
    for block, row in zip(design.blocks, T):
        if row.any():
            b = sum(row[j] * u[j] for j in np.flatnonzero(row))
            y += block.matrix @ b
    return y


def generators(nsim, seed):
    """A random generator per simulation, so that results do not depend on who computes which."""
    seeds = checked_seed(nsim, seed).spawn(int(nsim))
    return [np.random.default_rng(one) for one in seeds]


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
    A refit starts from this fit's theta and takes Newton's iteration alone, to about 1e-8 in
    theta; other optima are looked for only where its end cannot be certified.
    """
    if not (statistic is None or callable(statistic)):
        kind = type(statistic).__name__
        raise LMMError(f"statistic is of type {kind}; it is a function of a fit")
    if statistic is None:
        estimate = pd.Series(parameters(fit), parameter_names(fit), name="estimate")
        measure = parameters
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


def draws(source, fits, statistic, nsim, seed, processes, progress):
    """For each response simulated from `source`: statistic(refits of `fits`). A list.

    In place of the statistic stands a string, why a refit failed. Ctrl-C ends it early, with what
    is done.
    """
    check_count(processes, "processes", "processes")
    task = Replicate(source, fits, statistic)
    return replicated(task, generators(nsim, seed), processes, progress)


@dataclass(frozen=True)
class Replicate:
    """One replicate: a response simulated from `source`, and the statistic of its refits."""

    source: object
    fits: list
    statistic: object

    def __call__(self, rng):
        y = simulated(self.source, rng)
        try:
            again = [refitted(fit, y, thorough=False) for fit in self.fits]
        except LMMError as error:
            return str(error)
        reasons = [reason for fit in again for reason in fit.optimum.reasons]
        if reasons:
            return "; ".join(reasons)
        return self.statistic(*again)


# -- statistics ------------------------------------------------------------------------------------


def parameters(fit):
    """The default statistic, named as by `parameter_names`.

    That is the fixed effects, sigma, the standard deviations and the correlations.
    """
    return np.concatenate([fit.beta, natural(fit)])


@dataclass(frozen=True)
class Statistic:
    """A user's statistic, its value as an array in the order of the estimate's labels."""

    function: object
    labels: pd.Index

    def __call__(self, fit):
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
