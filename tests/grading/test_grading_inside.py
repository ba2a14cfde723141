"""What runs in a submission's process, run in this one: how `LMMprof` is called, what is described and noticed."""

import json
import queue
import sys
import time
import types
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lmm import load_data
from lmm.grading.answers import Unusable, read_value
from lmm.grading.inside import running
from lmm.grading.inside.calling import likelihood_of
from lmm.grading.inside.counting import ENOUGH_CALLS, Counts, MemoryWatch
from lmm.grading.inside.describing import describe
from lmm.grading.inside.watching import Watch


def kind_or_text(value):
    """The name of a row: the same in every process, as an object's address is not."""
    return value if isinstance(value, str) else type(value).__name__


def sent(value):
    """A description as it arrives at the judge's."""
    return json.loads(json.dumps(describe(value)))


# -- calls ---------------------------------------------------------------------------------------

def module(setup, profile):
    """A submission whose LMMsetup returns `setup`."""
    return types.SimpleNamespace(LMMsetup=lambda form, dat, ref: setup, LMMprof=profile)


@pytest.mark.parametrize("setup, profile, words", [
    ((1, 2), lambda theta, setup: (theta, *setup), "LMMprof(theta, setup)"),
    ((1, 2), lambda setup, theta: (theta, *setup), "LMMprof(setup, theta=theta)"),
    ((1, 2), lambda theta, a, b: (theta, a, b), "LMMprof(theta, *setup)"),
    ([1, 2], lambda a, b, theta: (theta, a, b), "LMMprof(*setup, theta=theta)"),
    ({"a": 1, "b": 2}, lambda theta, a, b: (theta, a, b), "LMMprof(theta, **setup)"),
    ((1, 2), lambda *given: (given[0], *given[1:]), "LMMprof(theta, *setup)"),
    ({"a": 1}, lambda theta, setup: (theta, setup["a"], 2), "LMMprof(theta, setup)"),
])
def test_ways_to_call_it(setup, profile, words):
    way, function = likelihood_of(module(setup, profile), "", None, [])
    assert way == words and function(0.5) == (0.5, 1, 2)


def test_a_function_without_a_signature_gets_the_sheets_arguments():
    way, function = likelihood_of(module([2.0, 3.0], max), "", None, [])
    assert way == "LMMprof(theta, *setup)" and function(1.0) == 3.0


def test_no_way_to_call_it():
    with pytest.raises(TypeError) as error:
        likelihood_of(module({"a": 1}, lambda theta, b, c: 0.0), "", None, [])
    assert str(error.value) == (
        "LMMprof takes (theta, b, c): neither LMMprof(theta, setup) nor what LMMsetup returned, "
        "of type dict, spread over its arguments"
    )


# -- descriptions --------------------------------------------------------------------------------

class Attributes:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Value(float):
    """A number that carries beta."""


class Hostile:
    @property
    def beta(self):
        raise SystemExit


VALUE = Value(2.5)
VALUE.beta = np.array([1.0, 2.0])
Fit = namedtuple("Fit", "beta nll")


@pytest.mark.parametrize("returned, beta", [
    (2.5, None),
    (np.float64(2.5), None),
    (np.array([[2.5]]), None),
    (VALUE, [1, 2]),
    ((2.5, [1, 2]), [1, 2]),
    ([2.5], None),
    ({"nll": 2.5, "beta": [1, 2]}, [1, 2]),
    ({"NLL": 2.5, "beta": "none"}, None),
    ({"Fun": 2.5, "sigma": 1.0}, None),
    ({"deviance": 2.5, "sigma": 1.0}, None),
    (Attributes(beta=np.array([1, 2]), fun=2.5), [1, 2]),
    (Fit([1, 2], 2.5), [1, 2]),
], ids=kind_or_text)
def test_forms_of_a_value(returned, beta):
    value, its_beta = read_value(sent(returned))
    assert value == 2.5
    assert beta == (None if its_beta is None else its_beta.tolist())


@pytest.mark.parametrize("returned, kind", [
    (None, "NoneType"),
    ("2.5", "str"),
    (np.ones(3), "ndarray"),
    ({"sigma": "small"}, "dict"),
    ([], "list"),
    (["a", 2.5], "list"),
    (Hostile(), "Hostile"),
], ids=kind_or_text)
def test_what_is_no_value(returned, kind):
    with pytest.raises(Unusable) as error:
        read_value(sent(returned))
    assert str(error.value) == f"LMMprof returned a {kind} in which no single number was found"


@pytest.mark.parametrize("value, described", [
    (sparse.csc_matrix([[1.0, 2.0]]), {"kind": "array", "shape": [1, 2], "values": [1, 2], "items": {}}),
    (pd.Series([1, 2]), {"kind": "array", "shape": [2], "values": [1, 2], "items": {}}),
    (np.array([1 + 0j, 2]), {"kind": "array", "shape": [2], "values": [1, 2], "items": {}}),
    (np.zeros((50, 50)), {"kind": "array", "shape": [50, 50], "items": {}}),
    (1j, {"kind": "text", "text": "1j"}),
    (b"x" * 100, {"kind": "text", "text": "b'" + 58 * "x"}),
    (len, {"kind": "callable"}),
    (Hostile(), {"kind": "opaque", "text": "SystemExit"}),
    (Attributes(_own=1, x=None), {"kind": "object", "items": {"x": {"type": "NoneType", "kind": "none"}}}),
])
def test_descriptions(value, described):
    assert sent(value) == {"type": type(value).__name__, **described}


def test_a_list_of_unequal_lists_is_a_sequence():
    described = sent([[1], [2, 3]])
    assert described["kind"] == "sequence" and described["length"] == 2
    assert [one["values"] for one in described["items"]] == [[1], [2, 3]]
    objects = sent(np.array(["a", 1.0], dtype=object))
    assert [one["kind"] for one in objects["items"]] == ["text", "number"]


def test_a_list_in_itself_has_an_end():
    """As a mapping in itself has."""
    endless = ["a"]
    endless.append(endless)
    named = {}
    named["named"] = named
    assert len(json.dumps(sent(endless))) < 1000 and len(json.dumps(sent(named))) < 1000


# -- a submission --------------------------------------------------------------------------------

@pytest.fixture
def loaded(tmp_path):
    """Loads a text as a submission; afterwards nothing of it is left among the modules."""
    def load(text, file="anne.py", name="lmm"):
        path = tmp_path / file
        path.write_text(text)
        return running.load(path, name)

    before = sys.modules.get("lmm")
    yield load
    sys.modules.pop(running.MODULE_NAME, None)
    sys.modules["lmm"] = before


def test_a_submission_is_loaded_under_a_private_name(loaded):
    found, error = loaded("def mixed(form, dat, ref=()):\n    return 3\n", name="mixed")
    assert error is None and found.__name__ == "_submission" and found.lmm("", None) == 3


def test_a_submission_called_lmm_is_what_its_helpers_import(loaded):
    found, error = loaded("import lmm\nmine = lmm\n", "lmm.py")
    assert error is None and found.mine is found


@pytest.mark.parametrize("text, described", [
    ("x = 1\ny = = 2\n", {"type": "SyntaxError", "message": "invalid syntax", "file": "anne.py", "line": 2, "source": "y = = 2"}),
    ("def f():\n    return 1 / 0\nf()\n", {"type": "ZeroDivisionError", "message": "division by zero", "file": "anne.py", "line": 2, "function": "f"}),
    ("import nowhere_at_all", {"type": "ModuleNotFoundError", "message": "No module named 'nowhere_at_all'", "module": "nowhere_at_all"}),
    ("class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E", {"type": "E", "message": "", "line": 4}),
])
def test_an_exception_is_explained(loaded, text, described):
    _, error = loaded(text)
    assert {key: error[key] for key in described} == described


def change(statement):
    """What is said of a dat and a ref that a statement has changed."""
    dat, ref = load_data("Rail"), [["Rail"]]
    before, ref_before = dat.copy(deep=True), json.dumps(ref)
    scope = {"dat": dat, "ref": ref}
    exec(statement, scope)
    return running.difference(before, ref_before, scope["dat"], ref)


@pytest.mark.parametrize("statement, words", [
    ("pass", None),
    ("dat['one'] = 1", "dat has other columns (one added)"),
    ("del dat['travel']", "dat has other columns"),
    ("dat.index = dat.index[::-1]", "the rows of dat"),
    ("dat.loc[18] = dat.loc[0]", "dat, of 18 rows, has 19"),
    ("dat.loc[0, 'travel'] = 0.0", "the column 'travel' of dat"),
    ("dat['Rail'] = dat['Rail'].astype(str)", "the column 'Rail' of dat"),
    ("ref[0].append('x')", "ref"),
    ("dat = None", "dat cannot be compared any more: AttributeError"),
])
def test_a_change_of_the_arguments_is_seen(statement, words):
    assert change(statement) == words


DESCRIBING = 0.05       # seconds


class Slow:
    @property
    def beta(self):
        end = time.perf_counter() + DESCRIBING
        while time.perf_counter() < end:
            pass


@pytest.mark.parametrize("function, besides", [(Slow, DESCRIBING), (lambda: 1 / 0, 0.0)], ids=["returns", "raises"])
def test_seconds_are_those_of_the_call(function, besides):
    """Not negative, and without those of describing what was returned."""
    start = time.perf_counter()
    answer = running.attempt(function, Path("anne.py"))
    whole = time.perf_counter() - start
    assert 0 <= answer["seconds"] <= whole - besides


# -- counts and events ---------------------------------------------------------------------------

def test_calls_with_all_rows_are_counted_until_they_are_enough():
    counts, ended = Counts(), []
    qr = counts._counting(np.linalg.qr, "qr")
    counts.begin(5, lambda: ended.append(True))
    for rows in (4, 5, 6):
        qr(np.ones((rows, 2)))
    qr(a=np.ones((7, 2)))
    assert counts.calls == {"qr": 3} and not ended
    for _ in range(ENOUGH_CALLS - 3):
        qr(np.ones((5, 2)))
    assert counts.calls == {"qr": ENOUGH_CALLS} and len(ended) == 1


def test_a_peak_of_memory_is_told_while_it_lasts():
    told = queue.Queue()
    with MemoryWatch(10**6, told.put) as memory:
        held = np.ones(10**6)
        peak = told.get(timeout=60)
    assert peak >= held.nbytes and memory.peak >= held.nbytes


def test_this_package_is_refused_and_what_fits_models_is_noted(tmp_path):
    """Unless the student's own file is called so."""
    watch = Watch(tmp_path / "anne.py", [], [])
    with pytest.raises(ImportError, match="lmm is the package that judges"):
        watch.find_spec("lmm.fit")
    assert watch.find_spec("statsmodels") is None and watch.find_spec("numpy") is None
    assert watch.taken() == [["package", "lmm.fit"], ["import", "statsmodels"]] and watch.taken() == []
    assert Watch(tmp_path / "lmm.py", [], []).find_spec("lmm") is None


@pytest.mark.parametrize("event, arguments, words, noted", [
    ("os.kill", (0, 9), "may not end the judge", [["kill", "os.kill"]]),
    ("os.killpg", (-1, 9), "may not end the judge", [["kill", "os.killpg"]]),
    ("os.rename", ("CLOSED", "mine"), "lmm is the package that judges", [["package", "exact.csv"]]),
    ("open", ("CLOSED", "r", 0), "lmm is the package that judges", [["package", "exact.csv"]]),
    ("os.link", ("JUDGES", "mine"), "may not open the judge's files", [["judge", "cases.json"]]),
    ("open", ("JUDGES", "r", 0), "may not open the judge's files", [["judge", "cases.json"]]),
    ("socket.connect", (None, None), "may not use the network", []),
])
def test_what_is_refused(tmp_path, event, arguments, words, noted):
    """No note on the network where it is not the submission that asks."""
    cases = str(tmp_path / "cases.json")
    watch = Watch(tmp_path / "anne.py", [], [str(tmp_path / "data")], [cases, str(tmp_path)])
    places = {"CLOSED": str(tmp_path / "data" / "exact.csv"), "JUDGES": cases}
    arguments = [places.get(argument, argument) for argument in arguments]
    with pytest.raises(PermissionError, match=words):
        watch._hear(event, arguments)
    assert watch.taken() == noted and not watch.busy


def test_what_the_submission_starts_reads_and_writes_is_noted(tmp_path):
    """By the place of the code that asks."""
    path = tmp_path / "anne.py"
    watch = Watch(path, [], [])
    watch.python = watch.scratch = ()
    scope = {"watch": watch}
    exec(compile("def ask(*event):\n    watch._hear(*event)\n", str(path), "exec"), scope)
    ask = scope["ask"]
    there = str(tmp_path.parent / "data.csv")
    ask("open", (there, "r", 0))
    ask("open", (there + "2", None, 1))
    ask("open", (str(path), "r", 0))
    ask("open", (3, "r", 0))
    ask("os.fork", ())
    ask("import", ("numpy",))
    with pytest.raises(PermissionError, match="may not start other programs"):
        ask("os.system", ("ls",))
    assert watch.taken() == [
        ["read", there], ["write", there + "2"], ["process", "os.fork"], ["process", "os.system"]]
    watch._hear("open", (there, "r", 0))
    watch._hear("os.system", ("ls",))
    assert watch.taken() == []
