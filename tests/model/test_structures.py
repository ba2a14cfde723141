"""Independent effects and compound symmetry, held to n x n algebra: criterion, derivatives, boundary, views."""

import numpy as np
import pandas as pd
import pytest
from helpers import lmer_setup
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from lmm import LMMError, LMMprof, LMMWarning, anova, derivatives, lmer, lmm, load_data
from lmm.engines import set_up
from lmm.model import CompoundSymmetry, make_design

FACTORS = ["(0 + f || g)", "(f || g)", "(x + f || g)", "(x + z || g)", "cs(0 + f | g)", "cs(0 + x + z | g)", "(1 | h) + cs(0 + f | g)"]


def simulated(seed, rho=0.4, n=96):
    """Rows of a factor f of three levels within eight g, with covariates: effects of f correlated by rho."""
    rng = np.random.default_rng(seed)
    g, f = np.arange(n) % 8, np.arange(n) // 8 % 3
    dat = pd.DataFrame({"g": g.astype(str), "f": pd.Categorical(np.array(list("uvw"))[f]), "h": (np.arange(n) % 5).astype(str),
                        "x": rng.normal(size=n), "z": rng.normal(size=n) + 0.5})
    root = np.linalg.cholesky(np.full((3, 3), rho) + (1 - rho) * np.eye(3))
    effects = rng.normal(size=(8, 3)) @ root.T
    dat["y"] = effects[g, f] + dat["x"] * rng.normal(size=8)[g] + rng.normal(size=n)
    return dat.drop(index=[3, 10, 41]).reset_index(drop=True)


def literal_psi(theta, setup):
    """psi of one level of each term, written from the meaning of theta."""
    psi, element = [], 1
    for one in setup.covariance.structures:
        c = one.c
        if one.kind == "compound symmetry":
            a, b = np.exp(2 * theta[element : element + 2])
            v, rho = (a + (c - 1) * b) / c, (a - b) / (a + (c - 1) * b)
            psi.append(v * ((1 - rho) * np.eye(c) + rho))
            element += 2
        else:
            psi.append(np.diag(np.exp(2 * theta[element : element + c])))
            element += c
    return psi


def oracle(theta, setup):
    """nll by n x n algebra."""
    design = setup.design
    V, first = np.exp(2 * theta[0]) * np.eye(len(design.y)), 0
    for psi in literal_psi(theta, setup):
        Z = [block.matrix.toarray() for block in design.blocks[first : first + len(psi)]]
        V += sum(psi[i, j] * Z[i] @ Z[j].T for i in range(len(psi)) for j in range(len(psi)))
        first += len(psi)
    W, X, y = np.linalg.inv(V), design.X, design.y
    XWX = X.T @ W @ X
    r = y - X @ np.linalg.solve(XWX, X.T @ W @ y)
    return 0.5 * np.linalg.slogdet(V)[1] + 0.5 * r @ W @ r + setup.reml * 0.5 * np.linalg.slogdet(XWX)[1]


def setups(bars, reml):
    design = make_design(f"y ~ x + f + {bars}", simulated(1), bars=True)
    return [set_up(design, reml, engine) for engine in ("dense", "blocked")]


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("bars", FACTORS)
def test_both_engines_against_n_by_n_algebra(bars, reml):
    for setup in setups(bars, reml):
        rng = np.random.default_rng(0)
        for _ in range(3):
            theta = rng.normal(size=setup.covariance.size)
            assert_allclose(LMMprof(theta, setup), oracle(theta, setup), rtol=1e-10)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("bars", FACTORS)
def test_derivatives_are_those_of_the_oracle(bars, reml):
    h = 1e-4
    for setup in setups(bars, reml):
        theta = np.random.default_rng(2).normal(size=setup.covariance.size) / 2
        D = derivatives(theta, setup)
        steps = h * np.eye(len(theta))
        gradient = [(oracle(theta + e, setup) - oracle(theta - e, setup)) / (2 * h) for e in steps]
        assert_allclose(D.gradient, gradient, rtol=1e-6, atol=1e-6)
        hessian = [(derivatives(theta + e, setup).gradient - derivatives(theta - e, setup).gradient) / (2 * h) for e in steps]
        assert_allclose(D.hessian, hessian, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("bars", FACTORS)
def test_fits_are_optima_of_the_oracle(bars, reml):
    """No better value from other starts, by another optimiser; both engines end at the same place."""
    fits = [lmer(f"y ~ x + f + {bars}", simulated(1), reml=reml, engine=engine) for engine in ("dense", "blocked")]
    assert all(fit.converged for fit in fits)
    assert abs(fits[0].nll - fits[1].nll) < 1e-9 * abs(fits[0].nll)
    setup = fits[0].setup
    rng = np.random.default_rng(3)
    for _ in range(2):
        start = rng.normal(size=setup.covariance.size) / 2
        found = minimize(LMMprof, start, args=(setup,), method="Powell", bounds=[(-8, 4)] * len(start))
        assert fits[0].nll < found.fun + 1e-9
    theta = np.where(np.isfinite(fits[0].theta), fits[0].theta, -40.0)
    assert_allclose(oracle(theta, setup), fits[0].nll, rtol=1e-9)


def test_compound_symmetry_is_a_grouping_and_its_interaction_where_the_correlation_is_positive():
    dat = load_data("Machines")
    for reml in (False, True):
        cs = lmer("score ~ Machine + cs(0 + Machine | Worker)", dat, reml=reml)
        nested = lmer("score ~ Machine + (1 | Worker/Machine)", dat, reml=reml)
        assert abs(cs.nll - nested.nll) < 1e-10 * nested.nll
        between, within = nested.sd["Worker"] ** 2, nested.sd["Worker:Machine"] ** 2
        assert_allclose(cs.sd, np.sqrt(between + within), rtol=1e-7)
        assert_allclose(cs.corr, between / (between + within), rtol=1e-7)
        assert cs.npar == nested.npar and cs.nobs == nested.nobs
        assert_allclose(cs.fittedvalues, nested.fittedvalues, rtol=1e-7)
        assert_allclose(cs.df, nested.df, rtol=1e-6)
        assert_allclose(cs.predict(dat[:5], interval="prediction"), nested.predict(dat[:5], interval="prediction"), rtol=1e-6)
        new = dat[:3].assign(Worker="a new one")
        options = {"interval": "prediction", "new_levels": "population"}
        assert_allclose(cs.predict(new, **options), nested.predict(new, **options), rtol=1e-6)


def anticorrelated():
    """Two effects whose sum over f varies less than independent ones would: the correlation is negative."""
    rng = np.random.default_rng(5)
    effects = rng.normal(size=(12, 3))
    effects -= 0.8 * effects.mean(axis=1, keepdims=True)
    g, f = np.repeat(np.arange(12), 6), np.tile(np.repeat(np.arange(3), 2), 12)
    return pd.DataFrame({"g": g.astype(str), "f": np.array(list("uvw"))[f], "y": 3 * effects[g, f] + rng.normal(size=72)})


def test_a_negative_correlation_is_found_where_nested_variances_stop_at_zero():
    fit = lmer("y ~ f + cs(0 + f | g)", anticorrelated())
    nested = lmer("y ~ f + (1 | g) + (1 | g:f)", anticorrelated())
    assert fit.converged and -0.5 < fit.corr.iloc[0] < 0 and fit.nll < nested.nll - 0.1
    assert nested.singular == ("g",) and not fit.singular
    boot = fit.bootstrap(20, seed=1)
    assert boot.failed == 0 and (boot.replicates["corr"].to_numpy() < 0.5).all()


@pytest.mark.parametrize("engine", ["dense", "blocked"])
def test_both_ends_of_the_correlation_are_boundaries(engine):
    """Sums that do not vary at all: rho = -1/2 exactly; effects that are all one: rho = 1 exactly. Each is certified."""
    dat = anticorrelated()
    low = dat.assign(y=dat["y"] - dat.groupby("g")["y"].transform("mean"))
    fit = lmer("y ~ f + cs(0 + f | g)", low, engine=engine)
    assert fit.converged and fit.singular and fit.theta[1] == -np.inf and fit.rank.iloc[0] == 2
    assert_allclose(fit.corr, -0.5, rtol=1e-12)
    assert fit.optimum.multipliers["g: common"] > 0
    rng = np.random.default_rng(8)
    common = dat["g"].map(dict(zip(dat["g"].unique(), rng.normal(size=12))))
    cell = dat.groupby(["g", "f"])["y"].transform("mean")
    fit = lmer("y ~ f + cs(0 + f | g)", dat.assign(y=dat["y"] - cell + common), engine=engine)
    assert fit.converged and fit.theta[2] == -np.inf and fit.rank.iloc[0] == 1
    assert_allclose(fit.corr, 1.0, rtol=1e-12)
    assert "vary in 1 dimension only" in str(fit)


def test_a_factor_left_of_two_bars_has_one_variance_for_each_level():
    """With an intercept and without: what is split does not depend on a reference level."""
    dat = simulated(1)
    without, with_one = lmer("y ~ f + (0 + f || g)", dat), lmer("y ~ f + (f || g)", dat)
    assert list(without.sd.index) == ["g:f[u]", "g:f[v]", "g:f[w]"]
    assert list(with_one.sd.index) == ["g", "g:f[u]", "g:f[v]", "g:f[w]"]
    assert with_one.nll < without.nll + 1e-9
    other = dat.assign(f=dat["f"].cat.reorder_categories(["w", "v", "u"]))
    assert_allclose(lmer("y ~ f + (f || g)", other).nll, with_one.nll, rtol=1e-10)
    same = lmer("y ~ f + (0 + f || g)", dat.assign(f=dat["f"].astype(str)))
    assert_allclose(same.nll, without.nll, rtol=1e-12)
    assert without.setup.design.term_names == ("g (f[u], f[v], f[w]; independent)",)


def test_names_of_a_structure():
    setup = lmer_setup("y ~ 1 + cs(0 + f | g)", simulated(1))
    assert setup.log_labels == ("log sigma", "log g: common", "log g: contrasts")
    assert setup.design.term_names == ("g (f[u], f[v], f[w]; compound symmetry)",)


@pytest.mark.parametrize("engine", ["dense", "blocked"])
@pytest.mark.parametrize("bars, words", [
    ("cs(0 + f | g)", r"the \(co\)variances of \(0 \+ f \| g\), 3 effects in each of 6 levels for 18 observations, and the residual's"),
    ("(f || g) + (1 | g:f)", r"the \(co\)variances of \(f \|\| g\), 4 effects in each of 6 levels for 18 observations, and the residual's"),
])
def test_what_a_structure_cannot_tell_apart_is_refused(bars, words, engine):
    """One observation of each f in each g: common and contrasts, or three variances, beside sigma."""
    dat = pd.DataFrame({
        "g": np.repeat(list("abcdef"), 3),
        "f": list("uvw") * 6,
        "y": np.random.default_rng(0).normal(size=18),
    })
    with pytest.raises(LMMError, match=words):
        lmer(f"y ~ f + {bars}", dat, engine=engine)


@pytest.mark.parametrize("c", range(2, 9))
def test_a_zero_of_compound_symmetry_is_the_same_after_psi(c):
    """It used to come back as a log sd of -18, so that what left zero took the other one with it."""
    structure = CompoundSymmetry(c)
    for size in np.random.default_rng(c).normal(size=50) * 10:
        for t in ([-np.inf, size], [size, -np.inf], [-np.inf, -np.inf]):
            again = structure.theta(structure.psi(np.array(t)))
            assert np.array_equal(np.isfinite(again), np.isfinite(t))
            assert_allclose(again, t, rtol=0, atol=1e-12)


def test_a_variance_of_compound_symmetry_is_tested_on_the_boundary():
    """(1 | g) is cs(0 + f | g) without the variance of contrasts: one parameter, not two more dimensions."""
    dat = simulated(4)
    smaller = lmer("y ~ f + (1 | g)", dat, reml=False)
    larger = lmer("y ~ f + cs(0 + f | g)", dat, reml=False)
    by_structure = anova(smaller, larger)
    by_grouping = anova(smaller, lmer("y ~ f + (1 | g) + (1 | g:f)", dat, reml=False))
    p = by_structure.table["pvalue_mixture"].iloc[1]
    assert_allclose(p, by_grouping.table["pvalue_mixture"].iloc[1], rtol=1e-6)
    [note] = by_structure.notes
    assert "tests the variance of g: contrasts on the boundary" in note
    nothing = anova(lmm("y ~ f", dat), larger)
    [note] = nothing.notes
    assert "tests the variance of g: common and the variance of g: contrasts on the boundary" in note
    assert "pvalue_mixture" not in nothing.table


@pytest.mark.parametrize("bars", ["cs(0 + f | g)", "(f || g)"])
def test_intervals_of_a_structure(bars):
    fit = lmer(f"y ~ f + {bars}", simulated(4))
    wald = fit.conf_int("wald")
    assert list(wald.index) == list(fit.conf_int("boot", nsim=10, seed=1).index)
    inside = (wald["lower"] < np.r_[fit.beta, fit.sigma, fit.sd, fit.corr]) & (np.r_[fit.beta, fit.sigma, fit.sd, fit.corr] < wald["upper"])
    assert (inside | wald["lower"].isna()).all()
    se = fit.sd_se
    h, theta, A = 1e-5, fit.theta, fit.cov_theta().to_numpy()
    free = np.isfinite(theta)

    def sds(theta):
        return np.r_[np.exp(theta[0]), np.exp(fit.setup.covariance.log_sds(theta))]

    J = np.array([(sds(theta + h * e) - sds(theta - h * e)) / (2 * h) for e in np.eye(len(theta))[free]]).T
    expected = np.sqrt(np.einsum("ai,ij,aj->a", J, A[np.ix_(free, free)], J))
    positive = np.r_[fit.sigma, fit.sd] > 0
    assert_allclose(se[positive], expected[positive], rtol=1e-6)


@pytest.mark.parametrize("bar", ["(z + f || g)", "cs(0 + f | g)", "diag(0 + f | g)"])
def test_few_parameters_for_many_effects_are_not_warned_about(bar):
    """Independent effects used to be told to be independent."""
    dat = simulated(3)
    setup = lmer_setup(f"y ~ 1 + {bar}", dat[dat["g"].isin(["0", "1"])])
    assert len(setup.labels) <= 6


def test_compound_symmetry_of_an_intercept_is_worth_a_warning():
    """One variance for an intercept and for differences from it depends on which level is the reference."""
    with pytest.warns(LMMWarning, match=r"cs\(f \| g\) gives the intercept and the other effects one variance.*write cs\(0 \+ f \| g\)"):
        lmer("y ~ 1 + cs(f | g)", simulated(1))
