"""lmer's formulas: what they mean, and what is refused, with carets under the culprit."""

import numpy as np
import pandas as pd
import pytest
from helpers import CRITERION, crossed
from numpy.testing import assert_allclose, assert_array_equal

from lmm import LMMError, lmer, lmm, load_data
from lmm.formula import split_bars, with_bars_of

SMALL = crossed((4, 3, 2), 60, seed=1).assign(k=lambda d: d["a"].astype(int), z=lambda d: np.sin(np.arange(len(d))))


def same(one, other):
    assert abs(one.nll - other.nll) < CRITERION * max(1, abs(one.nll))
    assert_allclose(one.beta, other.beta, rtol=1e-7, atol=1e-9)
    assert_allclose(one.sd, other.sd, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("bars, ref", [
    ("(1 | a)", ["a"]),
    ("(1|a)+(1|b)", ["a", "b"]),
    ("( 1 | a:b )", [["a", "b"]]),
    ("(1 | a/b)", ["a", ["a", "b"]]),
    ("(1 | a/(b:c))", ["a", ["a", "b", "c"]]),
    ("(1 | a/b/c)", ["a", ["a", "b"], ["a", "b", "c"]]),
    ("(0 + x | a)", ["a:x"]),
    ("(x - 1 | a)", ["a:x"]),
    ("(x || a)", ["a", ["a", "x"]]),
    ("(1 + x || a)", ["a", ["a", "x"]]),
    ("(0 + x + z || a)", [["a", "x"], ["a", "z"]]),
    ("(1 | factor(a))", ["a"]),
    ("(1 | Q('a'))", ["a"]),
    ("(1 + 1 | a)", ["a"]),
])
def test_what_lmm_can_say_too(bars, ref):
    one, other = lmer(f"y ~ x + {bars}", SMALL, reml=False), lmm("y ~ x", SMALL, ref)
    same(one, other)
    assert list(one.sd.index) == [name if isinstance(name, str) else ":".join(name) for name in ref]
    assert_allclose(one.ranef(tidy=True)["estimate"], other.ranef(tidy=True)["estimate"], rtol=1e-6, atol=1e-8)


def test_the_default_is_reml_as_in_lme4():
    assert lmer("y ~ x + (1 | a)", SMALL).reml and not lmer("y ~ x + (1 | a)", SMALL, reml=False).reml


@pytest.mark.parametrize("formula", ["y ~ x + (1 | a) + (1 | b)", "y ~ (1 | a) + x + (1 | b)", "y ~ (1 | a) + (1 | b) + x",
                                     "y~(1|b)+x+(1|a)", "y ~ (1|a) + (1|b) - 1 + 1 + x"])
def test_bars_may_stand_anywhere(formula):
    assert_allclose(lmer(formula, SMALL).nll, lmer("y ~ x + (1 | a) + (1 | b)", SMALL).nll, rtol=1e-11)


def test_without_fixed_effects_there_is_the_constant():
    same(lmer("y ~ (1 | a)", SMALL, reml=False), lmm("y ~ 1", SMALL, "a"))
    same(lmer("y ~ 0 + (1 | a)", SMALL, reml=False), lmm("y ~ 0", SMALL, "a"))
    same(lmer("y ~ (1 | a) - 1", SMALL, reml=False), lmm("y ~ 0", SMALL, "a"))


def test_everything_outside_of_bars_is_patsys():
    same(lmer("np.abs(y) ~ x * C(b, Treatment('2')) + I(x**2) + (1 | a)", SMALL, reml=False),
         lmm("np.abs(y) ~ x * C(b, Treatment('2')) + I(x**2)", SMALL, "a"))
    assert split_bars("y ~ C(b, Treatment('(|)')) + (1 | a)")[1].rstrip() == "y ~ C(b, Treatment('(|)'))"


def test_effects_are_patsys_too():
    fit = lmer("y ~ x + (0 + I(x**2) | a)", SMALL, reml=False)
    same(fit, lmm("y ~ x", SMALL.assign(s=SMALL.x**2), ["a:s"]))
    assert fit.sd.index.tolist() == ["a:I(x ** 2)"]
    assert_allclose(fit.predict(SMALL), fit.fittedvalues, rtol=1e-12)
    with_factor = lmer("y ~ x + (b | a)", SMALL)
    assert with_factor.setup.design.term_names == ("a (Intercept, b[T.1], b[T.2])",)

    def twice(values):
        return 2 * values

    own = lmer("y ~ x + (0 + twice(x) | a)", SMALL, reml=False)
    assert_allclose(2 * own.sd.iloc[0], lmm("y ~ x", SMALL, ["a:x"]).sd.iloc[0], rtol=1e-6, atol=1e-8)
    assert own.update(". ~ .").nll == own.nll
    centred = lmer("y ~ x + (center(x) | a)", SMALL)
    assert_allclose(centred.predict(SMALL.iloc[:3]), centred.fittedvalues[:3], rtol=1e-10)


def test_a_grouping_by_integers_is_a_factor():
    fit = lmer("y ~ x + (1 | k)", SMALL, reml=False)
    same(fit, lmm("y ~ x", SMALL, "a"))
    assert_array_equal(SMALL["k"], SMALL["a"].astype(int))
    assert_allclose(fit.predict(SMALL.iloc[[3]]), fit.fittedvalues.iloc[[3]])
    assert_allclose(lmer("y ~ x + (1 | k:b)", SMALL).nll, lmer("y ~ x + (1 | a:b)", SMALL).nll)
    floats = lmer("y ~ x + (1 | k)", SMALL.assign(k=SMALL.k + 0.5))
    assert floats.ranef()["k"].index.tolist() == [0.5, 1.5, 2.5, 3.5]


def test_a_variable_may_be_number_and_grouping():
    """The grouping is called factor(k) then."""
    fit = lmer("y ~ k + (1 | k) + (0 + x | k)", SMALL, reml=False)
    same(fit, lmm("y ~ k", SMALL, ["a", "a:x"]))
    assert fit.sd.index.tolist() == ["factor(k)", "factor(k):x"]
    assert_allclose(fit.predict(SMALL), fit.fittedvalues, rtol=1e-12)


def test_rows_with_missing_values_anywhere_are_left_out():
    dat = SMALL.copy()
    dat.loc[0, "x"], dat.loc[3, "z"] = np.nan, np.nan
    dat["g"] = dat["a"].astype(object).where(np.arange(60) != 7)
    fit = lmer("y ~ x + (z | g)", dat)
    assert fit.nobs == 57 and fit.n_dropped == 3
    assert_allclose(fit.nll, lmer("y ~ x + (z | a)", dat.drop(index=[0, 3, 7])).nll, rtol=1e-12)


def test_weights_and_offsets():
    rng = np.random.default_rng(0)
    dat = SMALL.assign(w=rng.uniform(0.5, 2, 60), o=rng.normal(size=60))
    fit = lmer("y ~ x + (1 | a)", dat, weights="w", offset="o", reml=False)
    same(fit, lmm("y ~ x", dat, "a", weights="w", offset="o"))
    same(lmer("y ~ x + offset(o) + (1 | a)", dat, weights="w", reml=False), fit)
    vector = lmer("y ~ x + (x | a)", dat, weights="w", reml=False)
    tripled = lmer("y ~ x + (x | a)", dat.assign(w=3 * dat.w), weights="w", reml=False)
    assert_allclose(tripled.sigma / vector.sigma, np.sqrt(3), rtol=1e-6)
    assert_allclose(tripled.sd, vector.sd, rtol=1e-6)


def test_weighted_vector_valued_terms_agree_with_lme4():
    """lme4 1.1-31, bobyqa, rhoend 1e-9: lmer(Reaction ~ Days + (Days | Subject), sleepstudy, weights = 1 + Days / 10)."""
    dat = load_data("sleepstudy")
    fit = lmer("Reaction ~ Days + (Days | Subject)", dat, weights=1 + dat.Days / 10)
    assert_allclose(fit.deviance, 1755.155094, atol=1e-6)
    assert_allclose([*fit.sd, fit.sigma], [24.36512254, 5.895552281, 31.63959828], rtol=1e-5)
    assert_allclose(fit.corr, 0.08439022314, rtol=1e-4)


@pytest.mark.requirement("unchanged")
def test_the_data_are_not_changed():
    dat = SMALL.copy()
    lmer("y ~ k + (x | k) + (1 | b)", dat)
    pd.testing.assert_frame_equal(dat, SMALL)


@pytest.mark.requirement("mistakes")
@pytest.mark.parametrize("formula, words, culprit", [
    ("y ~ x", "formula has no random effects, such as (1 | g); for a model without any, call lmm", " x"),
    ("y ~ x + 1 | a", "a bar without parentheses", "|"),
    ("y ~ x + x || a", "a bar without parentheses", "||"),
    ("y ~ x + ( | a)", "nothing stands on the left of the bar; for a random intercept write (1 | g)", "( | a)"),
    ("y ~ x + (1 | )", "nothing stands on the right of the bar; name a grouping column there", "(1 | )"),
    ("y ~ x + (0 | a)", "no random effect stands on the left of the bar", "(0 | a)"),
    ("y ~ x + (1 | A)", "form groups by 'A', which is not a column of dat; did you mean 'a'?", "A"),
    ("y ~ x + (1 | a:wroker)", "form groups by 'wroker', which is not a column of dat; its columns are", "wroker"),
    ("y ~ x + (1 | a + b)", "form holds '+' in a grouping; a grouping is a column of dat, or several joined by ':' or '/'", "+"),
    ("y ~ x + (1 | a*b)", "form holds '*' in a grouping", "*"),
    ("y ~ x + (1 | a:)", "a grouping that ends too early", " a:"),
    ("y ~ x + (1 | a b)", "form lacks a name or an operator before 'b'", "b"),
    ("y ~ x + (1 | a))", "a parenthesis that was not opened", ")"),
    ("y ~ x + (1 | a", "a parenthesis that is not closed", "("),
    ("y ~ x * (1 | a)", "stand by themselves in the sum, and cannot be part of an expression; join it by +", "(1 | a)"),
    ("y ~ x - (1 | a)", "cannot be subtracted; leave it out", "(1 | a)"),
    ("y ~ x + (1 | a):b", "stand by themselves in the sum; join what follows by +", "(1 | a)"),
    ("y ~ x + ((1 | a))", "a bar within another parenthesis or a function", "|"),
    ("y ~ x + I(x | a)", "a bar within a function", "|"),
    ("y ~ x + (1 | a | b)", "two in one parenthesis", "|"),
    ("y ~ x + (w | a)", "form uses 'w', which is not a column of dat", "w"),
    ("y ~ x + (x^2 | a)", "a power of one variable is that variable, in a formula; write I(x**2) for a square", "x^2"),
    ("y ~ x + ar1(b | a)", "form holds the word 'ar1' before random effects; it may be us (correlated, as without a word), diag", "ar1"),
    ("y ~ wrong + (1 | a)", "form uses 'wrong', which is not a column of dat", "wrong"),
])
def test_what_cannot_be_read_is_pointed_at(formula, words, culprit):
    with pytest.raises(LMMError) as caught:
        lmer(formula, SMALL)
    message = str(caught.value)
    assert words in message
    _, shown, carets = message.splitlines()
    assert shown == "    " + formula
    assert shown[carets.index("^") : len(carets)] == culprit


@pytest.mark.parametrize("formula, words", [
    ("y ~ x + (x | a) + (1 | a)", "the effect 'Intercept' of 'a' comes twice, so their variances cannot be told apart"),
    ("y ~ x + (1 | a) + (1 | a)", "the effect 'Intercept' of 'a' comes twice"),
    ("y ~ x + (1 | a) + (0 + b | a)", "cannot be told apart, whatever the response"),
    ("y ~ x + (x + I(2 * x) | a)", "'Intercept', 'x', 'I(2 * x)', are linear combinations of each other; drop one of them"),
    ("y ~ x + (1 | y)", "block '1 | y' is the response"),
    ("y ~ x + (y | a)", "block 'y | a' is the response"),
    ("y ~ x + (x + offset(z) | a)", "holds an offset, which belongs to the fixed effects"),
    ("y ~ x + (1 | row)", "has 60 levels for 60 observations"),
    ("y ~ x + (0 + b | a:c:b)", "cannot be told apart"),
    ("y ~ x + (1 | one)", "block 'one' has one level, '1'"),
    ("y ~ x + (np.log(x) | a)", "the random effect 'np.log(x)' of np.log(x) | a is nan in some row"),
])
def test_models_that_cannot_be_fitted(formula, words):
    with pytest.raises(LMMError) as caught:
        lmer(formula, SMALL.assign(row=np.arange(60), one=1))
    assert words in str(caught.value)


def test_not_a_string():
    with pytest.raises(LMMError, match="formula is of type DataFrame"):
        lmer(SMALL, "y ~ x + (1 | a)")


def test_more_effects_than_the_data_can_tell_are_refused():
    """lme4: "number of observations (=12) <= number of random effects"."""
    dat = SMALL.drop_duplicates(["a", "b"])
    with pytest.raises(LMMError, match="cannot be told apart, whatever the response; use fewer random effects"):
        lmer("y ~ 1 + (0 + b | a)", dat)


def test_lmm_points_to_lmer():
    with pytest.raises(LMMError, match=r"or call lmer\(form, dat\)"):
        lmm("y ~ x + (1 | a)", SMALL)


@pytest.mark.parametrize("update, formula", [
    (". ~ . - x", "y ~ 1 + (1 | a) + (0 + x | b)"),
    (". ~ . + z", "y ~ x + z + (1 | a) + (0 + x | b)"),
    ("~ . + z", "y ~ x + z + (1 | a) + (0 + x | b)"),
    (". ~ . + (1 | c)", "y ~ x + (1 | a) + (0 + x | b) + (1 | c)"),
    (". ~ . - (0+x|b)", "y ~ x + (1 | a)"),
    (". ~ . - (1 | a) + (1 | a:b)", "y ~ x + (0 + x | b) + (1 | a:b)"),
    (".~.-x", "y ~ 1 + (1 | a) + (0 + x | b)"),
    (".~.-(1|a)+z", "y ~ x + z + (0 + x | b)"),
    ("y ~ z + (1 | c)", "y ~ z + (1 | c)"),
    ("I(y + 1) ~ .", "I(y + 1) ~ x + (1 | a) + (0 + x | b)"),
])
def test_updates(update, formula):
    old = "y ~ x + (1 | a) + (0 + x | b)"
    assert_allclose(lmer(old, SMALL).update(update).nll, lmer(formula, SMALL).nll, rtol=1e-11)


def test_updates_without_blanks():
    fit = lmm("y ~ x + z", SMALL, "a")
    assert fit.update(".~.-z").params.index.tolist() == ["Intercept", "x"]
    assert fit.update("~.-x").params.index.tolist() == ["Intercept", "z"]
    assert fit.update(".~.-x-z+b").params.index.tolist() == ["Intercept", "b[T.1]", "b[T.2]"]


def test_an_intercept_stays_when_a_covariate_is_added():
    """This used to drop it where it was the only fixed effect."""
    for fit in lmer("y ~ (1 | a)", SMALL), lmm("y ~ 1", SMALL, "a"):
        assert fit.update(". ~ . + x").params.index.tolist() == ["Intercept", "x"]


def test_formulas_have_no_holes_where_bars_were():
    fit = lmer("y ~ x + (1 | a)", SMALL)
    assert fit.update(ref=["a"]).setup.design.form == "y ~ x"
    assert fit.update("y ~ z + (1 | b)").setup.design.form == "y ~ z + (1 | b)"
    assert with_bars_of(". ~ . + C(b, Treatment('  2'))", "y ~ x + (1 | a)").endswith("C(b, Treatment('  2')) + (1 | a)")
    with pytest.raises(LMMError, match=r"form has no response: '~ x \+ \(1 \| a\)'"):
        lmer("~ x + (1 | a)", SMALL)


def test_bars_are_not_added_to_a_fit_of_lmms():
    with pytest.raises(LMMError, match=r"where this fit has them in ref; give update\(ref=\.\.\.\), or call lmer"):
        lmm("y ~ x", SMALL, ["a"]).update(". ~ . + (1 | b)")


def test_other_updates():
    fit = lmer("y ~ x + (1 | a) + (0 + x | b)", SMALL)
    assert_allclose(fit.update(reml=False).nll, lmer("y ~ x + (1 | a) + (0 + x | b)", SMALL, reml=False).nll, rtol=1e-11)
    assert_allclose(fit.update(ref=["a"]).nll, lmm("y ~ x", SMALL, "a", reml=True).nll, rtol=1e-11)
    assert fit.update(dat=SMALL.iloc[:50]).nobs == 50
    with pytest.raises(LMMError, match=r"the formula has no random effects \(1 \| c\); it has \(1 \| a\), "):
        fit.update(". ~ . - (1 | c)")


def test_what_is_printed_names_the_formula():
    text = str(lmer("y ~ x + (x | a) + (1 | b)", SMALL))
    assert "Formula: y ~ x + (x | a) + (1 | b)" in text and "Random effects: " not in text.split("Groups")[0].replace(
        "Random effects:\n", "")


def test_predictions_ask_for_the_columns_of_the_effects():
    fit = lmer("y ~ x + (z | a)", SMALL)
    with pytest.raises(LMMError, match="newdata has no column 'z'"):
        fit.predict(SMALL[["x", "a"]])
    assert_allclose(fit.predict(SMALL[["x"]], random=False), fit.predict(random=False), rtol=1e-12)
    by_factor = lmer("y ~ x + (0 + b | a)", SMALL)
    with pytest.raises(LMMError, match="'b' in row 0 of newdata, counted from 0, is of a level that the fit has not seen"):
        by_factor.predict(SMALL.iloc[:2].assign(b="new"))
