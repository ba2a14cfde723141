"""Modes, leverages, degrees of freedom and comparisons: against dense definitions, and against lme4 and lmerTest."""

import numpy as np
import pandas as pd
import pytest
from helpers import LINEAR_ALGEBRA, crossed, designs, fail_beyond, fit_at
from numpy.testing import assert_allclose
from scipy.special import betainc

from lmm import LMMError, LMMprof, LMMsetup, anova, lme4_reference, lmer, lmm, load_data, models
from lmm.engines import covariance_of_beta
from lmm.inference.nesting import nested

SHIPPED = [name for name in models().index if name != "InstEval"]
LESS_EXACT = {("MachinesUnbalanced", True): 4e-4}       # lme4 stops 1.2e-4 away from the optimum in a standard deviation there


def dense(fit):
    """V, W, P, Z and psi of a fit, n x n and p x p, from their definitions."""
    design = fit.setup.design
    Z = np.hstack([np.zeros((fit.nobs, 0)), *(block.matrix.toarray() for block in design.blocks)])
    psi = np.diag(np.repeat(np.exp(2 * fit.theta[1:]), [len(block.levels) for block in design.blocks]))
    W = np.linalg.inv(Z @ psi @ Z.T + fit.sigma**2 * np.eye(fit.nobs))
    X = design.X
    P = W - W @ X @ np.linalg.solve(X.T @ W @ X, X.T @ W) if X.shape[1] else W
    return W, P, Z, psi


def some_fits():
    """A result at a random theta for every design, one block at zero where there are two."""
    rng = np.random.default_rng(7)
    for name, form, dat, ref in designs():
        theta = rng.normal(0.3, 0.7, size=len(LMMsetup(form, dat, ref).labels))
        yield pytest.param(fit_at(theta, form, ref, dat), id=name)
        if len(theta) == 3:
            yield pytest.param(fit_at([*theta[:2], -np.inf], form, ref, dat), id=name + ", one at zero")


@pytest.mark.requirement("modes")
@pytest.mark.parametrize("fit", list(some_fits()))
def test_modes_fitted_values_and_leverages_are_those_of_dense_algebra(fit):
    W, P, Z, psi = dense(fit)
    y, X = fit.setup.design.y, fit.setup.design.X
    table = fit.ranef(tidy=True)
    assert_allclose(table["estimate"], psi @ Z.T @ W @ (y - X @ fit.beta), **LINEAR_ALGEBRA)
    assert_allclose(table["sd"] ** 2, np.diag(psi - psi @ Z.T @ W @ Z @ psi), **LINEAR_ALGEBRA)
    assert_allclose(fit.fittedvalues, y - fit.sigma**2 * P @ y, rtol=1e-9, atol=1e-9 * np.abs(y).max())
    assert_allclose(fit.resid_scaled, fit.sigma * P @ y, rtol=1e-9, atol=1e-9 * np.abs(y).max() / fit.sigma)
    assert_allclose(fit.leverage, 1 - fit.sigma**2 * np.diag(P), **LINEAR_ALGEBRA)


def test_conditional_sds_keep_their_digits_where_blocks_dwarf_sigma():
    """psi - psi Z'WZ psi would cancel: with one block the variance is 1 / (1/s^2 + m/sigma^2)."""
    fit = fit_at([-10.0, 8.0], "Yield ~ 1", ["Batch"], load_data("Dyestuff"))
    assert_allclose(fit.ranef(tidy=True)["sd"] ** 2, 1 / (np.exp(-16.0) + 5 * np.exp(20.0)), rtol=1e-13)


# -- against lme4 and lmerTest ---------------------------------------------------------------------------------

def reference(name, reml, quantity):
    rows = lme4_reference(name, "inference").loc["REML" if reml else "ML"].loc[[quantity]]
    return rows.droplevel("quantity")["lme4"]


def at_lme4s_theta(name, reml):
    """The fit at the standard deviations where lme4 stopped."""
    model = models().loc[name]
    sds = reference(name, reml, "theta").droplevel("level")
    with np.errstate(divide="ignore"):
        theta = np.log([sds["Residual"], *(sds[block] for block in model.ref)])
    return fit_at(theta, model.form, model.ref, load_data(name), reml)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("name", SHIPPED)
def test_rows_and_modes_agree_with_lme4(name, reml):
    """To 1e-4 of the largest at the optimum, and to 1e-8 at lme4's own theta: what differs is where the two stopped."""
    model = models().loc[name]
    optimum = lmm(model.form, load_data(name), model.ref, reml=reml)
    for fit, tolerance in (optimum, LESS_EXACT.get((name, reml), 1e-4)), (at_lme4s_theta(name, reml), 1e-8):
        table = fit.ranef(tidy=True)
        block = np.where(table["name"] == "Intercept", table["group"], table["group"] + ":" + table["name"])
        table = table.set_index([block, "level"])
        for quantity, column in ("mode", "estimate"), ("mode_sd", "sd"):
            expected = reference(name, reml, quantity)
            assert_allclose(table[column].reindex(expected.index), expected, atol=tolerance * (expected.abs().max() + 1e-9), rtol=0)
        for quantity, values in (("leverage", fit.leverage), ("cooks_distance", fit.cooks_distance), ("fitted", fit.fittedvalues)):
            expected = reference(name, reml, quantity).to_numpy()
            assert_allclose(values[: len(expected)], expected, atol=tolerance * expected.max(), rtol=0)
    assert_allclose(optimum.aic, reference(name, reml, "aic").item(), rtol=1e-8)
    assert_allclose(optimum.bic, reference(name, reml, "bic").item(), rtol=1e-8)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("name", SHIPPED)
def test_degrees_of_freedom_and_wald_intervals_agree_with_lmertest(name, reml):
    model = models().loc[name]
    fit = lmm(model.form, load_data(name), model.ref, reml=reml)
    df = reference(name, reml, "df").droplevel("level")[fit.params.index]
    assert_allclose(fit.df, df, rtol=LESS_EXACT.get((name, reml), 1e-4))
    assert_allclose(at_lme4s_theta(name, reml).df, df, rtol=1e-4)           # lmerTest differentiates numerically
    p = reference(name, reml, "pvalue").droplevel("level")[fit.params.index]
    positive = p > 0                                                        # R's t distribution ends at 1e-308
    assert_allclose(np.log(fit.pvalues[positive]), np.log(p[positive]), rtol=LESS_EXACT.get((name, reml), 1e-4))
    wald = reference(name, reml, "wald").unstack("level")
    assert_allclose(fit.conf_int("wald").loc["beta"], wald.loc[fit.params.index, ["lower", "upper"]], rtol=1e-4)


# -- degrees of freedom -----------------------------------------------------------------------------------------

@pytest.mark.requirement("satterthwaite")
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("name", ["MachinesUnbalanced", "sleepstudy", "Pastes"])
def test_satterthwaite_is_its_definition_by_differences(name, reml):
    """2 c^2 / (g'Ag), g by central differences of the variances c in theta."""
    model = models().loc[name]
    fit = lmm(model.form, load_data(name), model.ref, reml=reml)

    def variances(theta):
        return np.diag(covariance_of_beta(LMMprof(theta, fit.setup).triangle, fit.setup))

    h = 1e-5
    g = np.array([variances(fit.theta + h * e) - variances(fit.theta - h * e) for e in np.eye(len(fit.theta))]) / (2 * h)
    expected = 2 * variances(fit.theta) ** 2 / np.einsum("ik,ij,jk->k", g, np.linalg.inv(fit.optimum.hessian), g)
    assert_allclose(fit.df, expected, rtol=1e-8)


@pytest.mark.requirement("satterthwaite")
def test_satterthwaite_is_exact_for_balanced_designs():
    """The mean of a balanced one-way layout has groups - 1 degrees of freedom, machines (6 - 1)(3 - 1), least squares n - k."""
    assert_allclose(lmm("Yield ~ 1", load_data("Dyestuff"), "Batch", reml=True).df, 5, rtol=1e-9)
    fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]], reml=True)
    assert_allclose(fit.df[1:], 10, rtol=1e-9)
    assert_allclose(lmm("score ~ Machine", load_data("Machines"), reml=True).df, 51, rtol=1e-9)


def test_p_values_are_those_of_student():
    """t = 2.5706 with 5 degrees of freedom has p = 0.05 in every table."""
    from lmm.inference.satterthwaite import p_of_t
    assert_allclose(p_of_t(np.array([2.570582, -2.570582]), np.array([5.0, 5.0])), 0.05, rtol=1e-6)


def test_without_a_certified_optimum_there_are_no_degrees_of_freedom():
    fit = fit_at(np.log([1.0, 4.0, 3.0]), reasons=("by hand",))
    assert fit.df.isna().all() and fit.pvalues.isna().all()


# -- explained variance -----------------------------------------------------------------------------------------

def test_icc_and_r2_of_dyestuff_in_closed_form():
    """ML: sigma^2 = 2451.25, sd^2 = 1388.3333 (anchors of the balanced one-way layout)."""
    fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
    share = 1388.0 + 1 / 3
    assert_allclose(fit.icc()["Batch"], share / (share + 2451.25), rtol=1e-9)
    assert_allclose(fit.r2()[["marginal", "conditional"]], [0, share / (share + 2451.25)], rtol=1e-9, atol=1e-15)


def test_r2_is_its_definition():
    fit = fit_at(np.log([20.0, 25.0, 6.0]), "Reaction ~ Days", ["Subject", ["Subject", "Days"]], load_data("sleepstudy"))
    _, _, Z, psi = dense(fit)
    fixed = np.var(fit.setup.design.X @ fit.beta, ddof=1)
    random = np.trace(Z @ psi @ Z.T) / 180
    assert_allclose(fit.r2(), np.array([fixed, fixed + random]) / (fixed + random + 400), rtol=1e-12)
    assert_allclose(fit.icc().sum(), random / (random + 400), rtol=1e-12)


def test_tidy_frames():
    fit = fit_at(np.log([20.0, 25.0, 6.0]), "Reaction ~ Days", ["Subject", ["Subject", "Days"]], load_data("sleepstudy"))
    components = fit.varcorr(se=True)
    assert components[["group", "name"]].to_numpy().tolist() == [["Subject", "Intercept"], ["Subject", "Days"], ["Residual", ""]]
    assert_allclose(components["sd"], [25, 6, 20])
    assert_allclose(components["variance"], [625, 36, 400])
    assert_allclose(components["sd_se"], fit.sd_se[["Subject", "Subject:Days", "sigma"]])
    modes, tidy = fit.ranef(cond_sd=True)["Subject"], fit.ranef(tidy=True)
    assert list(modes.columns) == ["Intercept", "Days", "Intercept_sd", "Days_sd"]
    assert_allclose(modes["Days"], tidy.query("name == 'Days'")["estimate"])
    assert_allclose(modes["Days_sd"], tidy.query("name == 'Days'")["sd"])
    assert_allclose(fit.coef()["Subject"], fit.params.to_numpy() + fit.ranef()["Subject"].to_numpy())


def test_coef_adds_zero_where_one_side_lacks_the_other():
    fit = fit_at(np.log([1.0, 4.0, 3.0]), ref=["Worker", ["Worker", "Machine"]])
    coef = fit.coef()["Worker"]
    assert list(coef.columns) == ["Intercept", "Machine[T.B]", "Machine[T.C]"] and (coef["Machine[T.B]"] == fit.params.iloc[1]).all()
    slopes = fit_at(np.log([20.0, 6.0]), "Reaction ~ 1", [["Subject", "Days"]], load_data("sleepstudy"))
    assert_allclose(slopes.coef()["Subject"]["Days"], slopes.ranef()["Subject"]["Days"])


def test_rows_left_out_can_be_kept_as_nan():
    dat = load_data("Machines").set_index(pd.Index([0] * 54))           # an index that cannot tell rows apart
    dat.iloc[[3, 10], 2] = np.nan
    fit = fit_at(np.log([1.0, 4.0, 3.0]), dat=dat)
    assert len(fit.resid) == 52
    aligned = fit.align(fit.resid)
    assert len(aligned) == 54 and aligned.index.equals(dat.index) and np.flatnonzero(aligned.isna()).tolist() == [3, 10]
    assert_allclose(aligned.dropna(), dat["score"].dropna() - fit.fittedvalues)
    with pytest.raises(LMMError, match="the series has 54 values; align takes one for each of the 52 rows used"):
        fit.align(dat["score"])


# -- comparisons of models --------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def pastes():
    dat = load_data("Pastes")
    return lmm("strength ~ 1", dat, ["sample"]), lmm("strength ~ 1", dat, ["batch", "sample"], reml=True)


def test_anova_orders_refits_and_says_so(pastes):
    small, large = pastes
    found = anova(large, small)
    assert list(found.table.index) == ["m1", "m0"] and list(found.table["npar"]) == [3, 4]
    by_ml = large.update(reml=False)
    assert_allclose(found.table.loc["m0", ["aic", "llf"]].tolist(), [by_ml.aic, by_ml.llf], rtol=1e-12)
    assert_allclose(found.table.loc["m0", "chisq"], 2 * (by_ml.llf - small.llf), rtol=1e-9)
    assert_allclose(found.table.loc["m0", "pvalue_mixture"], found.table.loc["m0", "pvalue"] / 2, rtol=1e-12)
    assert found.notes == ("m0: refitted by maximum likelihood, being by REML",
                           "m0 against m1 tests the variance of batch on the boundary: p is conservative (too large); "
                           "the 50:50 mixture is beside it")
    assert np.isnan(found.table.loc["m1", "pvalue"])


COMPARISON = """\
Models:
m0: strength ~ 1; random effects: sample
m1: strength ~ 1; random effects: batch, sample

     npar     AIC     BIC   logLik  deviance   Chisq  Df  Pr(>Chisq)  p (50:50)
 m0     3  254.40  260.68  -124.20    248.40
 m1     4  255.99  264.37  -124.00    247.99  0.4072   1      0.5234     0.2617
Note: m1: refitted by maximum likelihood, being by REML
Note: m1 against m0 tests the variance of batch on the boundary: p is conservative (too large); the 50:50
    mixture is beside it"""


def test_a_comparison_as_text_and_html(pastes):
    found = anova(*pastes)
    assert str(found) == repr(found) == COMPARISON
    html = found._repr_html_()
    assert "<td>0.5234</td>" in html and "<p>Note: m1: refitted" in html


def test_fixed_effects_are_tested_without_a_mixture():
    dat = load_data("sleepstudy")
    large = lmm("Reaction ~ Days", dat, "Subject")
    found = anova(large.update("Reaction ~ 1"), large)
    assert "pvalue_mixture" not in found.table and found.notes == ()
    assert_allclose(found.table.loc["m1", "chisq"], 2 * (large.llf - lmm("Reaction ~ 1", dat, "Subject").llf))


def test_several_variances_ask_for_simulations():
    dat = load_data("Machines")
    small = lmm("score ~ Machine", dat)
    found = anova(small, small.update(ref=["Worker", ["Worker", "Machine"]]))
    assert "pvalue_mixture" not in found.table
    assert "the variance of Worker and the variance of Worker:Machine" in found.notes[0] and "give nsim=" in found.notes[0]


def test_models_that_do_not_contain_each_other_get_no_p_value():
    dat = load_data("sleepstudy")
    a, b = lmm("Reaction ~ Days", dat, "Subject"), lmm("Reaction ~ 1", dat, ["Subject", ["Subject", "Days"]])
    assert not nested(a, b) and not nested(b, a)
    found = anova(a, b)
    assert "pvalue" not in found.table and "m1 has as many parameters as m0" in found.notes[0]
    found = anova(a.update(". ~ 1"), a, b.update(". ~ I(Days > 4)"))
    assert np.isnan(found.table.loc["m2", "pvalue"]) and found.notes == ("m2 does not contain m1, so there is no p-value for this row",)


def test_nesting_goes_by_what_the_columns_span():
    """The same grouping under another name, and the same fixed effects in another coding."""
    dat = crossed((4, 3, 2), 40, 5).assign(g=lambda d: d.a.astype(str) + d.b.astype(str))
    one, two = lmm("y ~ c", dat, ["g"]), lmm("y ~ 0 + c + x", dat, [["b", "a"], "a"])
    assert nested(one, two) and not nested(two, one)


def test_bootstrap_p_value_of_a_variance_is_near_the_exact_one(pastes):
    """In this balanced nested layout the likelihood ratio is a function of F = MS_batch / MS_sample on 9 and 20 degrees of
    freedom; the mixture, 0.2617, is still too large for ten batches."""
    dat = load_data("Pastes")
    batch, sample = (dat.groupby(name, observed=True)["strength"].transform("mean") for name in ("batch", "sample"))
    F = (np.sum((batch - dat["strength"].mean()) ** 2) / 9) / (np.sum((sample - batch) ** 2) / 20)
    exact = betainc(10, 4.5, 20 / (20 + 9 * F))
    found = anova(*pastes, nsim=400, seed=3)
    p = found.table.loc["m1", "pvalue_boot"]
    assert len(found.simulated["m1"]) == 400
    assert p == (1 + np.sum(found.simulated["m1"] >= found.table.loc["m1", "chisq"])) / 401
    assert abs(p - exact) < 3 * np.sqrt(exact * (1 - exact) / 400)
    assert anova(*pastes, nsim=20, seed=3).table.equals(anova(*pastes, nsim=20, seed=3).table)


def different_rows():
    dat = load_data("Machines")
    return lmm("score ~ Machine", dat, "Worker"), lmm("score ~ 1", dat.iloc[:50], "Worker")


def two_fits(one, two, rows=slice(None)):
    """Of data where x and z miss two values each, the second of some of the rows."""
    dat = load_data("Machines").assign(x=np.arange(54.0), z=np.arange(54.0) % 7)
    dat.loc[[7, 8], "x"] = np.nan
    dat.loc[[20, 21], "z"] = np.nan
    return lmm(one, dat, "Worker"), lmm(two, dat.iloc[rows], "Worker")


@pytest.mark.parametrize("fits, words", [
    (lambda: (), "anova tests the terms of one fit, or compares several; give a fit"),
    (lambda: (different_rows()[0], "fit"), "argument 1 of anova is of type str; it compares what lmm returns$"),
    (lambda: [different_rows()], r"argument 0 of anova is of type tuple; it compares what lmm returns, one by one: anova\(\*fits\)$"),
    (different_rows, "m0 was fitted to 54 rows and m1 to 50, and neither left any out, so their data differ; fit both to the same dat$"),
    (lambda: two_fits("score ~ x", "score ~ 1"), r"m0 was fitted to 52 rows and m1 to 54; .* dat = dat.dropna\(subset=\['x'\]\)$"),
    (lambda: two_fits("score ~ x", "score ~ z"), r"different rows, 52 each; .* dat = dat.dropna\(subset=\['x', 'z'\]\)$"),
    (lambda: two_fits("score ~ x", "score ~ 1", slice(40)), "to 52 rows and m1 to 40, and their data differ, of 54 and 40 rows; fit both"),
    (lambda: (different_rows()[1], different_rows()[0].update(dat=load_data("Machines").iloc[4:])), "different rows, 50 each, and neither"),
    (lambda: (different_rows()[0], different_rows()[0].refit(np.arange(54.0) ** 1.5)), "to different values of 'score'; their"),
    (lambda: (different_rows()[0], different_rows()[0].update(dat=load_data("Machines").iloc[::-1].reset_index())),
     "to the same values of 'score' in another order; fit both to the same dat"),
    (lambda: (different_rows()[0], different_rows()[0].update("np.log(score) ~ 1")), "different responses, 'score' and 'np.log.score.'"),
    (lambda: (different_rows()[0], different_rows()[0].update(dat=load_data("Machines").iloc[::-1])), "in another order"),
])
def test_anova_refuses(fits, words):
    with pytest.raises(LMMError, match=words):
        anova(*fits())


def test_anova_refuses_different_weights_and_bad_simulations(pastes):
    dat = load_data("Machines").assign(w=np.arange(1.0, 55.0))
    with pytest.raises(LMMError, match="m0 and m1 were fitted with different weights; their likelihoods cannot be compared"):
        anova(lmm("score ~ Machine", dat, "Worker"), lmm("score ~ 1", dat, "Worker", weights="w"))
    with pytest.raises(LMMError, match=r"nsim is 2\.5; it is a number of simulations, 1 or more"):
        anova(*pastes, nsim=2.5)
    with pytest.raises(LMMError, match="seed is -1; it is a whole number, not negative"):
        anova(*pastes, nsim=2, seed=-1)
    with pytest.raises(LMMError, match="processes is 0; it is a number of processes"):
        anova(*pastes, nsim=2, processes=0)


def test_simulations_that_fail_are_left_out_of_a_comparison(pastes, monkeypatch):
    fail_beyond(monkeypatch, 60)
    failed = int((pastes[0].simulate(20, seed=1).iloc[0] > 60).sum())
    found = anova(*pastes, nsim=20, seed=1)
    assert 0 < failed < 20 and len(found.simulated["m1"]) == 20 - failed
    assert found.notes[-2:] == (f"bootstrap p-value of m1 from {20 - failed} simulations of m0",
                                f"{failed} of 20 simulations for m1 failed and are left out")


@pytest.mark.parametrize("options, words", [
    (dict(method="x"), "method is 'x'; it is one of 'profile', 'wald', 't', 'boot'"),
    (dict(method=None), "method is None; it is one of"),
    (dict(method="boot", draws=9), "conf_int has no argument 'draws'; it takes method, level and, for method='boot', nsim, seed"),
    (dict(nsim=9, seed=1), "nsim, seed belongs to method='boot', not to 'profile'"),
])
def test_conf_int_refuses(pastes, options, words):
    with pytest.raises(LMMError, match=words):
        pastes[0].conf_int(**options)


def test_the_interval_of_a_correlation_with_an_effect_that_does_not_vary_is_all_of_it():
    """The likelihood does not depend on it."""
    dat = load_data("sleepstudy")
    dat["Reaction"] = 250 + 10 * dat["Days"] + np.tile([20.0, -20.0], 90)
    fit = lmer("Reaction ~ Days + (Days | Subject)", dat, reml=False)
    assert (fit.sd == 0).all() and np.isnan(fit.corr.iloc[0])
    assert fit.conf_int().loc["corr"].to_numpy().tolist() == [[-1.0, 1.0]]


def test_models_that_share_a_slope_block_are_nested():
    """This used to fail where the slope's variable is 0 in some row, as Days is on the first day."""
    big = lmm("Reaction ~ Days", load_data("sleepstudy"), ["Subject", ["Subject", "Days"]])
    found = anova(big.update("Reaction ~ 1"), big)
    assert found.notes == () and 1e-7 < found.table.loc["m1", "pvalue"] < 1e-5
    assert_allclose(found.table.loc["m1", "chisq"], 2 * (big.llf - big.update("Reaction ~ 1").llf), rtol=1e-9)


def test_a_singular_larger_model_has_chisq_zero_and_p_one():
    """This used to depend on rounding: the two optima are the same."""
    dat = load_data("Dyestuff2")
    for c in (1.0, 3.7, 1e5):
        fits = [lmm("Yield ~ 1", dat.assign(Yield=c * dat["Yield"]), ref) for ref in ((), "Batch")]
        row = anova(*fits, nsim=20, seed=1).table.loc["m1"]
        assert row["chisq"] == 0 and row["pvalue"] == row["pvalue_mixture"] == row["pvalue_boot"] == 1


def test_a_covariate_with_a_large_mean_is_not_taken_for_the_intercept():
    rng = np.random.default_rng(2)
    dat = pd.DataFrame({"g": np.repeat(list("abcdefgh"), 6), "t": 1.7e9 + 5 * rng.normal(size=48), "s": rng.normal(size=48)})
    dat["y"] = (dat["t"] - 1.7e9) + rng.normal(size=48)
    one, two = lmm("y ~ t", dat, "g"), lmm("y ~ s + I(s**2)", dat, "g")
    assert not nested(one, two) and nested(lmm("y ~ 1", dat, "g"), one) and nested(one, lmm("y ~ t + s", dat, "g"))


def test_a_larger_model_that_fits_worse_is_not_given_a_p_value():
    """By hand: the larger model at a theta that is no optimum."""
    small, large = fit_at(np.log([1.0, 4.0]), ref=["Worker"]), fit_at(np.log([3e3, 4.0, 3.0]))
    found = anova(small, large)
    assert "pvalue" not in found.table and found.notes == ("m1 contains m0 but fits worse, so its optimum was missed; fit it again "
                                                           "with another start=",)


def test_leverages_keep_their_digits_where_sds_dwarf_sigma():
    """Two crossed blocks at e^14 sigma: the leverages sum to the rank of [X Z], but for 1e-10."""
    dat = crossed((5, 4, 2), 40, 9)
    fit = fit_at([0.0, 14.0, 14.0], "y ~ x", ["a", "b"], dat)
    XZ = np.hstack([fit.setup.design.X, *(block.matrix.toarray() for block in fit.setup.design.blocks)])
    Q = np.linalg.svd(XZ, full_matrices=False)[0][:, : np.linalg.matrix_rank(XZ)]
    assert_allclose(fit.leverage, np.sum(Q**2, axis=1), atol=1e-9)


def test_cooks_distance_is_its_definition_and_nan_where_the_leverage_is_one():
    fit = fit_at(np.log([1.0, 4.0, 3.0]), dat=load_data("MachinesUnbalanced"))
    _, P, _, _ = dense(fit)
    h = 1 - np.diag(P)
    assert_allclose(fit.cooks_distance, (P @ fit.setup.design.y) ** 2 * h / (3 * (1 - h) ** 2), rtol=1e-9)
    dat = load_data("Machines").assign(alone=["yes"] + ["no"] * 53)
    fit = fit_at(np.log([1.0, 4.0]), "score ~ alone", ["Worker"], dat)
    assert fit.cooks_distance.isna().tolist() == [True] + [False] * 53
    assert fit_at([1.0, 1.0], "score ~ 0", ["Worker"]).cooks_distance.isna().all()


def test_levels_whose_labels_would_collide():
    dat = crossed((4, 3, 2), 40, 5)
    dat["a"] = dat["a"].cat.rename_categories({"0": "x:y", "1": "x"})
    dat["b"] = dat["b"].cat.rename_categories({"0": "z", "1": "y:z"})
    fit = fit_at([0.0, 0.2], "y ~ 1", [["a", "b"]], dat)
    assert fit.ranef()["a:b"].index.is_unique and fit.ranef(tidy=True)["level"].is_unique
    assert_allclose(fit.ranef()["a:b"]["Intercept"], fit.ranef(tidy=True)["estimate"])


def test_coef_adds_an_interactions_slope_whatever_the_order_of_its_variables():
    dat = load_data("sleepstudy").assign(z=lambda d: np.cos(np.arange(180)))
    fit = fit_at(np.log([25.0, 1.0]), "Reaction ~ Days * z", [["Subject", "z", "Days"]], dat)
    coef = fit.coef()["Subject"]
    assert list(coef.columns) == list(fit.params.index)
    assert_allclose(coef["Days:z"], fit.params["Days:z"] + fit.ranef()["Subject"]["z:Days"])


def test_degrees_of_freedom_with_a_block_at_zero_are_those_without_it():
    dat = load_data("MachinesUnbalanced")
    both, one = fit_at([0.1, -np.inf, 1.2], dat=dat), fit_at([0.1, 1.2], ref=[["Worker", "Machine"]], dat=dat)
    assert_allclose(both.df, one.df, rtol=1e-9)
