"""Where theta is so extreme that numbers overflow or vanish: a finite number or inf, silently; derivatives that are right, or none."""

import numpy as np
import pytest
from helpers import crossed, lmer_setup

from lmm import LMMprof, derivatives
from lmm.engines.setup import set_up

STEP = 1e-4
DATA = crossed((6, 5, 4), 80, 3)
FORMULAS = {
    "scalar": "y ~ x + (1 | a) + (1 | b)",
    "correlated": "y ~ x + (x | a) + (x | b)",
}
EXTREMES = {        # which logarithms of theta are extreme, by those of the blocks
    "sigma": lambda blocks: [0],
    "the first sd": lambda blocks: blocks[:1],
    "the last sd": lambda blocks: blocks[-1:],
    "all sds": lambda blocks: blocks,
    "all": lambda blocks: [0, *blocks],
}


@pytest.mark.requirement("extreme theta")
@pytest.mark.parametrize("log_sd", [-400, -372, -355, -320, 320, 360, 400])
@pytest.mark.parametrize("which", EXTREMES)
@pytest.mark.parametrize("terms", FORMULAS)
@pytest.mark.parametrize("engine", ["dense", "blocked"])
def test_extreme_theta(engine, terms, which, log_sd):
    """Variances from 0 over the smallest double, 5e-324, to beyond the largest; a warning is an error in these tests."""
    for reml in (False, True):
        setup = set_up(lmer_setup(FORMULAS[terms], DATA, reml).design, reml, engine=engine)
        theta = np.where(setup.covariance.logs, 0.1, 0.3)
        theta[EXTREMES[which](setup.covariance.directions)] = log_sd
        value = LMMprof(theta, setup)
        assert not np.isnan(value) and value > -np.inf
        try:
            found = derivatives(theta, setup)
        except ArithmeticError:
            continue
        assert np.isfinite(found.gradient).all() and np.isfinite(found.hessian).all()
        rounding = 1e-11 * abs(value) / STEP
        for step, slope in zip(STEP * np.eye(len(theta)), found.gradient):
            difference = (LMMprof(theta + step, setup) - LMMprof(theta - step, setup)) / (2 * STEP)
            assert abs(slope - difference) <= 1e-5 * (1 + abs(difference)) + rounding
