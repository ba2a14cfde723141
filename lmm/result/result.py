"""The fitted model: data and one-line views of it. Numerics live elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..engines import Setup, covariance_of_beta
from ..errors import LMMError
from ..model import over_rows
from . import components, modes, tables


@dataclass(frozen=True, eq=False, repr=False)
class LMMResult(tables.Shown, Mapping):
    """What `lmm` returns: a mapping with the keys ``"beta"`` and ``"theta"``, and these attributes.

    Attributes
    ----------
    beta : ndarray, shape (k,)
        The fixed effects, in the order of X's columns; `params` has them with their names.
    theta : ndarray, shape (1 + number of blocks,)
        log sigma, then the log standard deviation of each block in the order of `ref`; for a term with several effects its T,
        see `LMMprof`.
    nll : float
        The criterion at the optimum: minus the log-likelihood without n/2 log(2 pi).
    optimum : Optimum
        How good the optimum is: gradient, curvature, remaining errors, evaluations by phase, ``certified``.
    message : str
        How Nelder-Mead ended.
    setup : Setup
        The model, as `LMMsetup` built it; ``LMMprof(fit.theta, fit.setup)`` evaluates its likelihood.
    """

    beta: np.ndarray
    theta: np.ndarray
    nll: float
    triangle: np.ndarray = field(repr=False)      # Cholesky factor of C at theta, see Profile
    setup: Setup
    optimum: object                             # an Optimum
    message: str
    evaluated: tuple = field(repr=False)        # (phase, nll, theta) of every evaluation
    plan: object = field(default=None, repr=False)      # how it was asked for, a Plan

    def __getitem__(self, key):
        if key not in ("beta", "theta"):
            raise KeyError(f"{key!r}: the keys are 'beta' and 'theta'; everything else is an attribute, such as fit.sigma")
        return getattr(self, key)

    def __iter__(self):
        return iter(("beta", "theta"))

    def __len__(self):
        return 2

    __eq__ = object.__eq__      # a mapping of arrays cannot be compared item by item
    __hash__ = object.__hash__

    # -- random effects, units of y ----------------------------------------------------------------------

    @property
    def sigma(self):
        """The residual standard deviation."""
        return float(np.exp(self.theta[0]))

    @property
    def sd(self):
        """The standard deviation of each block's random effects: a Series by block."""
        names = [block.name for block in self.setup.design.blocks]
        return pd.Series(np.exp(self.setup.covariance.log_sds(self.theta)), names, name="sd")

    @property
    def corr(self):
        """The correlations of the effects of one term, nan where a standard deviation is zero: a Series by pair of effects."""
        pairs, names = components.correlation_pairs(self.setup.design)
        C = self.setup.covariance.correlations(self.theta)
        return pd.Series([C[i, j] for i, j in pairs], names, dtype=float, name="corr")

    def psi(self):
        """The covariance of each term's random effects within a level: a dict from term to DataFrame, effects by effects."""
        design, psi = self.setup.design, self.setup.covariance.psi(self.theta)
        effects = [block.effect for block in design.blocks]
        return {name: pd.DataFrame(psi[b, b], effects[b], effects[b])
                for name, b in zip(design.term_names, self.setup.covariance.spans)}

    @property
    def rank(self):
        """The rank of each term's covariance, the number of its effects unless it is singular: a Series by term."""
        ranks = self.setup.covariance.ranks(self.theta)
        return pd.Series(ranks, list(self.setup.design.term_names), dtype=int, name="rank")

    @property
    def singular(self):
        """The names of the terms whose estimated covariance is singular: empty, hence false, if there are none.

        That is a standard deviation of zero or, of several effects, a perfect correlation; `rank` says how many dimensions
        are left.
        """
        sizes = np.array(self.setup.covariance.sizes, int)
        return tuple(self.rank.index[self.rank < sizes])

    def cov_theta(self):
        """The covariance of theta's estimate, the inverse Hessian of nll: a DataFrame; nan for blocks at zero.

        All of it is nan if the optimum is not certified.
        """
        labels = list(self.setup.log_labels)
        free = self.setup.covariance.free(self.theta)
        covariance = np.full((len(free), len(free)), np.nan)
        if self.optimum.certified:
            covariance[np.ix_(free, free)] = np.linalg.inv(self.optimum.hessian[np.ix_(free, free)])
        return pd.DataFrame(covariance, labels, labels)

    @property
    def sd_se(self):
        """The standard errors of sigma and of `sd`, by the delta method: a Series; nan for blocks at zero."""
        sd = np.append(self.sigma, self.sd)
        return pd.Series(sd * components.on_straight_scale(self)[1][: len(sd)], ["sigma", *self.sd.index], name="std_error")

    def varcorr(self, *, se=False):
        """Variances and standard deviations: a DataFrame with group, name, variance, sd, a row per block and one for Residual.

        With `se` also ``sd_se``, the standard error of sd. Where a term has several effects also ``corr1``, the correlation
        with its first effect, ``corr2``, ... `psi` has the covariance matrices.
        """
        return components.variance_components(self, se)

    def ranef(self, *, cond_sd=False, tidy=False):
        """The conditional modes of the random effects, E[b | y]; lme4's ``ranef``.

        Parameters
        ----------
        cond_sd : bool, optional
            Whether to add their standard deviations given y, beta and theta taken as known, in columns named ``..._sd``.
        tidy : bool, optional
            Whether to return one row per effect instead.

        Returns
        -------
        dict of DataFrame, or DataFrame
            By group: levels by effects, ``Intercept`` or the slope in a variable. Tidy: a DataFrame with group, name, level,
            estimate, sd.
        """
        return modes.frame_of_modes(self) if tidy else modes.modes_by_group(self, cond_sd)

    def coef(self):
        """The coefficients of each level, `params` plus conditional modes: a dict from group to DataFrame; lme4's ``coef``."""
        return modes.coefficients_by_group(self)

    def icc(self):
        """Each term's share of the variance that the fixed effects leave, sd^2 / (sum of all sd^2 + sigma^2): a Series.

        A term with slopes counts with the mean over the rows of its variance, z' psi z.
        """
        return components.intraclass_correlations(self)

    # -- fixed effects -----------------------------------------------------------------------------------

    @property
    def params(self):
        """The fixed effects: `beta` as a Series by column of X."""
        return self._by_column(self.beta, "estimate")

    def cov_params(self):
        """(X' W X)^-1, the covariance of `beta` at the estimated theta: a DataFrame by column of X."""
        names = list(self.setup.design.x_names)
        return pd.DataFrame(covariance_of_beta(self.triangle, self.setup), names, names)

    @property
    def bse(self):
        """The standard errors of `params`, theta taken as known."""
        return self._by_column(np.sqrt(np.diag(self.cov_params())), "std_error")

    @property
    def tvalues(self):
        """`params` divided by `bse`."""
        return self._by_column(self.params / self.bse, "t")

    # -- rows --------------------------------------------------------------------------------------------

    @property
    def fittedvalues(self):
        """X beta + Z E[b | y] + offset: a Series by the index of the rows used."""
        return self._by_row(modes.fitted_values(self), "fitted")

    @property
    def resid(self):
        """The response minus `fittedvalues`."""
        return self._by_row(self.setup.design.y - modes.fitted_values(self), "resid")

    @property
    def resid_scaled(self):
        """`resid` divided by its standard deviation, `sigma` over the square root of the weight."""
        return self._by_row(modes.scaled_residuals(self), "resid_scaled")

    @property
    def leverage(self):
        """The derivative of each fitted value in its own response, theta taken as known."""
        return self._by_row(modes.leverages(self), "leverage")

    @property
    def cooks_distance(self):
        """Cook's distances, resid_scaled^2 h / (k (1 - h)^2) with the leverage h, as in lme4."""
        return self._by_row(modes.cooks_distances(self), "cooks_distance")

    def align(self, series):
        """A Series of this fit by row, such as `resid`, with nan at the rows that were left out: one value per row of `dat`."""
        design = self.setup.design
        if len(series) != len(design.rows):
            raise LMMError(f"the series has {len(series)} values; align takes one for each of the {len(design.rows)} rows used")
        return over_rows(series, design.dat.index, design.rows).rename(getattr(series, "name", None))

    # -- the fit -----------------------------------------------------------------------------------------

    @property
    def llf(self):
        """The log-likelihood, with its constant; after a REML fit, the REML criterion's."""
        return -self.nll - 0.5 * self.setup.df * float(np.log(2 * np.pi))

    @property
    def deviance(self):
        """-2 times `llf`."""
        return -2 * self.llf

    @property
    def npar(self):
        """The number of parameters: beta's and theta's."""
        return len(self.beta) + len(self.theta)

    @property
    def aic(self):
        """Akaike's criterion, deviance + 2 npar."""
        return self.deviance + 2 * self.npar

    @property
    def bic(self):
        """Schwarz's criterion, deviance + npar log(nobs); nobs also after REML, as in lme4."""
        return self.deviance + self.npar * float(np.log(self.nobs))

    def r2(self):
        """Nakagawa and Schielzeth's R^2: a Series with marginal (fixed effects) and conditional (random ones as well).

        The shares of var(X beta) and of that plus the terms' variances, z' psi z averaged over the rows, in their sum
        with sigma^2.
        """
        return components.explained(self)

    @property
    def reml(self):
        """Whether the criterion was REML's."""
        return self.setup.reml

    @property
    def engine(self):
        """Which linear algebra was used, and on how many columns of Z."""
        return self.setup.engine.describe()

    @property
    def converged(self):
        """Whether the optimum is certified."""
        return self.optimum.certified

    @property
    def nfev(self):
        """How many times the likelihood was evaluated; ``optimum.evaluations`` has it by phase."""
        return len(self.evaluated)

    @property
    def trace(self):
        """Every evaluation, in order: a DataFrame with phase, nll, theta ("log sigma", ...) and standard deviations."""
        theta = np.array([theta for _, _, theta in self.evaluated])
        sds = np.array([[np.exp(t[0]), *np.exp(self.setup.covariance.log_sds(t))] for t in theta])
        return pd.DataFrame({"phase": [phase for phase, _, _ in self.evaluated], "nll": [nll for _, nll, _ in self.evaluated],
                             **dict(zip(self.setup.log_labels, theta.T)), **dict(zip(["sigma", *self.sd.index], sds.T))})

    @property
    def nobs(self):
        """The number of rows used."""
        return len(self.setup.design.y)

    @property
    def n_dropped(self):
        """The number of rows left out because a variable of the model is missing there."""
        return self.setup.design.n_dropped

    @property
    def df_resid(self):
        """nobs - npar."""
        return self.nobs - self.npar

    def __repr__(self):
        sds = ", ".join(f"{name} {value:.4g}" for name, value in self.sd.items())
        return (f"LMMResult({self.setup.design.form!r}, sigma {self.sigma:.4g}{', sd: ' + sds if sds else ''}; "
                f"logLik {self.llf:.4f}, {self.nobs} obs)")

    def _tables(self):
        return tables.of_fit(self)

    def _by_row(self, values, name):
        return pd.Series(values, self.setup.design.index, name=name)

    def _by_column(self, values, name):
        return pd.Series(np.asarray(values), list(self.setup.design.x_names), name=name)
