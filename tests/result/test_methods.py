"""Methods and properties of the result: functions of a fit, each with one docstring, at home."""

import ast
import importlib
import inspect
import pickle
import pydoc
import subprocess
import sys

import numpy as np
import pytest
from helpers import fit_at

from lmm import LMMError, LMMResult
from lmm.methods import METHODS, PROPERTIES

FUNCTIONS = [*METHODS, *PROPERTIES]
NAMES = [function.__name__ for function in FUNCTIONS]
PUBLIC = [name for name in dir(LMMResult) if not name.startswith("_")]
OWN_CODE = ast.parse(inspect.getsource(LMMResult)).body[0].body
OWN_VIEWS = [node for node in OWN_CODE if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


@pytest.fixture(scope="module")
def fit():
    return fit_at(np.log([1.0, 4.0, 3.0]))


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_has_a_docstring(name):
    assert (getattr(LMMResult, name).__doc__ or "").strip()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_method_is_the_function_at_home(function):
    name = function.__name__
    home = importlib.import_module(function.__module__)
    assert getattr(home, name) is function and home.__name__ != "lmm.methods"
    attached = vars(LMMResult)[name]
    if function in METHODS:
        assert inspect.unwrap(attached) is function         # in what explains arguments that it has not
    else:
        assert isinstance(attached, property) and attached.fget is function
    assert attached.__doc__ is function.__doc__


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_docstring_says_what_each_argument_is(function):
    first, *others = inspect.signature(function).parameters.values()
    assert first.name == "fit"
    if "Parameters\n" in function.__doc__:
        for argument in others:
            assert f"    {argument.name}" in function.__doc__ or f"**{argument.name}" in function.__doc__, argument.name
    if function in PROPERTIES:
        assert not others


def test_no_name_is_given_twice():
    assert len(set(NAMES)) == len(NAMES)
    assert not set(NAMES) & {node.name for node in OWN_VIEWS}


@pytest.mark.parametrize("node", OWN_VIEWS, ids=lambda node: node.name)
def test_what_the_class_defines_itself_is_a_view_of_one_line(node):
    docstring, view = node.body
    assert isinstance(docstring.value, ast.Constant) and isinstance(view, ast.Return)
    assert view.lineno == view.end_lineno


def test_help_and_tab_completion_show_them(fit):
    assert set(NAMES) <= set(dir(fit)) and set(NAMES) <= set(dir(LMMResult))
    page = pydoc.plain(pydoc.render_doc(LMMResult.conf_int))
    assert "conf_int(fit, method='profile', level=0.95, *, df='satterthwaite'" in page.replace("\n", "")
    assert "where twice the drop of the profile log-likelihood reaches the chi-squared" in page
    whole = pydoc.plain(pydoc.render_doc(LMMResult))
    for function in FUNCTIONS:
        assert inspect.getdoc(function).splitlines()[0] in whole


FRESH = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    fit = pickle.load(file)
print(fit.sd["Worker"], fit.summary.__doc__.splitlines()[0], len(fit.df), fit.predict().shape)
print(pickle.loads(pickle.dumps(fit)).conf_int("wald").shape, fit.conf_int.__doc__.splitlines()[0])
"""


def test_a_fit_from_a_file_has_its_methods_in_a_fresh_process(fit, tmp_path):
    """Nothing imports `lmm` there but the file."""
    path = tmp_path / "fit.pickle"
    path.write_bytes(pickle.dumps(fit))
    done = subprocess.run([sys.executable, "-c", FRESH, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "4.0 The tables to read after a fit, as text and in a notebook as HTML. 3 (54,)",
        "(6, 2) Confidence intervals for the fixed effects, the standard deviations and the correlations."]


# -- arguments --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("argument, call", [
    ("level", lambda fit: fit.predict(interval="confidence", level=95)),
    ("level", lambda fit: fit.conf_int(level="0.95")),
    ("level", lambda fit: fit.conf_int("wald", level=True)),
    ("level", lambda fit: fit.bootstrap(2, seed=1).conf_int(level=1.0)),
    ("method", lambda fit: fit.conf_int("likelihood")),
    ("random", lambda fit: fit.predict(random="Operator")),
    ("interval", lambda fit: fit.predict(interval=0.95)),
    ("new_levels", lambda fit: fit.predict(new_levels=None)),
    ("newdata", lambda fit: fit.predict([1.0])),
    ("nsim", lambda fit: fit.simulate(nsim=-1)),
    ("nsim", lambda fit: fit.bootstrap(nsim="many")),
    ("seed", lambda fit: fit.simulate(seed=1.5)),
    ("seed", lambda fit: fit.bootstrap(2, seed="a")),
    ("processes", lambda fit: fit.bootstrap(2, processes=None)),
    ("statistic", lambda fit: fit.bootstrap(2, statistic="sigma")),
    ("statistic", lambda fit: fit.bootstrap(2, statistic=lambda fit: "sigma")),
])
def test_a_message_names_the_argument(fit, argument, call):
    """The first word is the argument; what was given follows, and what to give."""
    with pytest.raises(LMMError, match=rf"^{argument} (is|returned) .*; (it|one row) (is|returns) "):
        call(fit)
