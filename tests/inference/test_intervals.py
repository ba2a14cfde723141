"""Confidence intervals and profiles: against minimisation by other means, closed forms, and lme4."""

import numpy as np
import pytest
from helpers import fit_at, oracle
from numpy.testing import assert_allclose
from scipy.optimize import brentq, minimize

from lmm import LMMError, lme4_reference, lmm, load_data, models
from lmm.inference.profiles import curves_of

SHIPPED = [name for name in models().index if name != "InstEval"]
QUANTILE = 1.959963984540054            # of the standard normal distribution, 0.975


@pytest.fixture(scope="module")
def machines():
    model = models().loc["MachinesUnbalanced"]
    return lmm(model.form, load_data("MachinesUnbalanced"), model.ref)


def best(fit, fixed):
    """The least nll, by n x n algebra and a general optimiser, with some parameters fixed: {index of theta or beta: value}."""
    design = fit.setup.design
    i = next((i for kind, i in fixed if kind == "beta"), None)
    keep = np.arange(len(fit.beta)) != (-1 if i is None else i)
    y = design.y if i is None else design.y - fixed["beta", i] * design.X[:, i]
    blocks = [block.matrix for block in design.blocks]
    free = [j for j in range(len(fit.theta)) if ("sd", j) not in fixed]

    def nll(x):
        theta = fit.theta.copy()
        theta[free] = x
        for (kind, j), value in fixed.items():
            if kind == "sd":
                theta[j] = np.log(value)
        return oracle(theta, y, design.X[:, keep], blocks)[0]

    start = np.where(np.isfinite(fit.theta), fit.theta, 0.0)[free]
    return minimize(nll, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-11, "maxiter": 4000}).fun


@pytest.mark.parametrize("kind, i, name", [("sd", 0, "sigma"), ("sd", 1, "Worker"), ("sd", 2, "Worker:Machine"),
                                           ("beta", 0, "Intercept"), ("beta", 2, "Machine[T.C]")])
def test_at_a_bound_the_likelihood_has_dropped_by_the_quantile(machines, kind, i, name):
    for bound in machines.conf_int().loc[(kind, name)]:
        assert_allclose(2 * (best(machines, {(kind, i): bound}) - machines.nll), QUANTILE**2, rtol=1e-7)


def profile_of(name):
    """lme4's intervals from profiles: lower and upper by term."""
    return lme4_reference(name, "inference").loc["ML"].loc["profile"]["lme4"].unstack("level")


@pytest.mark.parametrize("name", SHIPPED)
def test_profile_intervals_agree_with_lme4(name):
    """lme4 interpolates its profile with a spline, to 2e-4 in two cases: Dyestuff2's has a kink, where the sd leaves zero;
    for Dyestuff's sd, and Dyestuff2's intercept, the next two tests show whose bound is exact."""
    model = models().loc[name]
    found = lmm(model.form, load_data(name), model.ref).conf_int()
    expected = profile_of(name)
    for (_, parameter), row in found.iterrows():
        lme4 = expected.loc["Residual" if parameter == "sigma" else parameter]
        tolerance = 2e-4 if (name, parameter) in (("Dyestuff2", "Intercept"), ("Dyestuff", "Batch")) else 1e-4
        assert_allclose(row, lme4[["lower", "upper"]], rtol=tolerance, err_msg=parameter)


def test_the_lower_bound_of_dyestuffs_sd():
    fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
    ours, lme4 = fit.conf_int().loc[("sd", "Batch"), "lower"], profile_of("Dyestuff").loc["Batch", "lower"]
    assert_allclose(2 * (best(fit, {("sd", 1): ours}) - fit.nll), QUANTILE**2, rtol=1e-7)
    assert abs(2 * (best(fit, {("sd", 1): lme4}) - fit.nll) - QUANTILE**2) > 1e-4


def test_where_lme4_is_the_less_exact_one():
    """Dyestuff2's intercept in closed form: with g groups of m and the mean fixed at d from the data's, the batches' sd leaves
    zero, lambda = sigma^2 + m sd^2 is (SSB + n d^2) / g, sigma^2 is SSW / (n - g)."""
    dat = load_data("Dyestuff2")
    y = dat["Yield"].to_numpy()
    n, g = 30, 6
    within = np.sum((y - dat.groupby("Batch", observed=True)["Yield"].transform("mean")) ** 2)
    total = np.sum((y - y.mean()) ** 2)
    log_lambda = (QUANTILE**2 + n * np.log(total / n) - (n - g) * np.log(within / (n - g))) / g
    d = np.sqrt((g * np.exp(log_lambda) - (total - within)) / n)
    assert np.exp(log_lambda) > within / (n - g)                    # the sd has left zero
    lower, upper = lmm("Yield ~ 1", dat, "Batch").conf_int().loc[("beta", "Intercept")]
    assert_allclose([y.mean() - lower, upper - y.mean()], d, rtol=1e-8)
    lme4 = profile_of("Dyestuff2").loc["Intercept", "upper"]
    assert 5e-4 < lme4 - y.mean() - d < 1e-3                        # and what lme4 interpolates is off by so much


def test_a_block_at_zero_leaves_it_when_the_profile_asks_for_it():
    """At a mean far from the data's, groups explain some of the distance: the inner minimum is checked there."""
    dat = load_data("Dyestuff2").assign(Yield=lambda d: d["Yield"] + 1.2 * (d["Batch"].cat.codes - 2.5) * (d["Batch"].cat.codes % 2))
    fit = lmm("Yield ~ 1", dat, "Batch")
    for bound in fit.conf_int(level=0.9999).loc[("beta", "Intercept")]:
        assert_allclose(2 * (best(fit, {("beta", 0): bound}) - fit.nll), 15.1367052, rtol=1e-6)


def test_intervals_that_reach_zero():
    fit = lmm("strength ~ 1", load_data("Pastes"), ["batch", "sample"])
    assert fit.conf_int().loc[("sd", "batch"), "lower"] == 0.0 < fit.conf_int(level=0.2).loc[("sd", "batch"), "lower"]
    without = lmm("strength ~ 1", load_data("Pastes"), ["sample"])
    level = 1 - 2 * (1 - 0.7382857)         # the mixture's complement: where zeta(0) is the quantile
    assert_allclose(np.sqrt(2 * (without.nll - fit.nll)), 0.63815, rtol=1e-4)
    assert fit.conf_int(level=level + 0.01).loc[("sd", "batch"), "lower"] == 0.0
    assert fit.conf_int(level=level - 0.01).loc[("sd", "batch"), "lower"] > 0.0
    zero = lmm("Yield ~ 1", load_data("Dyestuff2"), "Batch")
    lower, upper = zero.conf_int().loc[("sd", "Batch")]
    assert lower == 0.0
    assert_allclose(2 * (best(zero, {("sd", 1): upper}) - zero.nll), QUANTILE**2, rtol=1e-7)
    assert zero.conf_int("wald").loc[("sd", "Batch")].isna().all()


def test_intervals_without_random_effects_are_those_of_least_squares():
    """n log(1 + d^2 / (RSS c)) is the quantile for beta; for sigma n log(s^2/v) + n (v/s^2 - 1)."""
    fit = lmm("score ~ Machine", load_data("Machines"))
    d = np.sqrt(54 * fit.sigma**2 * np.expm1(QUANTILE**2 / 54)) * fit.bse / fit.sigma
    found = fit.conf_int()
    assert_allclose(found.loc["beta"]["upper"] - fit.params, d, rtol=1e-8)

    def rise(s):
        return 54 * (2 * np.log(s / fit.sigma) + (fit.sigma / s) ** 2 - 1) - QUANTILE**2

    assert_allclose(found.loc[("sd", "sigma")], [brentq(rise, 3, fit.sigma), brentq(rise, fit.sigma, 9)], rtol=1e-8)


@pytest.mark.parametrize("c", [1e-6, 1e6])
def test_intervals_are_in_units_of_y(c):
    dat = load_data("Machines")
    one = lmm("score ~ Machine", dat, ["Worker", ["Worker", "Machine"]])
    other = lmm("score ~ Machine", dat.assign(score=c * dat["score"]), ["Worker", ["Worker", "Machine"]])
    for method in ("profile", "wald", "t"):
        assert_allclose(other.conf_int(method), c * one.conf_int(method), rtol=1e-6, err_msg=method)


def test_a_reml_fit_has_the_profile_of_the_likelihood(machines):
    assert_allclose(machines.update(reml=True).conf_int(), machines.conf_int(), rtol=1e-7)
    assert_allclose(machines.update(reml=True).profile()["zeta"], machines.profile()["zeta"], atol=1e-5)


def test_t_intervals_agree_with_the_p_values(machines):
    name = "Machine[T.B]"
    bounds = machines.conf_int("t", level=1 - machines.pvalues[name]).loc[("beta", name)]
    assert_allclose(bounds["lower"], 0, atol=1e-8)
    wald = machines.conf_int("wald")
    assert_allclose(wald.loc["beta"]["upper"], machines.params + QUANTILE * machines.bse)
    half = QUANTILE * machines.sd_se / np.exp(machines.theta)
    assert_allclose(np.log(wald.loc["sd"]["upper"] / wald.loc["sd"]["lower"]), 2 * half)


def test_profile_curves(machines):
    """Through the estimate at zeta = 0, rising, to 3 or to a standard deviation of 0; the interval's ends lie on them."""
    frame = machines.profile()
    assert list(frame.columns) == ["kind", "name", "value", "zeta"]
    interval = machines.conf_int()
    for (kind, name), rows in frame.groupby(["kind", "name"], sort=False):
        assert (np.diff(rows["value"]) > 0).all() and (np.diff(rows["zeta"]) > 0).all()
        assert rows["zeta"].max() >= 3 and (rows["zeta"].min() <= -3 or rows["value"].min() == 0)
        assert len(rows) < 40 and np.abs(np.diff(rows["zeta"])).max() < 0.8
        estimate = machines.params[name] if kind == "beta" else dict(machines.sd, sigma=machines.sigma)[name]
        assert_allclose(rows.loc[rows["zeta"] == 0, "value"], estimate)
        assert_allclose(np.interp(interval.loc[(kind, name)], rows["value"], rows["zeta"]), [-QUANTILE, QUANTILE], atol=0.05)
    assert set(frame["name"]) == {"Intercept", "Machine[T.B]", "Machine[T.C]", "sigma", "Worker", "Worker:Machine"}


def test_a_profile_below_the_fit_is_an_error():
    """A result at a theta that is no optimum, though it says it is."""
    fit = fit_at(np.log([1.0, 4.0, 3.0]))
    with pytest.raises(LMMError, match=r"not at its best optimum: its profile falls below it; fit again with start="):
        fit.profile()


@pytest.mark.parametrize("options, words", [
    (dict(method="bayes"), "method is 'bayes'; it is one of 'profile', 'wald', 't', 'boot'"),
    (dict(level=95), "level is 95; it is a probability between 0 and 1"),
    (dict(level=0), "level is 0;"), (dict(level=1.0), "level is 1.0;"), (dict(level="0.95"), "level is '0.95'"),
    (dict(level=float("nan")), "level is nan"), (dict(level=True), "level is True"),
    (dict(method="wald", nsim=3), "nsim belongs to method='boot', not to 'wald'"),
    (dict(method="boot", nsim=0), "nsim is 0; it is a number of simulations, 1 or more"),
])
def test_bad_input(machines, options, words):
    with pytest.raises(LMMError, match=words):
        machines.conf_int(**options)


def test_without_a_certified_optimum_there_is_no_profile():
    fit = fit_at(np.log([1.0, 4.0, 3.0]), reasons=("by hand",))
    for function in (fit.conf_int, fit.profile):
        with pytest.raises(LMMError, match=r"not certified \(by hand\), so it has no profile"):
            function()
    assert fit.conf_int("wald").loc["sd"].isna().all(axis=None)


def test_curves_start_anew_for_each_bound(machines):
    """The order in which bounds are asked for does not matter."""
    from lmm.inference.following import interval
    curve = curves_of(machines)["sd", "Worker"]
    first = interval(curve, 2.0)
    interval(curve, 1.0)
    assert_allclose(interval(curve, 2.0), first, rtol=1e-10)
