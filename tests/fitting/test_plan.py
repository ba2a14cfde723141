"""How a fit was asked for is kept, and asked for again; the phases of a search; the criterion as one object."""

import numpy as np
import pytest
from helpers import crossed, fit_at
from numpy.testing import assert_allclose

from lmm import LMMError, LMMprof, LMMsetup, derivatives, lmer, lmm, load_data
from lmm.fitting import Criterion, Plan

BOTH = ["Worker", ["Worker", "Machine"]]


def test_nelder_mead_has_run_and_newton_after_it():
    """The practical's optimiser drives every default fit of few levels; its message and evaluations are kept."""
    unbalanced = load_data("Machines").drop([1, 2, 5, 7, 8, 11, 18, 19, 26, 32])
    fit = lmm("score ~ Machine", unbalanced, BOTH)
    assert list(fit.optimum.evaluations)[:2] == ["simplex", "newton"]
    assert fit.optimum.evaluations["simplex"] > 2 * len(fit.theta)
    assert fit.message.startswith("Nelder-Mead: ")
    best = fit.trace.groupby("phase")["nll"].min()
    assert fit.nll < best["simplex"] < fit.nll + 2              # the simplex ends when it spans 1


def test_where_derivatives_drive_there_is_no_nelder_mead():
    fit = lmm("y ~ x", crossed((6, 5, 4), 80, 3), ["a", "b"], engine="blocked")
    assert "simplex" not in fit.optimum.evaluations and "Nelder-Mead" not in fit.message


def test_seconds_are_by_phase_and_sum_to_at_most_the_whole():
    from time import perf_counter
    start = perf_counter()
    fit = lmm("score ~ Machine", load_data("Machines"), BOTH)
    whole = perf_counter() - start
    seconds = fit.optimum.seconds
    assert set(seconds) == set(fit.optimum.evaluations)
    assert all(value >= 0 for value in seconds.values()) and sum(seconds.values()) <= whole


def test_update_repeats_the_plan():
    dat = crossed((6, 5, 4), 80, 3)
    fit = lmm("y ~ x", dat, ["a", "b"], start=[0.5, 0.5, 0.5], engine="blocked")
    assert fit.plan == Plan(engine="blocked", start=[0.5, 0.5, 0.5])
    again = fit.update("y ~ 1")
    assert again.plan == fit.plan and again.setup.engine.name == "blocked"
    assert_allclose(again.trace.iloc[0][["log sigma", "log a", "log b"]].astype(float), 0.5)
    assert fit.update(ref=["a"]).plan == Plan(engine="blocked")        # a start belongs to its parameters
    assert fit.update(engine="dense").plan.engine == "dense"


def test_refits_keep_the_plan_of_the_fit():
    fit = lmm("score ~ Machine", load_data("Machines"), BOTH, start=[0.0, 1.0, 1.0])
    again = fit.refit(fit.simulate(seed=1)[0])
    assert again.plan == fit.plan and "simplex" not in again.optimum.evaluations


def test_a_start_that_is_no_theta_says_which_element():
    with pytest.raises(LMMError, match=r"start is no theta: theta\[1\] \(log Worker\) is nan"):
        lmm("score ~ Machine", load_data("Machines"), BOTH, start=[0.0, np.nan, 1.0])
    with pytest.raises(LMMError, match=r"start is no theta: theta has shape \(2,\)"):
        lmm("score ~ Machine", load_data("Machines"), BOTH, start=[0.0, 1.0])


@pytest.mark.parametrize("theta, place", [([np.nan, 0, 0], 0), ([0, np.inf, 0], 1), ([0, 0, np.nan], 2), ([-np.inf, 0, 0], 0)])
def test_a_message_about_theta_names_the_element(theta, place):
    setup = LMMsetup("score ~ Machine", load_data("Machines"), BOTH)
    with pytest.raises(LMMError, match=rf"theta\[{place}\] \({setup.log_labels[place]}\) is"):
        LMMprof(theta, setup)


def test_the_criterion_records_what_it_evaluates():
    setup = LMMsetup("score ~ Machine", load_data("Machines"), BOTH)
    criterion = Criterion(LMMprof, setup)
    with criterion.phase("by hand"):
        value = criterion(np.array([0.0, 1.0, 1.0]))
    assert criterion.rows == [("by hand", float(value), (0.0, 1.0, 1.0))]
    assert criterion.evaluations() == {"by hand": 1} and criterion.seconds["by hand"] > 0
    D = criterion.derivatives(np.array([0.0, 1.0, 1.0]), value)
    assert criterion.derivatives(np.array([0.0, 1.0, 1.0]), value) is D             # kept, not computed again
    assert_allclose(D.gradient, derivatives([0.0, 1.0, 1.0], setup).gradient, rtol=1e-12)


def test_a_criterion_without_a_value_has_no_derivatives():
    setup = LMMsetup("score ~ Machine", load_data("Machines"), BOTH)
    with pytest.raises(ArithmeticError, match="cannot be evaluated at theta"):
        derivatives([400.0, 400.0, 400.0], setup)


def test_updates_without_blanks():
    fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    assert fit.update(".~.-Days").setup.design.form == "Reaction ~ 1 + (Days | Subject)"
    plain = fit_at([3.0, 3.0], "Reaction ~ Days", ["Subject"], load_data("sleepstudy"))
    assert plain.update(".~.-Days").setup.design.form == "Reaction ~ 1"
