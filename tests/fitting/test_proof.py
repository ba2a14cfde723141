"""Global optima: what is proved, what is refuted, and that bounds are bounds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import crossed
from numpy.testing import assert_allclose

from lmm import LMMError, LMMprof, Proof, lmer, lmm, load_data
from lmm.fitting import Criterion, Plan
from lmm.fitting.optimum import another
from lmm.fitting.proof import AtZero, Boxes, Problem, Sectors, criterion, proved, turned
from lmm.fitting.proof.at_zero import relative_to_terms
from lmm.fitting.proof.cells import _arc
from lmm.practical import fit_of

MACHINES = "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)"
DAYS = "Reaction ~ Days + (Days | Subject)"


def weighted():
    dat = crossed((5, 4, 2), 40, seed=2)
    rng = np.random.default_rng(5)
    return dat.assign(w=rng.uniform(0.5, 2, len(dat)), o=rng.normal(size=len(dat)))


def more_effects_than_rows():
    """15 effects and a constant for 14 rows: X and Z reproduce y."""
    rng = np.random.default_rng(4)
    y = rng.normal(size=14).round(2)
    return pd.DataFrame({"y": y, "a": np.arange(14) % 8, "b": rng.permutation(14) % 7})


MODELS = {
    "one term": ("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff"), {}),
    "at zero": ("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff2"), {}),
    "rails": ("travel ~ 1 + (1 | Rail)", load_data("Rail"), {}),
    "nested": (MACHINES, load_data("Machines"), {}),
    "nested, unbalanced": (MACHINES, load_data("MachinesUnbalanced"), {}),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", load_data("Penicillin"), {}),
    "pastes": ("strength ~ 1 + (1 | batch) + (1 | sample)", load_data("Pastes"), {}),
    "split plot": ("Yield ~ nitro * Variety + (1 | Block/Variety)", load_data("Oats"), {}),
    "independent slopes": ("Reaction ~ Days + (Days || Subject)", load_data("sleepstudy"), {}),
    "three terms": ("y ~ x + (1 | a) + (1 | b) + (1 | c)", crossed((6, 5, 4), 60, seed=3), {}),
    "compound symmetry": ("score ~ Machine + cs(0 + Machine | Worker)", load_data("Machines"), {}),
    "weights": ("y ~ x + (1 | a) + (1 | b)", weighted(), {"weights": "w", "offset": "o"}),
    "p > n": ("y ~ 1 + (1 | a) + (1 | b)", more_effects_than_rows(), {}),
    "correlated": (DAYS, load_data("sleepstudy"), {}),
    "correlated, weights": ("y ~ x + (x | a)", weighted(), {"weights": "w", "offset": "o"}),
    "correlated, at the boundary": ("conc ~ age + (age | Lot)", load_data("IGF"), {}),
}


def fitted(model, reml):
    formula, dat, given = MODELS[model]
    return lmer(formula, dat, reml=reml, **given)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("model", MODELS)
class TestModels:
    def test_the_optimum_is_proved(self, model, reml):
        fit = fitted(model, reml)
        found = fit.prove()
        assert found.proved and not found.refuted and found.reason == ""
        assert fit.nll - 1e-6 <= found.lower_bound <= fit.nll + 1e-9 * abs(fit.nll)
        assert found.better() is fit and fit.proof is found

    def test_a_worse_value_is_refuted(self, model, reml):
        """By a theta where the criterion is what it says."""
        fit = fitted(model, reml)
        found = proved(LMMprof, fit.setup, fit.nll + 0.02, 1e-6, 20)
        assert found.verdict == "refuted" and found.nll < fit.nll + 0.02
        assert_allclose(LMMprof(found.theta, fit.setup), found.nll, rtol=1e-9)
        assert found.lower_bound <= fit.nll + 1e-9

    def test_nothing_in_a_cell_is_below_its_bound(self, model, reml):
        """Cells of all depths, points within them, the edges included."""
        problem = Problem(fitted(model, reml).setup)
        rng = np.random.default_rng(1)
        cells = problem.chart.roots()
        for _ in range(7):
            bounds, _ = problem.bounds(cells, np.inf)
            for _ in range(4):
                values = criterion(problem, points_within(problem.chart, cells, rng))
                assert (values >= bounds).all()
            cells, _ = problem.chart.split(cells)
            cells = cells[rng.permutation(len(cells))[:300]]


def points_within(chart, cells, rng):
    """A point of each cell, often on its edge."""
    share = np.clip(1.6 * rng.random((len(cells), 3)) - 0.3, 0, 1)
    if isinstance(chart, Boxes):
        low, up = chart.ends(cells)
        up = np.where(np.isinf(up), 100 * low, up)
        return low + share[:, : chart.s] * (up - low)
    a1, a2, b1, b2, angle, d = cells.T
    a2 = np.where(np.isinf(a2), 100 * (1 + a1), a2)
    b2 = np.where(np.isinf(b2), 1 + b1, b2)
    a = a1 + share[:, 0] * (a2 - a1)
    b = np.minimum(b1 + share[:, 1] * (b2 - b1), a)
    return turned(np.maximum(a, b), b, angle + (2 * share[:, 2] - 1) * d)


@pytest.mark.parametrize("model", ["nested, unbalanced", "correlated", "weights"])
def test_the_check_of_bounds_can_fail(model, monkeypatch):
    """With a tangent that is too flat, points are below the bound."""
    at = Problem.at

    def flat(self, points, with_gradient=False):
        found = at(self, points, with_gradient)
        return (*found[:4], 0.5 * found[4]) if with_gradient else found

    monkeypatch.setattr(Problem, "at", flat)
    with pytest.raises(AssertionError):
        TestModels().test_nothing_in_a_cell_is_below_its_bound(model, False)


@pytest.mark.parametrize("model", ["nested, unbalanced", "correlated"])
def test_the_cells_that_are_left_cover_everything(model):
    """Each point is in a pruned cell."""
    fit = fitted(model, False)
    cells = fit.prove(keep=True).cells
    chart = Problem(fit.setup).chart
    rng = np.random.default_rng(2)
    if isinstance(chart, Boxes):
        points = np.expm1(rng.exponential(4, size=(500, 2))) / chart.units
        low, up = chart.ends(cells)
        inside = (points[:, None] >= low) & (points[:, None] <= up)
        assert inside.all(axis=2).any(axis=1).all()
        return
    a, b = np.sort(np.expm1(rng.exponential(2, size=(500, 2))), axis=1)[:, ::-1].T
    angle = rng.uniform(0, np.pi, 500)
    a1, a2, b1, b2, middle, d = cells.T
    inside = (a[:, None] >= a1) & (a[:, None] <= a2) & (b[:, None] >= b1) & (b[:, None] <= b2)
    away = np.abs((angle[:, None] - middle + np.pi / 2) % np.pi - np.pi / 2)
    assert (inside & (away <= d)).any(axis=1).all()


# -- designs with two optima ------------------------------------------------------------------------------------

BIMODAL = pd.DataFrame({
    "y": [3, 2, 1, 2, 0, 2, 1.0],
    "x": [1.9, -0.7, -0.1, 1.6, 0.4, 0.5, -0.9],
    "a": ["a1", "a1", "a1", "a1", "a0", "a1", "a1"],
})
TURNED = pd.DataFrame({
    "y": [-1.5079, -1.3244, 0.0853, -2.319, -1.197, -2.3134, 0.4073, -2.1258, -0.6584, 3.5495, -1.4419,
          -1.9489, -0.7609, -2.2201],
    "x": [0.9, 1.9, 1.6, 1.9, 2.1, 4.5, 1.4, 1.5, 2.9, 0.7, 1.4, 2.2, 1.7, 2.6],
    "a": ["a3", "a4", "a0", "a4", "a4", "a4", "a1", "a4", "a1", "a6", "a3", "a1", "a4", "a1"],
})
STEEP = pd.DataFrame({
    "y": [-0.7313, -3.2307, 2.7398, 9.1373, 0.2658, -0.8674, -1.6076, 9.5024, 0.351, 4.203, 0.9054, 2.3608,
          -1.0377, -3.9654],
    "x": [2.4, 3, 3.2, 5.5, 1.3, 1, 1, 5.1, 3.2, 1.4, 1.8, 1.2, 1.8, 2.9],
    "g": [0, 1, 2, 3, 4, 4, 2, 3, 4, 3, 0, 3, 1, 1],
})


@pytest.mark.requirement("proof")
@pytest.mark.parametrize("formula, dat, worse, better", [
    ("y ~ 1 + (0 + x | a)", BIMODAL, None, None),
    ("y ~ 1 + (1 + x | a)", TURNED, 10.6116, 9.0436),
    ("y ~ x + (1 + x | g)", STEEP, 15.36583, 15.33702),
])
def test_a_certified_local_optimum_is_refuted(formula, dat, worse, better):
    """Each of them was certified once: now the fit is the other one, and what was certified is refuted."""
    fit = lmer(formula, dat, reml=False)
    assert fit.converged and fit.prove().proved
    rng = np.random.default_rng(1)
    local = None
    for _ in range(60):
        start = fit.theta + 2 * rng.normal(size=len(fit.theta))
        start[~np.isfinite(start)] = -3.0
        found = fit_of(fit.setup, Plan(elsewhere=False, quiet=True), start)
        if found.converged and found.nll > fit.nll + 0.01:
            local = found
            break
    assert local is not None
    if worse:
        assert local.nll == pytest.approx(worse, abs=1e-4) and fit.nll == pytest.approx(better, abs=1e-4)
    proof = local.prove()
    assert proof.refuted and not proof.proved and proof.nll < local.nll
    assert proof.better().nll == pytest.approx(fit.nll, abs=1e-7)
    assert "certified, but there is a better one: see fit.proof" in str(local)


def test_a_fit_that_was_stopped_early_is_refuted():
    setup = fitted("nested, unbalanced", False).setup
    theta = np.array([-0.1, 1.2, 1.0])
    found = proved(LMMprof, setup, float(LMMprof(theta, setup)), 1e-6, 10)
    assert found.verdict == "refuted"


@pytest.mark.requirement("proof")
@pytest.mark.parametrize("seed", range(25))
def test_small_random_designs(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 30))
    dat = pd.DataFrame({"x": rng.normal(size=n).round(1), "y": rng.normal(size=n).round(1)})
    for name in "ab":
        dat[name] = pd.Categorical(rng.integers(0, int(rng.integers(2, n // 2)), n))
    try:
        fit = lmer("y ~ x + (1 | a) + (1 | b)", dat, reml=bool(seed % 2))
    except LMMError:
        return
    found = fit.prove()
    assert found.proved
    worse = proved(LMMprof, fit.setup, fit.nll + 1e-4, 1e-6, 10)
    assert worse.verdict == "refuted"


# -- rounding ---------------------------------------------------------------------------------------------------

def exactly(problem, point):
    """h and q at a point of the chart by 50 digits, n x n."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(50):
        setup = problem.setup
        design = setup.design
        X = mpmath.matrix(design.weighted(design.X).tolist())
        y = mpmath.matrix([mpmath.mpf(float(value)) for value in design.weighted(design.y - design.offset)])
        psi = problem.setup.covariance.entries.matrix(problem.rho(point[None])[0])
        Z = [block.toarray() for block in problem.family.rows.blocks]   # of the effects that psi is of
        n = len(y)
        V = mpmath.eye(n)
        for i, j in np.argwhere(psi):
            V += mpmath.mpf(float(psi[i, j])) * mpmath.matrix(Z[i].tolist()) * mpmath.matrix(Z[j].T.tolist())
        logdet = mpmath.log(mpmath.det(V))
        columns = [mpmath.lu_solve(V, X[:, j]) for j in range(X.cols)]
        Wy = mpmath.lu_solve(V, y)
        XWX = mpmath.matrix(X.cols, X.cols)
        XWy = mpmath.matrix(X.cols, 1)
        for i in range(X.cols):
            XWy[i] = (X[:, i].T * Wy)[0]
            for j in range(X.cols):
                XWX[i, j] = (X[:, i].T * columns[j])[0]
        q = (y.T * Wy)[0] - (XWy.T * mpmath.lu_solve(XWX, XWy))[0]
        if setup.reml:
            logdet += mpmath.log(mpmath.det(XWX)) - mpmath.log(mpmath.det(X.T * X))
        return logdet, q


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("model", ["one term", "nested, unbalanced", "p > n", "weights", "correlated, weights"])
def test_rounding_errors_are_within_the_allowance(model, reml):
    """At points near by and far away, up to variances of 10,000 sigma^2 and beyond."""
    problem = Problem(fitted(model, reml).setup)
    rng = np.random.default_rng(3)
    for size in (0.1, 10.0, 1e3, 1e5):
        s = problem.chart.s
        if isinstance(problem.chart, Sectors):
            point = turned(size * rng.random(1), 0.1 * rng.random(1), rng.random(1))[0]
        else:
            point = size * rng.random(s) / problem.chart.units
        h, q, off_h, off_q = (float(one[0]) for one in problem.at(point[None]))
        true_h, true_q = exactly(problem, point)
        assert abs(float(true_h - h)) <= off_h
        assert abs(float(true_q - q)) <= off_q


# -- sigma = 0 --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("reml", [False, True])
def test_with_a_term_in_sigmas_place_it_is_the_same_criterion(reml):
    problem = Problem(fitted("p > n", reml).setup)
    rng = np.random.default_rng(1)
    for reference in (1, 2):
        at_zero = AtZero(problem, reference)
        points = rng.random((5, 2)) + 0.01                       # sigma^2 first
        others = np.insert(points, reference, 1.0, axis=1)
        relative = others[:, 1:] / others[:, :1]
        assert_allclose(criterion(at_zero, points), criterion(problem, relative), rtol=1e-9)
        _h, q, off_h, off_q, gradient = at_zero.at(points, with_gradient=True)
        for j in range(2):
            moved = points.copy()
            moved[:, j] += 1e-6
            assert_allclose((at_zero.at(moved)[1] - q) / 1e-6, gradient[:, j], rtol=1e-3)
        theta = at_zero.theta_of(points[0])
        assert_allclose(LMMprof(theta, problem.setup), criterion(at_zero, points)[0], rtol=1e-9)
        assert (off_h > 0).all() and (off_q > 0).all()


# -- what is said -----------------------------------------------------------------------------------------------

def test_what_is_printed():
    fit = fitted("nested", False)
    assert fit.proof is None
    assert "Optimum: certified (gradient zero, curvature positive)" in str(fit)
    proof = fit.prove()
    assert isinstance(proof, Proof)
    assert repr(proof).startswith("Proof(proved global: no theta has a criterion lower by 1e-06; ")
    assert "Optimum: proved global (gradient zero, curvature positive)" in str(fit)
    assert "proved global" in str(fit.summary())


def test_what_is_no_proof_says_why():
    three = lmer("score ~ 1 + (0 + Machine | Worker)", load_data("Machines"))
    proof = three.prove()
    assert not proof.proved and not proof.refuted and three.proof is None
    assert "neither independent effects, as of" in proof.reason and "two correlated ones" in proof.reason
    assert repr(proof).startswith("Proof(open: no proof is there for this design") and proof.lower_bound == -np.inf
    hard = lmer("y ~ x + (1 | a) + (1 | b) + (1 | c)", crossed((6, 5, 4), 60, seed=3))
    soon = hard.prove(seconds=1e-6)
    assert "boxes are left after 1e-06 seconds" in soon.reason
    assert soon.lower_bound < hard.nll and soon.better() is hard


@pytest.mark.parametrize("options, words", [
    (dict(tolerance=0), "tolerance is 0; it is a positive number"),
    (dict(tolerance="x"), "tolerance is 'x'"), (dict(seconds=-1), "seconds is -1"),
    (dict(seconds=np.inf), "seconds is inf"), (dict(tolerance=True), "tolerance is True"),
])
def test_bad_input(options, words):
    fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
    with pytest.raises(LMMError, match=words):
        fit.prove(**options)


def test_without_random_effects_it_is_proved_at_once():
    assert lmm("score ~ Machine", load_data("Machines")).prove().proved


# -- what cells are made of -------------------------------------------------------------------------------------

def test_an_arc_is_within_its_three_points():
    """Each covariance of the angles between is their weighted mean, with no negative weight."""
    rng = np.random.default_rng(3)
    N = 400
    b, more = rng.gamma(1.0, size=(2, N))
    a = b + more + 1e-3
    angle, d = rng.uniform(0, np.pi, N), rng.uniform(0.01, 0.7, N)
    corners = _arc(a, b, angle, d)                                      # (N, 3, 3)
    for share in (-1.0, -0.7, -0.3, 0.0, 0.3, 0.7, 1.0):
        inside = turned(a, b, angle + share * d)
        weights = np.linalg.solve(
            np.concatenate([corners[:, :, :2].swapaxes(1, 2), np.ones((N, 1, 3))], axis=1),
            np.concatenate([inside[:, :2], np.ones((N, 1))], axis=1)[:, :, None],
        )[:, :, 0]
        assert (weights >= -1e-7).all()
        assert_allclose(np.einsum("nc,nce->ne", weights, corners), inside, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("model", ["p > n", "three terms"])
def test_each_point_of_an_infinite_cell_is_in_a_cell_of_a_term(model):
    """Variances over that of the smallest infinite term: one of the cells relative to it has them."""
    problem = Problem(fitted(model, False).setup)
    s = problem.chart.s
    rng = np.random.default_rng(5)
    low = np.exp(rng.normal(size=s)) * np.array(problem.chart.units)
    for infinite in ([True] * s, [j < s - 1 for j in range(s)]):
        infinite = np.array(infinite)
        up = np.where(infinite, np.inf, 2 * low)
        charts = dict(relative_to_terms(problem, np.concatenate([low, up])))
        assert len(charts) == infinite.sum()
        for _ in range(300):
            size = 10.0 ** rng.uniform(0, 8, s)
            units = np.array([1.0, *problem.chart.units])
            variances = np.array([1.0, *np.where(infinite, low * size, low * (1 + rng.random(s)))])
            scaled = np.array([np.inf, *np.where(infinite, variances[1:] * units[1:], np.inf)])
            reference = int(np.argmin(scaled))
            others = np.delete(variances, reference) / variances[reference]
            cells = charts[reference]
            lows, ups = cells[:, :s], cells[:, s:]
            assert ((lows <= others * (1 + 1e-12)) & (others <= ups * (1 + 1e-12))).all(axis=1).any()


def test_a_fit_that_is_not_certified_is_searched_again_from_a_grid(monkeypatch):
    """The end that is found there is taken where it is lower, or as low and certified."""
    fit = lmer("y ~ 1 + (x | a)", crossed((6, 5, 4), 40, seed=9))
    search = Criterion(LMMprof, fit.setup)
    away = fit.theta + 1.0
    value = LMMprof(away, fit.setup)
    unsure = replace(fit.optimum, certified=False)
    _, lower, found = another(search, away, value, unsure)
    assert found.certified and abs(lower - fit.nll) < 1e-8
    _, same, found = another(search, fit.theta, LMMprof(fit.theta, fit.setup), unsure)
    assert found.certified and abs(same - fit.nll) < 1e-8
    monkeypatch.setattr("lmm.fitting.optimum.optimum_of_one", lambda setup: None)
    theta, _, found = another(search, away, value, unsure)
    assert theta is away and found is unsure
