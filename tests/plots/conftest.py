"""The fits that are drawn."""

import sys

import pytest

from lmm import lmer, lmm, load_data


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def sleep():
    ref = ["Subject", ["Subject", "Days"]]
    return lmm("Reaction ~ Days", load_data("sleepstudy"), ref, reml=True)


@pytest.fixture(scope="session")
def both():
    return lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))


@pytest.fixture(scope="session")
def machines():
    return lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])


@pytest.fixture(scope="session")
def dyestuff():
    return lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")


@pytest.fixture(scope="session")
def zero():
    return lmm("Yield ~ 1", load_data("Dyestuff2"), "Batch")


@pytest.fixture(scope="session")
def schools():
    return lmm("attain ~ verbal + sex", load_data("ScotsSec"), ["primary", "second"])


@pytest.fixture(scope="session")
def fixed():
    return lmm("score ~ Machine", load_data("Machines"))


@pytest.fixture(scope="session")
def profile(machines):
    return machines.profile()
