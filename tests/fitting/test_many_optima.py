"""The search of many responses: what it calls an optimum, and when a variance leaves zero."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lmm import lmer, load_data
from lmm.engines import family_of
from lmm.fitting import Batch, search
from lmm.fitting.many import descent
from lmm.fitting.many.descent import State
from lmm.fitting.many.search import judged

DAYS = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture
def batch():
    """Three responses of sleepstudy's design, and e'e of each."""
    fit = lmer(DAYS, load_data("sleepstudy"))
    family = family_of(fit.setup)
    Y = fit.simulate(3, seed=2).to_numpy()
    responses, _, whole, _ = family.respond(Y)
    return Batch(family.design, fit.setup.covariance, family.rows.units, responses), whole


def test_what_did_not_come_to_an_end_is_no_optimum(batch):
    batch, whole = batch
    found = search(batch, whole)
    assert_array_equal(found.reasons, [""] * 3)
    ended = np.array([True, False, True])
    reasons = judged(batch, (found.theta, ended), whole).reasons
    assert list(reasons) == ["", "Newton's iteration did not come to an end", ""]


def test_what_is_far_from_the_optimum_is_none(batch):
    """Whatever the iteration said: by half the Newton decrement, 1e-10 of nll."""
    batch, whole = batch
    found = search(batch, whole)
    theta = found.theta.copy()
    theta[1, 1] += 1e-2
    reasons = judged(batch, (theta, np.ones(3, bool)), whole).reasons
    assert list(reasons) == ["", "Newton's iteration did not come to an end", ""]
    assert found.error.max() < 1e-9


def test_a_variance_leaves_zero_only_to_where_nll_is_lower(monkeypatch):
    fit = lmer("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff"))
    family = family_of(fit.setup)
    responses, *_ = family.respond(fit.setup.design.y[:, None])
    batch = Batch(family.design, fit.setup.covariance, family.rows.units, responses)
    at_zero = np.array([[0.0, -np.inf]])

    state = State(batch, at_zero.copy())
    before = state.nll.copy()
    assert state.leave_zero(np.array([True])).all() and state.nll < before

    def far(batch, theta, *_):
        return np.array([[0.0, 12.0]])

    monkeypatch.setattr(descent, "grown", far)
    state = State(batch, at_zero.copy())
    assert not state.leave_zero(np.array([True])).any()
    assert_array_equal(state.theta, at_zero)
    assert state.nll == before
