"""BLAS on one thread during a fit, in an installation without extras too, and what was set before set again after it."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from lmm import LMMprof, lmer, lmm, load_data, machine

LIBRARIES = machine._openblas()
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="numpy's BLAS is not OpenBLAS here")


@pytest.fixture(params=["no extra", "threadpoolctl"])
def installed(request, monkeypatch):
    """Without threadpoolctl, and with it; two threads are set, whatever machine this is."""
    if request.param == "no extra":
        monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    else:
        pytest.importorskip("threadpoolctl")
    machine._controller.cache_clear()
    before = numbers()
    put(2)
    yield request.param
    machine._controller.cache_clear()
    for (_, set_number, _), number in zip(LIBRARIES, before):
        set_number(number)


def numbers():
    return [get() for get, _, _ in LIBRARIES]


def put(number):
    for _, set_number, _ in LIBRARIES:
        set_number(number)


def test_other_kinds_of_blas_are_held_by_threadpoolctl(installed, monkeypatch):
    """A library that is no OpenBLAS is left to threadpoolctl, which sees one here under another name."""
    if installed == "no extra":
        assert machine._controller() is None
        return
    monkeypatch.setattr(machine, "OTHERS", ["openblas"])
    monkeypatch.setattr(machine, "_openblas", lambda: ())
    with machine.few_threads():
        assert set(numbers()) == {1}
    assert set(numbers()) == {2}


def test_the_libraries_of_numpy_and_scipy_are_found():
    """numpy's wheels bring one OpenBLAS and scipy's another; a system's numpy shares one with scipy."""
    assert 1 <= len(LIBRARIES) <= 2


@pytest.mark.requirement("one thread")
@pytest.mark.parametrize("before", [(2, 2), (2, 1)])
def test_one_thread_inside_and_what_was_set_after(installed, before):
    for (_, set_number, _), number in zip(LIBRARIES, before):
        set_number(number)
    expected = list(before[: len(LIBRARIES)])
    with machine.few_threads():
        assert set(numbers()) == {1}
    assert numbers() == expected


def test_set_again_after_an_exception(installed):
    with pytest.raises(ZeroDivisionError), machine.few_threads():
        1 / 0                                                   # noqa: B018
    assert set(numbers()) == {2}
    with pytest.raises(ValueError, match="bad"), machine.few_threads(), machine.few_threads():
        raise ValueError("bad")
    assert set(numbers()) == {2}


def test_one_context_within_another(installed):
    with machine.few_threads():
        with machine.few_threads():
            assert set(numbers()) == {1}
        assert set(numbers()) == {1}
    assert set(numbers()) == {2}


def test_several_threads_of_python_at_once(installed):
    """The first to begin ends first: the second must not find two threads, nor leave one behind."""
    begun, ended = Barrier(2), Barrier(2)

    def first():
        with machine.few_threads():
            begun.wait()
        ended.wait()

    def second():
        with machine.few_threads():
            begun.wait()
            ended.wait()
            return set(numbers())

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(first), pool.submit(second)
        one.result()
        assert other.result() == {1}
    assert set(numbers()) == {2}


def test_fits_in_several_threads_of_python(installed):
    dat = load_data("sleepstudy")

    def fit(_):
        return lmer("Reaction ~ Days + (Days | Subject)", dat).theta

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fit, range(8)))
    assert all(np.array_equal(theta, found[0]) for theta in found)
    assert set(numbers()) == {2}


def test_threads_are_left_where_matrices_are_wide_enough(installed):
    with machine.few_threads(machine.PAYING):
        assert set(numbers()) == {2}
    with machine.few_threads(machine.CRASHING):
        assert set(numbers()) == {1}


@pytest.mark.requirement("one thread")
@pytest.mark.parametrize("engine", ["dense", "blocked"])
def test_each_step_of_a_fit_is_inside(installed, engine, monkeypatch):
    """The rank check of X, X = QR, the factorisation of Z, and every evaluation."""
    from lmm import practical
    from lmm.engines import setup
    from lmm.model import rank
    seen = {}

    def spying(module, name):
        function = getattr(module, name)

        def spy(*arguments, **options):
            seen[name] = numbers()
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, spy)

    spying(rank, "_clearly_independent")
    spying(setup, "decompose_X")
    spying(setup, "factorise" if engine == "dense" else "eliminate")
    spying(practical, "triangle_of")
    spying(practical, "finished")
    lmm("score ~ Machine", load_data("Machines"), "Worker", engine=engine)
    assert len(seen) == 5
    assert {number for found in seen.values() for number in found} == {1}
    assert set(numbers()) == {2}


def test_an_error_of_the_model_leaves_threads_as_they_were(installed):
    from lmm import LMMError
    dat = load_data("Machines")
    with pytest.raises(LMMError):
        lmm("score ~ Wroker", dat, "Worker")
    with pytest.raises(LMMError):
        lmm("score ~ 1", dat.assign(score=1.0), "Worker")
    assert set(numbers()) == {2}


@pytest.mark.parametrize("statistic", [None, len])
def test_the_bootstrap_holds_threads_too(installed, monkeypatch, statistic):
    """Its search in stacks, and the fits that it makes for a statistic."""
    from lmm import practical
    from lmm.fitting.many import batch
    fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
    seen = []

    def spying_on(function):
        def spying(*arguments, **options):
            seen.extend(numbers())
            return function(*arguments, **options)
        return spying

    monkeypatch.setattr(practical, "LMMprof", spying_on(LMMprof))
    monkeypatch.setattr(batch, "slopes", spying_on(batch.slopes))
    fit.bootstrap(2, seed=1, statistic=statistic, progress=False)
    assert set(seen) == {1}



@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="forks")
def test_a_forked_child_has_no_context_of_its_parent(installed):
    """It used to stay at one thread for good."""
    import os
    with machine.few_threads():
        child = os.fork()
        if child == 0:
            with machine.few_threads():
                pass
            os._exit(0 if set(numbers()) == {2} and machine._HELD.count == 0 else 1)
        _, status = os.waitpid(child, 0)
    assert status == 0 and set(numbers()) == {2}
