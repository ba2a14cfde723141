"""What R's and lme4's users write: dots, carets, factor(), bars in the wrong place, and words that are others' here."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lmm import LMMError, LMMsetup, lmer, lmm, load_data

N = 48
RNG = np.random.default_rng(8)
DAT = pd.DataFrame({"y": RNG.normal(5, 1, N), "x": RNG.normal(size=N), "my z": RNG.normal(size=N), "f": list("pqr") * 16, "k": np.arange(N) % 4,
                    "g": np.repeat(list("abcdefgh"), 6), "h": list("uuvv") * 12, "w": RNG.random(N) + 0.5, "o": RNG.normal(size=N)})


def names(form, dat=DAT, **given):
    """The columns of X."""
    return list(LMMsetup(form, dat, **given).design.x_names)


def said(call):
    """The message of the LMMError that a call ends in."""
    with pytest.raises(LMMError) as caught:
        call()
    return str(caught.value)


# -- dots


FEW = DAT[["y", "x", "my z", "f", "g"]]
OF_FEW = ["Intercept", "f[T.q]", "f[T.r]", "x", "my z"]


@pytest.mark.parametrize("form, columns, written", [
    ("y ~ .", OF_FEW, "y ~ x + `my z` + f"),
    ("y~.", OF_FEW, "y~x + `my z` + f"),
    ("y ~ . - x", ["Intercept", "f[T.q]", "f[T.r]", "my z"], "y ~ x + `my z` + f - x"),
    ("y ~ 0 + .", ["f[p]", "f[q]", "f[r]", "x", "my z"], "y ~ 0 + x + `my z` + f"),
    ("y ~ . + I(x^2)", [*OF_FEW, "I(x ** 2)"], "y ~ x + `my z` + f + I(x^2)"),
    ("y ~ x:. ", ["Intercept", "x", "x:f[T.q]", "x:f[T.r]", "x:my z"], "y ~ x:(x + `my z` + f) "),
    ("y ~ .^2", [*OF_FEW[:4], "x:f[T.q]", "x:f[T.r]", "my z", "my z:f[T.q]", "my z:f[T.r]", "x:my z"], "y ~ (x + `my z` + f)^2"),
    ("y ~ (. - f)**2", ["Intercept", "x", "my z", "x:my z"], "y ~ ((x + `my z` + f) - f)**2"),
    ("log(y) ~ .", OF_FEW, "log(y) ~ x + `my z` + f"),
    ("I(y - x) ~ .", ["Intercept", "f[T.q]", "f[T.r]", "my z"], "I(y - x) ~ `my z` + f"),
])
def test_a_dot_is_the_other_columns(form, columns, written):
    design = LMMsetup(form, FEW, "g").design
    assert list(design.x_names) == columns
    assert design.form == written
    assert_array_equal(LMMsetup(written, FEW, "g").design.X, design.X)


@pytest.mark.parametrize("form, rest", [
    ("y ~ . + (1 | g)", ["f", "x", "my z", "k", "h"]), ("y ~ . + (1 | g/h)", ["f", "x", "my z", "k"]), ("y ~ . + (x | g)", ["f", "my z", "k", "h"]),
    ("y ~ (1 | factor(k)) + . + (0 + f || g)", ["x", "my z", "h"]),
])
def test_nor_are_they_in_bars_or_weights_or_an_offset(form, rest):
    fit = lmer(form, DAT, weights="w", offset="o")
    assert {name.split("[")[0] for name in fit.params.index} == {"Intercept", *rest}
    assert fit.update(". ~ . - `my z`").params.index.tolist() == [name for name in fit.params.index if name != "my z"]
    assert_allclose(fit.predict(DAT.iloc[[3]]), fit.fittedvalues.iloc[[3]], rtol=1e-10)


def test_nor_in_an_offset_of_the_formula():
    assert names("y ~ . + offset(`my z`)", FEW[["y", "x", "my z", "f"]]) == ["Intercept", "f[T.q]", "f[T.r]", "x"]
    assert "form calls 'lgo'" in said(lambda: lmm("y ~ . + offset(lgo(x))", FEW, "g"))


def test_nor_in_ref():
    assert names("y ~ .", ref=["g", ["h", "x"]])[1:] == ["f[T.q]", "f[T.r]", "my z", "k", "w", "o"]


def test_predictions_need_only_the_columns_that_a_dot_meant():
    fit = lmm("y ~ .", FEW, "g")
    assert_allclose(fit.predict(DAT.iloc[[3]]), fit.fittedvalues.iloc[[3]], rtol=1e-10)


@pytest.mark.parametrize("form, words", [
    (". ~ x", "form holds a lone '.' within an expression; it stands by itself, for the other columns\n    . ~ x\n    ^"),
    ("y ~ I(.^2)", "form holds a lone '.' within an expression"),
    ("y ~ log(.)", "form holds a lone '.' within an expression"),
    ("y ~ x + (. | g)", "form holds a lone '.', which stands for the other columns of dat in the fixed effects alone\n    y ~ x + (. | g)\n             ^"),
])
def test_dots_that_mean_nothing(form, words):
    assert words in said(lambda: (lmer if "|" in form else lmm)(form, DAT))


def test_a_dot_without_other_columns():
    assert "form holds a lone '.', which stands for the other columns; there are none" in said(lambda: lmm("y ~ .", DAT[["y", "g"]], "g"))


# -- powers and factors


@pytest.mark.parametrize("one, other", [
    ("y ~ I(x^2)", "y ~ I(x**2)"), ("y ~ I(2*x^2)", "y ~ I(2 * x**2)"), ("y ~ I(-x^2 + x^3)", "y ~ I(-x**2 + x**3)"), ("y ~ I(k^-1.5 + x)", None),
    ("y ~ log(x^2)", "y ~ log(x**2)"), ("y ~ sqrt(x^2 + `my z`^2)", "y ~ sqrt(x**2 + `my z`**2)"), ("I(y^2) ~ x", "I(y**2) ~ x"),
    ("y ~ (x + f)^2", "y ~ (x + f)**2"), ("y ~ (x + f + h)^2 - x:h", "y ~ x + f + h + x:f + f:h"), ("y ~ x + (f * h)^1", "y ~ x + f * h"),
    ("y ~ factor(k)", "y ~ C(k)"), ("y ~ as.factor(k) * x", "y ~ C(k) * x"), ("y ~ factor(f)", "y ~ C(f)"), ("y ~ factor(k) + C(k)", "y ~ C(k)"),
    ("y ~ factor(k, levels=c(3, 2, 1, 0))", None), ("y ~ I(x^2) + I(x**2)", "y ~ I(x**2)"),
])
def test_what_is_written_as_in_r_is_the_same(one, other):
    if other is None:
        assert np.isfinite(LMMsetup(one, DAT.assign(k=DAT.k + 1.0 * ("levels" not in one))).design.X).all()
        return
    first, second = (LMMsetup(form, DAT).design for form in (one, other))
    assert first.x_names == second.x_names
    assert_array_equal(first.X, second.X)
    assert_array_equal(first.y, second.y)


def test_rs_words_for_true_and_false():
    dat = DAT.assign(flag=DAT.h == "u")
    assert_array_equal(LMMsetup("y ~ I(flag == TRUE)", dat).design.X[:, 1], dat.flag)
    assert_array_equal(LMMsetup("y ~ I(flag == FALSE)", dat).design.X[:, 1], ~dat.flag)
    assert "form uses 'TRUE'" not in said(lambda: lmm("y ~ TRUE", dat))


def test_in_bars_too():
    one, other = (lmer(f"y ~ x + ({left} | g)", DAT) for left in ("0 + I(x^2)", "0 + I(x**2)"))
    assert one.sd.equals(other.sd) and one.sd.index.tolist() == ["g:I(x ** 2)"]
    assert lmer("y ~ x + (0 + factor(h) || g)", DAT).sd.index.tolist() == ["g:C(h)[u]", "g:C(h)[v]"]


def test_a_function_called_factor_is_the_users_own():
    def factor(x):
        return 2 * x

    assert_array_equal(LMMsetup("y ~ factor(x)", DAT).design.X[:, 1], 2 * DAT.x)
    assert names("y ~ as.factor(k)")[1] == "C(k)[T.1]"


def test_a_function_called_c_is_too():
    def c(*values):
        return sum(values)

    assert_array_equal(LMMsetup("y ~ c(x, k)", DAT).design.X[:, 1], DAT.x + DAT.k)


# -- what others' formulas hold


@pytest.mark.parametrize("form, words, culprit", [
    ("y ~ x^2", "a power of one variable is that variable, in a formula; write I(x**2) for a square, (a + b)**2 for interactions", "x^2"),
    ("y ~ s(x)", "form calls 's', which is no function known here; a spline is written bs(x, df=5) here, or ns(x, df=4), a natural one", "s(x)"),
    ("y ~ s(x, bs='cr') + f", "a spline is written bs(x, df=5) here", "s(x, bs='cr')"),
    ("y ~ te(x, k)", "te is of splines here, as in te(cr(x, df=4), cr(z, df=4))", "te(x, k)"),
    ("y ~ f + Error(g/h)", "strata of errors are random effects: (1 | g) in lmer's formulas, ref=[\"g\"] in lmm", "Error(g/h)"),
    ("y ~ f %in% g", "form holds '%in%', which is R's; b %in% a is written a:b here; what is in a list is a column to compute, by isin", "%in%"),
    ("y ~ I(k %% 2)", "form holds '%%', which is R's; the remainder is written I(a % b) here", "%%"),
    ("y ~ I(k %/% 2)", "the quotient in whole numbers is written I(a // b) here", "%/%"),
    ("y ~ dat$x", "form holds '$', which is R's; a column is written by its name alone, x for dat$x", "$"),
    ("y ~ relevel(f, ref='q')", "the first level is chosen by C(f, Treatment(\"b\"))", "relevel(f, ref='q')"),
    ("y ~ as.numeric(k)", "turn the column into numbers first", "as.numeric(k)"),
    ("y ~ is.na(x)", "form calls 'is.na', which is no function known here; define it before the call", "is.na(x)"),
    ("y ~ pi", "form holds 'pi', which is one value, not one per row; name a column of dat", "pi"),
    ("y ~ x + np.pi", "form holds 'np.pi', which is one value, not one per row", "np.pi"),
    ("y ~ x + True", "form holds 'True', which is one value, not one per row", "True"),
    ("y ~ None", "form holds 'None', which is one value, not one per row", "None"),
    ("y ~ I(2) + x", "form holds 'I(2)', which is one value, not one per row", "I(2)"),
    ("y ~ x + 2", "form holds the number 2 by itself; write arithmetic as I(2 * x)", "2"),
    ("y ~ 2*x", "form holds the number 2 by itself; write arithmetic as I(2 * x)", "2"),
    ("True ~ x", "the response 'True' is one number, not one per row", "True"),
])
def test_others_words_are_answered_with_ours(form, words, culprit):
    message, shown, carets = said(lambda: lmm(form, DAT, "g")).splitlines()
    assert words in message and message.count(". ") == 0
    assert shown == "    " + form
    assert shown[carets.index("^") : len(carets)] == culprit


def test_a_function_called_s_is_the_users_own():
    def s(x):
        return 2 * x

    assert_array_equal(LMMsetup("y ~ s(x)", DAT).design.X[:, 1], 2 * DAT.x)


# -- bars and formulas where names are meant


@pytest.mark.parametrize("form, call", [
    ("y ~ x + (1 | g)", 'lmm("y ~ x", dat, ["g"])'), ("y ~ (1|g)", 'lmm("y ~ 1", dat, ["g"])'),
    ("y ~ x + (1 | g/h) + f", 'lmm("y ~ x + f", dat, ["g", ["g", "h"]])'), ("y ~ f + (1 | g:h)", 'lmm("y ~ f", dat, [["g", "h"]])'),
    ("y ~ x + (x || g)", 'lmm("y ~ x", dat, ["g", ["g", "x"]])'), ("y ~ x + (0 + x | g)", 'lmm("y ~ x", dat, [["g", "x"]])'),
    ("y ~ `my z` + (0+`my z`|g) + (1|h)", 'lmm("y ~ `my z`", dat, [["g", "my z"], "h"])'),
    ("y ~ x + (1 + `my z` || `g`)", 'lmm("y ~ x", dat, ["g", ["g", "my z"]])'),
])
def test_bars_in_lmm_are_answered_with_the_users_own_model(form, call):
    """This used to show the model of another data set."""
    message = said(lambda: lmm(form, DAT))
    assert f"form holds a random effect written with '|'; name it in ref instead, as in {call}, or call lmer(form, dat)\n    {form}" in message
    dat = DAT  # noqa: F841 - for what the message says
    one, other = eval(call), lmer(form, DAT, reml=False)
    assert_allclose(one.params, other.params, rtol=1e-7)
    assert_allclose(one.llf, other.llf, rtol=1e-9)


@pytest.mark.parametrize("form, words", [
    ("y ~ x + (x | g)", "form holds a random effect written with '|', of a kind that ref does not say; call lmer(form, dat)"),
    ("y ~ x + (f || g)", "of a kind that ref does not say"), ("y ~ x + (1 | g) + (x | h)", "of a kind that ref does not say"),
    ("y ~ x + cs(0 + f | g)", "of a kind that ref does not say"),
    ("y ~ x + (1 | G)", "form groups by 'G', which is not a column of dat; did you mean 'g'?"),
    ("y ~ x | g", "form holds '|', which stands for random effects alone, as in (1 | g) of lmer's formulas"),
    ("y ~ I(x | k)", "form holds '|', which stands for random effects alone"),
])
def test_other_bars_in_lmm(form, words):
    assert words in said(lambda: lmm(form, DAT))


@pytest.mark.parametrize("ref, words", [
    ("g + g:h", "ref[0] is 'g + g:h', but ref takes names of columns; write ref=[\"g\", [\"g\", \"h\"]]"),
    (["f", "g+h"], "ref[1] is 'g+h', but ref takes names of columns; write ref=[\"g\", \"h\"]"),
    ("g:h + `my z`", 'write ref=[["g", "h"], "my z"]'),
    ("(1 | g:h)", "ref[0] is '(1 | g:h)', but ref takes names of columns; for lmer's (1 | g) write \"g\""),
    ("g*h", "ref[0] is 'g*h', but ref takes names of columns; for lmer's"),
    ("g + G", "ref[0] is 'g + G', but ref takes names of columns; for lmer's"),
])
def test_formulas_in_ref_are_echoed_whole(ref, words):
    assert words in said(lambda: lmm("y ~ x", DAT, ref))


# -- effects of a factor of the grouping itself


TREATED = DAT.assign(treatment=DAT.g.map(dict(zip("abcdefgh", "uvuvuvuv"))), **{"the t": DAT.g.map(dict(zip("abcdefgh", "pqrpqrpq")))})
TREATED["number"] = (TREATED.treatment == "v").astype(int)
TREATED["flag"] = TREATED.treatment == "v"
TREATED["dose"] = TREATED.g.map(dict(zip("abcdefgh", [0, 1, 2, 3] * 2))) / 7


@pytest.mark.parametrize("bar, shown, factor", [
    ("treatment | g", "treatment", "treatment"), ("0 + treatment | g", "treatment", "treatment"), ("treatment || g", "treatment", "treatment"),
    ("x + treatment | g", "treatment", "treatment"), ("treatment * x | g", "treatment", "treatment"), ("`the t` | g", "the t", "`the t`"),
    ("flag | g", "flag", "flag"), ("C(number) | g", "C(number)", "C(number)"), ("number | g", "number", "C(number)"), ("factor(dose) | g", "C(dose)", "C(dose)"),
])
def test_a_factor_of_the_grouping_has_two_terms_that_say_it(bar, shown, factor):
    message = said(lambda: lmer(f"y ~ x + ({bar})", TREATED))
    written = f"`{shown}`" if " " in shown else shown
    assert message == (f"{shown!r} is constant within each level of 'g', so the (co)variances of ({bar}) cannot be told apart; "
                       f"write {written} + (1 | g), or for a variance in each of its levels (0 + {factor} || g)")
    for bars in f"{written} + (1 | g)", f"x + (0 + {factor} || g)":
        assert np.isfinite(lmer(f"y ~ {bars}", TREATED).llf)


@pytest.mark.parametrize("bar", ["0 + treatment || g", "0 + number | g", "number || g", "dose || g", "f | g", "0 + treatment:x || g", "treatment | h"])
def test_effects_that_can_be_told_apart_are_fitted(bar):
    assert np.isfinite(lmer(f"y ~ x + ({bar})", TREATED).llf)


# -- updates


def test_an_update_knows_the_functions_of_bars():
    """Those of the fixed effects alone were passed on, and the user's own of a bar had to be in sight again."""
    def fitted():
        def half(x):
            return x / 2

        def third(x):
            return x / 3

        return lmer("y ~ half(x) + (0 + third(x) | g) + (1 | h)", DAT)

    fit = fitted()
    assert fit.update(". ~ . + k").params.index.tolist() == ["Intercept", "half(x)", "k"]
    assert fit.update(". ~ . - (1 | h)").sd.index.tolist() == ["g:third(x)"]
    assert fit.update(". ~ . + third(`my z`)").params.index.tolist() == ["Intercept", "half(x)", "third(my z)"]
    independent = load_data("sleepstudy")

    def own(days):
        return days / 9

    slopes = lmer("Reaction ~ Days + (own(Days) || Subject)", independent)
    del own
    assert slopes.update(". ~ 1 + .").nobs == 180


def test_a_power_of_one_variable_is_refused_in_updates_too():
    """``x**2`` used to become x without a word."""
    fit = lmm("y ~ x", DAT, "g")
    for form in ". ~ . + k^2", ". ~ . + k**2":
        assert "write I(k**2) for a square" in said(lambda form=form: fit.update(form))
    assert fit.update(". ~ . + I(k^2)").params.index.tolist() == ["Intercept", "x", "I(k ** 2)"]
