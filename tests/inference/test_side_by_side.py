"""compare_table: the numbers of the fits, side by side, as they are printed; what cannot be compared is said."""

import re

import numpy as np
import pytest
from helpers import fit_at
from numpy.testing import assert_allclose

from lmm import LMMError, compare_table, lmer, lmm, load_data
from lmm.inference.side_by_side import Style, _estimate


@pytest.fixture(scope="module")
def fits():
    """Three models of sleepstudy, the third by maximum likelihood."""
    slopes = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    base = slopes.update(". ~ Days + (1 | Subject)")
    quadratic = slopes.update(". ~ Days + I(Days**2) + (Days || Subject)", reml=False)
    return dict(base=base, slopes=slopes, quadratic=quadratic)


TEXT = """\
                                   base    slopes  quadratic
 Intercept                     251.405   251.405    255.449
                                (9.747)   (6.825)    (7.398)
 Days                          10.4673   10.4673     7.4341
                               (0.8042)  (1.5458)   (2.7945)
 I(Days ** 2)                                        0.3370
                                                    (0.2607)
 -----------------------------------------------------------
 SD (Intercept Subject)         37.124    24.740     24.207
 SD (Days Subject)                         5.922      5.803
 Cor (Intercept~Days Subject)             0.0656
 SD (Observations)              30.991    25.592     25.411
 -----------------------------------------------------------
 Num.Obs.                          180       180        180
 Num. groups: Subject               18        18         18
 AIC                           1794.47   1755.63    1762.34
 BIC                           1807.24   1774.79    1781.50
 logLik                        -893.23   -871.81    -875.17
Standard errors in parentheses
Note: AIC, BIC and logLik of base, slopes are by the REML criterion, those of quadratic by the likelihood; the
    two cannot be compared"""


def test_text(fits):
    found = compare_table(**fits)
    assert str(found) == repr(found) == TEXT


def test_the_numbers_are_those_of_the_fits(fits):
    table = compare_table(**fits, statistic="ci").table
    assert list(table.columns) == list(fits) and table.index.names == ["effect", "group", "term", "statistic"]
    for name, fit in fits.items():
        column = table[name]
        for term, value in fit.params.items():
            row = column.xs(term, level="term")["fixed", ""]
            assert row["estimate"] == value and row["std_error"] == fit.bse[term] and row["p_value"] == fit.pvalues[term]
            assert_allclose(row[["conf_low", "conf_high"]], fit.conf_int("t").loc["beta"].loc[term])
        assert column["ran_pars", "Residual", "sd__Observation", "estimate"] == fit.sigma
        assert column["ran_pars", "Subject", "sd__Intercept", "estimate"] == fit.sd["Subject"]
        criteria = [column["glance", "", term, ""] for term in ("nobs", "AIC", "BIC", "logLik")]
        assert criteria == [fit.nobs, fit.aic, fit.bic, fit.llf]
        assert column["glance", "Subject", "ngroups", ""] == 18
    assert np.isnan(table.loc[("fixed", "", "I(Days ** 2)", "estimate"), "base"])
    assert np.isnan(table.loc[("ran_pars", "Subject", "cor__Intercept.Days", "conf_low"), "quadratic"])


def line(found, label, below=0):
    """The cells of one line of the printed table, or of a line below it."""
    lines = str(found).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f" {label} "))
    return lines[at + below][1 + len(label):].split()


def test_intervals_beneath(fits):
    found = compare_table(fits["base"], fits["slopes"], statistic="ci", conf_int="profile", level=0.9)
    low, high = fits["slopes"].conf_int(level=0.9).iloc[-1]
    assert line(found, "Cor (Intercept~Days Subject)", 1) == [f"[{low:.4f},", f"{high:.4f}]"]
    assert "90 % confidence intervals in brackets, by profile likelihood" in found.notes


def test_p_values_beneath_and_nothing(fits):
    found = compare_table(fits["slopes"], statistic="p")
    assert line(found, "Days", 1) == ["(3.3e-06)"] and "p-values in parentheses, by Satterthwaite's method" in found.notes
    assert re.search(r"SD \(Days Subject\) +5\.922\n Cor", str(found))              # no p there
    found = compare_table(fits["slopes"], statistic=None)
    assert str(found).splitlines()[:3] == [f"{'':30}      m0", f" {'Intercept':30}251.405", f" {'Days':30} 10.467"]
    assert found.notes == ("AIC, BIC and logLik are by the REML criterion",)


@pytest.mark.parametrize("p, stars", [(0.2, ""), (0.1, ""), (0.0999, "+"), (0.0499, "*"), (0.00999, "**"), (0.000999, "***")])
def test_stars(p, stars):
    values = {"estimate": 1.5, "p_value": p}
    assert _estimate(values, "{:.2f}".format, Style("se", 3, 4)) == "1.50" + stars.ljust(3) + " "
    assert _estimate(values, "{:.2f}".format, Style(None, 0, 4)) == "1.50"


def test_stars_are_explained_and_digits_stay_below_digits(fits):
    found = compare_table(fits["quadratic"], stars=True)
    assert found.notes[1] == "+ p < 0.1, * p < 0.05, ** p < 0.01, *** p < 0.001, by Satterthwaite's method"
    lines = str(found).splitlines()
    assert lines[1].endswith(" 255.449***") and lines[2].endswith(" (7.398)") and lines[3].endswith(" 7.434**")
    assert lines[1].index("*") == lines[2].index(")") == lines[3].index("*")


def test_digits(fits):
    found = compare_table(fits["slopes"], digits=2)
    assert line(found, "Intercept") == ["251.4"] and line(found, "Intercept", 1) == ["(6.8)"]
    assert line(compare_table(fits["slopes"], digits=6), "Days", 1) == ["(1.54579)"]


def test_a_model_on_another_scale_has_its_own_decimals(fits):
    dat = load_data("sleepstudy")
    found = compare_table(fits["slopes"], lmm("I(Reaction / 1e9) ~ Days", dat, "Subject"), lmm("I(Reaction * 1e6) ~ Days", dat, "Subject"))
    assert line(found, "Days") == ["10.467", "1.047e-08", "10467286"]


def test_a_standard_deviation_at_zero_and_its_correlation(fits):
    slopes = fits["slopes"]
    singular = lmer("y ~ Days + (Days | Subject)", load_data("sleepstudy").assign(y=lambda dat: np.sin(7.0 * np.arange(len(dat)))))
    assert singular.singular
    found = compare_table(slopes, singular)
    corr = singular.corr.iloc[0]
    assert line(found, "Cor (Intercept~Days Subject)")[1] == ("nan" if np.isnan(corr) else f"{corr:.4f}")


# -- names, and what cannot be compared ---------------------------------------------------------------


def test_names(fits):
    assert list(compare_table(fits["base"], slopes=fits["slopes"]).table.columns) == ["m0", "slopes"]
    assert list(compare_table(**{"Model 1": fits["base"]}).table.columns) == ["Model 1"]


def remarks(*fits, **named):
    return [note for note in compare_table(*fits, **named).notes if note.startswith("Note")]


def test_by_reml_with_different_fixed_effects(fits):
    slopes = fits["slopes"]
    word = "Note: the fixed effects of m0, m1 differ, so their REML criteria cannot be compared; those of fit.update(reml=False) can"
    assert remarks(slopes, slopes.update(". ~ 1 + (Days | Subject)")) == [word]
    assert remarks(slopes, fits["base"]) == [] and remarks(slopes, slopes.update("I(Reaction + 0) ~ .")) == []


def test_other_responses_and_rows_and_weights():
    dat = load_data("sleepstudy").assign(w=2.0)
    first = lmm("Reaction ~ Days", dat, "Subject")
    assert remarks(first, other=lmm("np.log(Reaction) ~ Days", dat, "Subject")) == [
        "Note: m0 and other were fitted to different responses, 'Reaction' and 'np.log(Reaction)'; their likelihoods cannot be compared"]
    assert remarks(a=first, b=lmm("Reaction ~ Days", dat[:170], "Subject")) == [
        "Note: a was fitted to 180 rows and b to 170, and neither left any out, so their data differ; fit both to the same dat"]
    assert remarks(a=first, b=lmm("Reaction ~ Days", dat, "Subject", weights="w")) == [
        "Note: a and b were fitted with different weights; their likelihoods cannot be compared: fit both with the same weights="]


def test_an_optimum_that_is_not_certified():
    theta = np.log([1.0, 4.0])
    assert remarks(fit_at(theta, ref=["Worker"], reasons=("by hand",))) == ["Note: the optimum of m0 is NOT certified"]


@pytest.mark.parametrize("call, words", [
    (lambda fit: compare_table(), "compare_table has no fit; give one or more, such as compare_table(m0, m1)"),
    (lambda fit: compare_table([fit]), "argument 0 of compare_table is of type list; it takes what lmm returns, one by one: compare_table(*fits)"),
    (lambda fit: compare_table(fit, {"a": fit}), "argument 1 of compare_table is of type dict; it takes what lmm returns, by name: compare_table(**fits)"),
    (lambda fit: compare_table(fit, 3), "argument 1 of compare_table is of type int; it takes what lmm returns"),
    (lambda fit: compare_table(fit, m0=fit), "two fits are called 'm0'; name all of them, or none"),
    (lambda fit: compare_table(fit, digit=3), "compare_table has no argument 'digit'; did you mean digits=?"),
    (lambda fit: compare_table(fit, statistic="t"), "statistic is 't'; it is one of 'se', 'ci', 'p', None"),
    (lambda fit: compare_table(fit, stars="***"), "stars is '***'; it is True or False"),
    (lambda fit: compare_table(fit, digits=0), "digits is 0; it is a number of significant digits, 1 or more"),
    (lambda fit: compare_table(fit, conf_int="likelihood"), "conf_int is 'likelihood'; it is one of 'profile', 'wald', 't', 'boot'"),
    (lambda fit: compare_table(fit, level=95), "level is 95; it is a probability between 0 and 1, such as 0.95"),
])
def test_compare_table_refuses(call, words, fits):
    with pytest.raises(LMMError) as error:
        call(fits["base"])
    assert str(error.value) == words
