"""LMMprof against the oracle, against published numbers, and at the edges of theta."""

import pickle

import numpy as np
import pytest
from helpers import LINEAR_ALGEBRA, crossed, designs, oracle_of
from numpy.testing import assert_allclose

from lmm import LMMError, LMMprof, LMMsetup, derivatives, load_data

EXACT = [-0.03918101102587823, 1.473499526103865, 1.2229029441439843]     # Machines, ML, exact
BOTH = ["Worker", ["Worker", "Machine"]]


@pytest.fixture(scope="module")
def machines():
    return LMMsetup("score ~ Machine", load_data("Machines"), BOTH)


@pytest.mark.requirement("criterion")
@pytest.mark.parametrize("form, dat, ref", [d[1:] for d in designs()], ids=[d[0] for d in designs()])
def test_equals_the_oracle_at_random_theta(form, dat, ref):
    setup = LMMsetup(form, dat, ref)
    rng = np.random.default_rng(5)
    for _ in range(20):
        theta = rng.normal(0.3, 1.2, len(setup.labels))
        nll, beta = oracle_of(theta, setup)
        value = LMMprof(theta, setup)
        assert_allclose(value, nll, **LINEAR_ALGEBRA)
        assert_allclose(value.beta, beta, rtol=1e-8, atol=1e-8)       # beta's error grows with the condition of X'WX


def test_machines_at_the_exact_theta(machines):
    # 63.0120426768339739: the exact optimum, a rational closed form evaluated in multiple precision
    value = LMMprof(EXACT, machines)
    assert_allclose(value, 63.0120426768339739, rtol=0, atol=1e-10)
    assert_allclose(value.beta, [2356 / 45, 239 / 30, 167 / 12], rtol=1e-12)


def test_unbalanced_machines_at_the_exact_theta():
    # crit of the anchors: -2 logLik = 191.5060092307282 at this theta, by 40-digit Newton
    setup = LMMsetup("score ~ Machine", load_data("MachinesUnbalanced"), BOTH)
    theta = [-0.06954972141182111, 1.4643006411415482, 1.2347922848170192]
    value = LMMprof(theta, setup)
    assert_allclose(2 * value + 44 * np.log(2 * np.pi), 191.5060092307282, rtol=0, atol=1e-10)
    assert_allclose(value.beta, [52.35257860337804, 7.95950501474455, 13.919643618844184], rtol=1e-12)


def test_without_random_effects_it_is_least_squares():
    dat = load_data("Machines")
    setup = LMMsetup("score ~ Machine", dat)
    residual = dat["score"] - dat.groupby("Machine", observed=True)["score"].transform("mean")
    rss, n, sigma = float(residual @ residual), 54, 2.5
    assert_allclose(LMMprof([np.log(sigma)], setup), n * np.log(sigma) + rss / (2 * sigma**2), rtol=1e-14)


@pytest.mark.parametrize("ref, zero", [(BOTH, 0), (BOTH, 1), (["Worker"], 0)])
def test_a_zero_standard_deviation_equals_dropping_the_block(ref, zero):
    dat = load_data("MachinesUnbalanced")
    theta = np.array([0.1, 1.2, 0.7][: 1 + len(ref)])
    theta[1 + zero] = -np.inf
    without = LMMprof(np.delete(theta, 1 + zero),
                      LMMsetup("score ~ Machine", dat, [block for j, block in enumerate(ref) if j != zero]))
    with_zero = LMMprof(theta, LMMsetup("score ~ Machine", dat, ref))
    assert_allclose(with_zero, without, rtol=1e-13)
    assert_allclose(with_zero.beta, without.beta, rtol=1e-12)


def test_an_unobserved_combination_leaves_the_likelihood_alone():
    """A zero column in Z, as model.matrix makes for it, changes nothing: the oracle with it, the engine without."""
    from helpers import oracle
    dat = crossed((4, 3, 2), 40, 2, missing=[("1", "2")])
    setup = LMMsetup("y ~ x", dat, [["a", "b"]])
    matrix = setup.design.blocks[0].matrix.toarray()
    assert matrix.shape[1] == 11 and matrix.any(axis=0).all()
    padded = np.insert(matrix, 5, 0.0, axis=1)
    theta = [0.2, 0.4]
    assert_allclose(LMMprof(theta, setup), oracle(theta, setup.design.y, setup.design.X, [padded])[0], **LINEAR_ALGEBRA)


@pytest.mark.requirement("hard numbers")
def test_large_means_do_not_cancel():
    dat = load_data("MachinesUnbalanced")
    near = LMMsetup("score ~ Machine", dat, BOTH)
    far = LMMsetup("score ~ Machine", dat.assign(score=dat["score"] + 2.0**20), BOTH)
    assert_allclose(LMMprof(EXACT, far), LMMprof(EXACT, near), rtol=1e-9)     # 2^20 costs the scores 6 of 16 digits


def test_any_number_type_and_a_theta_that_stays_as_it_was(machines):
    theta = np.array(EXACT)
    kept = theta.copy()
    value = LMMprof(theta, machines)
    assert np.array_equal(theta, kept)
    assert LMMprof(tuple(EXACT), machines) == value == LMMprof(EXACT, machines)


def test_profile_is_a_float_that_can_be_pickled(machines):
    value = LMMprof(EXACT, machines)
    again = pickle.loads(pickle.dumps(value))
    assert isinstance(value, float) and again == value and np.array_equal(again.beta, value.beta)


@pytest.mark.parametrize("engine", ["dense", "blocked"])
@pytest.mark.parametrize("reml", [False, True])
def test_all_standard_deviations_times_a_number_need_no_evaluation(engine, reml):
    setup = LMMsetup("score ~ Machine", load_data("MachinesUnbalanced"), ["Worker", ["Worker", "Machine"]], reml, engine=engine)
    theta = np.array([0.3, 0.8, -0.4])
    value, expected = LMMprof(theta, setup).rescaled(0.7, setup.df), LMMprof(theta + 0.7, setup)
    assert_allclose(value, expected, rtol=1e-12)
    assert_allclose(value.beta, expected.beta, rtol=1e-12)
    assert_allclose(np.triu(value.triangle), np.triu(expected.triangle), rtol=1e-9, atol=1e-12)
    for one, other in zip(derivatives(theta + 0.7, setup, value), derivatives(theta + 0.7, setup, expected)):
        assert_allclose(one, other, rtol=1e-8, atol=1e-10)


def test_setup_can_be_pickled(machines):
    again = pickle.loads(pickle.dumps(machines))
    assert LMMprof(EXACT, again) == LMMprof(EXACT, machines)


@pytest.mark.requirement("immutable")
def test_setup_cannot_be_changed(machines):
    with pytest.raises(AttributeError):
        machines.engine = None


def test_setup_shows_its_pieces(machines):
    assert repr(machines) == ("LMMsetup('score ~ Machine': y (54,), X (54, 3), columns of Z by block (Worker: 6, "
                              "Worker:Machine: 18), theta (log sigma, log Worker, log Worker:Machine))")


@pytest.mark.requirement("extreme theta")
@pytest.mark.parametrize("theta", [[-400.0, 0.0, 0.0], [0.0, 400.0, 0.0], [-800.0, 1.0, 1.0]])
def test_a_theta_too_extreme_to_factor_is_plus_infinity(machines, theta):
    value = LMMprof(theta, machines)
    assert value == np.inf and np.isnan(value.beta).all()


@pytest.mark.parametrize("setup", [None, [0.0, 0.0, 0.0], load_data("Machines")])
def test_a_setup_that_is_none_is_an_error(setup):
    with pytest.raises(LMMError, match="it is what LMMsetup returns, after theta"):
        LMMprof([0.0, 0.0, 0.0], setup)


@pytest.mark.requirement("immutable")
def test_the_arrays_of_a_setup_are_read_only(machines):
    for array in (machines.design.y, machines.design.X, machines.engine.R, machines.engine.QtU):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


@pytest.mark.parametrize("theta, words", [
    ([0.0, 0.0], "shape (2,); it takes 3 numbers: log sigma, log Worker, log Worker:Machine"),
    (0.0, "shape (); it takes 3 numbers"),
    ([[0.0, 0.0, 0.0]], "shape (1, 3)"),
    ([0.0, np.nan, 0.0], "theta[1] (log Worker) is nan"),
    ([0.0, 0.0, np.inf], "theta[2] (log Worker:Machine) is inf"),
    ([-np.inf, 0.0, 0.0], "theta[0] (log sigma) is -inf"),
    (["a", "b", "c"], "theta holds str"),
    (["0", "0", "0"], "not numbers"),
    ([1j, 1, 1], "theta holds complex128, not numbers"),
    (None, "theta holds object, not numbers"),
])
def test_a_theta_that_is_none_is_an_error(machines, theta, words):
    with pytest.raises(LMMError) as error:
        LMMprof(theta, machines)
    assert words in str(error.value)
