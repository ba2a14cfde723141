"""summary(): exact text, the same cells in HTML, and readable whatever the labels' lengths."""

import numpy as np
import pandas as pd
import pytest
from helpers import crossed, fit_at, lmer_setup

from lmm import LMMprof, LMMResult, certify, load_data
from lmm.fitting import Plan
from lmm.result import rendering, tables

SLOPES = ["Subject", ["Subject", "Days"]]

SLEEPSTUDY = """\
Linear mixed model fit by REML
Formula: Reaction ~ Days
Random effects: Subject, Subject:Days

     AIC      BIC   logLik  REMLdev  df.resid
 1753.82  1769.78  -871.91  1743.82       175

Scaled residuals:
     Min       1Q  Median      3Q     Max
 -4.0601  -0.4673  0.0262  0.4762  5.3031

Random effects:
 Groups    Name       Variance  Std.Dev.  SE(Std.Dev.)
 Subject   Intercept   625.000   25.0000        5.5804
 Subject   Days         36.000    6.0000        1.2071
 Residual              625.000   25.0000        1.4334
Number of obs: 180; groups: Subject 18

Fixed effects (df and p by Satterthwaite's method):
            Estimate  Std. Error     df  t value  Pr(>|t|)
 Intercept   251.405      6.8350  18.23    36.78   1.5e-18
 Days         10.467      1.5559  18.11     6.73   2.5e-06

Correlation of fixed effects:
                    1
 1  Intercept
 2  Days       -0.178

Optimum: certified (gradient zero, curvature positive)"""


@pytest.fixture(scope="module")
def sleep():
    return fit_at(np.log([25.0, 25.0, 6.0]), "Reaction ~ Days", SLOPES, load_data("sleepstudy"), reml=True)


def test_text(sleep):
    assert str(sleep.summary(se=True)) == repr(sleep.summary(se=True)) == SLEEPSTUDY
    assert "SE(Std.Dev.)" not in str(sleep.summary()) and "Correlation" not in str(sleep.summary(correlation=False))


def test_html_has_the_same_cells(sleep):
    html = sleep.summary(se=True)._repr_html_()
    for table in sleep.summary(se=True).tables:
        for row in table.rows:
            assert "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" in html
        assert f"<p>{table.title}</p>".replace("'", "&#x27;").replace(">|t|", "&gt;|t|") in html or not table.title


def test_one_coefficient_and_a_block_at_zero():
    text = str(fit_at([1.3, -np.inf], "Yield ~ 1", ["Batch"], load_data("Dyestuff2")).summary())
    assert "Correlation" not in text and text.endswith("Singular: standard deviation 0 for Batch")
    assert "Intercept    5.6656" in text


def test_no_random_and_no_fixed_effects():
    text = str(fit_at([1.0], "score ~ Machine", ()).summary())
    assert "Linear model fit by" in text and "Random effects: none" in text and "groups" not in text
    text = str(fit_at([1.0, 1.0], "score ~ 0", ["Worker"]).summary())
    assert "Fixed effects" not in text and "Correlation" not in text


def test_long_labels_and_formulas():
    """Lines of text are folded; columns line up; correlations are numbered, so that headings stay narrow."""
    dat = crossed((4, 3, 2), 60, 3)
    dat["b"] = dat["b"].cat.rename_categories({"0": "x", "1": "a very long label of a level, of fifty characters..", "2": "y"})
    long = "y ~ b + " + " + ".join(f"I(x**{i})" for i in range(1, 8)) + " + np.sin(x) + np.cos(2 * x)" + " + np.sin(3 * x)" * 3
    fit = fit_at([0.0, 0.0], long, ["a"], dat)
    lines = str(fit.summary()).splitlines()
    start = lines.index(next(line for line in lines if line.startswith("Formula:")))
    assert max(map(len, lines[: start + 3])) <= rendering.WIDTH and lines[start + 1].startswith("    ")
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("Fixed effects")) + 1:]
    table = table[: len(fit.params) + 1]
    assert len({line.rindex(" ") for line in table[1:]}) == 1 and len(set(map(len, table))) == 1
    few = str(fit_at([0.0, 0.0], "y ~ b + " + " + ".join(f"I(x**{i})" for i in range(1, 7)), ["a"], dat).summary()).splitlines()
    correlations = few[next(i for i, line in enumerate(few) if line.startswith("Correlation")) + 1:]
    assert correlations[0].split() == [str(i) for i in range(1, 9)]


def test_many_fixed_effects_show_no_correlations_and_say_where_they_are():
    dat = crossed((25, 3, 2), 300, 3)
    for levels, shown in (9, True), (10, False), (25, False):
        few = dat[dat["a"].isin([str(i) for i in range(levels)])]
        text = str(fit_at([0.0, 0.0], "y ~ a", ["b"], few).summary())
        word = f"Correlation of fixed effects: not shown, being of {levels}; fit.cov_params() has their covariances"
        assert (word in text) != shown and ("Correlation of fixed effects:\n" in text) == shown


def test_a_very_long_table_is_cut_and_says_where_the_rest_is():
    dat = crossed((90, 3, 2), 1000, 3)
    fit = fit_at([0.0, 0.0], "y ~ a", ["b"], dat)
    for shown in (fit, fit.summary()):
        text, html = str(shown), shown._repr_html_()
        assert "the first 40 of 90:" in text and text.count(" a[T.") == 39
        assert html.count("<td>a[T.") == 39
        assert "All fixed effects: fit.params, fit.bse, fit.tvalues, fit.pvalues" in text and "All fixed effects" in html
    whole = str(fit_at([0.0, 0.0], "y ~ a", ["b"], dat[dat["a"].astype(int) < 60]))
    assert "the first" not in whole and whole.count(" a[T.") == 59


def test_many_correlated_effects_show_none_of_their_correlations():
    rng = np.random.default_rng(0)
    dat = pd.DataFrame({"f": rng.choice(list("abcdefghij"), 3000), "g": rng.integers(0, 30, 3000).astype(str), "y": rng.normal(size=3000)})
    dat["g"] = "g" + dat["g"]
    for levels, shown in ("abcdefghij", False), ("abcdefghi", True):
        setup = lmer_setup("y ~ 1 + (0 + f | g)", dat[dat["f"].isin(list(levels))])
        theta = np.zeros(len(setup.labels))
        value = LMMprof(theta, setup)
        optimum = certify(theta, setup)
        fit = LMMResult(value.beta, theta, float(value), value.triangle, setup, optimum, "By hand.", (), Plan())
        text = str(fit)
        word = f"Correlations of {len(levels)} effects not shown: fit.corr, or psi() of g (f[a], f[b]"
        assert (word in text.replace("\n    ", " ")) != shown and ("Corr" in text.split("f[a]")[0]) == shown
        assert max(map(len, text.splitlines())) <= 130


@pytest.mark.parametrize("p, text", [(0.5, "0.5000"), (1e-4, "0.0001"), (9.4e-5, "9.4e-05"), (0.0, "0"), (np.nan, "")])
def test_p_values(p, text):
    assert tables.p_value(p) == text


def test_an_uncertified_fit_has_no_tests(sleep):
    text = str(fit_at(sleep.theta, "Reaction ~ Days", SLOPES, load_data("sleepstudy"), reasons=("by hand",)).summary())
    assert "NOT certified: by hand" in text
    line = next(line for line in text.splitlines() if line.startswith(" Days "))
    assert line.split()[:3] == ["Days", "10.467", "1.5559"] and "nan" in line
