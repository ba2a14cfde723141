"""Terms with several correlated effects: the likelihood, its derivatives, optima, singular covariances, and the views."""

import pickle

import numpy as np
import pandas as pd
import pytest
from helpers import (
    CRITERION,
    LINEAR_ALGEBRA,
    SD,
    lmer_setup,
    roots,
    triangles,
    vector_designs,
    vector_oracle,
)
from numpy.testing import assert_allclose, assert_array_equal

from lmm import LMMError, LMMprof, LMMWarning, anova, certify, derivatives, lmer, lmm, load_data
from lmm.datasets import vector_models
from lmm.model import ByCorrelation, Covariance, Independent, Unstructured

DESIGNS = pytest.mark.parametrize("form, dat", [d[1:] for d in vector_designs()], ids=[d[0] for d in vector_designs()])
METHODS = pytest.mark.parametrize("reml", [False, True], ids=["ML", "REML"])
SLEEP, MACHINES = "Reaction ~ Days + (Days | Subject)", "score ~ Machine + (0 + Machine | Worker)"


def random_theta(setup, rng):
    theta = rng.normal(0.2, 0.6, len(setup.labels))
    return np.where(setup.covariance.logs, theta, rng.normal(size=len(theta)))


# -- the likelihood and its derivatives -----------------------------------------------------------------------


@pytest.mark.requirement("criterion")
@METHODS
@DESIGNS
def test_the_criterion_equals_the_oracle(form, dat, reml):
    setup, rng = lmer_setup(form, dat, reml), np.random.default_rng(3)
    for _ in range(6):
        theta = random_theta(setup, rng)
        nll, beta = vector_oracle(theta, setup)
        value = LMMprof(theta, setup)
        assert_allclose(value, nll, **LINEAR_ALGEBRA)
        assert_allclose(value.beta, beta, rtol=1e-8, atol=1e-8)


def central(f, x, h=1e-5):
    """Central differences of f along each coordinate."""
    return np.array([(f(x + e) - f(x - e)) / (2 * h) for e in h * np.eye(len(x))])


@pytest.mark.requirement("derivatives")
@METHODS
@DESIGNS
def test_gradient_and_hessian_equal_finite_differences(form, dat, reml):
    setup = lmer_setup(form, dat, reml)
    theta = random_theta(setup, np.random.default_rng(4))
    D = derivatives(theta, setup)
    assert_allclose(D.gradient, central(lambda t: LMMprof(t, setup), theta), rtol=1e-5, atol=1e-5)
    assert_allclose(D.hessian, central(lambda t: derivatives(t, setup).gradient, theta), rtol=1e-5, atol=1e-5)
    assert_allclose(D.df_used.sum(), setup.df, rtol=1e-9)


@DESIGNS
def test_in_the_coordinates_of_steps_too(form, dat):
    setup = lmer_setup(form, dat)
    at, theta = setup.covariance.from_steps, random_theta(setup, np.random.default_rng(5))
    x, D = setup.covariance.steps(theta), derivatives(theta, setup)
    assert_allclose(D.step_gradient, central(lambda x: LMMprof(at(x), setup), x), rtol=1e-5, atol=1e-5)
    assert_allclose(D.step_hessian, central(lambda x: derivatives(at(x), setup).step_gradient, x), rtol=1e-5, atol=1e-5)


def test_a_zero_column_of_t_is_flat_and_the_slopes_decide():
    """psi + w v v' grows with the slope v'Gv, G from the derivatives in the entries of psi."""
    setup = lmer_setup(SLEEP, load_data("sleepstudy"))
    theta = np.array([3.2, 3.0, 0.5, -np.inf])
    D, w, v = derivatives(theta, setup), 1e-4, np.array([0.3, -1.0])
    assert D.gradient[3] == 0 and not D.hessian[3].any()
    psi = setup.covariance.psi(theta)
    rise = LMMprof(setup.covariance.theta(3.2, psi + w * np.outer(v, v)), setup) - LMMprof(theta, setup)
    assert_allclose(v @ setup.covariance.entries.gradient_matrix(D.phi_gradient) @ v, rise / w, rtol=1e-3)


# -- theta and psi --------------------------------------------------------------------------------------------


def correlated(sizes):
    """The covariance of terms with so many correlated effects."""
    return Covariance([Independent(1) if c == 1 else Unstructured(c) for c in sizes])


def test_theta_is_t_column_by_column():
    covariance, theta = correlated((1, 3, 2)), np.arange(11) / 7 - 0.5
    T = covariance.root(theta)
    for b, expected in zip(covariance.spans, triangles(theta, (1, 3, 2)), strict=True):
        assert_allclose(T[b, b], expected, rtol=1e-15)
    assert_allclose(covariance.theta(theta[0], covariance.psi(theta)), theta, rtol=1e-12)
    assert covariance.logs.tolist() == [True, True, True, False, False, True, False, True, True, False, True]


def test_every_semidefinite_matrix_has_a_theta():
    rng, covariance = np.random.default_rng(0), correlated((3,))
    for rank in range(4):
        for lost in ([], [0], [1], [0, 1]):
            A = rng.normal(size=(3, rank))
            A[lost] = 0
            theta = covariance.theta(0.0, A @ A.T)
            assert_allclose(covariance.psi(theta), A @ A.T, atol=1e-12)
            assert np.isfinite(theta[covariance.directions]).sum() == np.linalg.matrix_rank(A @ A.T)


def test_an_element_of_the_diagonal_may_pass_through_zero():
    covariance = correlated((2, 1))
    x = np.array([0.1, -2.0, 3.0, 0.5, -1.0])
    assert_allclose(covariance.from_steps(x), [0.1, np.log(2), -3.0, np.log(0.5), -1.0])
    assert_allclose(covariance.steps(covariance.from_steps(x)), [0.1, 2.0, -3.0, 0.5, -1.0])


@pytest.mark.parametrize("sizes, first", [((2,), 0), ((1, 3), 1)])
def test_the_same_by_a_correlation(sizes, first):
    plain, rng = correlated(sizes), np.random.default_rng(1)
    by_correlation = Covariance([Independent(1) if c == 1 else ByCorrelation(c) for c in sizes])
    theta = rng.normal(size=plain.size)
    psi = plain.psi(theta)
    other = by_correlation.theta(theta[0], psi)
    assert_allclose(by_correlation.psi(other), psi, rtol=1e-12)
    rho = psi[first + 1, first] / np.sqrt(psi[first, first] * psi[first + 1, first + 1])
    assert_allclose(np.tanh(other[by_correlation.shares[-1].start + 1]), rho, rtol=1e-12)
    held = by_correlation.rescaled(other, 0.7)
    assert_allclose(by_correlation.psi(held), np.exp(1.4) * psi, rtol=1e-12)


def test_names_of_theta():
    setup = lmer_setup("y ~ x + (1 | c) + (x | a)", vector_designs()[3][2])
    assert setup.log_labels == ("log sigma", "log c", "log T[a: Intercept, Intercept]", "T[a: x, Intercept]", "log T[a: x, x]")
    assert setup.design.term_names == ("c", "a (Intercept, x)")


# -- optima ---------------------------------------------------------------------------------------------------

# Exact optima of the balanced designs, by closed forms in multiple precision: criterion, sds, correlations below the diagonal.
EXACT = {
    (SLEEP, "sleepstudy", False): (1751.9393444631976, [23.780566999193244, 5.7168345425077085], [0.0813200753619834]),
    (SLEEP, "sleepstudy", True): (1743.6282719584908, [24.740451464403908, 5.922133103731914], [0.0655513196549739]),
    (MACHINES, "Machines", False): (216.41782730961003, [3.7169531528848654, 7.87051459562842, 4.000613378896717],
                                    [0.804574252744622, 0.624660904059654, 0.772387010136937]),
    (MACHINES, "Machines", True): (208.31121831641838, [4.07928067975195, 8.625290834244874, 4.389479566440369],
                                   [0.802749892955228, 0.622504681302599, 0.77083094205127]),
}


@pytest.mark.requirement("exact optimum")
@pytest.mark.parametrize("form, data, reml", EXACT)
def test_the_exact_optimum(form, data, reml):
    criterion, sds, correlations = EXACT[form, data, reml]
    for scale in (1.0, 1e6):
        dat = load_data(data)
        y = form.split()[0]
        fit = lmer(form, dat.assign(**{y: dat[y] * scale}), reml=reml)
        assert fit.converged and not fit.singular
        assert abs(fit.deviance - 2 * fit.setup.df * np.log(scale) - criterion) < CRITERION * (1 if scale == 1 else 10)
        assert_allclose(fit.sd, np.array(sds) * scale, rtol=SD)
        assert_allclose(fit.corr, correlations, rtol=SD)


@pytest.mark.requirement("lme4")
@pytest.mark.parametrize("name", vector_models().index)
def test_never_worse_than_lme4(name):
    """Its criterion where it stops by default, and with another optimiser and tight tolerances."""
    model = vector_models().loc[name]
    for reml in (False, True):
        fit = lmer(model.form, load_data(model.data), reml=reml)
        lme4 = model["reml" if reml else "ml"]
        assert fit.converged
        assert fit.deviance < min(lme4) + 1e-7
        assert bool(fit.singular) == model["reml_singular" if reml else "ml_singular"]


def test_there_are_enough_of_them():
    models = vector_models()
    assert len(models) >= 14 and models.ml_singular.sum() >= 2


@pytest.mark.requirement("starts")
@pytest.mark.parametrize("form, data", [(SLEEP, "sleepstudy"), ("conc ~ age + (age | Lot)", "IGF")])
def test_random_starts(form, data):
    """More of them: tests/benchmarks/test_optima.py."""
    dat, rng = load_data(data), np.random.default_rng(6)
    best = lmer(form, dat)
    for _ in range(10):
        fit = lmer(form, dat, start=rng.normal(size=len(best.theta)))
        assert fit.converged and abs(fit.nll - best.nll) < 1e-9 * abs(best.nll)


def test_the_effects_may_be_recoded():
    """An affine change of the covariate is a linear one of the effects: the criterion stays."""
    dat = load_data("sleepstudy")
    fit = lmer(SLEEP, dat)
    for a, b in ((4.5, 1.0), (-100.0, 1e3)):
        other = lmer(SLEEP, dat.assign(Days=a + b * dat.Days), reml=True)
        assert abs(other.nll - fit.nll - np.log(b)) < 1e-8              # REML's log|X'X| is in other units
        assert_allclose(other.sd["Subject:Days"] * b, fit.sd["Subject:Days"], rtol=1e-6)
    turned = lmer("Reaction ~ Days + (0 + Days + I(Days * 0 + 1) | Subject)", dat)
    assert_allclose(turned.nll, fit.nll, rtol=1e-11)
    assert_allclose(turned.corr.iloc[0], fit.corr.iloc[0], rtol=1e-7)


def test_a_shifted_covariate_is_the_same_model_until_it_is_refused():
    dat = load_data("sleepstudy")
    fit = lmer(SLEEP, dat)
    assert abs(lmer(SLEEP, dat.assign(Days=dat.Days + 1e3)).nll - fit.nll) < 1e-8
    with pytest.raises(LMMError, match=r"is nearly a combination of those before it, .* write center\(Days\)"):
        lmer(SLEEP, dat.assign(Days=dat.Days + 1e6))
    assert abs(lmer("Reaction ~ Days + (center(Days) | Subject)", dat.assign(Days=dat.Days + 1e6)).nll - fit.nll) < 1e-6


def test_many_correlated_effects_are_warned_of():
    dat = load_data("Machines")
    rng = np.random.default_rng(1)
    with pytest.warns(LMMWarning, match=r"the 5 correlated effects of \(z \+ .*\) have 15 variances and covariances, for 6 levels"):
        lmer("score ~ Machine + (z + I(z**2) + I(z**3) + I(z**4) | Worker)", dat.assign(z=rng.uniform(-1, 1, size=54)))


# -- singular covariances -------------------------------------------------------------------------------------


@METHODS
def test_a_perfect_correlation_is_singular(reml):
    """IGF: both variances are positive, and the correlation is -1."""
    fit = lmer("conc ~ age + (age | Lot)", load_data("IGF"), reml=reml)
    assert fit.singular == ("Lot (Intercept, age)",) and fit.rank.to_dict() == {"Lot (Intercept, age)": 1}
    assert (fit.sd > 0).all() and abs(fit.corr.iloc[0] + 1) < 1e-12
    assert fit.theta[-1] == -np.inf and fit.converged
    assert fit.optimum.multipliers["Lot (Intercept, age)"] > 0
    assert "Singular: the 2 effects of Lot (Intercept, age) vary in 1 dimension only, their covariance is of rank 1" in str(fit)
    assert np.isfinite(fit.sd_se).all() and np.isnan(fit.conf_int("wald").loc["corr"]).all(axis=None)


@pytest.mark.parametrize("name", ["IGF", "cake by recipe", "Oats", "Early"])
def test_no_covariance_nearby_is_better(name):
    """Positive semidefinite changes of psi in every direction, and of sigma, do not lower the criterion."""
    model = vector_models().loc[name]
    fit = lmer(model.form, load_data(model.data))
    covariance, rng = fit.setup.covariance, np.random.default_rng(7)
    T = covariance.root(fit.theta)
    size = np.linalg.norm(T, axis=1, keepdims=True) + 1e-3 * fit.sigma
    for step in (1e-3, 1e-2, 0.1):
        for _ in range(60):
            root = T + step * size * rng.normal(size=T.shape) * (covariance.psi(np.zeros(len(fit.theta))) > 0)
            theta = covariance.theta(fit.theta[0] + step * rng.normal(), root @ root.T)
            assert LMMprof(theta, fit.setup) > fit.nll - 1e-10 * abs(fit.nll)


def test_all_variances_zero():
    dat = load_data("Dyestuff2").assign(x=np.arange(30) % 5)
    fit = lmer("Yield ~ x + (x | Batch)", dat, reml=False)
    flat = lmm("Yield ~ x", dat)
    assert fit.nll <= flat.nll + 1e-10
    if fit.rank.iloc[0] == 0:
        assert (fit.sd == 0).all() and np.isnan(fit.corr.iloc[0])


def test_the_certificate_sees_what_is_wrong():
    fit = lmer("conc ~ age + (age | Lot)", load_data("IGF"))
    regular = fit.theta.copy()
    regular[-1] = np.log(0.05 * fit.sd.iloc[1])
    assert not certify(regular, fit.setup).certified
    sleep = lmer(SLEEP, load_data("sleepstudy"))
    at_zero = sleep.theta.copy()
    at_zero[-1] = -np.inf
    found = certify(at_zero, sleep.setup)
    assert not found.certified and any("leaves zero" in reason for reason in found.reasons)
    first_zero = np.array([sleep.theta[0], -np.inf, 0.0, np.log(sleep.sd.iloc[1])])
    assert not certify(first_zero, sleep.setup).certified


# -- views ----------------------------------------------------------------------------------------------------


def dense(fit):
    """W, Z and psi, (p, p), columns in the order of the blocks."""
    design = fit.setup.design
    Z = np.hstack([block.matrix.toarray() for block in design.blocks])
    psi, at = np.zeros((Z.shape[1],) * 2), 0
    for T, b in zip(roots(fit.theta, fit.setup), fit.setup.covariance.spans, strict=True):
        m = len(design.blocks[b.start].levels)
        psi[at : at + len(T) * m, at : at + len(T) * m] = np.kron(T @ T.T, np.eye(m))
        at += len(T) * m
    return np.linalg.inv(Z @ psi @ Z.T + fit.sigma**2 * np.eye(fit.nobs)), Z, psi


@DESIGNS
def test_modes_and_rows_are_those_of_dense_algebra(form, dat):
    fit = lmer(form, dat, reml=False)
    W, Z, psi = dense(fit)
    y, X = fit.setup.design.y, fit.setup.design.X
    modes = psi @ Z.T @ W @ (y - X @ fit.beta)
    tidy = fit.ranef(tidy=True)
    assert_allclose(tidy["estimate"], modes, rtol=1e-7, atol=1e-8 * np.abs(modes).max())
    variances = np.diag(psi - psi @ Z.T @ W @ Z @ psi)
    assert_allclose(tidy["sd"] ** 2, variances, rtol=1e-6, atol=1e-8 * variances.max())
    assert_allclose(fit.fittedvalues, X @ fit.beta + Z @ modes, rtol=1e-8)
    P = W - W @ X @ np.linalg.solve(X.T @ W @ X, X.T @ W)
    assert_allclose(fit.leverage, np.diag(np.eye(fit.nobs) - fit.sigma**2 * P), rtol=1e-7)
    assert_allclose(fit.cov_params(), np.linalg.inv(X.T @ W @ X), rtol=1e-7)
    assert_allclose((fit.icc().sum(), fit.icc().index.tolist() == list(fit.setup.design.term_names)),
                    (np.trace(Z @ psi @ Z.T) / (np.trace(Z @ psi @ Z.T) + fit.nobs * fit.sigma**2), True), rtol=1e-8)


def test_views_name_the_effects():
    fit = lmer(SLEEP, load_data("sleepstudy"))
    assert fit.ranef()["Subject"].columns.tolist() == ["Intercept", "Days"]
    assert_allclose(fit.coef()["Subject"]["Days"], fit.params["Days"] + fit.ranef()["Subject"]["Days"])
    varcorr = fit.varcorr(se=True)
    assert varcorr.columns.tolist() == ["group", "name", "variance", "sd", "sd_se", "corr1"]
    assert varcorr["corr1"].isna().tolist() == [True, False, True] and varcorr.loc[1, "corr1"] == fit.corr.iloc[0]
    psi = fit.psi()["Subject (Intercept, Days)"]
    assert_allclose(psi.loc["Intercept", "Days"], fit.corr.iloc[0] * fit.sd.prod(), rtol=1e-12)
    assert list(fit.conf_int("wald").index)[-2:] == [("sd", "Subject:Days"), ("corr", "Subject (Intercept, Days)")]
    assert " Subject   Days         35.072    5.9221  0.07" in str(fit)
    three = lmer(MACHINES, load_data("Machines"))
    assert "Machine[C]  19.26753   4.38948  0.62  0.77" in str(three)
    assert three.varcorr()["corr2"].notna().tolist() == [False, False, True, False]


@pytest.mark.requirement("satterthwaite")
def test_degrees_of_freedom_agree_with_lmertest():
    """lmerTest 3.1-3: 16.99973 and 16.99998, for 17 exactly; of Machines by Worker 5."""
    assert_allclose(lmer(SLEEP, load_data("sleepstudy")).df, 17, rtol=1e-6)
    assert_allclose(lmer(MACHINES, load_data("Machines")).df, 5, rtol=1e-6)


def test_standard_errors_are_by_the_delta_method():
    fit = lmer(SLEEP, load_data("sleepstudy"))
    covariance, A = fit.setup.covariance, fit.cov_theta().to_numpy()

    def natural(theta):
        return np.array([theta[0], *covariance.log_sds(theta), np.arctanh(covariance.correlations(theta)[1, 0])])

    J = central(natural, fit.theta).T
    se = np.sqrt(np.diag(J @ A @ J.T))
    assert_allclose(fit.sd_se, se[:3] * np.array([fit.sigma, *fit.sd]), rtol=1e-6)
    wald = fit.conf_int("wald").loc["corr"].to_numpy()[0]
    assert_allclose(np.arctanh(wald), np.arctanh(fit.corr.iloc[0]) + np.array([-1, 1]) * 1.959963984540054 * se[3], rtol=1e-6)


def test_profile_intervals_of_sleepstudy_agree_with_lme4():
    """confint(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)), lme4 1.1-31."""
    lme4 = {("sd", "Subject"): (14.3814732, 37.7159917), ("corr", "Subject (Intercept, Days)"): (-0.4815008, 0.6849863),
            ("sd", "Subject:Days"): (3.8011643, 8.7533851), ("sd", "sigma"): (22.8982669, 28.8579965),
            ("beta", "Intercept"): (237.6806955, 265.1295147), ("beta", "Days"): (7.3586533, 13.5759188)}
    found = lmer(SLEEP, load_data("sleepstudy")).conf_int()
    for name, bounds in lme4.items():
        assert_allclose(found.loc[name], bounds, rtol=2e-4)


def test_at_the_bounds_of_a_correlation_the_likelihood_has_dropped_by_the_quantile():
    """By another minimisation: over sigma, all sds and the other correlations. (lme4's bounds are up to 6e-3 off here.)"""
    from scipy.optimize import minimize
    fit = lmer(MACHINES, load_data("Machines"), reml=False)
    interval = fit.conf_int().loc[("corr", "Worker (Machine[A], Machine[C])")]
    covariance = fit.setup.covariance
    L = np.linalg.cholesky(covariance.correlations(fit.theta)[np.ix_([0, 2, 1], [0, 2, 1])])
    start = [fit.theta[0], *np.log(fit.sd), L[2, 0] / L[2, 2], L[2, 1] / L[2, 2]]
    for rho in interval:
        def criterion(x, rho=rho):
            L = np.array([[1, 0, 0], [rho, np.sqrt(1 - rho**2), 0], [*x[4:], 1]])
            L[2] /= np.linalg.norm(L[2])
            psi = np.empty((3, 3))
            sds = np.exp(x[[1, 3, 2]])
            psi[np.ix_([0, 2, 1], [0, 2, 1])] = sds[:, None] * (L @ L.T) * sds
            return LMMprof(covariance.theta(x[0], psi), fit.setup)
        least = minimize(criterion, start, method="BFGS", options={"gtol": 1e-7}).fun
        assert_allclose(2 * (least - fit.nll), 3.841458820694124, rtol=1e-5)


def test_a_correlation_of_one_may_lie_in_the_interval():
    fit = lmer("conc ~ age + (age | Lot)", load_data("IGF"))
    lower, upper = fit.conf_int().loc[("corr", "Lot (Intercept, age)")]
    assert lower == -1 and -1 < upper <= 1


def pulled(seed, x=0.0):
    """A small design whose REML or ML fit is often singular, with a correlation of +-1."""
    rng = np.random.default_rng(seed)
    dat = pd.DataFrame({"g": rng.integers(5, size=40), "x": x + rng.normal(size=40)})
    b = rng.normal(size=5)
    dat["y"] = dat["x"] + b[dat["g"]] * (1 + 0.5 * (dat["x"] - x)) + rng.normal(size=40)
    return dat.assign(h=rng.integers(3, size=40))


@pytest.mark.parametrize("seed", [*range(8), 41])
def test_at_the_bounds_of_singular_fits_the_likelihood_has_dropped_by_the_quantile(seed):
    """This used to collapse, crash or warn where the estimated correlation is +-1."""
    from scipy.optimize import minimize
    fit = lmer("y ~ x + (x | g)", pulled(seed), reml=False)
    lower, upper = fit.conf_int().loc[("corr", "g (Intercept, x)")]
    assert -1 <= lower < fit.corr.iloc[0] + 1e-9 and fit.corr.iloc[0] - 1e-9 < upper <= 1
    assert len(fit.profile()) > 40
    for rho in (lower, upper):
        def criterion(t, rho=rho):
            sds = np.exp(t[1:])
            return LMMprof(fit.setup.covariance.theta(t[0], np.array([[1, rho], [rho, 1]]) * sds * sds[:, None]), fit.setup)
        least = min(minimize(criterion, [fit.theta[0], s, s], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).fun
                    for s in (-1.0, 0.0))
        drop = 2 * (least - fit.nll)
        assert abs(drop - 3.841458820694124) < 1e-4 if abs(rho) < 1 else drop < 3.8415


@pytest.mark.parametrize("seed", range(12))
def test_profiles_of_more_singular_fits(seed):
    """One with a standard deviation of zero has no correlation to profile: its interval is all there is."""
    fit = lmer("y ~ x + (x | h)", pulled(seed, x=5.0), reml=False)
    interval = fit.conf_int()
    assert (interval["lower"] <= interval["upper"]).all()
    if (fit.sd == 0).any():
        assert interval.loc["corr"].to_numpy().tolist() == [[-1, 1]] and "corr" not in set(fit.profile()["kind"])


def test_profile_curves_of_correlations():
    profile = lmer(SLEEP, load_data("sleepstudy")).profile()
    curve = profile[profile["kind"] == "corr"]
    assert curve["value"].between(-1, 1).all() and (np.diff(curve["zeta"]) > 0).all()


def test_predictions_and_new_levels():
    dat = load_data("sleepstudy")
    fit = lmer(SLEEP, dat)
    assert_allclose(fit.predict(dat), fit.fittedvalues, rtol=1e-12)
    assert_allclose(fit.predict(dat, interval="prediction"), fit.predict(interval="prediction"), rtol=1e-10)
    new = pd.DataFrame({"Days": [0.0, 4.0], "Subject": ["new", "new"]})
    interval = fit.predict(new, new_levels="population", interval="prediction", level=0.95)
    z, C = np.array([[1, 0], [1, 4]]), fit.cov_params().to_numpy()
    psi = fit.psi()["Subject (Intercept, Days)"].to_numpy()
    variance = np.einsum("ij,jk,ik->i", z, psi + C, z) + fit.sigma**2
    assert_allclose(interval["upper"] - interval["mean"], 1.959963984540054 * np.sqrt(variance), rtol=1e-10)
    by_machine = lmer(MACHINES, load_data("Machines"))
    one = pd.DataFrame({"Worker": ["1"], "Machine": ["C"]})
    assert_allclose(by_machine.predict(one), by_machine.fittedvalues.iloc[36], rtol=1e-12)


def test_simulated_responses_have_the_covariance_of_the_model():
    fit = lmer(SLEEP, load_data("sleepstudy"))
    Y = fit.simulate(4000, seed=1).to_numpy()[:10].T
    z = np.column_stack([np.ones(10), np.arange(10)])
    V = z @ fit.psi()["Subject (Intercept, Days)"].to_numpy() @ z.T + fit.sigma**2 * np.eye(10)
    error = np.sqrt((V**2 + np.outer(np.diag(V), np.diag(V))) / 4000)
    assert (np.abs(np.cov(Y.T) - V) < 5 * error).all()
    assert_array_equal(fit.simulate(2, seed=3), fit.simulate(2, seed=3))


def test_bootstrap_refits_and_pickles():
    fit = lmer(SLEEP, load_data("sleepstudy"))
    boot = fit.bootstrap(20, seed=1, progress=False)
    assert boot.replicates.columns[-1] == ("corr", "Subject (Intercept, Days)") and boot.failed == 0
    y = fit.simulate(1, seed=5)[0]
    direct = lmer("y ~ Days + (Days | Subject)", load_data("sleepstudy").assign(y=y))
    assert abs(fit.refit(y).nll - direct.nll) < 1e-9 * direct.nll
    again = pickle.loads(pickle.dumps(fit))
    new = pd.DataFrame({"Days": [2.5], "Subject": ["308"]})
    assert_array_equal(again.predict(new), fit.predict(new))


# -- comparisons ----------------------------------------------------------------------------------------------


def test_models_are_nested_by_their_covariances():
    dat = load_data("Machines")
    fits = [lmer(f"score ~ Machine + {bars}", dat, reml=False)
            for bars in ("(1 | Worker)", "(1 | Worker/Machine)", "(0 + Machine | Worker)", "(Machine | Worker)")]
    table = anova(*fits[:3]).table
    assert table["df"].tolist()[1:] == [1, 4] and table["pvalue"].notna().tolist() == [False, True, True]
    notes = anova(fits[1], fits[2]).notes
    assert notes == ()                                      # compound symmetry lies inside
    [note] = anova(fits[0], fits[2]).notes
    assert "tests 2 more dimensions of Worker (Machine[A], Machine[B], Machine[C]) on the boundary" in note
    assert abs(fits[2].nll - fits[3].nll) < 1e-9            # another coding of the same
    assert "as many parameters" in anova(fits[2], fits[3]).notes[0]


def test_a_covariance_is_not_on_the_boundary_but_a_variance_is():
    dat = load_data("sleepstudy")
    one, independent, both = (lmer(f"Reaction ~ Days + ({bar})", dat, reml=False)
                              for bar in ("1 | Subject", "Days || Subject", "Days | Subject"))
    assert anova(independent, both).notes == () and "pvalue_mixture" not in anova(independent, both).table
    row = anova(one, both).table.iloc[1]
    from scipy.stats import chi2
    assert_allclose(row["pvalue_mixture"], 0.5 * (chi2.sf(row["chisq"], 2) + chi2.sf(row["chisq"], 1)), rtol=1e-9)


@pytest.mark.parametrize("a, b", [(0, 1000), (2000, 1), (-500, 0.1)])
def test_comparisons_do_not_depend_on_the_units_of_a_covariate(a, b):
    dat = load_data("sleepstudy").assign(x=lambda d: a + b * d["Days"])
    one, both = (lmer(f"Reaction ~ x + ({bar})", dat, reml=False) for bar in ("1 | Subject", "x | Subject"))
    [note] = anova(one, both).notes
    assert "tests the variance of Subject:x on the boundary" in note and "pvalue_mixture" in anova(one, both).table
    independent = lmer("Reaction ~ x + (x || Subject)", dat, reml=False)
    assert anova(independent, both).notes == ()


def test_a_covariance_makes_a_model_larger():
    """(x | g) is not contained in (x || g), whatever else the latter has."""
    rng = np.random.default_rng(0)
    dat = load_data("sleepstudy").assign(k=rng.integers(0, 6, 180), h=rng.integers(0, 9, 180))
    found = anova(lmer("Reaction ~ Days + (Days | Subject)", dat, reml=False),
                  lmer("Reaction ~ Days + (Days || Subject) + (1 | k) + (1 | h)", dat, reml=False))
    assert "does not contain" in found.notes[0] and "pvalue" not in found.table


def test_an_unrelated_model_is_not_nested():
    dat = load_data("sleepstudy")
    slope, other = lmer("Reaction ~ Days + (0 + Days | Subject)", dat), lmer("Reaction ~ Days + (I(Days**2) | Subject)", dat)
    assert "does not contain" in anova(slope, other).notes[1]


def test_labels_of_theta_are_unique():
    setup = lmer_setup("y ~ x + (x | a) + (0 + x + z | b)", vector_designs()[4][2])
    assert len(set(setup.labels)) == 7
