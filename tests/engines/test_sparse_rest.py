"""Columns that rarely meet: the sparse triangle against a dense one, and the engine with it against the dense engine."""

import numpy as np
import pandas as pd
import pytest
from helpers import LINEAR_ALGEBRA, lmer_setup, vector_oracle
from numpy.testing import assert_allclose
from scipy import sparse

from lmm import LMMprof, derivatives, lmer
from lmm.engines import set_up
from lmm.engines.blocked.layout import Sparse
from lmm.engines.blocked.sparse_rest import (
    SparseTriangle,
    independent_columns,
    rounds_of,
    upper_entries,
)
from lmm.engines.contract import NotPositiveDefinite

FORMULA = "y ~ x + (1 | pupil) + (1 | teacher) + (1 | school)"


@pytest.fixture
def always_sparse(monkeypatch):
    """Small problems take the way of large ones: rounds down to three columns."""
    monkeypatch.setattr("lmm.engines.blocked.elimination.FEWEST_SPARSE", 0)
    monkeypatch.setattr("lmm.engines.blocked.elimination.MOST_MEETING", 10.0)
    monkeypatch.setattr("lmm.engines.blocked.elimination.WORTH", np.inf)
    monkeypatch.setattr("lmm.engines.blocked.sparse_rest.SMALL_TRIANGLE", 3)
    monkeypatch.setattr("lmm.engines.blocked.sparse_rest.FULL", 0.99)


def pattern_of(q, density, seed):
    rng = np.random.default_rng(seed)
    A = rng.random((q, q)) < density
    return A | A.T | np.eye(q, dtype=bool)


@pytest.mark.parametrize("q, density", [(1, 1), (2, 0), (30, 0.05), (60, 0.02), (40, 0.3), (25, 0)])
@pytest.mark.parametrize("seed", range(3))
def test_a_sparse_triangle_is_that_of_the_matrix(q, density, seed, always_sparse):
    pattern = pattern_of(q, density, seed)
    rounds = rounds_of(sparse.csr_array(pattern * 1.0))
    assert sorted(rounds.columns) == list(range(q))
    assert rounds.rounds or q <= 3
    rng = np.random.default_rng(seed)
    G = np.where(pattern, rng.normal(size=(q, q)), 0)
    K = G + G.T + 3 * q * np.eye(q)
    rows, columns = upper_entries(sparse.csr_array(pattern * 1.0))
    triangle = SparseTriangle(rounds, K[rows, columns])
    assert_allclose(triangle.logdet, np.linalg.slogdet(K)[1], rtol=1e-12)
    b = rng.normal(size=(q, 3))
    assert_allclose(triangle.solve(b), np.linalg.solve(K, b), rtol=1e-9, atol=1e-12)
    assert_allclose(triangle.inverse(), np.linalg.inv(K)[rows, columns], rtol=1e-9, atol=1e-14)


def test_the_places_of_the_module_s_picture(always_sparse, monkeypatch):
    monkeypatch.setattr("lmm.engines.blocked.sparse_rest.SMALL_TRIANGLE", 1)
    rounds = rounds_of(sparse.csr_array(np.array([[1.0, 0, 1], [0, 1, 1], [1, 1, 1]])))
    one, = rounds.rounds
    assert one.gone.tolist() == [0, 1] and one.own.tolist() == [0, 2] and one.between.tolist() == [1, 3]
    assert one.from_here.tolist() == [4] and one.to_next.tolist() == [0] and rounds.end == 1


def test_columns_of_a_round_do_not_meet():
    for seed in range(20):
        pattern = pattern_of(50, 0.08, seed)
        taken = independent_columns(sparse.csr_array(pattern * 1.0), np.random.default_rng(seed))
        assert taken.any() and pattern[np.ix_(taken, taken)].sum() == taken.sum()


@pytest.mark.parametrize("at", ["in a round", "at the end"])
def test_a_matrix_that_is_not_positive_definite_is_refused(at, always_sparse):
    pattern = pattern_of(30, 0.05, 0)
    rounds = rounds_of(sparse.csr_array(pattern * 1.0))
    rows, columns = upper_entries(sparse.csr_array(pattern * 1.0))
    K = np.eye(30)
    bad = rounds.columns[0 if at == "in a round" else -1]
    K[bad, bad] = -1.0
    with pytest.raises(NotPositiveDefinite):
        SparseTriangle(rounds, K[rows, columns])


def moving_pupils(seed=0, n=600, pupils=150, teachers=40, schools=8, movers=0.1):
    """Pupils have some teachers of their school; a tenth of the rows are of another school."""
    rng = np.random.default_rng(seed)
    pupil = np.concatenate([np.arange(pupils), rng.integers(0, pupils, n - pupils)])
    school = np.where(rng.random(n) < movers, rng.integers(0, schools, n), pupil % schools)
    teacher = school + schools * rng.integers(0, teachers // schools, n)
    x = rng.normal(size=n)
    y = x + rng.normal(size=n) + rng.normal(size=pupils)[pupil] + 0.6 * rng.normal(size=teachers)[teacher]
    y += 0.5 * rng.normal(size=schools)[school]
    dat = pd.DataFrame({"y": y, "x": x, "w": rng.uniform(0.3, 3, n), "pupil": pupil, "teacher": teacher, "school": school})
    return dat.astype(dict.fromkeys(["pupil", "teacher", "school"], "category"))


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("reml", [False, True])
def test_the_criterion_and_its_derivatives(reml, weights, always_sparse):
    design = lmer_setup(FORMULA, moving_pupils(), weights=weights).design
    rest, dense = (set_up(design, reml, engine=engine) for engine in ("blocked", "dense"))
    assert isinstance(rest.engine.layout.remaining, Sparse)
    rng = np.random.default_rng(1)
    for case in ("usual", "zero", "zero", "zero", "tiny"):
        theta = rng.normal(0, 0.8, 4)
        if case == "zero":
            theta[rng.integers(1, 4)] = -np.inf
        if case == "tiny":
            theta[1:] -= 9
        value, other = LMMprof(theta, rest), LMMprof(theta, dense)
        if weights is None:
            assert_allclose(value, vector_oracle(theta, dense)[0], **LINEAR_ALGEBRA)
        assert_allclose(value, other, rtol=1e-11)
        assert_allclose(value.beta, other.beta, rtol=1e-9)
        D, E = derivatives(theta, rest), derivatives(theta, dense)
        assert_allclose(D.gradient, E.gradient, rtol=1e-6, atol=1e-8 * np.abs(E.gradient).max())
        assert_allclose(D.phi_gradient, E.phi_gradient, rtol=1e-6, atol=1e-7 * np.abs(E.phi_gradient).max())
        assert_allclose(D.df_used, E.df_used, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("formula", [FORMULA, "y ~ x + (x | pupil) + (1 | teacher) + (1 | school)"])
def test_fits_and_what_is_read_off_them(formula, always_sparse):
    dat = moving_pupils(1)
    fit, dense = (lmer(formula, dat, engine=engine) for engine in ("blocked", "dense"))
    assert isinstance(fit.setup.engine.layout.remaining, Sparse) and fit.converged
    assert abs(fit.nll - dense.nll) < 1e-9 * dense.nll
    assert_allclose(fit.sd, dense.sd, rtol=1e-5)
    assert_allclose(fit.df, dense.df, rtol=1e-3)
    for name in fit.ranef():
        assert_allclose(fit.ranef()[name], dense.ranef()[name], rtol=1e-4, atol=1e-5)
    assert_allclose(fit.ranef(tidy=True)["sd"], dense.ranef(tidy=True)["sd"], rtol=1e-4)
    assert_allclose(fit.leverage, dense.leverage, rtol=1e-4)
    new = dat.iloc[:5].assign(pupil=[3, 4, 5, 6, 7], teacher=[1, 9, 3, 20, 5])          # not met before
    assert_allclose(fit.predict(new, interval="prediction"), dense.predict(new, interval="prediction"), atol=5e-4)


def test_a_rest_that_is_not_sparse_is_dense(monkeypatch):
    """A complete crossing has nothing to gain, and is not looked at further."""
    monkeypatch.setattr("lmm.engines.blocked.elimination.FEWEST_SPARSE", 0)
    a, b = np.divmod(np.arange(600), 20)
    dat = pd.DataFrame({"y": np.random.default_rng(0).normal(size=600), "a": a, "b": b}).astype(dict.fromkeys("ab", "category"))
    setup = set_up(lmer_setup("y ~ 1 + (1 | a) + (1 | b)", dat).design, False, engine="blocked")
    assert not isinstance(setup.engine.layout.remaining, Sparse)


def test_it_says_what_is_factored(always_sparse):
    fit = lmer(FORMULA, moving_pupils(2), engine="blocked")
    left = fit.setup.engine.layout.kept
    assert 0 < left < 30 and fit.engine == f"blocked: {198 - left} of 198 columns of Z eliminated, {left} factored; average information"
