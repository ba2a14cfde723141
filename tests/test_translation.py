"""lme4's and statsmodels' words: each is answered with ours, and the guide's tables are the package's."""

import copy
import inspect
import io
import pickle
import re
import signal
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import fit_at

import lmm as package
from lmm import LMMError, LMMResult, LMMsetup, anova, lmer, lmm, load_data
from lmm.translation import BY_ARGUMENT, BY_NAME, LME4, STATSMODELS, explained, markdown, simple

WORDS = (*LME4, *STATSMODELS)
PAGE = (Path(package.__file__).parent / "guide" / "coming_from.md").read_text()


@pytest.fixture(scope="module")
def fit():
    return fit_at(np.log([1.0, 4.0, 3.0]))


@pytest.fixture(scope="module")
def machines():
    return load_data("Machines")


# -- the table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heading, words, theirs", [
    ("lme4, nlme, lmerTest, emmeans", LME4, "R"), ("statsmodels", STATSMODELS, "`MixedLM`"),
])
def test_the_guides_tables_are_the_packages(heading, words, theirs):
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("|")] == markdown(words, theirs).splitlines()


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.theirs)
def test_what_is_to_be_written_is_there(word, fit):
    """Each attribute, function and argument of ours that a cell names."""
    for chain in re.findall(r"\bfit((?:\.[a-zA-Z_]\w*)+)", word.ours):
        found = fit
        for name in chain[1:].split("."):
            found = getattr(found, name)
    for function, arguments in re.findall(r"`(?:fit\.)?(\w+)\(([^`]*)\)`", word.ours):
        home = LMMResult if f"fit.{function}(" in word.ours else package.plots if "plots" in word.ours else package
        if function not in ("I", "C", "len"):
            known = inspect.signature(getattr(home, function, getattr(LMMResult, function, None))).parameters
            assert set(re.findall(r"(\w+)=", arguments)) <= set(known), function


@pytest.mark.parametrize("column, by_name", [("names", BY_NAME), ("arguments", BY_ARGUMENT)])
def test_no_name_has_two_meanings(column, by_name):
    for word in WORDS:
        for name in getattr(word, column).split():
            function, dot, argument = name.rpartition(".")
            assert by_name[function + dot + simple(argument)] is word, name


def test_no_name_is_ours():
    ours = [*dir(LMMResult), *package.__all__]
    assert set(BY_NAME) & {simple(name) for name in ours} == {"anova", "drop1", "ranova", "residuals"}


# -- attributes of a fit --------------------------------------------------------------------------------------

ATTRIBUTES = [
    ("fixef", "fit.params"), ("VarCorr", "fit.varcorr()"), ("confint", "fit.conf_int()"), ("vcov", "fit.cov_params()"),
    ("logLik", "fit.llf"), ("AIC", "fit.aic"), ("BIC", "fit.bic"), ("residual", "fit.resid"), ("fitted", "fit.fittedvalues"),
    ("getME", "fit.model_matrix()"), ("isSingular", "fit.singular"), ("REMLcrit", "fit.deviance"), ("ngrps", "fit.ranef()"),
    ("formula", "fit.setup.design.form"), ("random_effects", "fit.ranef()"),
    ("cov_re", "fit.psi()"), ("scale", "fit.sigma ** 2"), ("fe_params", "fit.params"), ("bse_fe", "fit.bse"),
    ("t_test", "fit.contrast(L)"), ("f_test", "joint=True"), ("anova", "anova("), ("hatvalues", "fit.leverage"),
    ("df_residual", "fit.df_resid"), ("Sigma", "write fit.sigma"), ("Theta", "write fit.theta"), ("R2", "write fit.r2()"),
    ("sgima", "did you mean fit.sigma?"), ("conf_interval", "did you mean fit.conf_int()?"), ("bananas", "dir(fit) lists"),
    ("fit", "the fit is what lmm returns"), ("plot", "lmm.plots: residuals(fit)"), ("emmeans", "fit.means"),
]


@pytest.mark.parametrize("name, words", ATTRIBUTES)
def test_their_attributes_are_answered_with_ours(name, words, fit):
    with pytest.raises(AttributeError) as error:
        getattr(fit, name)
    assert str(error.value).startswith(f"a fit has no attribute {name!r}; ") and words in str(error.value)
    assert "`" not in str(error.value) and "\\" not in str(error.value)
    assert not hasattr(fit, name) and getattr(fit, name, 3) == 3


def test_programs_that_ask_are_answered_as_ever(fit):
    """By numpy, copy, pickle and notebooks, whose names have underscores."""
    with pytest.raises(AttributeError, match="'LMMResult' object has no attribute '_repr_png_'"):
        fit._repr_png_  # noqa: B018
    for other in (copy.copy(fit), copy.deepcopy(fit), pickle.loads(pickle.dumps(fit))):
        assert other.sd.equals(fit.sd)
    assert np.asarray(fit).tolist() == ["beta", "theta"] and not hasattr(fit, "__array__")
    assert not {"fixef", "VarCorr"} & set(dir(fit))
    with pytest.raises(AttributeError, match="a fit has no attribute 'setup'"):
        LMMResult.__new__(LMMResult).nobs  # noqa: B018


def test_an_attribute_error_within_a_property_is_its_own(fit, monkeypatch):
    monkeypatch.setattr(LMMResult, "sd", property(lambda fit: fit.setup.nothing))
    with pytest.raises(AttributeError, match="'Setup' object has no attribute 'nothing'"):
        fit.sd  # noqa: B018


# -- names of the package -------------------------------------------------------------------------------------

FUNCTIONS = [
    ("fixef", "write fit.params, fit being what lmm returns"), ("ranef", "write fit.ranef(), fit being what lmm returns"),
    ("sigma", "write fit.sigma, fit being"), ("AIC", "write fit.aic, fit being"), ("MixedLM", 'write lmm("y ~ x", dat, "g")'),
    ("mixedlm", 'write lmm("y ~ x", dat, "g")'), ("from_formula", 'write lmm("y ~ x", dat, "g")'),
    ("lme", 'write lmer("y ~ x + (x | g)", dat)'), ("glmer", "only linear models"), ("Lmer", "write lmer"),
    ("loaddata", "write load_data"), ("load_dta", "did you mean load_data?"), ("bananas", "dir(lmm) lists"),
]


@pytest.mark.parametrize("name, words", FUNCTIONS)
def test_their_functions_are_answered_with_ours(name, words):
    with pytest.raises(AttributeError) as error:
        getattr(package, name)
    assert str(error.value).startswith(f"lmm has no {name!r}; ") and words in str(error.value)
    with pytest.raises(ImportError) as error:
        exec(f"from lmm import {name}")
    assert words in str(error.value)
    assert not hasattr(package, name)


def test_a_name_with_an_underscore_is_pythons():
    with pytest.raises(AttributeError, match="module 'lmm' has no attribute '_fixef'"):
        package._fixef  # noqa: B018


# -- arguments --------------------------------------------------------------------------------------------------

FORM = "score ~ Machine"
ARGUMENTS = [
    (lambda fit, dat: lmer(FORM, data=dat), "lmer has no argument 'data'; write dat="),
    (lambda fit, dat: lmer(FORM, dat, REML=False), "lmer has no argument 'REML'; write reml=False"),
    (lambda fit, dat: lmer(FORM, data=dat, REML=True), "lmer has no arguments 'data', 'REML'; write dat= and reml=True"),
    (lambda fit, dat: lmm(FORM, data=dat, REML=True), "lmm has no arguments 'data', 'REML'; write dat= and reml=True"),
    (lambda fit, dat: LMMsetup(FORM, data=dat), "LMMsetup has no argument 'data'; write dat="),
    (lambda fit, dat: lmm(FORM, dat, groups="Worker"), "lmm has no argument 'groups'; write ref='Worker'"),
    (lambda fit, dat: lmm(FORM, dat, groups=dat.Worker), "lmm has no argument 'groups'; write ref=\"g\""),
    (lambda fit, dat: lmer(FORM, dat, groups="g"), "write lmer(\"y ~ x + (x | g)\", dat)"),
    (lambda fit, dat: lmer(FORM, dat, ref=["Worker"]), "write lmer(\"y ~ x + (x | g)\", dat)"),
    (lambda fit, dat: lmm(FORM, dat, "g", re_formula="~x"), "write lmer(\"y ~ x + (x | g)\", dat)"),
    (lambda fit, dat: lmm(FORM, dat, "g", vc_formula={}), 'write lmm("y ~ x", dat, ["g", "h"])'),
    (lambda fit, dat: lmm(FORM, dat, random="~1|g"), 'write lmer("y ~ x + (x | g)", dat)'),
    (lambda fit, dat: lmm(FORM, dat, subset=dat.Worker == "1"), "rows are chosen before, as in dat.query("),
    (lambda fit, dat: lmer(FORM, dat, na_action="omit"), "rows with missing values are left out"),
    (lambda fit, dat: lmm(FORM, dat, method="REML"), "write reml=False, or reml=True"),
    (lambda fit, dat: lmm(FORM, dat, Weights="w"), "lmm has no argument 'Weights'; write weights='w'"),
    (lambda fit, dat: lmm(formula=FORM, dat=dat), "lmm has no argument 'formula'; did you mean form=?"),
    (lambda fit, dat: lmer(form=FORM, dat=dat), "lmer has no argument 'form'; did you mean formula=?"),
    (lambda fit, dat: lmm(FORM, dat, bananas=1), "lmm has no argument 'bananas'; it takes form, dat, ref, reml, start,"),
    (lambda fit, dat: fit.predict(dat, re_form=None), "predict has no argument 're_form'; write random=False"),
    (lambda fit, dat: fit.predict(dat, re_formula="~0"), "predict has no argument 're_formula'; write random=False"),
    (lambda fit, dat: fit.predict(dat, allow_new_levels=True), "write new_levels=\"population\""),
    (lambda fit, dat: fit.predict(dat, type="response"), "predictions are always of the response"),
    (lambda fit, dat: fit.predict(dat, alpha=0.2), "predict has no argument 'alpha'; write level=0.8"),
    (lambda fit, dat: fit.predict(data=dat), "write newdata="), (lambda fit, dat: fit.predict(exog=dat), "write newdata="),
    (lambda fit, dat: fit.ranef(condVar=True), "ranef has no argument 'condVar'; write cond_sd=True"),
    (lambda fit, dat: fit.coef(condVar=True), "coef has no argument 'condVar'; write fit.ranef(cond_sd=True)"),
    (lambda fit, dat: anova(fit, fit, refit=False), "anova has no argument 'refit'; fits by REML are always refitted"),
    (lambda fit, dat: anova(fit, fit, test="Chisq"), "several fits are always compared by likelihood"),
    (lambda fit, dat: fit.simulate(n=3), "simulate has no argument 'n'; write nsim=3"),
    (lambda fit, dat: fit.simulate(random_state=1), "simulate has no argument 'random_state'; write seed=1"),
    (lambda fit, dat: fit.conf_int(alpha=0.1), "conf_int has no argument 'alpha'; write level=0.9"),
    (lambda fit, dat: fit.conf_int(parm="beta_"), 'as in fit.conf_int().loc["beta"]'),
    (lambda fit, dat: fit.conf_int(oldNames=False), "names are those of fit.sd and fit.corr"),
    (lambda fit, dat: fit.conf_int("boot", R=99), "conf_int has no argument 'R'; write nsim=99"),
    (lambda fit, dat: fit.bootstrap(R=100), "bootstrap has no argument 'R'; write nsim=100"),
    (lambda fit, dat: fit.bootstrap(B=100), "bootstrap has no argument 'B'; write nsim=100"),
    (lambda fit, dat: fit.bootstrap(FUN=len), "bootstrap has no argument 'FUN'; write statistic="),
    (lambda fit, dat: fit.bootstrap(9, n_jobs=4), "bootstrap has no argument 'n_jobs'; write processes=4"),
    (lambda fit, dat: fit.bootstrap(2, seed=1, progress=False).conf_int(alpha=0.5), "conf_int has no argument 'alpha'; write level=0.5"),
    (lambda fit, dat: fit.update(data=dat), "update has no argument 'data'; write dat="),
    (lambda fit, dat: fit.refit(newresp=dat.score), "refit has no argument 'newresp'; write y="),
    (lambda fit, dat: fit.profile(which="beta_"), "write fit.profile() of all parameters"),
    (lambda fit, dat: fit.icc(by="g"), "icc has no argument 'by'; it takes none"),
]


@pytest.mark.parametrize("call, words", ARGUMENTS, ids=[words for _, words in ARGUMENTS])
def test_their_arguments_are_answered_with_ours(call, words, fit, machines):
    """By an error that is both Python's for such a call and the package's."""
    with pytest.raises(TypeError) as error:
        call(fit, machines)
    assert words in str(error.value) and isinstance(error.value, LMMError)
    assert "`" not in str(error.value) and str(error.value).count(". ") == 0


@pytest.mark.parametrize("given, level", [(0.1, 0.9), (0.05, 0.95), (0.9, 0.9)])
def test_a_level_in_the_place_of_the_method(given, level, fit):
    with pytest.raises(LMMError, match=f"method is {given}; it is one of .* and a level is given by name: level={level}$"):
        fit.conf_int(given)


def test_other_type_errors_are_pythons(fit, machines):
    with pytest.raises(TypeError, match=r"lmm\(\) missing 1 required positional argument: 'dat'"):
        lmm(FORM)
    with pytest.raises(TypeError, match="no luck") as error:
        fit.bootstrap(3, statistic=unlucky)
    assert not isinstance(error.value, LMMError)


def unlucky(fit):
    raise TypeError("no luck")


def test_signatures_and_pickles_are_those_of_the_functions(fit):
    assert list(inspect.signature(lmm).parameters)[:3] == ["form", "dat", "ref"]
    assert str(inspect.signature(fit.conf_int)) == "(method='profile', level=0.95, *, df='satterthwaite', **options)"
    for function in (lmm, lmer, LMMsetup, anova, LMMResult.conf_int, LMMResult.r2):
        assert pickle.loads(pickle.dumps(function)) is function
    assert fit.predict.__doc__.startswith("Predictions, on the scale")


# -- Ctrl-C -----------------------------------------------------------------------------------------------------


def interrupting(x):
    """A function of a formula in the midst of which Ctrl-C is pressed."""
    signal.raise_signal(signal.SIGINT)
    return x


def stopped(fit):
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("call", [
    lambda fit, dat: lmm("score ~ interrupting(x)", dat.assign(x=range(54)), "Worker"),
    lambda fit, dat: lmer("score ~ interrupting(x) + (1 | Worker)", dat.assign(x=range(54))),
    lambda fit, dat: fit.bootstrap(3, statistic=stopped),
])
def test_ctrl_c_is_a_keyboard_interrupt_of_a_few_lines(call, fit, machines):
    """From however deep; this used to show every frame, hundreds of lines in a notebook."""
    with pytest.raises(KeyboardInterrupt, match="was interrupted") as error:
        call(fit, machines)
    text = io.StringIO()
    traceback.print_exception(error.value, file=text)
    frames = traceback.extract_tb(error.value.__traceback__)
    assert len(frames) == 3 and "During handling" not in text.getvalue()       # two of this file, the call, one of ours


def test_what_is_explained_returns_and_raises_as_it_did():
    @explained
    def half(x, *, whole=False):
        """Half of it."""
        return x // 2 if whole else x / 2

    assert half(3) == 1.5 and half(3, whole=True) == 1 and half.__doc__ == "Half of it."
    with pytest.raises(TypeError, match="unsupported operand"):
        half("x")
    with pytest.raises(TypeError, match=r"half has no argument 'hole'; did you mean whole=\?$"):
        half(3, hole=True)


def test_a_frame_of_data_asks_a_fit_nothing_that_fails(fit):
    assert pd.Series({"fit": fit})["fit"] is fit
