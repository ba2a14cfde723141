"""Nested scalar terms in closed form, against the definition and against elimination stage by stage."""

import numpy as np
import pandas as pd
import pytest
from helpers import LINEAR_ALGEBRA, lmer_setup, vector_oracle
from numpy.testing import assert_allclose

from lmm import LMMprof, derivatives, lmer, load_data
from lmm.engines import set_up
from lmm.engines.blocked.nested import NestedState, nesting_of

FORMULAS = {1: "y ~ x + (1 | a)", 2: "y ~ x + (1 | a) + (1 | b)", 3: "y ~ x + (1 | c) + (1 | a) + (1 | b)",
            4: "y ~ x + (1 | d) + (1 | b) + (1 | a) + (1 | c)"}
METHODS = pytest.mark.parametrize("reml", [False, True], ids=["ML", "REML"])
WEIGHTS = pytest.mark.parametrize("weights", [None, "w"])


def tree(seed=0, n=260, levels=(60, 22, 8, 3)):
    """Rows in random order; the levels a in b in c in d, a random number of children each, in no order."""
    rng = np.random.default_rng(seed)
    numbers = np.concatenate([np.arange(levels[0]), rng.integers(0, levels[0], n - levels[0])])
    dat = {"a": rng.permutation(numbers)}
    for below, above, m, m_up in zip("abc", "bcd", levels, levels[1:]):
        parent = rng.permutation(np.concatenate([np.arange(m_up), rng.integers(0, m_up, m - m_up)]))
        dat[above] = parent[dat[below]]
    dat = pd.DataFrame(dat)
    dat["x"] = rng.normal(size=n)
    dat["w"] = rng.uniform(0.2, 5, n)
    dat["y"] = dat["x"] + rng.normal(size=n) + sum(rng.normal(size=60)[dat[name]] for name in "abcd")
    return dat.astype(dict.fromkeys("abcd", "category"))


def engines(depth, reml, weights, monkeypatch, seed=0):
    """The set-ups in closed form, by stages, and dense."""
    design = lmer_setup(FORMULAS[depth], tree(seed), weights=weights).design
    closed = set_up(design, reml, engine="blocked")
    with monkeypatch.context() as m:
        m.setattr("lmm.engines.blocked.engine.nesting_of", lambda groupings, matrices: None)
        staged = set_up(design, reml, engine="blocked")
    assert closed.engine.nesting is not None and staged.engine.nesting is None
    return closed, staged, set_up(design, reml, engine="dense")


@METHODS
@WEIGHTS
@pytest.mark.parametrize("depth", FORMULAS)
def test_the_criterion_and_its_derivatives(depth, reml, weights, monkeypatch):
    closed, staged, dense = engines(depth, reml, weights, monkeypatch)
    rng = np.random.default_rng(depth)
    for zero in (None, *range(1, depth + 1)):
        theta = rng.normal(0, 1, depth + 1)
        if zero:
            theta[zero] = -np.inf
        value, other = LMMprof(theta, closed), LMMprof(theta, dense)
        assert isinstance(value.state, NestedState)
        if weights is None:
            expected, beta = vector_oracle(theta, closed)[:2]
            assert_allclose(value, expected, **LINEAR_ALGEBRA)
            assert_allclose(value.beta, beta, rtol=1e-9)
        assert_allclose(value, other, rtol=1e-12)
        assert_allclose(value.beta, other.beta, rtol=1e-10)
        assert_allclose(value.triangle, np.triu(other.triangle), rtol=1e-9, atol=1e-10)
        D, E = derivatives(theta, closed), derivatives(theta, dense)
        for name in ("gradient", "hessian", "phi_gradient", "phi_hessian", "df_used"):
            one, two = getattr(D, name), getattr(E, name)
            assert_allclose(one, two, rtol=1e-8, atol=1e-9 * np.abs(two).max(), err_msg=name)
        assert_allclose(closed.engine.products_with_U(value.phi), staged.engine.products_with_U(value.phi),
                        rtol=1e-8, atol=1e-10)


@WEIGHTS
@pytest.mark.parametrize("depth", FORMULAS)
def test_fits_and_what_is_read_off_them(depth, weights):
    dat = tree(1)
    fit, dense = (lmer(FORMULAS[depth], dat, weights=weights, engine=engine) for engine in ("blocked", "dense"))
    assert fit.converged and fit.setup.engine.nesting is not None
    assert abs(fit.nll - dense.nll) < 1e-10 * dense.nll
    assert_allclose(fit.sd, dense.sd, rtol=1e-7)
    assert_allclose(fit.df, dense.df, rtol=1e-6)
    assert_allclose(fit.bse, dense.bse, rtol=1e-8)
    for name in fit.ranef():
        assert_allclose(fit.ranef()[name], dense.ranef()[name], rtol=1e-6, atol=1e-8)
    assert_allclose(fit.ranef(tidy=True)["sd"], dense.ranef(tidy=True)["sd"], rtol=1e-6)
    assert_allclose(fit.leverage, dense.leverage, rtol=1e-6)
    assert_allclose(fit.cov_params(adjusted=True), dense.cov_params(adjusted=True), rtol=1e-6)
    y = dense.simulate(1, seed=1)[0]
    assert_allclose(fit.refit(y).theta, dense.refit(y).theta, atol=1e-6)


@pytest.mark.parametrize("log_ratio", [5.0, 10.0, 18.0])
@pytest.mark.parametrize("large", [1, 2, 3])
def test_nothing_cancels_where_a_term_dwarfs_sigma(large, log_ratio):
    """Against 60 digits: the response's own digits decide, and the sums of squares keep them."""
    import mpmath
    dat = tree(2, n=40, levels=(12, 6, 3, 2))
    setup = lmer_setup(FORMULAS[3], dat)
    closed = set_up(setup.design, False, engine="blocked")
    theta = np.array([0.1, 0.2, -0.3, 0.3])
    theta[large] += log_ratio
    value = LMMprof(theta, closed)
    mp = mpmath.mp
    with mp.workdps(60):
        V = mp.eye(40) * mp.exp(2 * mp.mpf(theta[0]))
        for block, t in zip(setup.design.blocks, theta[1:]):
            Z = block.matrix.toarray()
            V += mp.matrix((Z @ Z.T).tolist()) * mp.exp(2 * mp.mpf(t))
        X, y = mp.matrix(setup.design.X.tolist()), mp.matrix(setup.design.y.tolist())
        W = V**-1
        C = X.T * W * X
        beta = mp.lu_solve(C, X.T * W * y)
        e = y - X * beta
        nll = mp.log(mp.det(V)) / 2 + (e.T * W * e)[0] / 2
        errors = [mp.sqrt((C**-1)[i, i]) for i in range(2)]
        off = [float((mp.mpf(float(value.beta[i])) - beta[i]) / errors[i]) for i in range(2)]
    assert abs(float(nll) - value) < 1e-13 * abs(value)
    assert np.abs(off).max() < 1e-8                             # of a standard error: eps times the ratio of sds


def matrices_of(formula, dat, **given):
    design = lmer_setup(formula, dat, **given).design
    engine = set_up(design, False, engine="blocked").engine
    return engine.layout.groupings, engine.matrices


def test_what_is_not_nested_is_not_taken_for_it():
    dat = tree(3)
    assert nesting_of(*matrices_of("y ~ x + (1 | a) + (1 | b)", dat)) is not None
    assert nesting_of(*matrices_of("y ~ x + (x | a)", dat)) is None                     # two effects
    assert nesting_of(*matrices_of("y ~ x + (1 | a) + (0 + x | b)", dat)) is None       # other entries
    one_off = dat["b"].cat.codes.to_numpy().copy()
    one_off[0] = (one_off[0] + 1) % 22                                                  # one row in another branch
    assert nesting_of(*matrices_of("y ~ x + (1 | a) + (1 | b)", dat.assign(b=pd.Categorical(one_off)))) is None
    crossed = dat.assign(c=np.arange(260) % 7).astype({"c": "category"})
    assert nesting_of(*matrices_of("y ~ x + (1 | a) + (1 | b) + (1 | c)", crossed)) is None


def test_a_middle_level_with_parts_in_two_of_the_next_term():
    """Leaves are in one level each of both other terms, and still these two are crossed."""
    a = np.repeat(np.arange(30), 4)
    rng = np.random.default_rng(0)
    dat = pd.DataFrame({"y": rng.normal(size=120), "a": a, "b": (a % 6), "c": a // 10}).astype(dict.fromkeys("abc", "category"))
    assert nesting_of(*matrices_of("y ~ 1 + (1 | a) + (1 | b) + (1 | c)", dat)) is None
    fit, dense = (lmer("y ~ 1 + (1 | a) + (1 | b) + (1 | c)", dat, engine=engine) for engine in ("blocked", "dense"))
    assert abs(fit.nll - dense.nll) < 1e-10 * abs(dense.nll)


def test_slopes_in_one_variable_are_nested_too():
    """The entries are those of x in both terms, so their columns are sums of each other all the same."""
    dat = tree(4)
    dat.loc[dat["a"].isin([1, 2]) | (dat["b"] == 3), "x"] = 0.0                         # levels without any x
    formula = "y ~ x + (0 + x | a) + (0 + x | b)"
    fit, dense = (lmer(formula, dat, engine=engine) for engine in ("blocked", "dense"))
    assert fit.setup.engine.nesting is not None and abs(fit.nll - dense.nll) < 1e-10 * dense.nll
    assert_allclose(fit.sd, dense.sd, rtol=1e-6, atol=1e-8)


def test_the_result_says_so():
    fit = lmer("strength ~ 1 + (1 | batch) + (1 | batch:cask)", load_data("Pastes"), engine="blocked")
    assert fit.engine == "blocked: 40 columns of Z, nested, in closed form; exact second derivatives"
    assert not fit.optimum.averaged
