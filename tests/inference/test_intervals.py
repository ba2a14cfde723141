"""Confidence intervals and profiles: against minimisation by other means, closed forms, and lme4."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import fit_at, lmer_setup, oracle
from numpy.testing import assert_allclose
from profiles_by_search import Held, Profile, parameters, small_design
from scipy.optimize import brentq, minimize

from lmm import (
    LMMError,
    LMMprof,
    LMMResult,
    LMMWarning,
    certify,
    lme4_reference,
    lmer,
    lmm,
    load_data,
    models,
)
from lmm.engines import set_up
from lmm.fitting import Plan
from lmm.inference.following import bound, interval
from lmm.inference.profiles import curves_of
from lmm.model import CompoundSymmetry, Covariance, Independent, make_design
from lmm.practical import fit_of

SHIPPED = [name for name in models().index if name != "InstEval"]
QUANTILE = 1.959963984540054            # of the standard normal distribution, 0.975
SIBLINGS = [(9, ("beta", "z"), 1), (115, ("sd", "a"), 1)]


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


@pytest.mark.requirement("profile")
@pytest.mark.parametrize("kind, i, name", [("sd", 0, "sigma"), ("sd", 1, "Worker"), ("sd", 2, "Worker:Machine"),
                                           ("beta", 0, "Intercept"), ("beta", 2, "Machine[T.C]")])
def test_at_a_bound_the_likelihood_has_dropped_by_the_quantile(machines, kind, i, name):
    for value in machines.conf_int().loc[(kind, name)]:
        assert_allclose(2 * (best(machines, {(kind, i): value}) - machines.nll), QUANTILE**2, rtol=1e-7)


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
    for value in fit.conf_int(level=0.9999).loc[("beta", "Intercept")]:
        assert_allclose(2 * (best(fit, {("beta", 0): value}) - fit.nll), 15.1367052, rtol=1e-6)


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
    curve = curves_of(machines)["sd", "Worker"]
    first = interval(curve, 2.0)
    interval(curve, 1.0)
    assert_allclose(interval(curve, 2.0), first, rtol=1e-10)


# -- branches: a profile is the least over the others -------------------------------------------------


def drop(fit, held, value, starts=15):
    """Twice the rise of nll where a parameter is held, by n x n algebra from many starts."""
    return 2 * (Profile(fit, held).least(value, starts=starts) - fit.nll)


def test_a_bound_on_a_worse_branch():
    """This used to end at 6.55, on a branch of the minimum over the others that is not the lowest."""
    dat = pd.DataFrame({"y": [-7.0, -2, -2, 0, 1, 1], "x": [0.13, -0.35, -0.11, 1.01, 1.37, 1.37],
                        "a": ["a1", "a0", "a0", "a1", "a1", "a1"], "b": ["b0", "b0", "b0", "b0", "b1", "b0"]})
    fit = lmer("y ~ 0 + (1 | a) + (0 + x | b)", dat, reml=False)
    upper = fit.conf_int().loc[("sd", "a"), "upper"]
    assert_allclose(upper, 9.6845, rtol=1e-4)
    assert_allclose(drop(fit, Held("sd", (0, 0)), upper), QUANTILE**2, rtol=1e-6)


def test_the_lower_bound_of_sigma_on_a_worse_branch():
    y = [0.24, 3.12, -0.45, -4.63, -2.16, 1.9, -2.19, -4.95, -16.44, 3.26, 4.87, 0.22, -4.88, -3.87, -16.31, 0.98, -1.67]
    offset = [1.74, 2.42, -0.35, -0.33, -2.96, 3.1, -0.79, -3.25, -3.34, -1.24, 4.67, 2.32, -5.08, -0.37, 0.79, 1.88, 1.03]
    w = [0.0588, 30.0869, 8.6622, 0.0578, 4.8976, 0.2304, 0.7501, 1.295, 0.1049, 5.4742, 6.3038, 5.4945, 82.9767, 0.3373,
         0.0028, 0.1415, 2.2322]
    dat = pd.DataFrame({"y": y, "w": w, "a": list("21110341212443101"), "b": list("00201020322031213"), "c": list("12332012133122130")})
    fit = lmer("y ~ 1 + (1 | a) + (1 | b) + (1 | c)", dat, reml=False, weights="w", offset=offset)
    assert_allclose(fit.conf_int().loc[("sd", "sigma"), "lower"], 2.22756, rtol=1e-5)


def test_an_interval_that_never_ended():
    """A correlation whose branch is above the level at -1, and another one below it."""
    rng = np.random.default_rng(40)

    def sizes(m, skew):
        p = np.exp(rng.normal(0, skew, m))
        return rng.choice(m, n, p=p / p.sum())

    n = int(rng.integers(150, 500))
    rng.choice(7)
    m1, m2, skew = int(rng.integers(50, 110)), int(rng.integers(5, 50)), rng.choice([0, 1, 2.5])
    g, h, x = sizes(m1, skew), sizes(m2, skew), np.round(rng.normal(0, 1, n) + rng.choice([0, 0, 5]), 3)
    z, w = np.round(rng.normal(0, 1, n), 3), np.exp(rng.normal(0, rng.choice([0, 1, 3]), n))
    sizes(12, skew)
    s = np.exp(rng.normal(0, 2, 4)) * (rng.random(4) < 0.85)
    y = 1 + x + rng.normal(0, 1, n) / np.sqrt(w) + s[0] * rng.normal(0, 1, 2000)[g] + s[1] * rng.normal(0, 1, 2000)[h]
    y = y + s[2] * rng.normal(0, 1, 2000)[g] * x
    dat = pd.DataFrame({"y": y, "x": x, "z": z, "g": pd.Categorical(g), "h": pd.Categorical(h)})
    fit = lmer("y ~ x + z + (1 + x | g) + (1 | h)", dat, reml=False)
    curves = curves_of(fit)
    assert [bound(curves["corr", "g (Intercept, x)"], sign, QUANTILE) for sign in (-1, 1)] == [-20.0, 20.0]
    without_slope = lmer("y ~ x + z + (1 | g) + (1 | h)", dat, reml=False)
    assert 0 < 2 * (without_slope.nll - fit.nll) < QUANTILE**2          # so the correlation may be anything


@pytest.mark.requirement("profile")
@pytest.mark.parametrize("seed, name, sign", SIBLINGS)
def test_first_crossings_of_small_designs(seed, name, sign):
    """Of tests/benchmarks/test_profiles.py, some that were wrong once; the drop is the quantile there, and less before."""
    fit = lmer(*small_design(seed), reml=False)
    curve = curves_of(fit)[name]
    at_bound = curve.natural(bound(curve, sign, QUANTILE))
    held, estimate = parameters(fit)[list(fit.conf_int("wald").index).index(name)]
    assert_allclose(drop(fit, held, at_bound), QUANTILE**2, rtol=1e-5)
    assert drop(fit, held, estimate + 0.7 * (at_bound - estimate)) < QUANTILE**2


def test_a_bound_that_is_not_there():
    """One column of a slope adds no more to log|V| than log sd: at a drop of 32 it is 30 log units away."""
    y = np.random.default_rng(0).normal(size=12).round(2)
    dat = pd.DataFrame({"g": list("aaabbbcccddd"), "x": [1.0, 2, 3] + [0] * 9, "y": y})
    fit = lmer("y ~ 1 + (0 + x | g)", dat, reml=False)
    with pytest.warns(LMMWarning, match=r"no bound, hence nan, of sd 'g:x' \(upper\), for the likelihood does not drop enough "
                                        r"however far away; use method='wald' or 'boot'") as warned:
        found = fit.conf_int(level=1 - 1e-15)
    assert len(warned) == 1 and found.isna().sum().sum() == 1 and np.isnan(found.loc[("sd", "g:x"), "upper"])
    assert fit.conf_int().notna().all(axis=None)


def test_sigma_may_be_zero_where_the_random_effects_fit_anything():
    """Where Z is of rank n the likelihood has a limit as sigma goes to 0."""
    rng = np.random.default_rng(5)
    dat = pd.DataFrame({"a": list("aabbccdc"), "b": list("abcdefgg"), "y": rng.normal(size=8).round(2)})
    fit = lmm("y ~ 1", dat, ["a", "b"])
    lower, upper = fit.conf_int().loc[("sd", "sigma")]
    assert lower == 0 < upper
    assert 2 * (Profile(fit, Held("sd", "sigma")).least(1e-3 * fit.sigma) - fit.nll) < QUANTILE**2


def vector_fit_at(theta):
    """A result of three correlated effects at a theta that is no optimum, though it says it is."""
    setup = lmer_setup("score ~ Machine + (0 + Machine | Worker)", load_data("Machines"))
    value = LMMprof(theta, setup)
    optimum = replace(certify(theta, setup), certified=True)
    return LMMResult(value.beta, np.array(theta), float(value), value.triangle, setup, optimum, "By hand.", (), Plan())


def test_a_profile_below_a_fit_of_correlated_effects_gives_a_start_of_this_fit():
    fit = vector_fit_at([1.0, 1.0, 0.5, -0.5, 1.0, 0.2, 1.0])
    with pytest.raises(LMMError, match="its profile falls below it; fit again with start=") as error:
        fit.conf_int()
    start = [float(number) for number in str(error.value).split("start=[")[1].rstrip("]").split(",")]
    best = lmer("score ~ Machine + (0 + Machine | Worker)", load_data("Machines"), reml=False)
    assert_allclose(LMMprof(start, fit.setup), best.nll, atol=1e-3)


# -- compound symmetry ---------------------------------------------------------------------------------


def with_structure(form, dat, structure):
    design = make_design(form, dat, (), bars=True)
    return fit_of(set_up(replace(design, covariance=Covariance([structure])), False), Plan())


def test_one_sd_and_one_correlation_of_a_compound_symmetric_term():
    """nll at theta from the sd s and the correlation r: a = s^2 (1 + 2 r), b = s^2 (1 - r)."""
    fit = with_structure("score ~ Machine + (0 + Machine | Worker)", load_data("Machines"), CompoundSymmetry(3))
    found = fit.conf_int()

    def nll(log_sigma, s, r):
        return float(LMMprof([log_sigma, 0.5 * np.log(s**2 * (1 + 2 * r)), 0.5 * np.log(s**2 * (1 - r))], fit.setup))

    def least(function):
        return 2 * (minimize(function, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}).fun - fit.nll)

    for s in found.loc[("sd", "Worker:Machine[A]")]:
        assert_allclose(least(lambda x, s=s: nll(x[0], s, 0.25 + 0.74 * np.tanh(x[1]))), QUANTILE**2, rtol=1e-7)
    for r in found.loc[("corr", "Worker (Machine[A], Machine[B])")]:
        assert_allclose(least(lambda x, r=r: nll(x[0], np.exp(x[1]), r)), QUANTILE**2, rtol=1e-7)
    assert (found.loc["corr"].nunique() == 1).all() and (found.loc["sd"].iloc[1:].nunique() == 1).all()
    drawn = fit.profile()
    assert len(drawn[drawn["kind"] == "corr"].groupby("name")) == 3


def test_a_negative_correlation_of_a_compound_symmetric_term():
    """Effects that sum to zero: the estimate is the least correlation that three can have."""
    rng = np.random.default_rng(3)
    dat = pd.DataFrame([(f"{g}", t) for g in range(12) for t in "abc" for _ in range(2)], columns=["g", "t"])
    effects = rng.normal(size=(12, 3))
    effects -= effects.mean(axis=1, keepdims=True)
    dat["y"] = 2 * effects.ravel().repeat(2) + rng.normal(size=len(dat))
    fit = with_structure("y ~ t + (0 + t | g)", dat, CompoundSymmetry(3))
    lower, upper = fit.conf_int().loc[("corr", "g (t[a], t[b])")]
    assert_allclose([fit.corr.iloc[0], lower], -0.5)
    assert -0.5 < upper < 0


def test_a_diagonal_term_has_log_standard_deviations():
    form = "score ~ Machine + (0 + Machine | Worker)"
    fit = with_structure(form, load_data("Machines"), Independent(3))
    for place, name in enumerate(fit.sd.index):
        curve = curves_of(fit)["sd", name]
        for value in np.exp(interval(curve, QUANTILE)):
            assert_allclose(drop(fit, Held("sd", (0, place)), value, starts=1), QUANTILE**2, rtol=1e-5, err_msg=name)
