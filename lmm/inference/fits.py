"""`Fits`: what the fits of many responses of one design are, and the tests of them.

Sources: Benjamini and Hochberg (1995) for q-values; all else as for a single fit.
"""

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten, unknown_name
from ..result import check_level, correlation_pairs, tables
from .batches import Batches, Estimates
from .hypotheses import p_of_f, rows_of, summed_df, t_table_of
from .responses import Responses
from .satterthwaite import p_of_t
from .term_rows import TYPES, rows_of_terms
from .term_tests import tests_of_terms

SHOWN = 5               # names that are listed in what is printed
LEVEL = 0.05            # of the q-values that are counted there


@dataclass(frozen=True, eq=False, repr=False)
class Fits(tables.Shown):
    """The fits of many responses of one design: what `lmm_many` and `fit.refit` of several return.

    All is by response. ``fits[name]`` is the `LMMResult` of one of them, made when it is asked for.

    Attributes
    ----------
    names : Index
        Of the responses.
    params, bse, df, tvalues, pvalues, qvalues : DataFrame, responses by fixed effects
        As those of a single fit; q-values are Benjamini and Hochberg's, by column.
    sd : DataFrame, responses by blocks
        Standard deviations of the random effects, units of y.
    corr : DataFrame, responses by pairs of correlated effects
    sigma, llf, optimum_error : Series
        `optimum_error` says how far nll may be above its minimum.
    singular, converged : Series of bool
    failed : dict
        The names of the responses without a fit, nan in all frames, and why.
    alone : tuple
        The names of those that were fitted one by one, their optimum not being certified together
        with the others; all of them where the design allows nothing else.
    formula : str
    """

    names: pd.Index
    formula: str
    setup: object
    estimates: Estimates
    responses: Responses
    batches: Batches
    one: object             # a function from a name's place to its LMMResult

    # -- by fixed effect

    def _by_effect(self, values):
        return pd.DataFrame(values, self.names, list(self.setup.design.x_names))

    @property
    def params(self):
        """The fixed effects."""
        return self._by_effect(self.estimates.beta)

    @property
    def bse(self):
        """Their standard errors."""
        return self._by_effect(np.sqrt(self.estimates.variance))

    @property
    def df(self):
        """Satterthwaite's degrees of freedom of `tvalues`."""
        return self._by_effect(self.estimates.df)

    @property
    def tvalues(self):
        """`params` over `bse`."""
        return self.params / self.bse

    @property
    def pvalues(self):
        """Two-sided p-values of `tvalues`, by Student's t with `df` degrees of freedom."""
        return self._by_effect(p_of_t(self.tvalues.to_numpy(), self.estimates.df))

    @property
    def qvalues(self):
        """Benjamini and Hochberg's: the false discovery rate, by fixed effect over the responses.

        Those below 0.05, say, are expected to hold 5 % of false ones at most.
        """
        return self.pvalues.apply(lambda p: false_discovery_rates(p.to_numpy()))

    # -- variances

    @property
    def sd(self):
        """The standard deviations of the random effects."""
        design = self.setup.design
        log_sds = design.covariance.log_sds(self.estimates.theta)
        return pd.DataFrame(np.exp(log_sds), self.names, [block.name for block in design.blocks])

    @property
    def corr(self):
        """The correlations of effects of one term; nan where a standard deviation is zero."""
        pairs, names = correlation_pairs(self.setup.design)
        R = self.setup.covariance.correlations(self.estimates.theta)
        values = [R[:, i, j] for i, j in pairs]
        return pd.DataFrame(dict(zip(names, values)), self.names, dtype=float)

    @property
    def sigma(self):
        """The residual standard deviations."""
        return pd.Series(np.exp(self.estimates.theta[:, 0]), self.names, name="sigma")

    @property
    def theta(self):
        """theta as of a single fit: by ``setup.log_labels``."""
        return pd.DataFrame(self.estimates.theta, self.names, list(self.setup.log_labels))

    @property
    def singular(self):
        """Whether the covariance of a term is singular: a zero, or a perfect correlation."""
        zero = self.setup.covariance.is_zero(self.estimates.theta)
        return pd.Series(zero.any(axis=1), self.names, name="singular")

    # -- the optima

    @cached_property
    def nobs(self):
        """How many rows each was fitted to."""
        n = len(self.responses.rows)
        counts = [n - self.responses.missing(block) for block in self._blocks()]
        return pd.Series(np.concatenate(counts), self.names, name="nobs")

    @property
    def llf(self):
        """The log-likelihoods, with their constant; by REML, the REML criterion's."""
        k = len(self.setup.beta_0) if self.setup.reml else 0
        constant = 0.5 * np.log(2 * np.pi) * (self.nobs - k)
        return (-self.estimates.nll - constant).rename("llf")

    @property
    def optimum_error(self):
        """How far minus the log-likelihood may be above its minimum."""
        return pd.Series(self.estimates.error, self.names, name="optimum_error")

    @property
    def converged(self):
        """Whether the optimum is certified."""
        return pd.Series(self.estimates.converged, self.names, name="converged")

    @property
    def failed(self):
        """Why there is no fit: a dict by name."""
        lost = np.flatnonzero(np.isnan(self.estimates.nll))
        return {self.names[i]: self.estimates.reasons[i] for i in lost}

    @property
    def alone(self):
        """The names of the responses that were fitted one by one, and did not fail."""
        return tuple(self.names[self.estimates.alone & ~np.isnan(self.estimates.nll)])

    @property
    def dropped(self):
        """The names of the columns of X that were left out, those before them making them."""
        return self.setup.design.left_out.names

    @property
    def reml(self):
        """Whether the criterion was REML's."""
        return self.setup.reml

    # -- one of them

    def __len__(self):
        return len(self.names)

    def __iter__(self):
        return iter(self.names)

    def __contains__(self, name):
        return pd.api.types.is_hashable(name) and name in self.names

    def __getitem__(self, name):
        """The fit of one response, an `LMMResult`, made anew with a look for other optima."""
        if name not in self:
            raise unknown_name("response", name, list(self.names))
        return self.one(self.names.get_loc(name))

    # -- tests

    def contrast(self, L, rhs=0, *, level=0.95):
        """Tests of linear hypotheses about the fixed effects of every response, L beta = rhs.

        Parameters
        ----------
        L, rhs, level
            As of a single fit's ``contrast``.

        Returns
        -------
        DataFrame
            By response and row of L, or by response alone where there is one row: ``estimate se df
            t pvalue qvalue lower upper``, df by Satterthwaite's method, q-values by row.

        Raises
        ------
        LMMError
            If L is none of those that a fit's ``contrast`` takes.
        """
        check_level(level)
        labels, whole, rhs = rows_of(self._like_a_fit(), L, rhs)
        left_out = self.setup.design.left_out
        unknown = left_out.not_estimable(whole).any(axis=1)
        L = left_out.reduced(whole)
        m = len(self.names)
        variance = np.full((m, len(L)), np.nan)
        df = np.full((m, len(L)), np.nan)
        for columns, errors in self._errors():
            variance[columns], df[columns] = errors.of(L)
        for i in self._others():
            fit = self.one(i)
            table = fit.contrast(L)
            variance[i] = table["se"] ** 2
            df[i] = table["df"]
        estimate = self.estimates.beta @ L.T
        estimate[:, unknown] = variance[:, unknown] = df[:, unknown] = np.nan
        table = t_table_of(estimate, np.sqrt(variance), df, rhs, level)
        table["qvalue"] = np.apply_along_axis(false_discovery_rates, 0, table["pvalue"])
        if len(L) == 1:
            index = self.names
        else:
            index = pd.MultiIndex.from_product([self.names, labels], names=["response", "contrast"])
        order = ["estimate", "se", "df", "t", "pvalue", "qvalue", "lower", "upper"]
        return pd.DataFrame({name: table[name].ravel() for name in order}, index)

    def anova(self, type=3):
        """F tests of the terms of every response, with Satterthwaite's degrees of freedom.

        Parameters
        ----------
        type : {3, 2, 1}, optional
            Which hypotheses, as `anova` of a single fit has them. Those of types 1 and 2 depend on
            the rows: responses with missing values are tested one by one then. Of type 3 they are
            taken from all rows; F is the same, den_df may differ in the fourth digit.

        Returns
        -------
        DataFrame
            By response and term: ``F num_df den_df pvalue qvalue``, q-values by term.
        """
        if type not in TYPES:
            raise LMMError(f"type is {type!r}; it is 3, 2 or 1")
        design = self.setup.design
        tests = rows_of_terms(self._like_a_fit(), type)
        names = [term.name for term, _ in tests]
        m = len(self.names)
        found = np.full((m, len(tests), 4), np.nan)
        found[:, :, 1] = [len(L) for _, L in tests]
        others = self._others()
        if type != 3:
            some_missing = np.flatnonzero(self.nobs.to_numpy() < len(design.y))
            others = np.union1d(others, some_missing)
        for columns, errors in self._errors():
            beta = self.estimates.beta[columns]
            for place, (_, L) in enumerate(tests):
                if len(L):
                    found[columns, place] = f_tests(errors, L, beta)
        for i in others:
            fit = self.one(i)
            table = tests_of_terms(fit, type).table
            found[i] = table.loc[names, ["F", "num_df", "den_df", "pvalue"]]
        q = np.full((m, len(tests)), np.nan)
        for place in range(len(tests)):
            q[:, place] = false_discovery_rates(found[:, place, 3])
        index = pd.MultiIndex.from_product([self.names, names], names=["response", "term"])
        values = np.concatenate([found, q[:, :, None]], axis=2).reshape(m * len(tests), 5)
        table = pd.DataFrame(values, index, ["F", "num_df", "den_df", "pvalue", "qvalue"])
        return table.astype({"num_df": int})

    def _like_a_fit(self):
        """What the rows of hypotheses are read with: a fit's set-up."""
        return SimpleNamespace(setup=self.setup)

    def _others(self):
        """The places of those that were fitted one by one, and have a certified fit."""
        return np.flatnonzero(self.estimates.alone & self.estimates.converged)

    def _errors(self):
        """The `Errors` of all others that have a fit: (places, Errors), by blocks."""
        together = self.estimates.converged & ~self.estimates.alone
        for block in self._blocks():
            chosen = block[together[block]]
            if len(chosen):
                Y = self.responses.block(chosen)
                theta = self.estimates.theta[chosen]
                for columns, errors in self.batches.errors(Y, theta):
                    yield chosen[columns], errors

    def _blocks(self):
        together = self.batches.together(self.responses.are_sparse)
        return blocks_of(len(self.names), together)

    # -- to work with, and to look at

    def tidy(self):
        """The fixed effects as one long frame, a row for each response and effect.

        Returns
        -------
        DataFrame
            ``response term estimate std_error statistic df p_value q_value``.
        """
        frames = {
            "estimate": self.params,
            "std_error": self.bse,
            "statistic": self.tvalues,
            "df": self.df,
            "p_value": self.pvalues,
            "q_value": self.qvalues,
        }
        k = len(self.setup.design.x_names)
        columns = {
            "response": np.repeat(np.asarray(self.names), k),
            "term": np.tile(list(self.setup.design.x_names), len(self.names)),
        }
        for name, frame in frames.items():
            columns[name] = frame.to_numpy().ravel()
        return pd.DataFrame(columns)

    def __repr__(self):
        return f"Fits({self.formula!r}, {len(self.names)} responses, {len(self.failed)} failed)"

    def _tables(self):
        how = "REML" if self.reml else "maximum likelihood"
        m = len(self.names)
        counts = [
            f"{int(self.singular.sum())} singular",
            f"{int((~self.estimates.converged).sum() - len(self.failed))} not certified",
            f"{len(self.failed)} failed",
            f"{len(self.alone)} fitted one by one",
        ]
        title = f"{m} responses by {how}: {self.formula}"
        return [
            tables.Table(title),
            tables.Table(f"{len(self.setup.design.y)} rows; {', '.join(counts)}"),
            *self._table_of_effects(),
            self._table_of_sds(),
            *self._notes(),
        ]

    def _table_of_effects(self):
        """Quartiles of the estimates, and how many are found at a false discovery rate.

        No table where there are no fixed effects.
        """
        if not len(self.params.columns):
            return []
        quartiles = self.params.quantile([0.25, 0.5, 0.75])
        found = (self.qvalues < LEVEL).sum()
        columns = [tables.numbers(quartiles.loc[q]) for q in (0.25, 0.5, 0.75)]
        headings = ("<", "1st quartile", "Median", "3rd quartile", f"q < {LEVEL:g}")
        rows = tables.rows_of(self.params.columns, *columns, map(str, found))
        return [tables.Table("Fixed effects over the responses", headings, rows)]

    def _table_of_sds(self):
        """Quartiles of the standard deviations, and how many are zero."""
        sds = pd.concat([self.sd, self.sigma.rename("Residual")], axis=1)
        quartiles = sds.quantile([0.25, 0.5, 0.75])
        columns = [tables.numbers(quartiles.loc[q]) for q in (0.25, 0.5, 0.75)]
        headings = ("<", "1st quartile", "Median", "3rd quartile", "zero")
        rows = tables.rows_of(sds.columns, *columns, map(str, (sds == 0).sum()))
        return tables.Table("Standard deviations over the responses", headings, rows)

    def _notes(self):
        """Which failed, the first of them with the reason."""
        failed = self.failed
        if not failed:
            return []
        name, why = next(iter(failed.items()))
        return [tables.Table(f"Failed: {shorten(list(failed), SHOWN)}; {name!r}: {why}")]


def blocks_of(m, together):
    """The numbers up to m in blocks."""
    return [np.arange(start, min(start + together, m)) for start in range(0, m, together)]


def f_tests(errors, L, beta):
    """F, num_df, den_df and the p-value of L beta = 0 for each response, (B, 4).

    As `Satterthwaite.f_test`: the rows are turned so that their estimates are uncorrelated.
    """
    B = len(beta)
    r = len(L)
    found = np.full((B, 4), np.nan)
    found[:, 1] = r
    in_Q = np.linalg.solve(errors.R_X.swapaxes(1, 2), np.broadcast_to(L.T, (1, *L.T.shape)))
    rows = errors.root @ in_Q
    covariance = errors.sigma2[:, None, None] * (rows.swapaxes(1, 2) @ rows)
    _, vectors = np.linalg.eigh(covariance)
    turned = vectors.swapaxes(1, 2) @ L
    variance, nu = errors.of(turned)
    estimates = np.einsum("brk,bk->br", turned, beta)
    found[:, 0] = np.mean(estimates**2 / variance, axis=1)
    found[:, 2] = summed_df(nu)
    found[:, 3] = p_of_f(found[:, 0], r, found[:, 2])
    return found


def false_discovery_rates(p):
    """Benjamini and Hochberg's q-values of p-values, (m,); those that are nan are left out.

    q_(i) = min over j >= i of p_(j) m / j.
    """
    q = np.full(len(p), np.nan)
    there = np.flatnonzero(~np.isnan(p))
    order = there[np.argsort(p[there], kind="stable")]
    m = len(order)
    scaled = p[order] * m / np.arange(1, m + 1)
    q[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return q


