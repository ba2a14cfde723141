"""`lmm`: against exact optima and lme4's stored fits, and the properties any fit has."""

import numpy as np
import pandas as pd
import pytest
from helpers import CRITERION, SD, crossed, oracle_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from lmm import LMMError, LMMprof, lme4_reference, lmm, load_data, models

SMALL = [name for name in models().index if name != "InstEval"]       # InstEval: tests/benchmarks
BOTH = ["Worker", ["Worker", "Machine"]]


def fit_stored(name):
    model = models().loc[name]
    return lmm(model.form, load_data(name), model.ref)


@pytest.mark.requirement("exact optimum")
@pytest.mark.parametrize("name", SMALL)
def test_the_criterion_is_the_best_known(name):
    reference = lme4_reference(name).loc[("ML", "criterion", "")]
    best = np.nanmin([reference["exact"], reference["lme4"]])
    fit = fit_stored(name)
    assert abs(fit.deviance - reference["exact"]) < CRITERION or np.isnan(reference["exact"])
    assert fit.deviance - best < CRITERION and fit.converged


@pytest.mark.requirement("lme4")
@pytest.mark.parametrize("name", SMALL)
def test_standard_deviations(name):
    reference = lme4_reference(name).loc["ML"].loc["sd"]
    fit = fit_stored(name)
    found = pd.concat([fit.sd, pd.Series({"Residual": fit.sigma})])
    for block, row in reference.iterrows():
        truth, tolerance = (row["exact"], SD) if np.isfinite(row["exact"]) else (row["lme4"], 1e-3)
        # a standard deviation of 0 is approached on the log scale: it is small, relative to sigma
        assert_allclose(found[block], truth, rtol=tolerance, atol=1e-3 * fit.sigma if truth == 0 else 0, err_msg=block)


@pytest.mark.requirement("lme4")
@pytest.mark.parametrize("name", SMALL)
def test_fixed_effects_and_their_standard_errors(name):
    reference = lme4_reference(name).loc["ML"]
    fit = fit_stored(name)
    for quantity, found in (("beta", fit.params), ("se", fit.bse)):
        for term, row in reference.loc[quantity].iterrows():
            truth, tolerance = (row["exact"], 1e-5) if np.isfinite(row["exact"]) else (row["lme4"], 1e-3)
            assert_allclose(found[term], truth, rtol=tolerance, err_msg=f"{quantity} {term}")


def test_without_random_effects_sigma_is_the_root_of_the_mean_square():
    dat = load_data("Machines")
    fit = lmm("score ~ Machine", dat)
    residual = dat["score"] - dat.groupby("Machine", observed=True)["score"].transform("mean")
    assert_allclose(fit.sigma, np.sqrt(np.mean(residual**2)), rtol=1e-14)
    assert fit.theta.shape == (1,) and len(fit.sd) == 0 and fit.optimum.certified
    assert_allclose(fit.beta, [52.35555555555556, 239 / 30, 167 / 12], rtol=1e-13)


@pytest.mark.requirement("repeatable")
def test_the_fit_is_the_same_every_time():
    first, second = fit_stored("MachinesUnbalanced"), fit_stored("MachinesUnbalanced")
    assert_array_equal(first.theta, second.theta)


@pytest.mark.requirement("units")
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("name", ["MachinesUnbalanced", "sleepstudy"])
def test_units_of_the_response_do_not_matter(name, scale):
    model, dat = models().loc[name], load_data(name)
    plain = lmm(model.form, dat, model.ref)
    response = plain.setup.design.response
    scaled = lmm(model.form, dat.assign(**{response: dat[response] * scale}), model.ref)
    assert_allclose(scaled.theta - np.log(scale), plain.theta, atol=1e-6)
    assert_allclose(scaled.beta / scale, plain.beta, rtol=1e-7)
    assert_allclose(scaled.llf, plain.llf - plain.nobs * np.log(scale), rtol=1e-10)


@pytest.mark.requirement("missing")
def test_rows_with_missing_values_are_counted():
    dat = load_data("Machines")
    dat.loc[[1, 5], "score"] = np.nan
    fit = lmm("score ~ Machine", dat, BOTH)
    assert (fit.nobs, fit.n_dropped) == (52, 2)
    assert_array_equal(fit.theta, lmm("score ~ Machine", dat.drop(index=[1, 5]), BOTH).theta)


@pytest.mark.requirement("unchanged")
def test_the_data_stay_as_they_were():
    dat = load_data("Machines")
    lmm("score ~ Machine", dat, BOTH)
    pd.testing.assert_frame_equal(dat, load_data("Machines"))


# -- properties, on small random designs ----------------------------------------------------------------------

seeds = st.integers(0, 10_000)
few = settings(max_examples=15, deadline=None, derandomize=True)
REF = ["a", "b", ["a", "b"]]
THETA = st.lists(st.floats(-2, 2), min_size=4, max_size=4)


def value(form, dat, ref, theta):
    from lmm import LMMsetup
    return LMMprof(theta, LMMsetup(form, dat, ref))


@pytest.mark.requirement("order")
@few
@given(seeds, THETA)
def test_the_order_of_rows_does_not_matter(seed, theta):
    dat = crossed((4, 3, 2), 40, seed)
    shuffled = dat.sample(frac=1, random_state=seed)
    assert_allclose(value("y ~ x", shuffled, REF, theta), value("y ~ x", dat, REF, theta), rtol=1e-11)


@pytest.mark.requirement("order")
@few
@given(seeds, THETA, st.permutations(range(3)))
def test_the_order_of_blocks_does_not_matter(seed, theta, order):
    dat = crossed((4, 3, 2), 40, seed)
    reordered = value("y ~ x", dat, [REF[j] for j in order], [theta[0], *(theta[1 + j] for j in order)])
    assert_allclose(reordered, value("y ~ x", dat, REF, theta), rtol=1e-11)


@pytest.mark.requirement("order")
@few
@given(seeds, THETA)
def test_the_names_of_levels_do_not_matter(seed, theta):
    dat = crossed((4, 3, 2), 40, seed)
    renamed = dat.assign(a=dat["a"].astype(str).map({"0": "zeta", "1": "eta", "2": "a b", "3": "<>"}))
    assert_allclose(value("y ~ x", renamed, REF, theta), value("y ~ x", dat, REF, theta), rtol=1e-11)


@pytest.mark.requirement("units")
@few
@given(seeds, THETA, st.floats(-100, 100), st.floats(0.01, 100))
def test_shift_and_scale_of_the_response(seed, theta, shift, scale):
    dat = crossed((4, 3, 2), 40, seed)
    plain = value("y ~ x", dat, REF, theta)
    moved = value("y ~ x", dat.assign(y=shift + scale * dat["y"]), REF, np.add(theta, np.log(scale)))
    assert_allclose(moved, plain + 40 * np.log(scale), rtol=1e-9)
    assert_allclose(moved.beta, [shift + scale * plain.beta[0], scale * plain.beta[1]], rtol=1e-7, atol=1e-7 * scale)


@few
@given(seeds, THETA)
def test_contrasts_leave_the_criterion_alone(seed, theta):
    dat = crossed((4, 3, 2), 40, seed)
    treatment = value("y ~ c + x", dat, REF, theta)
    for form in ("y ~ C(c, Sum) + x", "y ~ 0 + c + x", "y ~ C(c, Treatment('1')) + x"):
        assert_allclose(value(form, dat, REF, theta), treatment, rtol=1e-11)


@few
@given(seeds)
def test_no_theta_nearby_is_better(seed):
    fit = lmm("y ~ x", crossed((5, 4, 2), 60, seed), ["a", "b"])
    rng = np.random.default_rng(seed)
    for _ in range(10):
        nearby = fit.theta + rng.normal(0, 0.1, 3)
        assert oracle_of(nearby, fit.setup)[0] > fit.nll - 1e-7


# -- when it does not work ------------------------------------------------------------------------------------


@pytest.mark.requirement("unbounded")
def test_an_unbounded_likelihood_is_an_error():
    """Z has rank n, so that y lies in its span in any case; yet the block a, of rank 7 < n, fits y by itself."""
    dat = crossed((7, 6, 5), 10, 3)
    dat["y"] = dat["a"].cat.codes.to_numpy() ** 1.5
    with pytest.raises(LMMError, match="the random effects 'a' fit 'y' perfectly, so the residual sd would be 0"):
        lmm("y ~ 1", dat, ["a", "b", "c"])


def test_a_perfect_fit_is_found_whatever_the_scale_of_z():
    dat = crossed((4, 3, 2), 30, 1)
    dat["x"] *= 1e12
    dat["y"] = 3 + 1e-12 * dat["x"] * dat["a"].cat.codes.to_numpy()
    with pytest.raises(LMMError, match="perfectly"):
        lmm("y ~ 1", dat, [["a", "x"]])
