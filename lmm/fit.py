"""The same model written as lme4 writes it, and the models of a fit fitted again."""

from dataclasses import replace

import numpy as np

from .chunks import is_chunks, set_up_chunks, smaller_setup
from .engines import checked_reml, responding, set_up, with_criterion
from .errors import LMMError, point_at, shorten
from .fitting import Criterion, Plan, opened
from .fitting import certify as certify_criterion
from .formula import split_bars, tildes, with_bars_of, without_dots
from .model import Matrices, make_design, numbers_by_row, with_arguments
from .practical import LMMprof, checked, fit_of

NO_DIGITS = 1e-2        # of rounding errors of nll, beyond which its derivatives are chance


@with_arguments
def lmer(
    formula, dat, reml=True, start=None, verbose=False, weights=None, offset=None, engine=None
):
    """Fit a linear mixed model written as one of lme4's formulas; by REML, as there.

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
    The formulas: Bates, Maechler, Bolker and Walker (2015), "Fitting Linear Mixed-Effects Models
    Using lme4", section 2.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> fit.sd.round(4).to_dict(), fit.corr.round(4).to_dict()
    ({'Subject': 24.7405, 'Subject:Days': 5.9221}, {'Subject (Intercept, Days)': 0.0656})
    """
    if is_chunks(dat):
        setup = set_up_chunks(formula, dat, (), reml, weights, offset, engine, bars=True)
        refuse_no_bars(formula, setup.design)
    else:
        design = make_design(formula, dat, (), weights, offset, bars=True)
        refuse_no_bars(formula, design)
        setup = set_up(design, reml, engine)
    return fit_of(setup, Plan(engine=engine, start=start, verbose=verbose))


def refuse_no_bars(formula, design, instead="lmm"):
    """Raise an LMMError if a formula of lmer's has no random effects."""
    if design.terms:
        return
    at = tildes(formula)[0] + 1
    message = (
        "formula has no random effects, such as (1 | g); "
        f"for a model without any, call {instead}"
    )
    raise point_at(message, formula, at, len(formula))


def refitted(fit, y=None, reml=None, quiet=False):
    """The same model fitted to another response, or by the other criterion, from its optimum."""
    setup = fit.setup if y is None else responding(fit.setup, y)
    if reml is not None:
        setup = with_criterion(setup, reml)
    plan = replace(fit.plan, quiet=quiet, verbose=False)
    return replace(fit_of(setup, plan, opened(fit.theta, setup)), plan=fit.plan)


def refit(fit, y):
    """The same model fitted to one other response; see `inference/many.py` for several."""
    if y is None:
        raise LMMError("y is None; it is one number for each row used")
    return refitted(fit, y)


def update(fit, form=None, ref=None, dat=None, reml=None, engine=None):
    """The model fitted again with some arguments of `lmm` or `lmer` changed.

    In `form`, a dot stands for what was on its side of the old formula, bars included:
    ``". ~ . - Days + (1 | h)"``.
    `dat` is by default the frame of this fit; functions in the formula are those of this fit.
    `engine` is by default what was asked for then.
    """
    reml = checked_reml(fit.reml if reml is None else reml)
    if form is None and ref is None and dat is None and engine is None:
        return refitted(fit, reml=reml)
    old = fit.setup.design
    if isinstance(old.formula, Matrices):
        raise LMMError(
            "this is a fit of matrices, which has no formula to update; "
            "call lmm with other matrices"
        )
    bars = ref is None and any(term.bar for term in old.terms)
    form = updated_form(form, old, bars)
    if ref is None:
        ref = [list(term.variables) for term in old.terms]
    functions = functions_of(old)
    engine = engine or fit.plan.engine
    if dat is not None and is_chunks(dat):
        setup = set_up_chunks(form, dat, ref, reml, **old.given, engine=engine, bars=bars)
    elif dat is None and not old.keeps_rows:
        setup = smaller_setup(fit.setup, form, ref, reml, engine, functions, bars)
    else:
        dat = old.dat if dat is None else dat
        design = make_design(form, dat, ref, **old.given, functions=functions, bars=bars)
        setup = set_up(design, reml, engine)
    plan = replace(fit.plan, engine=engine)
    if plan.start is not None and setup.labels != old.labels:
        plan = replace(plan, start=None)                        # a start belongs to its parameters
    return fit_of(setup, plan)


def design_of_rows(old, kept):
    """The `Design` of the rows used that are kept, (n,) of bool."""
    if isinstance(old.formula, Matrices):
        raise LMMError(
            "values are missing, and this is a fit of matrices, which have no rows to leave out; "
            "give matrices without them"
        )
    rows = old.rows[kept]
    given = {}
    for name, value in old.given.items():
        by_row = value is not None and not isinstance(value, str)
        given[name] = numbers_by_row(value, name, old.dat)[rows] if by_row else value
    bars = any(term.bar for term in old.terms)
    ref = [list(term.variables) for term in old.terms]
    form = updated_form(None, old, bars)
    functions = functions_of(old)
    return make_design(form, old.dat.iloc[rows], ref, **given, functions=functions, bars=bars)


def made_at(fit, y, theta):
    """The fit of the same model to a response whose optimum theta is known."""
    plan = replace(fit.plan, elsewhere=False, quiet=True, verbose=False)
    again = fit_of(responding(fit.setup, y), plan, theta)
    return replace(again, plan=fit.plan)


def fit_alone(setup, plan, y):
    """The model fitted to another response, (n,), nan where its value is missing."""
    kept = ~np.isnan(y)
    if not kept.all():
        design = remaining_design(setup.design, kept)
        setup = set_up(design, setup.reml, plan.engine)
        y = y[kept]
    return fit_of(responding(setup, y), plan)


def without_rows(fit, kept):
    """The model fitted to the rows used that are kept, (nobs,) of bool, from the old optimum."""
    design = remaining_design(fit.setup.design, kept)
    setup = set_up(design, fit.reml, fit.plan.engine)
    plan = replace(fit.plan, start=None, quiet=True, verbose=False)
    return fit_of(setup, plan, opened(fit.theta, setup))


def remaining_design(old, kept):
    """`design_of_rows`, for the same parameters; an LMMError names those that are lost."""
    if not kept.any():
        raise LMMError("no row is left")
    new = design_of_rows(old, kept)
    effects = (
        ("fixed effect", old.x_names, new.x_names),
        ("random effect", *([block.name for block in one.blocks] for one in (old, new))),
    )
    for what, before, after in effects:
        if before != after:
            lost = [name for name in before if name not in after]
            raise LMMError(f"the rows that are left have no {what} {shorten(lost or before)}")
    return new


def functions_of(design):
    """The functions and modules by name that the formula and the bars of a design use."""
    functions = dict(design.formula.functions)
    for term in design.terms:
        functions.update(term.effects.functions if term.effects is not None else {})
    return functions


def updated_form(form, old, bars):
    """The formula that `update` means: that of the design `old`, with `bars` or not, changed."""
    if form is None:
        return old.form if bars else old.formula.form
    if not isinstance(form, str):
        kind = type(form).__name__
        raise LMMError(f"form is of type {kind}; it is a formula string such as '. ~ . + x'")
    if form.lstrip().startswith("~"):
        form = f".{form}"
    if bars:
        return with_bars_of(form, old.form)
    if "|" in form and split_bars(form)[0]:
        raise LMMError(
            "form has random effects with bars, where this fit has them in ref; "
            "give update(ref=...), or call lmer"
        )
    return without_dots(form, old.formula.form)


def by_likelihood(fit):
    """The fit itself, or by maximum likelihood if it was by REML."""
    return refitted(fit, reml=False) if fit.reml else fit


def by_reml(fit):
    """The fit itself, or by REML if it was by maximum likelihood."""
    return fit if fit.reml else refitted(fit, reml=True)


def derivatives(theta, setup, value=None):
    """Gradient (6) and Hessian (7) of `LMMprof`, in theta and in the entries of psi.

    Parameters
    ----------
    theta : array_like, shape (size,)
        As for `LMMprof`.
    setup : Setup
    value : Nll, optional
        ``LMMprof(theta, setup)``, if it is known.

    Returns
    -------
    Derivatives

    Raises
    ------
    ArithmeticError
        Where theta is so extreme that `LMMprof` is infinite, or rounding errors.

    Notes
    -----
    A small multiple of an evaluation, independent of n.
    """
    theta = np.array(checked(theta, setup))
    value = LMMprof(theta, setup) if value is None else value
    D = Criterion(LMMprof, setup).derivatives(theta, value)
    if setup.engine.rounding(value.phi) > NO_DIGITS:
        raise ArithmeticError(f"rounding errors leave no digit at theta {theta.tolist()}")
    return D


def certify(theta, setup, value=None):
    """Judge whether theta is a local minimum of the criterion.

    Parameters
    ----------
    theta : array_like, shape (size,)
        As for `LMMprof`; -inf where a standard deviation is zero.
    setup : Setup
    value : Nll, optional
        ``LMMprof(theta, setup)``, if it is known.

    Returns
    -------
    Optimum
        ``certified`` if the gradient is small enough for an error of nll below 1e-9 (relative to
        |nll|) and of theta below 1e-6, the Hessian is positive definite (average information, where
        ``averaged``, always is unless nll is flat), and nothing at zero would lower nll by leaving
        it.

    Raises
    ------
    ArithmeticError
        Where derivatives cannot be evaluated, as for `derivatives`.
    """
    theta = np.array(checked(theta, setup))
    return certify_criterion(Criterion(LMMprof, setup), theta, value)
