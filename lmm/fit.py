"""`lmm` and `lmer`: the models that users ask for, and the same models fitted again."""

from dataclasses import replace

from .engines import checked_reml, refuse_contained_blocks, responding, set_up
from .errors import LMMError, point_at
from .fitting import fitted, opened, phases_for, started
from .formula import split_bars, with_bars_of, without_dots
from .model import Matrices, make_design
from .practical import LMMsetup

SOON = 1e-4             # `done` of Newton's iteration in a bootstrap


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
    One evaluation is O(p^3), p the number of columns of Z. Beyond 100 columns terms are eliminated in closed form and
    derivatives drive the fit from the start; ``fit.engine`` says so.

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


def refit(fit, y):
    """The same model fitted to another response, the factored design being used again.

    Parameters
    ----------
    y : array_like, shape (nobs,), or with one value per row of `dat`
        On the scale of the formula's left-hand side. A Series goes by its index, which is that of `dat`, anything else
        by position.
    """
    if y is None:
        raise LMMError("y is None; it is one number for each row used")
    return refitted(fit, y)


def update(fit, form=None, ref=None, dat=None, reml=None, engine=None):
    """The model fitted again with some arguments of `lmm` or `lmer` changed.

    In `form`, a dot stands for what was on its side of the old formula, bars included: ``". ~ . - Days + (1 | h)"``.
    `dat` is by default the frame of this fit; functions in the formula are those of this fit.
    `engine` is by default what was asked for then.
    """
    design = fit.setup.design
    reml = checked_reml(fit.reml if reml is None else reml)
    if form is None and ref is None and dat is None and engine is None:
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
    design = make_design(form, dat, ref, **design.given, functions=design.formula.functions, bars=bars)
    return started(set_up(design, reml, engine=engine or fit.setup.asked))


def by_likelihood(fit):
    """The fit itself, or by maximum likelihood if it was by REML."""
    return refitted(fit, reml=False) if fit.reml else fit
