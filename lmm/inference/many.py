"""Many responses of one design: `lmm_many`, `lmer_many`, and `fit.refit` of several."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from .. import fit as single
from ..engines import set_up
from ..errors import LMMError, checked_flag, shorten
from ..fitting import Plan
from ..formula import has_dot, tildes
from ..machine import bar, over_cores
from ..model import as_frame, make_design, with_arguments
from ..practical import fit_of
from .batches import Batches, Estimates
from .fits import Fits, blocks_of
from .responses import checked_responses, named_columns

NOBODYS_SEED = 8_127_364_591    # of the response that stands for all: nobody's


def refit(fit, y, *, progress=True):
    """The same model fitted to another response, or to many, the factored design being used again.

    Parameters
    ----------
    y : array_like, shape (nobs,) or (nobs, m), or with one value or row per row of `dat`
        On the scale of the formula's left-hand side. A Series or DataFrame goes by its index, which
        is that of `dat`, anything else by position. Of a table, a frame, a dict of columns, a
        sparse matrix or an array of two dimensions, each column is a response, be it one, and may
        have missing values.
    progress : bool, optional
        Whether to show a progress bar for many, after two seconds, if tqdm is installed.

    Returns
    -------
    LMMResult or Fits
        A fit, or for a table those of its m columns.

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
    checked_flag(progress, "progress")
    if not is_table(y):
        return single.refit(fit, y)
    responses = checked_responses(y, fit.setup.design, "y")
    start = fit.setup.covariance.rescaled(fit.theta, -fit.theta[0])
    one = OneOfRefit(fit.setup, replace(fit.plan, start=None), responses)
    return fits_of(fit.setup.design.form, fit.setup, fit.plan, responses, one, start, progress)


def is_table(y):
    """Whether it has columns, each a response: one column is a table too."""
    has_columns = sparse.issparse(y) or isinstance(y, (pd.DataFrame, Mapping))
    return has_columns or hasattr(y, "columns") or np.ndim(y) == 2


@dataclass(frozen=True)
class OneOfRefit:
    """The fit of one of the responses of `fit.refit`, by its place."""

    setup: object
    plan: Plan
    responses: object

    def __call__(self, i):
        return single.fit_alone(self.setup, self.plan, self.responses.column(i))


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
    stacks, 5 to 100 microseconds each in small designs, by exact derivatives, from the lowest point
    of a grid. Variances of zero are exactly zero. Which optimum is not certified is fitted by
    itself. Values that are missing in a response leave out their rows for it alone; each fit is
    what `lmm` makes of these rows, so where the formula has values that depend on all of them, as
    ``center(x)`` has, such responses go one by one.

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
    if not at:
        raise LMMError(f"the formula is {form!r}, without a '~'; it is text such as '~ Days'")
    if form[: at[0]].strip():
        raise LMMError(
            f"the formula is {form!r}; its left-hand side is left out, as in '~ Days', for "
            "responses= says what stands there"
        )
    frame = as_frame(dat).copy(deep=False)
    if responses is None:
        raise LMMError(
            "responses is None; it is a list of columns of dat, or a frame or array with a column "
            "for each response"
        )
    own = named_columns(responses, frame)
    if own is not None:
        responses = frame[own]

    if has_dot(form):                                   # a dot is what is no response
        named = getattr(responses, "columns", ())
        frame = frame.drop(columns=[name for name in named if name in frame.columns])

    # -- the design, with a response that stands for all
    name = free_name(frame.columns, f"{form} {weights} {offset}")
    form = form.strip()
    stand_in = frame.assign(**{name: uneven(len(frame))})
    design = make_design(f"{name} {form}", stand_in, ref, weights, offset, bars=bars)
    if bars:
        single.refuse_no_bars(form, design, "lmm_many")
    refuse_on_both_sides(own or (), design)
    setup = set_up(design, reml, engine)
    found = checked_responses(responses, design, "responses")
    named = [] if own is None else own
    one = OneOfMany(form, frame, ref, bars, named, setup, engine, found)
    return fits_of(form, setup, Plan(engine=engine), found, one, None, progress)


def free_name(columns, said=""):
    """A name that no column has, nor is said: "response", with underscores where it is taken."""
    name = "response"
    while name in columns or name in said:
        name += "_"
    return name


def uneven(n):
    """n numbers that no data have, and that no design explains unless it explains any."""
    return np.random.default_rng(NOBODYS_SEED).logistic(size=n)


def refuse_on_both_sides(own, design):
    """Refuse responses that are columns which the model uses too."""
    both = [name for name in own if name in design.data]
    if both:
        raise LMMError(
            f"responses names {shorten(both)}, which the model uses on its right-hand side, too; "
            "fit it with a formula without it"
        )


@dataclass(frozen=True)
class OneOfMany:
    """The fit of one of the responses of `lmm_many`, by its place: as `lmm` or `lmer` makes it."""

    form: str
    frame: pd.DataFrame
    ref: object
    bars: bool
    own: list               # the responses that are columns of dat
    setup: object
    engine: str
    responses: object

    def __call__(self, i):
        design = self.setup.design
        y = np.full(len(self.frame), np.nan)
        y[design.rows] = self.responses.column(i)
        label = self.responses.names[i]
        is_free = label in self.own or label not in self.frame.columns
        name = label if isinstance(label, str) and is_free and "`" not in label else None
        name = name or free_name(self.frame.columns)
        written = name if name.isidentifier() else f"`{name}`"
        design = make_design(
            f"{written} {self.form}",
            self.frame.assign(**{name: y}),
            self.ref,
            **design.given,
            functions=single.functions_of(design),
            bars=self.bars,
        )
        return fit_of(set_up(design, self.setup.reml, self.engine), Plan(engine=self.engine))


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
    response = repr(setup.design.response)
    for i in np.flatnonzero(estimates.reasons != ""):
        name = repr(responses.names[i])
        reason = estimates.reasons[i].replace(f"response {response}", f"response {name}")
        estimates.reasons[i] = reason.replace(f"fit {response}", f"fit {name}")
    return Fits(responses.names, formula, setup, estimates, responses, batches, one)
