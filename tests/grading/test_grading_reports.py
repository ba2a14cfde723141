"""What a grader sees and gives: reports, the command, further cases, functions from a notebook."""

import csv
import io
import json
import linecache
import os
import signal
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import without_note

import lmm as package
from lmm import LMMError, LMMWarning, grade, load_data
from lmm.__main__ import main
from lmm.grading import (
    Case,
    ClassReport,
    Grading,
    Report,
    Result,
    built_in_cases,
    grade_all,
    read_cases,
)
from lmm.grading.answers import Unusable, raised, read_answer
from lmm.grading.inside.describing import describe

RIGHT = Path(__file__).parent / "submissions" / "correct" / "practical.py"
NOTHING = "def lmm(form, dat, ref=()):\n    return None\n"
MACHINES = [case for case in built_in_cases() if case.name == "Machines"]
LEAST_SQUARES = [case for case in built_in_cases() if case.name == "no random effects"]
RESULTS = (
    Result("Machines", "the sheet's example", True, 1.0, 1.0, notes=("a tuple",), output="one\n\ntwo\n"),
    Result("Dyestuff2", "sd 0", False, 0.0, 2.0, ("sd[Batch] = 3, expected 0: REML <b>",), mistakes=("REML",), seconds=0.5),
    Result("secret", "for the grader", False, 0.0, 1.0, ("secret cause",), output="secret output", hidden=True),
)
REPORT = Report("anne.py", RESULTS, notes=("LMMprof is right",))


def kind_or_text(value):
    """The name of a row: the same in every process, as an object's address is not."""
    return value if isinstance(value, str) else type(value).__name__


def test_the_report_in_text():
    assert str(REPORT) == """\
anne.py: 1 of 4 points, 1 of 3 cases passed

 Case           Points
 Machines        1 / 1
 Dyestuff2       0 / 2  NOT passed
 hidden case 3   0 / 1  NOT passed

Dyestuff2: sd 0
  - sd[Batch] = 3, expected 0: REML <b>

Note: LMMprof is right
Note: Machines: a tuple

Printed by the submission (Machines):
    one
    two"""
    assert repr(REPORT) == "Report(anne.py: 1 of 4 points)" and "secret" not in str(REPORT)


def test_the_report_in_html_has_the_same_cells_escaped():
    page = REPORT._repr_html_()
    assert "<td>hidden case 3</td><td>0 / 1</td><td>NOT passed</td>" in page and "REML &lt;b&gt;" in page
    assert "secret" not in page


def test_the_report_for_programs_holds_everything():
    found = json.loads(REPORT.to_json())
    assert found["points"] == 1 and found["total"] == 4 and found["passed"] is False
    assert [case["name"] for case in found["cases"]] == ["Machines", "Dyestuff2", "secret"]
    assert found["cases"][1]["causes"] == ["sd[Batch] = 3, expected 0: REML <b>"] and found["cases"][1]["seconds"] == 0.5


def test_gradescope():
    """The keys that its documentation of results.json lists; hidden cases are hidden there."""
    found = json.loads(json.dumps(REPORT.gradescope()))
    assert set(found) == {"score", "output", "output_format", "tests"} and found["score"] == 1
    assert [test["visibility"] for test in found["tests"]] == ["visible", "visible", "hidden"]
    assert [test["status"] for test in found["tests"]] == ["passed", "failed", "failed"]
    assert sum(test["max_score"] for test in found["tests"]) == 4 and "REML <b>" in found["tests"][1]["output"]


def test_equal_causes_are_told_once():
    results = tuple(Result(name, name, False, 0.0, 1.0, ("lmm returned None",)) for name in "ab")
    twice = Report("ben.py", results)
    assert str(twice).count("lmm returned None") == 1 and "\na, b\n  - lmm returned None" in str(twice)
    assert twice.cause == "a: lmm returned None"


def test_of_a_hidden_case_is_said_that_it_is_not_passed():
    hidden = Report("eve.py", (RESULTS[0], RESULTS[2]))
    assert hidden.cause == "a hidden case is not passed" and hidden.passed is False


def test_much_output_is_cut_and_long_causes_go_on_in_the_next_line():
    printed = "\n".join(f"line {i}" for i in range(9))
    wordy = Report("eve.py", (Result("a", "", False, 0.0, 1.0, ("q" * 200,), output=printed),))
    assert str(wordy).endswith("    line 5\n    ... (9 lines)")
    both = ClassReport((wordy, REPORT))
    assert repr(both) == "ClassReport(2 submissions)"
    assert "q..." not in str(both) and str(both).count("q") == 200
    assert all(len(line) <= 110 for line in str(both).splitlines())
    assert f"<td>a: {200 * 'q'}</td>" in both._repr_html_()


def test_a_long_title_goes_on_in_the_next_line():
    """One of 240 characters used to make the table as wide for everybody."""
    title = "very_long_" * 23 + "a  b.py"
    both = str(ClassReport((Report(title, RESULTS), REPORT)))
    assert all(len(line) <= 100 for line in both.splitlines())
    pieces = [line[1:41] for line in both.splitlines()[3:]]
    assert "".join(pieces).startswith(title)
    assert sum("anne.py" in line for line in both.splitlines()) == 1


def test_no_text_is_a_formula_to_a_spreadsheet():
    """Numbers stay numbers, of which minus signs are a part."""
    for start in "=+-@":
        result = Result(f"{start}case", "", False, -1.0, 1.0, ("no",))
        text = ClassReport((Report(f"{start}1+1", (result,), student=f"{start}2"),)).to_csv()
        names, row = csv.reader(io.StringIO(text))
        assert names[4] == f"'{start}case"
        assert row == [f"'{start}1+1", "-1", "1", "False", "-1", f"'{start}case: no", f"'{start}2", ""]


def test_the_table_of_a_class():
    ben = Report("ben.py", (), "ben.py defines no function lmm")
    eve = Report("eve.py", (Result("Machines", "", True, 1.0, 1.0),))
    three = ClassReport((REPORT, ben, eve))
    assert str(three) == """\
3 submissions, 1 of them passed every case

 Submission  Points  First of all
 anne.py      1 / 4  Dyestuff2: sd[Batch] = 3, expected 0: REML <b>
 ben.py       0 / 0  ben.py defines no function lmm
 eve.py       1 / 1  passed"""
    rows = list(csv.DictReader(io.StringIO(three.to_csv())))
    assert rows[0] == {
        "submission": "anne.py",
        "points": "1",
        "total": "4",
        "passed": "False",
        "Machines": "1",
        "Dyestuff2": "0",
        "secret": "0",
        "cause": "Dyestuff2: sd[Batch] = 3, expected 0: REML <b>",
    }
    assert len(json.loads(three.to_json())) == 3 and three.passed is False


@pytest.fixture
def student(tmp_path):
    """A folder with a right submission and two that are not."""
    (tmp_path / "anne.py").write_text(RIGHT.read_text())
    (tmp_path / "ben").mkdir()
    (tmp_path / "ben" / "lmm.py").write_text(NOTHING)
    (tmp_path / "ben" / "tests.py").write_text("")
    (tmp_path / "eve").mkdir()
    (tmp_path / "notes.txt").write_text("no submission")
    return tmp_path


@pytest.fixture
def further(tmp_path_factory):
    """A file of cases, one hidden, with its data beside it."""
    folder = tmp_path_factory.mktemp("cases")
    load_data("Rail").to_csv(folder / "rail.csv", index=False)
    rail = {"form": "travel ~ 1", "data": "rail.csv", "ref": [["Rail"]], "factors": ["Rail"]}
    answer = {"sd": [4.02077936060494, 22.6243477499598]}
    entries = [
        {"name": "Rail", **rail, "why": "one block", "points": 3, **answer},
        {"name": "Rail again", **rail, "hidden": True},
    ]
    (folder / "cases.json").write_text(json.dumps(entries))
    return folder / "cases.json"


def test_the_command(student, further, capsys):
    asked = ["--cases", str(further), "--only-cases"]
    written = []
    for option, file in (("--json", "r.json"), ("--html", "r.html"), ("--gradescope", "results.json")):
        written += [option, str(student / file)]
    assert main(["grade", str(student / "anne.py"), *asked, *written]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("anne.py: 4 of 4 points, 2 of 2 cases passed") and " hidden case 2   1 / 1\n" in printed
    assert json.loads((student / "r.json").read_text())["points"] == 4
    assert json.loads((student / "results.json").read_text())["tests"][0]["max_score"] == 3
    assert "<h1>anne.py</h1>" in (student / "r.html").read_text()
    assert main(["grade", str(student / "ben"), *asked]) == 1
    assert "lmm returned None" in capsys.readouterr().out


def test_a_class(student, further, capsys):
    options = ["--cases", str(further), "--only-cases", "--jobs", "2", "--csv", str(student / "c.csv")]
    (student / ".hidden").mkdir()
    (student / "__pycache__").mkdir()
    assert main(["grade", "--all", str(student), *options]) == 1
    assert without_note(capsys.readouterr().out) == """\
4 submissions, 1 of them passed every case

 Submission  Points  First of all
 anne.py      4 / 4  passed
 ben          0 / 4  Rail: lmm returned None: is a return statement missing?
 eve          0 / 4  the folder 'eve' holds no Python file
 notes.txt    0 / 4  notes.txt is no Python file, but a text
"""
    assert (student / "c.csv").read_text().splitlines()[1] == "anne.py,4,4,True,3,1,"


def test_a_class_given_as_one_submission(student, capsys):
    """The sentence names --all, where there is more than one submission to be graded."""
    (student / "carl.py").write_text(RIGHT.read_text())
    assert main(["grade", str(student)]) == 2
    assert capsys.readouterr().err == (f"lmm: the folder {student.name!r} holds 2 Python files, none of them lmm.py; give one; "
                                       f"or, for all of a class, give --all {student}\n")
    (student / "carl.py").unlink()
    (student / "anne.py").rename(student / "eve" / "lmm.py")
    assert main(["grade", str(student)]) == 2
    assert f"Python files, 'ben', 'eve'; give one; or, for all of a class, give --all {student}" in capsys.readouterr().err
    assert main(["grade", "--all", str(student / "ben" / "lmm.py")]) == 2
    assert "is a file, not a folder of submissions; leave out --all" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals to a thread")
def test_ctrl_c_ends_the_grading_of_a_class(student, monkeypatch, capsys):
    """What waits is not begun, and what is being judged ends with its case."""
    begun, stopped = [], threading.Event()

    def report(grading, path, helpers):
        begun.append(path)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        assert stopped.wait(60)

    monkeypatch.setattr(Grading, "report", report)
    monkeypatch.setattr(Grading, "stop", lambda grading: stopped.set())
    for name in "abcdef":
        (student / f"{name}.py").write_text("")
    assert main(["grade", "--all", str(student), "--case", "Machines", "--jobs", "1"]) == 130
    assert capsys.readouterr().err == "lmm: interrupted\n" and len(begun) == 1
    monkeypatch.undo()
    grading = Grading(MACHINES)
    grading.stop()
    assert grading.report(student / "anne.py").results == ()


def test_the_progress_of_a_class(student):
    line = io.StringIO()
    report = grade_all(student / "ben", Grading(MACHINES), progress=line)
    assert [one.title for one in report.reports] == ["lmm.py", "tests.py"]
    assert "\r\x1b[K2 of 2 graded: " in line.getvalue() and line.getvalue().endswith("\r\x1b[K")


def test_a_class_is_graded_to_its_end_whatever_happens_to_the_judge(student, monkeypatch):
    def fail(grading, given, helpers=True):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(Grading, "report", fail)
    report = grade_all(student / "ben", Grading(MACHINES))
    problem = "the judge itself failed, at its answers: ZeroDivisionError: division by zero"
    assert [one.problem for one in report.reports] == [problem, problem]
    assert report.reports[0].results[0].causes == (f"not run: {problem}",)


@pytest.mark.parametrize("arguments, words", [
    (["grade"], "grade takes either a submission or --all DIR"),
    (["grade", "a.py", "--all", "b"], "grade takes either a submission or --all DIR"),
    (["grade", "no-such.py"], "there is no file 'no-such.py' to grade"),
    (["grade", "--all", "no-such"], "there is no folder 'no-such'"),
    (["grade", "a.py", "--cases", "no-such.json"], "the file of cases 'no-such.json' cannot be read: No such file"),
    (["grade", "a.py", "--cases", "EMPTY"], "cannot be read: Is a directory\n"),
    (["grade", "a.py", "--only-cases"], "--only-cases needs --cases FILE"),
    (["grade", "a.py", "--case", "Machine"], "--case 'Machine' is none of the built-in cases: 'Machines', 'MachinesUnbalanced'"),
    (["grade", "a.py", "--case", "Machines", "--only-cases"], "--case chooses among the built-in cases"),
    (["grade", "a.py", "--jobs", "0"], "--jobs is 0; it takes a number from 1 to 1024"),
    (["grade", "a.py", "--jobs", "99999"], "--jobs is 99999; it takes a number from 1 to 1024"),
    (["grade", "a.py", "--csv", "x"], "--csv is for --all"),
    (["grade", "--all", "b", "--gradescope", "x"], "--gradescope is for one submission"),
    (["grade", "a.py", "--time-limit", "nan"], "--time-limit is nan; it takes seconds, more than 0"),
    (["grade", "a.py", "--time-limit", "inf"], "--time-limit is inf; it takes seconds, more than 0"),
    (["grade", "a.py", "--memory-limit", "255"], "--memory-limit is 255; it takes MiB, at least 256"),
    (["grade", "a.py", "--memory-limit", "inf"], "--memory-limit is inf; it takes MiB, at least 256"),
    (["grade", "a.py", "--memory-limit", "1e30"], "--memory-limit is 1e+30; it takes MiB, at least"),
    (["grade", ""], "the submission's name is empty; give a file, or a folder with one"),
    (["grade", "--all", ""], "--all is empty; give a folder"),
    (["grade", "--all", "b", "--reports", ""], "--reports is empty; give a folder"),
    (["grade", "a.py", "--json", ""], "--json is empty; give a file"),
    (["grade", "a.py", "--cases", ""], "--cases is empty; give a file"),
    (["grade", "--all", "EMPTY"], "holds no Python files, nor folders with one"),
    (["grade", "--all", "EMPTY", "--json", "IN IT"], "would overwrite what is to be read"),
    (["grade", "EMPTY"], "holds no Python file"),
    (["grade", "TWO"], "the folder 'two' holds 2 Python files, none of them lmm.py; give one"),
    (["grade", "a.py", "--cases", "BAD"], "bad.json is no JSON: Expecting value"),
])
def test_mistakes_of_the_grader_exit_with_2_and_one_sentence(arguments, words, capsys, tmp_path):
    empty, two, bad = tmp_path / "empty", tmp_path / "two", tmp_path / "bad.json"
    empty.mkdir()
    two.mkdir()
    for path in (two / "anne.py", two / "ben.py", bad):
        path.write_text("")
    given = {"EMPTY": str(empty), "IN IT": str(empty / "anne.py"), "TWO": str(two), "BAD": str(bad)}
    assert main([given.get(argument, argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("lmm: ") and words in printed.err
    assert "Errno" not in printed.err and printed.err.count("\n") == 1


@pytest.mark.parametrize("limits", [{"time_limit": float("inf")}, {"memory_limit": 1e30}])
def test_limits_that_nothing_can_be_held_to(limits):
    """An OverflowError used to come out, or the student was told that it was out of memory."""
    name, = limits
    with pytest.raises(LMMError, match=f"^{name} is .*; it takes"):
        grade(RIGHT, MACHINES, **limits)


def test_what_cannot_be_written_names_the_option(tmp_path, capsys, monkeypatch):
    """A bare errno used to be all, after a class was graded; here the folder is a file by then."""
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "anne.py").write_text(NOTHING)
    reports, full = tmp_path / "reports", tmp_path / "full"

    def spoil(grading, given, helpers):
        reports.rmdir()
        reports.write_text("")
        full.mkdir()
        return REPORT

    monkeypatch.setattr(Grading, "report", spoil)
    options = ["--reports", str(reports), "--html", str(full)]
    assert main(["grade", "--all", str(tmp_path / "class"), *options]) == 2
    printed = capsys.readouterr()
    said = f"--html {full} cannot be written: Is a directory; --reports {reports} cannot be written: "
    assert printed.err.startswith(f"lmm: {said}") and "Errno" not in printed.err
    assert printed.out.startswith("1 submission, 0 passed every case")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_folder_of_reports_is_made_before_anything_is_graded(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Grading, "report", None)
    assert main(["grade", "--all", str(tmp_path), "--reports", "/proc/x"]) == 2
    assert capsys.readouterr().err.startswith("lmm: --reports /proc/x cannot be written: ")


@pytest.mark.parametrize("change, words", [
    (lambda entries: {}, "holds no list of cases"),
    (lambda entries: [1], "case 0 of cases.json is no object"),
    (lambda entries: [{**entries[0], "form": 1}], "case 0 of cases.json: 'form' is 1; it takes a text"),
    (lambda entries: [{**entries[0], "points": -2}], "'points' is -2; it takes a positive number"),
    (lambda entries: [{**entries[0], "hidden": "yes"}], "'hidden' is 'yes'; it takes true or false"),
    (lambda entries: [{**entries[0], "sd": [1.0, 2.0]}], "at the answer given the criterion is"),
    (lambda entries: [{"name": "a"}], "case 0 of cases.json has no 'form'"),
    (lambda entries: [{**entries[0], "point": 1}], "has 'point', which is none of"),
    (lambda entries: [{**entries[0], "data": "x.csv"}], "its data cannot be read"),
    (lambda entries: [{**entries[0], "factors": ["rail"]}], "'factors' names 'rail', which is not a column of rail.csv"),
    (lambda entries: [{**entries[0], "ref": [["rail"]]}], "case 0 of cases.json, 'Rail': ref[0] uses 'rail'"),
    (lambda entries: [{**entries[0], "sd": [1.0]}], "sd has 2 numbers, sigma first, and beta 1"),
    (lambda entries: [entries[0], entries[0]], "has two cases of one name"),
])
def test_mistakes_in_a_file_of_cases(change, words, further):
    further.write_text(json.dumps(change(json.loads(further.read_text()))))
    with pytest.raises(LMMError) as error:
        read_cases(further)
    assert words in str(error.value)


def test_a_warning_about_a_case_names_it_and_what_to_write_there(further, capsys):
    """This used to advise dat.astype, or --factor, and to come three times."""
    entries = json.loads(further.read_text())
    further.write_text(json.dumps([entries[0], {**entries[1], "factors": []}]))
    with pytest.warns(LMMWarning) as said:
        cases = read_cases(further)
        assert cases[1].fit.nobs == 18
    assert [str(one.message) for one in said] == [
        "case 1 of cases.json, 'Rail again': 'Rail' holds integers and no factor, so it is one slope, not 6 groups; "
        'if it labels groups make it a category: "factors": ["Rail"]']
    assert said[0].filename == __file__
    assert main(["grade", str(RIGHT), "--cases", str(further), "--only-cases"]) == 0
    assert capsys.readouterr().err.count("warning") == 1


def test_a_file_of_cases(further):
    rail, again = read_cases(further)
    assert (rail.points, rail.hidden, again.hidden, again.points) == (3, False, True, 1.0)
    np.testing.assert_allclose(rail.theta, again.theta, rtol=1e-9)


# -- what can be graded --------------------------------------------------------------------------------------

NOTEBOOK = '''
import numpy as np
from numpy import log as logarithm, exp
from scipy.optimize import minimize
import patsy
HALF = 0.5
def pieces(form, dat):
    y, X = patsy.dmatrices(form, dat)
    return np.ravel(y), np.asarray(X)
def lmm(form, dat, ref=()):
    y, X = pieces(form, dat)
    beta = np.linalg.lstsq(X, y, rcond=None)[0]
    return {"beta": beta, "theta": [HALF * logarithm(np.mean((y - X @ beta) ** 2))]}
def unrelated():
    return no_such_name
'''


def notebook(cell=None):
    """The functions of a notebook's cell: no file, but a source that Python can show."""
    cell = NOTEBOOK if cell is None else cell
    name, scope = f"<cell {hash(cell)}>", {"__name__": "__main__"}
    linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
    exec(compile(cell, name, "exec"), scope)
    return scope


CARRIED = """
from collections import namedtuple
from functools import lru_cache
import numpy as np
from patsy import dmatrices
from scipy.special import xlogy

C, BIG, TOL, fig = np.array([0.5]), np.inf, np.float64(0.5), object()
Fit = namedtuple("Fit", "beta theta")

@lru_cache
def half():
    return float(C[0])

def lmm(form, dat, ref=(), tol=TOL):
    fig = min(BIG, xlogy(1, 1))
    y, X = dmatrices(form, dat)
    beta, rss, *_ = np.linalg.lstsq(X, y, rcond=None)
    return Fit(beta[:, 0], [half() * float(np.log(rss[0] / len(y))) + fig])
"""


def test_what_a_function_of_a_notebook_uses_is_carried():
    """Arrays, inf, defaults, decorated functions, ufuncs of scipy, named tuples; a local name is none of the notebook's."""
    report = grade(notebook(CARRIED)["lmm"], LEAST_SQUARES)
    assert report.passed, str(report)


@pytest.mark.parametrize("made, used", [
    ("rng = np.random.default_rng(1)", "rng.normal()"),
    ("rng = np.frompyfunc(float, 1, 1)", "rng(1)"),
    ("rng = np.array([None])", "rng[0]"),
])
def test_what_cannot_be_carried_is_the_judges_error_and_not_the_students(made, used):
    cell = CARRIED.replace("fig = min(BIG, xlogy(1, 1))", f"fig = 0 * {used}")
    cell = cell.replace("object()\n", f"object()\n{made}\n")
    with pytest.raises(LMMError, match="'rng' cannot be taken out of the notebook"):
        grade(notebook(cell)["lmm"], MACHINES)


def test_a_function_whose_source_is_lost_cannot_be_carried():
    name = "<a cell whose source is lost>"
    scope = notebook(NOTEBOOK.replace("HALF *", "half() *"))
    exec(compile("def half():\n    return 0.5\n", name, "exec"), scope)
    with pytest.raises(LMMError, match="'half' cannot be taken out of the notebook, for it has no source"):
        grade(scope["lmm"], LEAST_SQUARES)


def test_chosen_cases_and_a_loose_notebook(tmp_path, capsys):
    """A notebook among the files of a class used to be skipped without a word."""
    (tmp_path / "anne.py").write_text(RIGHT.read_text())
    (tmp_path / "ben.ipynb").write_text("{}")
    assert main(["grade", "--all", str(tmp_path), "--case", "no random effects", "--csv", str(tmp_path / "p.csv")]) == 1
    printed = capsys.readouterr().out
    assert "anne.py      1 / 1  passed" in printed and "ben.ipynb is no notebook" in printed
    assert "ben.ipynb" in (tmp_path / "p.csv").read_text()


def test_the_html_file_is_a_page(tmp_path, capsys):
    (tmp_path / "a&b.py").write_text(NOTHING)
    assert main(["grade", str(tmp_path / "a&b.py"), "--html", str(tmp_path / "a.html")]) == 1
    text = (tmp_path / "a.html").read_text()
    assert text.startswith("<!doctype html>") and "<title>a&amp;b.py</title>" in text and text.rstrip().endswith("</html>")


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"lmm {package.__version__}\n"


def test_a_function_of_a_notebook_is_judged_with_what_it_uses():
    report = grade(notebook()["lmm"], LEAST_SQUARES)
    assert report.passed and report.title == "lmm", str(report)


def test_a_module_or_a_function_of_a_file(tmp_path):
    text = RIGHT.read_text().replace("def lmm(", "def mixed(")
    path = tmp_path / "mine.py"
    path.write_text(text)
    module = types.ModuleType("mine")
    module.__file__ = str(path)
    exec(compile(text, str(path), "exec"), module.__dict__)
    assert grade(module.mixed, MACHINES).passed
    assert grade(module, MACHINES).problem == "mine defines no function lmm"


def test_the_one_file_of_a_folder_is_graded_whatever_its_name(tmp_path):
    (tmp_path / "mixed.py").write_text(RIGHT.read_text())
    report = grade(tmp_path, LEAST_SQUARES)
    assert report.passed and report.title == tmp_path.name


@pytest.mark.parametrize("given, words", [
    (package, "that is this package's own work"),
    (package.lmm, "that is this package's own work"),
    (3, "what is to be graded is of type int; it is a path, a module, or a function"),
    (types.ModuleType("made"), "module 'made' has no file"),
    (print, "what is to be graded is a builtin_function_or_method, not a plain function"),
])
def test_what_cannot_be_graded(given, words):
    with pytest.raises(LMMError) as error:
        grade(given, MACHINES)
    assert words in str(error.value)


# -- forms of an answer --------------------------------------------------------------------------------------

class Fit:
    def __init__(self, beta, theta):
        self.beta, self.theta = beta, theta


BETA, THETA = np.array([1.0, 2.0]), np.array([0.1, 0.2, -np.inf])


@pytest.mark.parametrize("returned", [
    {"beta": BETA, "theta": THETA},
    {"Beta": list(BETA), "Theta": tuple(THETA)},
    (BETA, THETA),
    [BETA, THETA],
    Fit(BETA, THETA),
    (THETA, BETA),
    {"beta": BETA[:, None], "theta": THETA[None, :]},
    {"coef": BETA, "x": THETA},
    (BETA, THETA, 3.5, "converged"),
    {"beta": pd.Series(BETA, ["Intercept", "x"]), "theta": THETA},
    {"beta": {"Intercept": 1.0, "x": 2.0}, "theta": THETA},
    (list(BETA), list(THETA)),
    {"beta": BETA.astype(object), "theta": np.matrix(THETA)},
    {"beta": [BETA[:1], 2.0], "theta": THETA},
], ids=lambda returned: type(returned).__name__)
def test_forms_of_an_answer(returned):
    answer = read_answer(json.loads(json.dumps(describe(returned))), 2, 2)
    assert answer.beta.tolist() == BETA.tolist() and answer.theta.tolist() == THETA.tolist()


def test_two_lists_of_one_length_are_an_array_to_numpy():
    """As a tuple of two: beta, then theta."""
    answer = read_answer(json.loads(json.dumps(describe([[1.0, 2.0], [3.0, 4.0]]))), 2, 1)
    assert answer.beta.tolist() == [1.0, 2.0] and answer.theta.tolist() == [3.0, 4.0]
    assert not answer.named


def test_notes_say_how_an_answer_was_given():
    def notes(returned):
        return read_answer(json.loads(json.dumps(describe(returned))), 2, 2).notes

    assert notes({"coef": BETA, "x": THETA}) == ("beta is called 'coef'", "theta is called 'x'")
    assert notes((BETA, THETA, 3.5)) == ("a tuple of 3, its first two taken as beta and theta",)
    assert notes((THETA, BETA)) == ("a tuple (theta, beta); the sheet lists beta first",)


@pytest.mark.parametrize("returned, words", [
    (None, "lmm returned None: is a return statement missing?"),
    ("52.3", "lmm returned a text, '52.3', where beta and theta were asked"),
    (3.0, "lmm returned a float, where beta and theta were asked"),
    (np.float64(3.0), "lmm returned one number, where beta and theta were asked"),
    (np.zeros(6), "lmm returned one array of 6 numbers, where beta and theta were asked"),
    (print, "lmm returned a function, where beta and theta were asked"),
    ({}, "lmm returned a dict without 'beta'; its keys are none"),
    (set(), "lmm returned a set without 'beta'; its attributes are none"),
    ({"beta": BETA}, "lmm returned a dict without 'theta'; its keys are 'beta'"),
    (Fit(BETA, print), "lmm returned a Fit without 'theta'; its attributes are 'beta'"),
    ((BETA,), "lmm returned a tuple, where beta and theta were asked"),
    ([1.0], "lmm returned one number, where beta and theta were asked"),
    ({"beta": None, "theta": THETA}, "beta is None"),
    ({"beta": "1, 2", "theta": THETA}, "beta is a text, '1, 2', where numbers were asked"),
    ({"beta": ["1", "2"], "theta": THETA}, "beta is a text, '1', where numbers were asked"),
    ({"beta": {"Intercept": "1"}, "theta": THETA}, "beta is a dict, where numbers were asked"),
    ({"beta": BETA * 1j, "theta": THETA}, "beta is a text, 'an array of complex128', where numbers were asked"),
    ({"beta": BETA, "theta": THETA[:2]}, "theta has 2 elements, where 3 were asked: log sigma and 2 log standard deviations, "
     "one for each block in the order of ref"),
    ({"beta": BETA[:1], "theta": THETA}, "beta has 1 element, where X has 2 columns"),
    ({"beta": [], "theta": THETA}, "beta has 0 elements, where X has 2 columns"),
    ({"beta": BETA, "theta": np.diag(THETA[:2])}, "theta has shape (2, 2), where a vector was asked"),
    ({"beta": BETA, "theta": np.zeros(10**6)}, "theta has shape (1000000,), where a vector was asked"),
    ({"beta": THETA, "theta": BETA}, "beta and theta are exchanged: beta has the length of theta, theta that of beta"),
    ({"beta": BETA, "theta": -THETA}, "theta[2] is inf"),
    ({"beta": BETA, "theta": [-np.inf, 0, 0]}, "theta[0] is -inf"),
    ({"beta": BETA * np.nan, "theta": THETA}, "beta[0] is nan"),
    ({"beta": [1.0, -np.inf], "theta": THETA}, "beta[1] is -inf"),
], ids=kind_or_text)
def test_what_is_no_answer(returned, words):
    with pytest.raises(Unusable) as error:
        read_answer(json.loads(json.dumps(describe(returned))), 2, 2)
    assert str(error.value) == words


@pytest.mark.parametrize("blocks, words", [
    (0, "theta has 3 elements, where 1 was asked: log sigma"),
    (1, "theta has 3 elements, where 2 were asked: log sigma and the block's log standard deviation"),
])
def test_what_theta_should_have_held(blocks, words):
    with pytest.raises(Unusable) as error:
        read_answer(json.loads(json.dumps(describe({"beta": BETA, "theta": THETA}))), 2, blocks)
    assert str(error.value) == words


@pytest.mark.parametrize("error, words", [
    ({"type": "KeyError", "message": "'x'", "line": 3, "file": "a.py", "function": "f"}, "lmm raises KeyError at line 3 of a.py, in f: 'x'"),
    ({"type": "KeyError", "message": "", "line": 3, "file": "a.py", "function": "<module>"}, "lmm raises KeyError at line 3 of a.py"),
    ({"type": "OSError", "message": "no\n  file"}, "lmm raises OSError: no file"),
    ({"type": "RecursionError", "message": "too deep"}, "lmm calls itself without end"),
    ({"type": "MemoryError", "message": ""}, "lmm needs more memory than it was given"),
    ({"type": "SystemExit", "message": "3"}, "lmm ends the program, by sys.exit or quit"),
])
def test_an_exception_is_a_clause(error, words):
    assert raised(error, "lmm") == words


def test_the_package_is_not_slowed_down_by_its_grader():
    run = subprocess.run([sys.executable, "-c", "import sys, lmm; print('lmm.grading' in sys.modules, lmm.grade.__name__)"],
                         capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "grade"]


def test_a_case_of_ones_own():
    case = Case("Rail", "travel ~ 1", load_data("Rail"), [["Rail"]], "one block", points=2.0)
    report = grade(RIGHT, [case])
    assert report.passed and report.points == report.total == 2.0
