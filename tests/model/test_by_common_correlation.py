"""The one sd and the one correlation of a compound symmetric term as elements of theta."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lmm import LMMprof, load_data
from lmm.engines import set_up
from lmm.fit import derivatives
from lmm.model import ByCommonCorrelation, CompoundSymmetry, Covariance, make_design

STEP = 1e-4


@pytest.mark.parametrize("c", [2, 3, 5])
@pytest.mark.parametrize("z", [-3.0, -0.4, 0.0, 2.0])
def test_psi_has_one_sd_and_one_correlation(c, z):
    one, other = ByCommonCorrelation(c), CompoundSymmetry(c)
    psi = one.psi(np.array([0.3, z]))
    rho = one.correlation(z)
    assert_allclose(psi, np.exp(0.6) * (rho + (1 - rho) * np.eye(c)), rtol=1e-12)
    assert_allclose(one.root([0.3, z]) @ one.root([0.3, z]), psi, rtol=1e-12)
    assert_allclose(one.theta(psi), [0.3, z], atol=1e-12)
    assert_allclose(other.psi(other.theta(psi)), psi, rtol=1e-12)
    assert -1 / (c - 1) < rho < 1
    if c == 2:
        assert_allclose(rho, np.tanh(z), atol=1e-15)


def test_the_ends_of_the_correlation():
    one = ByCommonCorrelation(4)
    assert one.correlation(18.0) == 1 and one.correlation(-18.0) == -1 / 3
    assert one.theta(np.zeros((4, 4))).tolist() == [-np.inf, 0.0]
    assert one.theta(np.ones((4, 4)))[1] == 18.0


def test_derivatives_are_those_of_differences():
    design = make_design("score ~ Machine + (0 + Machine | Worker)", load_data("Machines"), (), bars=True)
    setup = set_up(replace(design, covariance=Covariance([ByCommonCorrelation(3)])), False)
    theta = np.array([0.1, 1.2, 0.7])
    found = derivatives(theta, setup)
    steps = STEP * np.eye(3)
    gradient = [(LMMprof(theta + d, setup) - LMMprof(theta - d, setup)) / (2 * STEP) for d in steps]
    hessian = [(derivatives(theta + d, setup).gradient - derivatives(theta - d, setup).gradient) / (2 * STEP) for d in steps]
    assert_allclose(found.gradient, gradient, rtol=1e-6)
    assert_allclose(found.hessian, hessian, rtol=1e-6)
