"""Proofs where digits are at stake: bounds are the engine's criterion, or nothing is said."""

import mpmath
import numpy as np
import pandas as pd
import pytest
from helpers import lmer_setup
from numpy.testing import assert_allclose

from lmm import ConvergenceWarning, LMMprof, LMMsetup, lmer, lmm, load_data
from lmm.fitting import proved
from lmm.fitting.proof import Problem, criterion, with_allowance


def levels(codes, letter):
    return [f"{letter}{code}" for code in codes]


def scaled_slope(seed):
    """A slope whose values span ten decades, beside a crossed grouping."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 12))
    z = 10.0 ** rng.uniform(-5, 5, n)
    y = rng.normal(size=n)
    g = np.arange(n) % (n - int(rng.integers(1, 3)))
    return pd.DataFrame({"y": y, "z": z, "g": levels(g, "g"), "h": levels(rng.integers(0, n - 2, n), "h")})


def shifted(seed, shift, spread=1.0, n=30):
    rng = np.random.default_rng(seed)
    x = shift + spread * rng.normal(size=n)
    return pd.DataFrame({"y": rng.normal(size=n), "x": x, "g": levels(np.arange(n) % 6, "g")})


def nearly_exact(seed, ratio, n=24):
    rng = np.random.default_rng(seed)
    g = np.arange(n) % 6
    return pd.DataFrame({"y": rng.normal(size=6)[g] + rng.normal(size=n) / ratio, "g": levels(g, "g")})


HARD = [
    *[("y ~ 1 + (0 + z | h) + (1 | g)", scaled_slope(seed)) for seed in (22, 100, 1, 7)],
    *[("y ~ x + (x || g)", shifted(seed, shift)) for seed in (0, 1) for shift in (1e4, 1e5, 1e6)],
    ("y ~ x + (x || g)", shifted(0, 2460000.5, 15.0)),
    *[("y ~ 1 + (1 | g)", nearly_exact(seed, ratio)) for seed in (0, 13) for ratio in (1e3, 1e5, 1e8)],
]


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("formula, dat", HARD)
def test_nothing_that_is_false_is_said(formula, dat, reml):
    """The fit itself contradicts a proof that nothing is below nll + d, for any d above the tolerance."""
    try:
        fit = lmer(formula, dat, reml=reml)
    except ValueError:
        pytest.skip("no model that is fitted")
    found = fit.prove(seconds=2)
    assert not found.proved or found.lower_bound <= fit.nll + 1e-9 * max(1, abs(fit.nll))
    if found.refuted:
        assert LMMprof(found.theta, fit.setup) < fit.nll - 1e-6
    for d in (3e-6, 1e-3, 3e-2):
        assert proved(LMMprof, fit.setup, fit.nll + d, 1e-6, 2).verdict != "proved"


@pytest.mark.parametrize("ratio", [1e3, 1e4, 1e6])
def test_a_small_residual_is_no_hindrance(ratio):
    """log(1 + rho r^2) has the digits of a float however large rho is."""
    for seed in range(3):
        fit = lmer("y ~ 1 + (1 | g)", nearly_exact(seed, ratio), reml=False)
        found = fit.prove(seconds=5)
        assert found.proved and found.boxes < 1000


def exact_criterion(setup, v):
    """nll by maximum likelihood at variances v over sigma^2 of one grouping, sigma profiled out; 60 digits."""
    with mpmath.workdps(60):
        y = mpmath.matrix(setup.design.y.tolist())
        X = mpmath.matrix(setup.design.X.tolist())
        V = mpmath.eye(len(y))
        for block, one in zip(setup.design.blocks, v):
            Z = mpmath.matrix(block.matrix.toarray().tolist())
            V += mpmath.mpf(one) * Z * Z.T
        W = V**-1
        beta = mpmath.lu_solve(X.T * W * X, X.T * W * y)
        e = y - X * beta
        q = (e.T * W * e)[0]
        n = len(y)
        return float(mpmath.log(mpmath.det(V)) / 2 + mpmath.mpf(n) / 2 * (1 + mpmath.log(q / n)))


@pytest.mark.parametrize("ratio", [1.0, 1e3, 1e6])
def test_the_allowance_holds_where_v_is_diagonal(ratio):
    setup = LMMsetup("y ~ 1", nearly_exact(2, ratio), "g")
    problem = Problem(setup)
    points = 10.0 ** np.linspace(-6, 2 * np.log10(ratio) + 4, 12)[:, None]
    values, allowances = with_allowance(problem, points)
    for point, value, allowance in zip(points, values, allowances):
        assert abs(value - exact_criterion(setup, point)) <= allowance
    assert allowances.max() < 1e-6


@pytest.mark.parametrize("shift", [0.0, 1e4, 1e6])
def test_an_intercept_and_a_slope_far_from_zero(shift):
    """q of x || g where x is far from zero: as the engine has it, to shift / spread times eps."""
    setup = lmer_setup("y ~ x + (x || g)", shifted(3, shift))
    problem = Problem(setup)
    points = np.array([[0.0, 0.0], [1.0, 1e-12], [1e2, 1e-13]])
    for point, value in zip(points, criterion(problem, points)):
        assert abs(value - LMMprof(problem.theta_of(point), setup)) < 1e-9 * max(1.0, shift / 1e3)


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e4])
def test_the_blocked_engine_too(shift):
    """Of the same design both engines have one value, also where x is far from zero."""
    rng = np.random.default_rng(4)
    n = 400
    x = shift + rng.normal(size=n)
    dat = pd.DataFrame({"y": rng.normal(size=n), "x": x, "g": levels(np.arange(n) % 40, "g")})
    theta = [0.0, 0.3, -np.log(10.0 + shift)]
    dense, blocked = (lmer("y ~ x + (x || g)", dat, engine=one).setup for one in ("dense", "blocked"))
    assert_allclose(LMMprof(theta, blocked), LMMprof(theta, dense), rtol=1e-9)


def test_the_better_theta_itself():
    """If the search from there ends higher, with a warning that it is no certified optimum."""
    fit = lmer("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff"))
    found = proved(LMMprof, fit.setup, fit.nll + 0.5, 1e-6, 5)
    assert found.verdict == "refuted"
    worse = fit.prove()
    object.__setattr__(worse, "verdict", "refuted")
    object.__setattr__(worse, "theta", found.theta)
    object.__setattr__(worse, "nll", fit.nll - 1.0)             # which no search ends at
    with pytest.warns(ConvergenceWarning, match="no certified optimum"):
        better = worse.better()
    assert_allclose(better.theta, found.theta)
    assert_allclose(better.nll, LMMprof(found.theta, fit.setup))
    assert not better.converged


def test_many_terms_keep_to_their_time_and_memory():
    rng = np.random.default_rng(0)
    dat = pd.DataFrame({f"g{i}": levels(rng.integers(0, 3, 60), "l") for i in range(10)})
    dat["y"] = rng.normal(size=60)
    fit = lmm("y ~ 1", dat, list(dat.columns[:-1]))
    found = fit.prove(seconds=0.5)
    assert found.seconds < 1.5


def test_what_is_open_says_why():
    fit = lmer("score ~ 1 + (0 + Machine | Worker)", load_data("Machines"))
    assert "nor one term of two correlated ones" in str(fit.prove()) and "at least -inf" not in str(fit.prove())
