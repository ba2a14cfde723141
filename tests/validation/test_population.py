"""The population: its own search is right, and what is wrong in a fit is counted."""

import numpy as np
import pandas as pd
import pytest
from helpers import vector_oracle
from numpy.testing import assert_allclose
from scipy.linalg import block_diag

from lmm import lmer
from lmm.fitting import Plan
from lmm.practical import fit_of
from lmm.validation import population


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("formula", ["y ~ x + (1 | a) + (1 | b)", "y ~ x + (x | a) + (1 | b)"])
def test_the_search_is_of_the_definition(formula, reml):
    """Against the dense oracle, which has sigma in theta; and its gradient against differences."""
    _, dat, _, rng = population.design("correlated", 1)
    fit = lmer(formula, dat, reml=reml)
    search = population.Search(fit)
    for x in search.starts(rng, 5):
        log_sigma = search.log_sigma(x)
        value, gradient = search(x)
        assert_allclose(search.many(x[None])[0], value, rtol=1e-9)
        steps = 1e-6 * np.maximum(np.abs(x), 1e-3)
        for i, step in enumerate(steps):
            unit = step * np.eye(len(x))[i]
            assert_allclose((search(x + unit)[0] - search(x - unit)[0]) / (2 * step), gradient[i], rtol=1e-3, atol=1e-3)
        if (np.concatenate([T.diagonal() for T in search.roots(x)]) > 0).all():
            psi = np.exp(2 * log_sigma) * block_diag(*[T @ T.T for T in search.roots(x)])
            theta = fit.setup.covariance.theta(log_sigma, psi)
            assert_allclose(vector_oracle(theta, fit.setup)[0], value, rtol=1e-8)


@pytest.mark.requirement("best")
def test_a_few_designs_of_each_kind():
    for kind in population.FORMULAS:
        rows = list(population.rows_of(kind, range(4)))
        assert len(rows) == 4 and all(row.passed for row in rows)
        assert rows[0].detail.endswith("certified, 0 off")


def two_optima():
    """Seven rows with two optima, of lmm/guide/proof.md: the fit at the worse one."""
    dat = pd.DataFrame({"y": [3, 2, 1, 2, 0, 2, 1.0], "x": [1.9, -0.7, -0.1, 1.6, 0.4, 0.5, -0.9],
                        "a": ["a1", "a1", "a1", "a1", "a0", "a1", "a1"]})
    best = lmer("y ~ 1 + (0 + x | a)", dat, reml=False)
    return best, fit_of(best.setup, Plan(elsewhere=False), np.array([0.0, 0.0]))


@pytest.mark.requirement("it can fail")
def test_a_certified_fit_in_the_worse_optimum_is_counted(monkeypatch):
    best, other = two_optima()
    assert other.converged and other.nll > best.nll + 0.05
    for fit, worse in (best, []), (other, [0, 1]):
        monkeypatch.setattr(population, "lmer", lambda *_, fit=fit, **__: fit)
        found = population.counted("variances", range(2))
        assert found.worse == worse == found.refuted and found.certified == 2
        first, _, _, proved = population.rows_of("variances", range(2))
        assert first.passed == proved.passed == (not worse)
    assert first.detail == "2 certified, 2 off: seeds 0, 1" and proved.detail == "2 fits: seeds 0, 1"


@pytest.mark.parametrize("error", [1e3, float("nan")])
def test_an_error_that_no_certificate_may_have_is_counted(monkeypatch, error):
    from dataclasses import replace
    _, other = two_optima()
    vague = replace(other, optimum=replace(other.optimum, nll_error=error))
    monkeypatch.setattr(population, "lmer", lambda *_, **__: vague)
    found = population.counted("variances", [3], proving=False)
    assert found.vague == [3] and (found.worse == [3] or error != 1e3)
    row = next(iter(population.rows_of("variances", [3])))
    assert not row.passed and "1 certified in spite of a large error" in row.detail


def test_another_criterion_at_the_optimum_is_counted(monkeypatch):
    from dataclasses import replace
    best, _ = two_optima()
    monkeypatch.setattr(population, "lmer", lambda *_, **__: replace(best, nll=best.nll + 1e-6))
    assert population.counted("variances", [3], proving=False).differing == [3]
