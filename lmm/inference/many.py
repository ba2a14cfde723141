"""Many responses of one design: `lmm_many`, `lmer_many`, `fit.refit` of several, and the result.

Sources: Benjamini and Hochberg (1995) for q-values; all else as for a single fit.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy import sparse

from .. import fit as single
from ..engines import set_up
from ..errors import LMMError, checked_flag, shorten, unknown_name
from ..fitting import Plan
from ..formula import has_dot, tildes
from ..machine import over_cores
from ..model import as_frame, in_order, make_design, with_arguments
from ..practical import lmm
from ..result import check_level, correlation_pairs, tables
from .batches import Batches, Estimates
from .hypotheses import p_of_f, rows_of, summed_df, t_table_of
from .replicates import bar
from .satterthwaite import p_of_t
from .term_rows import TYPES, rows_of_terms
from .term_tests import tests_of_terms

SHOWN = 5               # names that are listed in what is printed
LEVEL = 0.05            # of the q-values that are counted there
NAMES = ("response", "outcome", "y_of_many")        # of the column that stands for each response


# -- the responses ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Responses:
    """Columns of numbers by row: of a frame, an array, or a sparse matrix."""

    names: pd.Index
    values: object          # DataFrame, ndarray or sparse, (rows, m)
    rows: np.ndarray        # which of its rows are those of the design

    def __len__(self):
        return len(self.names)

    @property
    def are_sparse(self):
        """Whether they are a sparse matrix."""
        return sparse.issparse(self.values)

    def block(self, columns):
        """The values of some columns at the rows of the design, (n, B); sparse if they are."""
        if sparse.issparse(self.values):
            return self.values[:, columns][self.rows]
        if isinstance(self.values, pd.DataFrame):
            part = self.values.iloc[:, columns].to_numpy(float, na_value=np.nan)
        else:
            part = np.asarray(self.values[:, columns], float)
        everything = len(self.rows) == len(part) and (np.diff(self.rows) == 1).all()
        return part if everything else part[self.rows]

    def column(self, i):
        """The values of one, at the rows of the design, (n,)."""
        part = self.block([i])
        return (part.toarray() if sparse.issparse(part) else part)[:, 0]


def checked_responses(Y, design, name="Y"):
    """The `Responses` that Y is meant to be, for the rows of a design.

    An LMMError if it is of other rows, holds what is no number, or two columns have one name.
    """
    dat = design.dat
    if isinstance(Y, pd.DataFrame):
        for column, kind in zip(Y.columns, Y.dtypes):
            if not pd.api.types.is_numeric_dtype(kind) or kind.kind == "c":
                raise LMMError(
                    f"{name} has {kind} values in column {column!r}; responses are numbers"
                )
        if not Y.columns.is_unique:
            twice = Y.columns[Y.columns.duplicated()].unique()
            raise LMMError(f"{name} has several columns named {shorten(list(twice))}; rename them")
        names = Y.columns
        Y = _in_order_of(Y, design, name)
    else:
        if not sparse.issparse(Y):
            Y = np.asarray(Y)
        if Y.ndim != 2 or Y.dtype.kind not in "iufb":
            raise LMMError(
                f"{name} is an array of {Y.ndim} dimensions of type {Y.dtype.name}; it takes "
                "numbers, a column for each response"
            )
        names = pd.RangeIndex(Y.shape[1])
    if not len(names):
        raise LMMError(f"{name} has no columns; it takes one for each response")
    n = Y.shape[0]
    if n == len(dat):
        rows = design.rows
    elif n == len(design.y):
        rows = np.arange(n)
    else:
        raise LMMError(
            f"{name} has {n} rows; it takes {len(design.y)}, one for each row used"
            + (f", or {len(dat)}, one for each row of dat" if len(dat) != len(design.y) else "")
        )
    if sparse.issparse(Y):
        Y = sparse.csc_array(Y, dtype=float)
    return Responses(names.rename("response"), Y, rows)


def _in_order_of(Y, design, name):
    """The frame with its rows in the order of the rows used, or of `dat`."""
    for index in (design.index, design.dat.index):
        if Y.index.equals(index):
            return Y
    positions = pd.Series(np.arange(len(Y)), Y.index)
    return Y.iloc[in_order(positions, (design.index, design.dat.index), name).to_numpy()]


# -- the fits --------------------------------------------------------------------------------------


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
        counts = []
        for block in self._blocks():
            Y = self.responses.block(block)
            missing = np.isnan(Y).sum(axis=0) if isinstance(Y, np.ndarray) else 0
            counts.append(np.full(len(block), len(self.responses.rows)) - missing)
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
        """The names of the responses that were fitted one by one."""
        return tuple(self.names[self.estimates.alone])

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
        return name in self.names

    def __getitem__(self, name):
        """The fit of one response, an `LMMResult`, made anew with a look for other optima."""
        if name not in self.names:
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
        if left_out.not_estimable(whole).any():
            raise LMMError("a row of L cannot be estimated, columns of X having been left out")
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
        q = np.apply_along_axis(false_discovery_rates, 0, found[:, :, 3])
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
            self._table_of_effects(),
            self._table_of_sds(),
            *self._notes(),
        ]

    def _table_of_effects(self):
        """Quartiles of the estimates, and how many are found at a false discovery rate."""
        quartiles = self.params.quantile([0.25, 0.5, 0.75])
        found = (self.qvalues < LEVEL).sum()
        columns = [tables.numbers(quartiles.loc[q]) for q in (0.25, 0.5, 0.75)]
        headings = ("<", "1st quartile", "Median", "3rd quartile", f"q < {LEVEL:g}")
        rows = tables.rows_of(self.params.columns, *columns, map(str, found))
        return tables.Table("Fixed effects over the responses", headings, rows)

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


# -- fitting ---------------------------------------------------------------------------------------


def refit(fit, y, *, progress=True):
    """The same model fitted to another response, or to many, the factored design being used again.

    Parameters
    ----------
    y : array_like, shape (nobs,) or (nobs, m), or with one value or row per row of `dat`
        On the scale of the formula's left-hand side. A Series or DataFrame goes by its index, which
        is that of `dat`, anything else by position. Of several columns each is a response, and may
        have missing values; a sparse matrix is taken too.
    progress : bool, optional
        Whether to show a progress bar for many, after two seconds, if tqdm is installed.

    Returns
    -------
    LMMResult or Fits
        A fit, or those of m columns.

    Raises
    ------
    LMMError
        If y is of other rows, or holds what is no number; two columns of one name.

    Notes
    -----
    One response: Newton's iteration from this fit's optimum. Many: all at once, see `lmm_many`.

    Examples
    --------
    >>> fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
    >>> fit.refit(fit.simulate(1000, seed=1)).sd.mean().round(2).to_dict()      # doctest: +SKIP
    {'Batch': 33.42}
    """
    several = isinstance(y, pd.DataFrame) and y.shape[1] != 1
    several |= sparse.issparse(y) or (not isinstance(y, pd.DataFrame) and np.ndim(y) == 2)
    if not several:
        return single.refit(fit, y)
    responses = checked_responses(y, fit.setup.design, "y")
    start = fit.setup.covariance.rescaled(fit.theta, -fit.theta[0])
    plan = fit.plan

    def one(i):
        return single.fit_alone(fit.setup, replace(plan, start=None), responses.column(i))

    design = fit.setup.design
    return fits_of(design.form, fit.setup, plan, responses, one, start, progress)


@with_arguments
def lmm_many(
    form, dat, ref=(), responses=None, reml=False, weights=None, offset=None, engine=None,
    progress=True,
):
    """Fit one linear mixed model to many responses, the design being factored once.

    Returns
    -------
    Fits

    Raises
    ------
    LMMError
        As `lmm`; if `form` has a left-hand side, or the responses are no columns of numbers.

    Notes
    -----
    One response after the other costs a millisecond; here all go through Newton's iteration in
    stacks, some 5 to 100 microseconds each, by exact derivatives, from the lowest point of a grid.
    Variances of zero are exactly zero. Which optimum is not certified is fitted by itself. Values
    that are missing in a response leave out their rows for it alone.

    Examples
    --------
    >>> dat = load_data("sleepstudy")
    >>> dat["speed"] = 1000 / dat.Reaction
    >>> fits = lmm_many("~ Days", dat, "Subject", ["Reaction", "speed"])
    >>> fits.params.round(3).loc["speed"].to_dict()
    {'Intercept': 3.966, 'Days': -0.111}
    """
    return _many(form, dat, ref, False, responses, reml, weights, offset, engine, progress)


@with_arguments
def lmer_many(
    formula, dat, responses=None, reml=True, weights=None, offset=None, engine=None, progress=True
):
    """Fit one of lme4's formulas, its left-hand side left out, to many responses; by REML.

    Returns
    -------
    Fits

    Raises
    ------
    LMMError
        As `lmer`; if the formula has a left-hand side, or the responses are no columns of numbers.

    Examples
    --------
    >>> dat = load_data("sleepstudy")
    >>> dat["speed"] = 1000 / dat.Reaction
    >>> fits = lmer_many("~ Days + (Days | Subject)", dat, ["Reaction", "speed"])
    >>> fits.sigma.round(4).to_dict()
    {'Reaction': 25.5918, 'speed': 0.2698}
    """
    return _many(formula, dat, (), True, responses, reml, weights, offset, engine, progress)


def _many(form, dat, ref, bars, responses, reml, weights, offset, engine, progress):
    """The fits of `lmm_many` and `lmer_many`."""
    checked_flag(progress, "progress")
    if not isinstance(form, str):
        kind = type(form).__name__
        raise LMMError(f"the formula is of type {kind}; it is text such as '~ Days'")
    at = tildes(form)
    if not at or form[: at[0]].strip():
        raise LMMError(
            f"the formula is {form!r}; its left-hand side is left out, as in '~ Days', for "
            "responses= says what stands there"
        )
    frame = as_frame(dat)
    if responses is None:
        raise LMMError(
            "responses is None; it is a list of columns of dat, or a frame or array with a column "
            "for each response"
        )
    own = _columns_of(responses, frame)
    if own is not None and has_dot(form):
        frame = frame.drop(columns=own)                 # a dot is what is no response
    name = next(one for one in NAMES if one not in frame.columns)
    stand_in = np.random.default_rng(0).standard_normal(len(frame))
    template = frame.assign(**{name: stand_in})
    whole = f"{name} {form.strip()}"
    design = make_design(whole, template, ref, weights, offset, bars=bars)
    setup = set_up(design, reml, engine)
    values = as_frame(dat)[own] if own is not None else responses
    found = checked_responses(values, design, "responses")
    plan = Plan(engine=engine)
    asked = {"reml": reml, "weights": weights, "offset": offset, "engine": engine}

    def one(i):
        label = found.names[i]
        y = np.full(len(frame), np.nan)
        y[design.rows] = found.column(i)
        is_free = own is not None or label not in frame.columns
        used = label if isinstance(label, str) and is_free else name
        data = frame.assign(**{used: y})
        written = used if used.isidentifier() else f"`{used}`"
        text = f"{written} {form.strip()}"
        if bars:
            return single.lmer(text, data, **asked)
        return lmm(text, data, ref, **asked)

    return fits_of(form.strip(), setup, plan, found, one, None, progress)


def _columns_of(responses, dat):
    """The columns of `dat` that are meant, a list; None where the responses are a frame."""
    if isinstance(responses, str):
        responses = [responses]
    is_list = isinstance(responses, (list, tuple, pd.Index))
    if isinstance(responses, np.ndarray) and responses.ndim == 1:
        is_list = True
    if not is_list:
        return None
    columns = list(responses)
    missing = [name for name in columns if not isinstance(name, str) or name not in dat.columns]
    if missing:
        raise LMMError(
            f"responses names {shorten(missing)}, which is no column of dat; "
            f"these are {shorten(list(dat.columns))}"
        )
    if len(set(columns)) < len(columns):
        raise LMMError("responses names a column twice")
    return columns


def fits_of(formula, setup, plan, responses, one, start, progress):
    """The `Fits` of responses of a set-up."""
    batches = Batches(setup, plan, start)
    estimates = Estimates.empty(len(responses), setup)
    blocks = blocks_of(len(responses), batches.together(responses.are_sparse))

    def fitted(columns):
        return batches.fit(responses.block(columns))

    with bar(len(responses), "responses", progress) as advance, over_cores(len(blocks)) as run:
        for columns, found in zip(blocks, run(fitted, blocks)):
            estimates.put(columns, found)
            advance(len(columns))
    for i in np.flatnonzero(estimates.reasons != ""):
        named = estimates.reasons[i].replace(repr(setup.design.response), repr(responses.names[i]))
        estimates.reasons[i] = named
    return Fits(responses.names, formula, setup, estimates, responses, batches, one)
