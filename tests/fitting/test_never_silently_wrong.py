"""What hard trials broke in the search and its checks: each kind, with what is right."""

import itertools
import warnings
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from helpers import vector_oracle
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from lmm import ConvergenceWarning, LMMError, LMMprof, LMMsetup, derivatives, lmer, lmm, load_data
from lmm.fitting import Criterion
from lmm.inference import curvature

ENGINES = ("dense", "blocked")


# -- exact ties: the slope at zero is zero but for rounding ---------------------------------------------------

def ties(reml, wanted, copies=1):
    """One-way layouts of whole numbers where nll's slope in the variance is 0 at zero: MSB = MSW, or for ML r SSB = SST.

    With two `copies`, by REML, that is so where the rows are there twice, at two levels of another grouping.
    """
    rng = np.random.default_rng(0)
    while wanted:
        m, r = rng.integers(2, 6), rng.integers(2, 5)
        y = rng.integers(0, 5, (m, r))
        mean = [Fraction(int(row.sum()), int(r)) for row in y]
        grand = sum(mean) / int(m)
        SSB = int(r) * sum((one - grand) ** 2 for one in mean)
        SST = sum((int(v) - grand) ** 2 for v in y.ravel())
        within = SST - SSB
        df_within = int(copies * m * r - m - copies + 1)
        tie = SSB * df_within == within * int(m - 1) if reml else int(r) * SSB == SST
        if tie and within > 0:
            wanted -= 1
            yield pd.DataFrame({"y": y.ravel(), "g": np.repeat([f"g{i}" for i in range(m)], r)})


@pytest.mark.requirement("boundary")
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_zero_wins_an_exact_tie(engine, reml):
    """This used to be a warning, or an sd of 1e-8, in half of the cases: the sign of a rounding error decided."""
    for dat in ties(reml, 12):
        fit = lmer("y ~ 1 + (1 | g)", dat, reml=reml, engine=engine)
        assert fit.converged and fit.sd["g"] == 0 and fit.singular == ("g",)
        assert 0 <= fit.optimum.multipliers["g"] < 1e-13


@pytest.mark.parametrize("engine", ENGINES)
def test_zero_wins_a_tie_of_a_slope_and_of_two_groupings(engine):
    """The same for a slope in a covariate of +-1, and for a second grouping beside one with a large variance."""
    for dat in ties(False, 4):
        sign = 1.0 - 2 * (np.arange(len(dat)) % 2)
        turned = dat.assign(x=sign, y=sign * dat["y"])
        fit = lmer("y ~ 0 + x + (0 + x | g)", turned, reml=False, engine=engine)
        assert fit.converged and fit.sd.iloc[0] == 0 and fit.singular == ("g:x",)
    for dat in ties(True, 4, copies=2):
        far = pd.concat([dat.assign(h="a"), dat.assign(h="b", y=dat["y"] + 70)])
        fit = lmer("y ~ 1 + (1 | g) + (1 | h)", far, engine=engine)
        assert fit.converged and fit.sd["g"] == 0 and fit.sd["h"] > 10


# -- other optima ---------------------------------------------------------------------------------------------

LINES = pd.DataFrame({
    "y": [-1.5079, -1.3244, 0.0853, -2.319, -1.197, -2.3134, 0.4073, -2.1258, -0.6584, 3.5495, -1.4419, -1.9489, -0.7609, -2.2201],
    "x": [0.9, 1.9, 1.6, 1.9, 2.1, 4.5, 1.4, 1.5, 2.9, 0.7, 1.4, 2.2, 1.7, 2.6],
    "a": ["a3", "a4", "a0", "a4", "a4", "a4", "a1", "a4", "a1", "a6", "a3", "a1", "a4", "a1"]})
SEVEN = pd.DataFrame({"y": [3, 2, 1, 2, 0, 2, 1.0], "x": [1.9, -0.7, -0.1, 1.6, 0.4, 0.5, -0.9], "a": ["a1"] * 4 + ["a0"] + ["a1"] * 2})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_correlation_of_the_other_sign_is_tried(engine):
    """Optima at correlations of 1 (nll 10.6116) and -1 (9.0436): the worse one used to be certified."""
    fit = lmer("y ~ 1 + (1 + x | a)", LINES, reml=False, engine=engine)
    assert fit.converged
    assert_allclose(fit.nll, 9.0436294278, atol=1e-8)
    assert_allclose(fit.corr, -1.0, rtol=1e-6)


def test_one_large_term_is_tried():
    """One term, seven rows: minima at sds of 0.58 (nll 2.2603) and 2.27 (2.1612)."""
    fit = lmer("y ~ 1 + (0 + x | a)", SEVEN, reml=False)
    assert fit.converged
    assert_allclose(fit.nll, 2.1611831394, atol=1e-8)


@pytest.mark.requirement("best")
@pytest.mark.parametrize("seed", range(6))
def test_small_vector_valued_designs_against_a_search_on_n_by_n_algebra(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 20))
    dat = pd.DataFrame({"a": rng.integers(0, 4, n).astype(str), "x": rng.normal(size=n).round(1) + 1, "y": rng.normal(size=n)})
    fit = lmer("y ~ 1 + (x | a)", dat, reml=bool(seed % 2))
    assert fit.converged
    setup = fit.setup

    def value(theta):
        try:
            return vector_oracle(theta, setup)[0]
        except np.linalg.LinAlgError:
            return 1e6

    for rho, size in itertools.product((-2.0, 0.0, 2.0), (-1.0, 1.0)):
        start = np.array([fit.theta[0], size, rho * np.exp(size), size - 1.0])
        found = minimize(value, start, method="Nelder-Mead", options={"maxfev": 250})
        assert fit.nll < found.fun + 1e-8


# -- what data can tell ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("engine", ENGINES)
def test_reml_cannot_tell_two_groupings_apart_that_differ_by_a_fixed_factor(engine):
    """Beside f, g and h are the same contrast: this used to be certified in 30 of 100 cases."""
    rng = np.random.default_rng(0)
    f, g, h = np.repeat([0, 0, 1, 1], 6), np.repeat([0, 1, 2, 2], 6), np.repeat([0, 1, 1, 1], 6)
    dat = pd.DataFrame({**{name: [f"{name}{i}" for i in of] for name, of in {"f": f, "g": g, "h": h, "k": rng.permutation(24) % 6}.items()}})
    dat["y"] = f + 3 * rng.normal(size=3)[g] + rng.normal(size=24)
    with pytest.raises(LMMError, match=r"the \(co\)variances 'g', 'h' cannot be told apart beside the fixed effects by REML"):
        lmer("y ~ f + (1 | g) + (1 | h) + (1 | k)", dat, engine=engine)
    fit = lmer("y ~ f + (1 | g) + (1 | h) + (1 | k)", dat, engine=engine, reml=False)       # V tells them apart
    assert np.isfinite(fit.nll)
    for changed in ({}, {"dat": dat}):          # from the old set-up, where nothing was looked at, and from a new one
        with pytest.raises(LMMError, match="'g', 'h' cannot be told apart beside"):
            fit.update(reml=True, **changed)
    assert lmer("y ~ 1 + (1 | g) + (1 | h) + (1 | k)", dat, engine=engine).nobs == 24


@pytest.mark.parametrize("reml", [False, True])
def test_a_term_that_reproduces_y_is_found_behind_one_that_hides_it(reml):
    """a and x fit y exactly; with b, of nine levels in ten rows, any y is fitted, so that looked like no perfect fit."""
    rng = np.random.default_rng(1)
    n, x = 10, np.random.default_rng(2).normal(size=10)
    a, b = np.arange(n) % 4, np.r_[0, np.arange(n - 1)]
    dat = pd.DataFrame({"a": a.astype(str), "b": b.astype(str), "x": x, "y": 0.3 * x + rng.normal(size=4)[a]})
    with pytest.raises(LMMError, match="the fixed effects and the random effects 'a' fit 'y' perfectly"):
        lmm("y ~ x", dat, ["a", "b"], reml=reml)
    fit = lmm("y ~ x", dat.assign(y=dat["y"] + rng.normal(size=n)), ["a"], reml=reml)
    assert fit.converged


def regular(seed=1):
    """400 rows, 40 groups k of ten crossed with ten groups h, a covariate x and whole numbers i."""
    rng = np.random.default_rng(seed)
    row = np.arange(400)
    return pd.DataFrame({
        "x": rng.normal(size=400),
        "i": row % 7,
        "k": (row // 10).astype(str),
        "h": (row % 10).astype(str),
        "noise": rng.normal(size=400),
        "effect": rng.normal(size=40)[row // 10],
    })


BY_X = {
    "a covariate": ("y ~ x", lambda dat: dat["x"] + 2),
    "whole numbers": ("y ~ i", lambda dat: dat["i"] + 2.0),
    "without an intercept": ("y ~ 0 + x", lambda dat: 3 * dat["x"]),
    "nearly dependent columns": ("y ~ x + I(x + 1e-6 * i)", lambda dat: dat["x"] + 3 * (dat["x"] + 1e-6 * dat["i"])),
    "far from zero": ("y ~ x", lambda dat: 1e8 + dat["x"]),
}


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", BY_X)
def test_a_response_that_the_fixed_effects_reproduce_is_refused(kind, engine, reml):
    """With many levels it used to be certified with sigma = 1e-16, or to end in a ValueError of log(0)."""
    form, response = BY_X[kind]
    dat = regular().assign(y=lambda dat: response(dat))
    words = "the fixed effects fit 'y' perfectly"
    with pytest.raises(LMMError, match=words):
        lmm(form, dat, ["k", "h"], reml=reml, engine=engine)
    weights = 1 + dat["i"]
    with pytest.raises(LMMError, match=words):
        lmm(form, dat, ["k"], reml=reml, engine=engine, weights=weights)
    fit = lmm(form, dat.assign(y=dat["noise"]), ["k"], reml=reml, engine=engine)
    with pytest.raises(LMMError, match=words):
        fit.refit(dat["y"])
    little = np.abs(dat["y"]).max() * 1e-9 * dat["noise"]
    assert lmm(form, dat.assign(y=dat["y"] + little), ["k"], reml=reml, engine=engine).converged


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_response_that_a_term_reproduces_is_refused(engine, reml):
    dat = regular().assign(y=lambda dat: dat["effect"] + dat["x"])
    words = "fit 'y' perfectly" if engine == "dense" else "the likelihood grows without bound"
    for ref in (["k"], ["k", "h"]):
        with pytest.raises(LMMError, match=words):
            lmm("y ~ x", dat, ref, reml=reml, engine=engine)
    fit = lmm("y ~ x", dat.assign(y=dat["noise"]), ["k"], reml=reml, engine=engine)
    with pytest.raises(LMMError, match=words):
        fit.refit(dat["y"])


def test_the_other_criterion_is_checked_as_a_new_fit_is():
    """X and a reproduce any y, which X and REML forgive, and a alone does not: the likelihood has no bound.

    What REML sees are the sums of the two pairs over sqrt(2), sigma^2 + 2 sd^2 = 12, and the two others, sigma^2 + sd^2 = 7.
    """
    dat = pd.DataFrame({
        "a": list("aabbcd"),
        "u": [1.0, -1, 0, 0, 0, 0],
        "v": [0.0, 0, 1, -1, 0, 0],
        "y": [*[np.sqrt(6)] * 4, *[np.sqrt(7)] * 2],
    })
    words = "the fixed effects and the random effects 'a' fit 'y' perfectly"
    with pytest.raises(LMMError, match=words):
        lmm("y ~ 0 + u + v", dat, ["a"])
    fit = lmm("y ~ 0 + u + v", dat, ["a"], reml=True)
    assert_allclose([fit.sigma**2, fit.sd["a"] ** 2], [2, 5], rtol=1e-7)
    with pytest.raises(LMMError, match=words):
        fit.update(reml=False)


# -- average information --------------------------------------------------------------------------------------

def test_errors_and_degrees_of_freedom_are_exact_where_average_information_drove_the_fit(monkeypatch):
    """They used to be off by 9 and 2 percent, in silence; nested terms are in closed form, unless eliminated one by one."""
    monkeypatch.setattr("lmm.engines.blocked.engine.nesting_of", lambda groupings, matrices: None)
    rng = np.random.default_rng(0)
    m = int(rng.integers(206, 260))
    n, g = 2 * m, np.repeat(np.arange(m), 2)
    h = (np.arange(m) * 205 // m)[g]
    K = int(rng.integers(4, 9))
    k = (np.arange(205) * K // 205)[h]
    x = k % 2 * 1.0
    y = x + rng.standard_t(2, n)
    s = [rng.choice([0.3, 1, 5]) for _ in range(3)]
    y = y + s[0] * rng.normal(size=m)[g] + s[1] * rng.normal(size=300)[h] + s[2] * rng.standard_t(2, 8)[k]
    dat = pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(g), "h": pd.Categorical(h), "k": pd.Categorical(k)})
    fit = lmer("y ~ x + (1 | g) + (1 | h) + (1 | k)", dat)
    dense = lmer("y ~ x + (1 | g) + (1 | h) + (1 | k)", dat, engine="dense")
    assert fit.optimum.averaged and not dense.optimum.averaged
    assert_allclose(fit.cov_theta(), dense.cov_theta(), rtol=1e-5, atol=1e-8)
    assert_allclose(fit.sd_se, dense.sd_se, rtol=1e-5)
    assert_allclose(fit.df, dense.df, rtol=1e-5)
    assert "average information positive" in str(fit) and "average information" in repr(fit.optimum)
    assert np.abs(fit.optimum.hessian / dense.optimum.hessian - 1).max() > 0.01


def test_no_errors_where_average_information_certified_no_minimum(monkeypatch):
    """An indefinite Hessian used to be inverted: negative variances, and nan for the standard errors."""
    dat = regular().assign(y=lambda dat: dat["noise"] + dat["effect"])
    fit = lmm("y ~ x", dat, ["k"], engine="blocked")
    exact = fit.cov_theta()
    assert np.isfinite(exact.to_numpy()).all()
    averaged = replace(fit, optimum=replace(fit.optimum, averaged=True))
    monkeypatch.setattr(curvature, "by_differences", lambda fit: np.diag([400.0, -1.0]))
    with pytest.warns(ConvergenceWarning, match="the Hessian of nll is not positive definite at this optimum, which average"):
        assert np.isnan(averaged.cov_theta().to_numpy()).all()
    monkeypatch.setattr(curvature, "by_differences", lambda fit: np.diag([400.0, 2.0]))
    again = replace(fit, optimum=replace(fit.optimum, averaged=True)).cov_theta()
    assert np.isfinite(again.to_numpy()).all()


# -- extreme theta --------------------------------------------------------------------------------------------

def test_sigma_so_small_that_its_square_is_subnormal():
    """LMMprof used to be nan for log sigma from -355 to -372."""
    setup = LMMsetup("y ~ x", LINES, ["a"])
    found = 0
    for log_sigma in range(-380, -340):
        value = LMMprof([float(log_sigma), 0.0], setup)
        assert value == np.inf or np.isfinite(value)
        if np.isfinite(value):
            try:
                gradient = derivatives([float(log_sigma), 0.0], setup).gradient
            except ArithmeticError:
                continue
            assert np.isfinite(gradient).all()
            found += 1
    assert found > 0


def test_derivatives_that_fail_end_in_a_sentence(monkeypatch):
    """They used to be a bare ArithmeticError, where the certificate or a boundary asked for them."""
    def failing(self, theta, value=None, averaged=False):
        raise ArithmeticError("the derivatives cannot be evaluated at theta [1, 2]")

    monkeypatch.setattr(Criterion, "derivatives", failing)
    for engine in ENGINES:
        with pytest.raises(LMMError, match=r"at theta \[1, 2\], where the search ended; give start= on"):
            lmm("y ~ x", regular().assign(y=lambda dat: dat["noise"]), ["k"], engine=engine)


def test_a_fit_that_fails_leaves_the_terminals_line_and_its_seconds():
    criterion = Criterion(LMMprof, LMMsetup("y ~ x", LINES, ["a"]))
    with pytest.raises(LMMError), criterion.phase("newton"):
        raise LMMError("no luck")
    assert criterion.seconds["newton"] > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_covariance_beside_a_zero_variance_is_no_theta(engine):
    """T = [[0, 0], [5, 1]] has a psi, which another theta names; it was evaluated as if T_21 were 0."""
    dat = regular().assign(y=lambda dat: dat["noise"])
    fit = lmer("y ~ x + (x | h)", dat, engine=engine)
    good = [0.1, -np.inf, 0.0, 0.3]
    bad = [0.1, -np.inf, 5.0, 0.3]
    assert np.isfinite(LMMprof(good, fit.setup))
    words = (
        r"theta\[2\] \(T\[h: x, Intercept\]\) is 5\.0 in a column of T whose diagonal is zero, -inf; "
        "such a column is zero: give 0.0"
    )
    for asked in (LMMprof, derivatives):
        with pytest.raises(LMMError, match=words):
            asked(bad, fit.setup)
    with pytest.raises(LMMError, match="start is no theta: " + words):
        lmer("y ~ x + (x | h)", dat, start=bad, engine=engine)


@pytest.mark.parametrize("seed", [8, 10, 35])
def test_bootstrap_replicates_are_not_at_worse_optima(seed):
    """Few rows with correlated effects: of 25 refits from the fit's theta alone two used to end at worse optima."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(10, 20))
    dat = pd.DataFrame({"a": [f"a{i}" for i in rng.integers(0, 5, n)], "x": rng.normal(size=n).round(1) + 1, "y": rng.normal(size=n)})
    fit = lmer("y ~ 1 + (1 + x | a)", dat, reml=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        boot = fit.bootstrap(25, seed=4, statistic=lambda one: one.nll)
        for y, value in zip(fit.simulate(25, seed=4).to_numpy().T, boot.replicates.iloc[:, 0]):
            if np.isfinite(value):
                assert value < fit.refit(y).nll + 1e-6
    assert np.isfinite(boot.replicates).to_numpy().sum() >= 20


# -- other optima, looked for frugally --------------------------------------------------------------------------

def test_three_terms_and_few_degrees_of_freedom_are_searched_from_all_starts():
    """A grid of three coordinates is too coarse for them: the fit ended at 81.74, certified."""
    rng = np.random.default_rng(5_000_403)
    n = int(rng.integers(41, 90))
    la = int(rng.integers(n // 4, n // 2 + 6))
    lb = int(rng.integers(2, n // 4))
    a = np.concatenate([np.arange(la), rng.integers(0, la, n - la)])
    b, x = rng.integers(0, lb, n), rng.normal(size=n)
    s = rng.choice([0, 0.3, 1, 4], 3)
    y = rng.normal(size=n) * rng.choice([0.3, 1]) + s[0] * rng.normal(size=la)[a] + s[1] * rng.normal(size=lb)[b]
    y = y + s[2] * rng.normal(size=lb)[b] * x
    if rng.random() < 0.25:
        y = np.round(y)
    if rng.random() < 0.25:
        y = rng.standard_t(2, n)
    dat = pd.DataFrame({"y": y, "x": x, "a": pd.Categorical(a), "b": pd.Categorical(b)})
    rng.choice(6)
    fit = lmer("y ~ x + (1 | a) + (1 | b) + (0 + x | b)", dat, reml=bool(rng.random() < 0.5))
    assert fit.converged and abs(fit.nll - 80.96585906560178) < 1e-7


def valley(seed=2):
    """Sixty rows in twelve levels, two and two of them in one of the other term."""
    rng = np.random.default_rng(seed)
    a = np.arange(60) // 5
    return pd.DataFrame({"y": rng.normal(size=60) + 0.6 * rng.normal(size=12)[a], "a": pd.Categorical(a),
                         "b": pd.Categorical(a // 2)})


@pytest.mark.parametrize("engine", ["dense", "blocked"])
@pytest.mark.parametrize("start", [[0.0, -3.0, 1.0], [0.0, 1.0, -3.0], [0.0, 4.0, 4.0]])
def test_the_look_leads_from_any_start_to_the_same_optimum(engine, start):
    dat = valley()
    best = lmer("y ~ 1 + (1 | a) + (1 | b)", dat, engine=engine)
    fit = lmer("y ~ 1 + (1 | a) + (1 | b)", dat, engine=engine, start=start)
    assert abs(fit.nll - best.nll) < 1e-9 * abs(best.nll)


def test_where_the_search_ends_without_a_certificate_all_starts_are_searched(monkeypatch):
    """Newton's iteration cut short leaves a theta that is none; the look used to pass over what was better."""
    from lmm.fitting import elsewhere
    dat = load_data("cake")
    fit = lmer("angle ~ recipe + temp + (temp | replicate) + (1 | recipe:replicate)", dat)
    assert fit.converged
    asked = []
    whole = elsewhere.elsewhere
    monkeypatch.setattr(elsewhere, "elsewhere", lambda theta, setup: asked.append(1) or whole(theta, setup))
    monkeypatch.setattr("lmm.fitting.newton.MOST_STEPS", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lmer("angle ~ recipe + temp + (temp | replicate) + (1 | recipe:replicate)", dat)
    assert asked


def test_a_grid_s_minima_leave_out_the_known_optimum():
    """Of a criterion with one basin no other start is left but by the grid's coarseness, and none is searched."""
    from lmm.fitting import Criterion
    from lmm.fitting.elsewhere import GRIDS, grid_of, minima_of_grid
    fit = lmm("diameter ~ 1", load_data("Penicillin"), ["plate", "sample"])
    criterion = Criterion(LMMprof, fit.setup)
    assert minima_of_grid(criterion, fit.theta) == []
    assert len(criterion.rows) == len(GRIDS[2]) ** 2
    far = np.add(fit.theta, [0.0, 5.0, -5.0])
    found, = minima_of_grid(Criterion(LMMprof, fit.setup), far)
    assert np.abs(found - fit.theta)[1:].max() < 1.5
    steps, neighbours = grid_of(2)
    middle = 24                                                         # of 7 x 7: all nine are there
    assert (neighbours[middle] < 49).all() and np.abs(steps[neighbours[middle]] - steps[middle]).max() <= 1.5
    assert (neighbours[0] == 49).sum() == 5                             # a corner has four, itself among them


@pytest.mark.parametrize("seed, best", [(273, 256.4784284174824), (236, 289.9492399642143)])
def test_a_variance_beside_zero_where_one_level_has_most_rows(seed, best):
    """The look used to pass over the dip between a large start and zero: 0.79 and 0.57 above, certified."""
    r = np.random.default_rng(seed)
    big, m, k = int(r.integers(100, 400)), int(r.integers(101, 140)), int(r.choice([1, 2]))
    a = np.r_[np.zeros(big, int), np.arange(1, m)]
    if k == 2:
        a = np.r_[a, r.integers(1, m, int(r.integers(1, 20)))]
    n = len(a)
    y = r.normal(size=n) if r.random() < 0.5 else r.standard_t(3, size=n)
    y = y + (a > 0) * r.normal(size=n) * r.choice([0, 0.3, 0.6])
    y[:big] *= r.choice([1, 1.2, 0.8])
    dat = pd.DataFrame({"y": y, "a": [f"a{i}" for i in a]})
    for engine in (None, "dense"):
        fit = lmer("y ~ 1 + (1 | a)", dat, reml=bool(r.integers(2)) if engine is None else fit.reml, engine=engine)   # noqa: F821
        assert fit.converged and abs(fit.nll - best) < 1e-7


def test_what_is_zero_takes_the_place_of_what_is_not():
    from lmm.fitting.elsewhere import exchanged
    fit = lmm("diameter ~ 1", load_data("Penicillin"), ["plate", "sample"])
    assert list(exchanged(fit.theta, fit.setup)) == []
    zero = fit.theta.copy()
    zero[1] = -np.inf
    other, = exchanged(zero, fit.setup)
    assert other[2] == -np.inf and np.isfinite(other[1]) and other[0] == zero[0]


def test_the_way_from_a_start_says_whether_it_lies_apart():
    """The other optimum of a criterion with two lies apart, and what is on the slope of the known one does not."""
    from lmm.fitting.elsewhere import ALL_THE_WAY, is_apart
    rng = np.random.default_rng(0)
    a = np.r_[np.zeros(150, int), np.arange(1, 60)]
    y = rng.standard_t(3, size=len(a))
    dat = pd.DataFrame({"y": y, "x": rng.normal(size=len(a)), "a": pd.Categorical(a)})
    fit = lmer("y ~ x + (1 | a)", dat, engine="blocked")
    criterion = Criterion(LMMprof, fit.setup)
    assert not is_apart(criterion, np.add(fit.theta, [0.05, 0.0]), fit.theta, LMMprof(fit.theta, fit.setup), ALL_THE_WAY)
    # a criterion that is lower at the start than at the known optimum needs no rise
    worse = np.add(fit.theta, [1.0, 0.0])
    assert is_apart(criterion, fit.theta, worse, LMMprof(worse, fit.setup), ())


def test_correlated_effects_are_looked_at_across_their_boundary():
    """Two plain evaluations for the start without the last direction of sleepstudy's term, which is on the slope."""
    fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    assert fit.optimum.evaluations["elsewhere"] == 2
    looked = fit.trace[fit.trace["phase"] == "elsewhere"]
    assert looked["log T[Subject: Days, Days]"].iloc[0] == -np.inf and looked["nll"].is_monotonic_decreasing
