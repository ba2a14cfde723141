"""What autograders ask for: the points of a case, and the files in which they ask for it.

Otter has a test for each case, nbgrader a cell whose last value is the points, Gradescope runs
`lmm grade`. Nothing of theirs is imported.
"""

import json
import re
import shlex
from pathlib import Path

from ..errors import LMMError, unknown_name
from .case_files import read_cases
from .catalogue import built_in_cases
from .judging import grade
from .loading import submission

NOT_IN_FILE_NAMES = re.compile(r"[^a-z0-9]+")
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
NO_FUNCTION = "there is no function lmm"

OTTER_TEST = '''\
from otter.test_files import test_case

OK_FORMAT = False
name = {shown!r}
points = {points!r}


@test_case(points={points!r}, hidden={hidden!r})
def test_lmm(lmm):
    from lmm.grading.autograders import check
    check(lmm, {name!r}{file})
'''
RUN_AUTOGRADER = """\
#!/usr/bin/env bash
lmm grade /autograder/submission{options} --gradescope /autograder/results/results.json || true
"""
NBGRADER_TEST = """\
### BEGIN HIDDEN TESTS
from lmm import grade
from lmm.grading import built_in_cases, read_cases
{cases}
report = grade(lmm, cases)
print(report)
report.points
### END HIDDEN TESTS"""
NBGRADER_SOLUTION = '''\
def lmm(form, dat, ref=()):
    """The maximum likelihood fit: a dict with beta and theta."""
    ### BEGIN SOLUTION
    raise NotImplementedError
    ### END SOLUTION'''
NBGRADER_TASK = (
    "Define `lmm(form, dat, ref)`, with `LMMsetup(form, dat, ref)` and `LMMprof(theta, setup)`, "
    "in the cell below."
)


# -- asked by their tests ------------------------------------------------------------------------

def graded(given, file=None):
    """The `Report` on a submission, by the built-in cases or those of a file.

    The last ones are remembered: tests of one submission ask one after another.

    Parameters
    ----------
    given : path, module or function
        As for `grade`.
    file : path, optional
        A file of cases, which are asked instead of the built-in ones.

    Returns
    -------
    Report

    Raises
    ------
    LMMError
        If there is nothing to judge.
    """
    if given is None:
        raise LMMError(NO_FUNCTION)
    submitted = submission(given)
    key = (submitted.path.name, submitted.path.read_bytes(), file)
    if key not in _remembered:
        if len(_remembered) > 1:
            _remembered.clear()
        cases = built_in_cases() if file is None else read_cases(file)
        _remembered[key] = grade(submitted, cases)
    return _remembered[key]


_remembered = {}            # by the submission's name and text, and the file of cases


def check(given, name, file=None):
    """Raise an AssertionError that says why, unless a submission passes the case of that name.

    Parameters
    ----------
    given : path, module or function
        As for `grade`.
    name : str
        The case.
    file : path, optional
        A file of cases, if it is none of the built-in ones.

    Raises
    ------
    AssertionError
        If the case is not passed.
    LMMError
        If there is nothing to judge, or no such case.
    """
    report = graded(given, file)
    by_name = {result.name: result for result in report.results}
    if name not in by_name:
        raise unknown_name("case", name, list(by_name))
    result = by_name[name]
    if not result.passed:
        raise AssertionError("\n".join((f"{name}: {result.causes[0]}", *result.causes[1:])))


# -- their files ---------------------------------------------------------------------------------

def write_autograders(folder, cases, file=None):
    """Write what otter, nbgrader and Gradescope need into a folder.

    Parameters
    ----------
    folder : path
        It gets ``otter/tests``, a test file for each case; ``nbgrader/source/lmm/lmm.ipynb``, an
        assignment; and ``gradescope/run_autograder``.
    cases : sequence of Case
        What is asked, built-in ones first.
    file : path, optional
        The file that some of them are from: the tests look for its name in their own folder.

    Raises
    ------
    LMMError
        If the folder cannot be written.
    """
    folder = Path(folder)
    file = None if file is None else Path(file).name
    every = [case.name for case in built_in_cases()]
    asked = [case.name for case in cases if case.name in every]
    chosen = None if asked == every else asked
    texts = {
        **_otter_tests(cases, asked, file),
        "nbgrader/source/lmm/lmm.ipynb": _nbgrader_assignment(cases, chosen, file),
        "gradescope/run_autograder": _run_autograder(chosen, file),
    }
    try:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    except OSError as error:
        raise LMMError(f"the files for autograders cannot be written: {error}") from error


def _otter_tests(cases, built_in, file):
    """The text of a test file for each case, by its name."""
    texts = {}
    for i, case in enumerate(cases):
        slug = NOT_IN_FILE_NAMES.sub("_", case.name.lower()).strip("_")
        texts[f"otter/tests/{i + 1:02d}_{slug}.py"] = OTTER_TEST.format(
            shown=f"hidden case {i + 1}" if case.hidden else case.name,
            points=float(case.points),
            hidden=case.hidden,
            name=case.name,
            file="" if case.name in built_in else f", file={file!r}",
        )
    return texts


def _nbgrader_assignment(cases, chosen, file):
    """The text of a notebook: the task, the student's cell, and the one that is worth points."""
    total = float(sum(case.points for case in cases))
    test = NBGRADER_TEST.format(cases=_cases_in_python(chosen, file))
    cells = (
        _cell("markdown", "task", NBGRADER_TASK, locked=True),
        _cell("code", "submission", NBGRADER_SOLUTION, solution=True),
        _cell("code", "points", test, grade=True, locked=True, points=total),
    )
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": KERNEL},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1) + "\n"


def _cases_in_python(chosen, file):
    """The lines that make a list of the cases: all built-in ones, or the chosen, and the file's."""
    lines = ["cases = [*built_in_cases()]"]
    if chosen is not None:
        lines = [
            f"chosen = {chosen!r}",
            "cases = [case for case in built_in_cases() if case.name in chosen]",
        ]
    if file is not None:
        lines.append(f"cases += read_cases({file!r})")
    return "\n".join(lines)


def _cell(kind, name, source, **marks):
    """A cell of a notebook with nbgrader's marks."""
    of_nbgrader = {
        "grade": False,
        "solution": False,
        "locked": False,
        "task": False,
        "schema_version": 3,
        "grade_id": name,
        **marks,
    }
    cell = {"cell_type": kind, "id": name, "metadata": {"nbgrader": of_nbgrader}, "source": source}
    if kind == "code":
        cell.update(execution_count=None, outputs=[])
    return cell


def _run_autograder(chosen, file):
    """The text of Gradescope's script; the file of cases stands beside it."""
    options = []
    if file is not None:
        options += ["--cases", f"/autograder/source/{file}"]
    if chosen == []:
        options.append("--only-cases")
    for name in chosen or ():
        options += ["--case", name]
    return RUN_AUTOGRADER.format(options="".join(f" {shlex.quote(option)}" for option in options))
