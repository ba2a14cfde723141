"""Proofs where digits are at stake: bounds are the engine's criterion, or nothing is said."""

from dataclasses import replace

import mpmath
import numpy as np
import pandas as pd
import pytest
from helpers import lmer_setup
from numpy.testing import assert_allclose

from lmm import ConvergenceWarning, LMMprof, LMMsetup, lmer, lmm, load_data
from lmm.fitting import proved
from lmm.fitting.proof import AtZero, Boxes, Problem, Sectors, criterion, turned, with_allowance
from lmm.fitting.proof.at_zero import relative_to_terms
from lmm.fitting.proof.bounds import Bounded
from lmm.inference.proving import is_stronger, said


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


@pytest.mark.requirement("proof")
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


def exact_h_and_q(setup, psi):
    """log|V| and q by maximum likelihood of one grouping, psi over sigma^2; 60 digits."""
    with mpmath.workdps(60):
        y = mpmath.matrix(setup.design.y.tolist())
        X = mpmath.matrix(setup.design.X.tolist())
        Z = [mpmath.matrix(block.matrix.toarray().tolist()) for block in setup.design.blocks]
        V = mpmath.eye(len(y))
        for i, j in np.ndindex(psi.shape):
            V += mpmath.mpf(float(psi[i, j])) * Z[i] * Z[j].T
        W = V**-1
        e = y - X * mpmath.lu_solve(X.T * W * X, X.T * W * y)
        return float(mpmath.log(mpmath.det(V))), float((e.T * W * e)[0])


@pytest.mark.parametrize("size", [1.0, 1e3, 1e5, 1e8])
@pytest.mark.parametrize("formula, shift", [("y ~ x + (x | g)", 0.0), ("y ~ x + (x || g)", 1e2), ("y ~ x + (x | g)", 30.0)])
def test_the_allowance_holds_for_two_effects(formula, shift, size):
    """Triangles of nearly equal columns, and variances of any size."""
    setup = lmer_setup(formula, shifted(5, shift, n=18))
    problem = Problem(setup)
    rng = np.random.default_rng(int(size))
    if isinstance(problem.chart, Sectors):
        a = size * rng.uniform(0.5, 2, 5)
        points = turned(a, a * 10.0 ** -rng.uniform(0, 8, 5), rng.uniform(0, np.pi, 5))
    else:
        points = size * 10.0 ** rng.uniform(-4, 0, (5, 2)) / problem.chart.units
    h, q, off_h, off_q = problem.at(points)
    turn = problem.family.rows.turn
    for i, rho in enumerate(problem.rho(points)):
        psi = setup.covariance.entries.matrix(rho)
        exact = exact_h_and_q(setup, turn @ psi @ turn.T)
        assert abs(h[i] - exact[0]) <= off_h[i] and abs(q[i] - exact[1]) <= off_q[i]


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


# -- units, and sigma = 0 ---------------------------------------------------------------------------------------

def in_units(seed, unit):
    """A slope in a covariate of other units, beside another grouping; as few as 6 rows."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 15))
    a, b = rng.integers(0, 4, n), rng.integers(0, 3, n)
    x = rng.normal(size=n) * unit
    return pd.DataFrame({"y": rng.normal(size=n), "x": x, "a": levels(a, "a"), "b": levels(b, "b")})


@pytest.mark.parametrize("unit", [1e6, 1e8])
@pytest.mark.parametrize("seed", range(8))
def test_a_covariate_of_other_units(seed, unit):
    """What is refuted is lower by the engine, and what is proved is not contradicted by the fit."""
    try:
        fit = lmer("y ~ 1 + (1 | a) + (0 + x | b)", in_units(seed, unit), reml=False)
    except ValueError:
        pytest.skip("no model that is fitted")
    found = fit.prove(seconds=2)
    if found.refuted:
        assert LMMprof(found.theta, fit.setup) < fit.nll - 1e-6
    assert proved(LMMprof, fit.setup, fit.nll + 1e-3, 1e-6, 2).verdict != "proved"


def cells_at_zero(unit):
    """The cells relative to each term, and the `AtZero` that knows the criterion there."""
    rng = np.random.default_rng(7)
    dat = pd.DataFrame({"a": levels(np.arange(14) % 8, "a"), "b": levels(rng.permutation(14) % 7, "b")})
    dat["y"] = rng.normal(size=14)
    dat["x"] = unit * (1 + rng.random(14))
    problem = Problem(lmer_setup("y ~ 1 + (1 | a) + (0 + x | b)", dat))
    top = problem.chart.roots()[-1]
    for reference, cells in relative_to_terms(problem, top):
        yield AtZero(problem, reference), cells


@pytest.mark.parametrize("unit", [1.0, 1e3])
def test_nothing_in_a_cell_at_sigma_zero_is_below_its_bound(unit):
    rng = np.random.default_rng(2)
    count = 0
    for problem, cells in cells_at_zero(unit):
        for _ in range(8):
            bounds, _ = problem.bounds(cells, np.inf)
            low, up = problem.chart.ends(cells)
            up = np.where(np.isinf(up), 100 * np.maximum(low, 1e-3), up)
            for _ in range(4):
                share = np.clip(1.6 * rng.random(low.shape) - 0.3, 0, 1)
                values = criterion(problem, low + share * (up - low))
                assert (values >= bounds).all()
                count += np.isfinite(bounds).sum()
            cells, _ = problem.chart.split(cells)
            cells = cells[rng.permutation(len(cells))[:200]]
    assert count > 1000


def exact_at_zero(problem, point):
    """h and q there, by sixty digits, for maximum likelihood."""
    with mpmath.workdps(60):
        V = mpmath.matrix(problem.whole_parts[problem.reference].tolist())
        for number, share in zip(problem.numbers, point):
            V += mpmath.mpf(float(share)) * mpmath.matrix(problem.whole_parts[number].tolist())
        X = mpmath.matrix(problem.of.family.rows.X.tolist())
        y = mpmath.matrix(problem.of.setup.design.y.tolist())
        W = V**-1
        e = y - X * mpmath.lu_solve(X.T * W * X, X.T * W * y)
        return float(mpmath.log(mpmath.det(V))), float((e.T * W * e)[0])


@pytest.mark.parametrize("unit", [1.0, 1e3])
def test_the_allowances_at_sigma_zero_hold(unit):
    rng = np.random.default_rng(3)
    for problem, _ in cells_at_zero(unit):
        points = 10.0 ** rng.uniform(-4, 4, (6, 2))
        h, q, off_h, off_q = problem.at(points)
        for i, point in enumerate(points):
            exact = exact_at_zero(problem, point)
            assert abs(h[i] - exact[0]) <= off_h[i] and abs(q[i] - exact[1]) <= off_q[i]


@pytest.mark.parametrize("unit", [1.0, 1e3, 1e7])
def test_q_at_infinity_is_no_more_than_q_far_away(unit):
    """q falls as variances grow: at infinity it is below any finite one, whatever the units are."""
    for problem, _ in cells_at_zero(unit):
        units = problem.chart.units
        for infinite in ([True, False], [False, True], [True, True]):
            at = np.where(infinite, 0.0, 1 / units)[None]
            q, off = problem.q_at_infinity(np.array(infinite), at)
            far = np.where(infinite, 1e6 / units, 1 / units)[None]
            _, q_far, _, off_far = problem.at(far)
            assert q[0] - np.max(off) <= q_far[0] + off_far[0]


class Stub(Bounded):
    """h and q of a chart of one variance that are known: h = v, q = 1 / (1 + v), off by 0.3 and 0.01."""

    df = 2.0
    constant = 0.0
    numbers_of_a_point = 1
    chart = Boxes(np.ones(1), np.eye(1))

    def at(self, points, with_gradient=False):
        v = points[:, 0]
        found = v, 1 / (1 + v), np.full(len(v), 0.3), np.full(len(v), 0.01)
        return (*found, (-1 / (1 + v) ** 2)[:, None]) if with_gradient else found

    def q_at_infinity(self, infinite, points):
        return np.full(len(points), 0.5), 0.01


def test_bounds_are_lowered_by_what_rounding_may_take():
    stub = Stub()
    (at_infinity,), _ = stub.bounds(np.array([[4.0, np.inf]]), np.inf)
    assert_allclose(at_infinity, 0.5 * (4.0 - 0.3 + 2 * np.log(0.5 - 0.01)))
    (ended,), _ = stub.bounds(np.array([[1.0, 1.2]]), np.inf)
    c = stub.chart.middle(np.array([[1.0, 1.2]]))[0, 0]
    tangents = [1 / (1 + c) - (v - c) / (1 + c) ** 2 for v in (1.0, 1.2)]
    sizes = [abs(v - c) / (1 + c) for v in (1.0, 1.2)]
    by_tangent = min(v - 0.3 + 2 * np.log(T - 0.01 * (1 + size)) for v, T, size in zip((1.0, 1.2), tangents, sizes))
    by_order = 1.0 - 0.3 + 2 * np.log(1 / 2.2 - 0.01)
    assert_allclose(ended, 0.5 * max(by_tangent, by_order))


# -- what is said, and kept -------------------------------------------------------------------------------------

def test_a_weaker_proof_replaces_none():
    fit = lmer("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff"))
    loose = fit.prove(tolerance=10)
    assert loose.proved and fit.proof is loose and "proved global, but for 10 of nll" in str(fit)
    close = fit.prove()
    assert fit.proof is close and "Optimum: proved global" in str(fit) and "but for" not in str(fit)
    fit.prove(tolerance=10)
    assert fit.proof is close


def test_a_refutation_stays():
    fit = lmer("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff"))
    lower = fit.prove()
    refuted = replace(lower, verdict="refuted", nll=fit.nll - 1)
    assert is_stronger(refuted, lower) and not is_stronger(replace(lower, tolerance=0.5), refuted)
    assert "there is a better one" in said(refuted)
    assert not is_stronger(replace(lower, verdict="open"), None)
