"""The theory as tests: closed forms, Henderson's mixed-model equations, and lme4's penalised least squares."""

import numpy as np
import pytest
from helpers import LINEAR_ALGEBRA, crossed, designs, fit_at, lmer_setup, roots, vector_designs
from numpy.testing import assert_allclose

from lmm import LMMprof, LMMsetup, lmm
from lmm.fitting import rescaled

DESIGNS = pytest.mark.parametrize("name, form, dat, ref", designs())


def matrices(setup):
    """y, X, Z and the block of each column of Z."""
    blocks = setup.design.blocks
    Z = np.hstack([np.zeros((len(setup.design.y), 0)), *(block.matrix.toarray() for block in blocks)])
    return setup.design.y, setup.design.X, Z, np.repeat(np.arange(len(blocks)), [len(block.levels) for block in blocks])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("reml", [False, True])
def test_the_balanced_one_way_layout_in_closed_form(seed, reml):
    """With g groups of m: sigma^2 = SSW / (n - g) and sd^2 = (SSB / g - sigma^2) / m, for REML SSB / (g - 1), or at the boundary
    0 and SST / n, for REML SST / (n - 1). The response's groups differ less and less with the seed."""
    g, m = 5, 6
    dat = crossed((g, 2, 2), g * m, seed).sort_values("a")
    dat["y"] = np.random.default_rng(seed).normal(size=g * m) + (1.5 - 0.4 * seed) * (dat["a"].cat.codes - 2)
    y = dat["y"].to_numpy().reshape(g, m)
    within, between = np.sum((y - y.mean(axis=1, keepdims=True)) ** 2), m * np.sum((y.mean(axis=1) - y.mean()) ** 2)
    sigma2 = within / (g * m - g)
    sd2 = (between / (g - reml) - sigma2) / m
    if sd2 <= 0:
        sd2, sigma2 = 0.0, (within + between) / (g * m - reml)
    fit = lmm("y ~ 1", dat, "a", reml=reml)
    assert_allclose([fit.sigma**2, fit.sd["a"] ** 2], [sigma2, sd2], rtol=1e-8)
    assert bool(fit.singular) == (sd2 == 0)
    assert_allclose(fit.beta, y.mean(), rtol=1e-12)


def test_the_one_way_layouts_above_lie_on_both_sides_of_the_boundary():
    zeros = []
    for seed in range(6):
        dat = crossed((5, 2, 2), 30, seed).sort_values("a")
        dat["y"] = np.random.default_rng(seed).normal(size=30) + (1.5 - 0.4 * seed) * (dat["a"].cat.codes - 2)
        zeros.append(bool(lmm("y ~ 1", dat, "a").singular))
    assert 0 < sum(zeros) < 6


@DESIGNS
def test_hendersons_equations_give_the_same_beta_and_modes(name, form, dat, ref):
    """[X'X X'Z; Z'X Z'Z + sigma^2 psi^-1] [beta; b] = [X'y; Z'y]."""
    theta = np.random.default_rng(8).normal(0.2, 0.6, size=len(LMMsetup(form, dat, ref).labels))
    fit = fit_at(theta, form, ref, dat)
    y, X, Z, block = matrices(fit.setup)
    XZ, k = np.hstack([X, Z]), X.shape[1]
    penalty = np.concatenate([np.zeros(k), np.exp(2 * theta[0] - 2 * theta[1:][block])])
    solution = np.linalg.solve(XZ.T @ XZ + np.diag(penalty), XZ.T @ y)
    assert_allclose(fit.beta, solution[:k], **LINEAR_ALGEBRA)
    assert_allclose(fit.ranef(tidy=True)["estimate"], solution[k:], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name, form, dat", vector_designs())
@pytest.mark.parametrize("reml", [False, True])
def test_both_for_vector_valued_terms(name, form, dat, reml):
    """Henderson's equations with psi^-1, and penalised least squares with U = Z Lambda."""
    setup = lmer_setup(form, dat, reml)
    theta = np.random.default_rng(10).normal(0.2, 0.5, size=len(setup.labels))
    y, X, Z, _ = matrices(setup)
    Lambda = np.zeros((Z.shape[1],) * 2)
    at = 0
    for T, b in zip(roots(theta, setup), setup.covariance.spans):
        m = len(setup.design.blocks[b.start].levels)
        Lambda[at : at + len(T) * m, at : at + len(T) * m] = np.kron(T, np.eye(m))
        at += len(T) * m
    k, value = X.shape[1], LMMprof(theta, setup)
    XZ = np.hstack([X, Z])
    penalty = np.zeros((len(XZ.T),) * 2)
    penalty[k:, k:] = np.exp(2 * theta[0]) * np.linalg.inv(Lambda @ Lambda.T)
    solution = np.linalg.solve(XZ.T @ XZ + penalty, XZ.T @ y)
    assert_allclose(value.beta, solution[:k], rtol=1e-7, atol=1e-7)
    U = Z @ Lambda / np.exp(theta[0])
    L = np.linalg.cholesky(U.T @ U + np.eye(len(U.T)))
    RZX = np.linalg.solve(L, U.T @ X)
    r2 = y @ y - np.sum(np.linalg.solve(L, U.T @ y) ** 2)
    gram = X.T @ X - RZX.T @ RZX
    r2 -= (moment := X.T @ y - RZX.T @ np.linalg.solve(L, U.T @ y)) @ np.linalg.solve(gram, moment)
    penalised = np.sum(np.log(np.diag(L))) + setup.df * theta[0] + 0.5 * r2 / np.exp(2 * theta[0])
    assert_allclose(value, penalised + (0.5 * np.linalg.slogdet(gram)[1] if reml else 0.0), rtol=1e-9)


@DESIGNS
@pytest.mark.parametrize("reml", [False, True])
def test_the_profiled_deviance_of_penalised_least_squares_is_the_criterion(name, form, dat, ref, reml):
    """lme4's d(theta) = log|L|^2 + n (1 + log(2 pi r^2 / n)), [REML: + log|R_X|^2, n - k for n], in relative sds, sigma profiled."""
    setup = LMMsetup(form, dat, ref, reml)
    y, X, Z, block = matrices(setup)
    theta = np.random.default_rng(9).normal(0.2, 0.6, size=len(setup.labels))
    theta, _ = rescaled(theta, LMMprof(theta, setup), setup)                     # the best sigma for these ratios
    U = Z * np.exp(theta[1:] - theta[0])[block]                               # Z Lambda
    L = np.linalg.cholesky(U.T @ U + np.eye(U.shape[1]))
    RZX = np.linalg.solve(L, U.T @ X)
    RX2 = X.T @ X - RZX.T @ RZX
    cu = np.linalg.solve(L, U.T @ y)
    beta = np.linalg.solve(RX2, X.T @ y - RZX.T @ cu) if X.shape[1] else np.zeros(0)
    u = np.linalg.solve(L.T, cu - RZX @ beta)
    r2 = np.sum((y - X @ beta - U @ u) ** 2) + u @ u
    df = setup.df
    deviance = 2 * np.sum(np.log(np.diag(L))) + df * (1 + np.log(2 * np.pi * r2 / df))
    if reml:
        deviance += np.linalg.slogdet(RX2)[1]
    value = LMMprof(theta, setup)
    assert_allclose(2 * value + df * np.log(2 * np.pi), deviance, rtol=1e-10)
    assert_allclose(value.beta, beta, **LINEAR_ALGEBRA)
