"""The small cases of `scale.py` side by side with other programs, and how an evaluation and set-up grow with n.

    python -m pytest tests/benchmarks/test_scale.py -s

All cases, the large ones included, are run by `python tests/benchmarks/scale.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.scaling import growth, report
from benchmarks.scaling.cases import CASES, SMALL
from benchmarks.scaling.programs import installed, measure

SMALL_CASES = {case.name: case for case in CASES if case.rounds == SMALL}
ENOUGH = 1.5            # times an evaluation's time with 10,000 rows that it may take with a million: noise, not growth
LINEAR = 3              # times a row's share in set-up with 100,000 rows that it may be with a million: they leave the cache
SAME = 1e-5             # between criteria of programs that stop by their own tolerances


@pytest.mark.skipif("lme4" not in installed(), reason="needs R with lme4")
@pytest.mark.parametrize("name", SMALL_CASES)
def test_small_cases_against_lme4(name):
    case = SMALL_CASES[name]
    ours, theirs = measure(case, ["lmm", "lme4"])
    print("\n" + report.text([report.details([(case, [ours, theirs])])]))
    assert ours.converged and ours.criterion < theirs.criterion + 1e-6
    assert theirs.median / ours.median > case.aim / 2       # a shared machine is allowed half of what is aimed at


@pytest.mark.parametrize("program", ["lme4", "mixedlm", "glmm", "statsmodels"])
def test_the_programs_fit_the_same_models(program):
    """What is compared is one criterion of one model: otherwise seconds say nothing."""
    if program not in installed():
        pytest.skip(f"needs {program}")
    for case in SMALL_CASES.values():
        ours, theirs = measure(case, ["lmm", program], rounds=1)
        assert not theirs.failed
        assert abs(ours.criterion - theirs.criterion) < SAME, case.name


def test_growth_with_n():
    """An evaluation does not know n, and set-up is linear in it."""
    rows = 10**4, 10**5, 10**6
    points = growth.against_n(rows)
    print("\n" + report.text([report.growth(points)]))
    found = {(point["design"], point["n"]): point for point in points}
    for design in growth.DESIGNS:
        few, middle, many = (found[design, n] for n in rows)
        assert many["evaluation"] < ENOUGH * few["evaluation"], design
        assert many["setup"] / many["n"] < LINEAR * middle["setup"] / middle["n"], design


def test_beside_a_busy_core():
    """A fit must not wait for threads of BLAS that share a core with another process, in an installation without extras too."""
    rows = list(growth.beside_a_busy_core([growth.DENSE_CASE, SMALL_CASES["ScotsSec"]]))
    print("\n" + report.text([report.waiting(rows)]))
    for case, found in rows:
        (idle,), (busy,) = found.values()
        assert busy.median < 2.5 * idle.median, case.name


def test_memory_a_row():
    """What was reached: 77 bytes kept and 108 at most; 33 and 60 were aimed at."""
    found = growth.bytes_a_row()
    print("\n" + report.text([report.memory(found)]))
    _, kept, peak = found[-1]
    assert kept < 80 and peak < 115


def test_the_command_writes_what_it_measured(tmp_path):
    command = [sys.executable, Path(__file__).with_name("scale.py"), "--only", "sleepstudy", "--programs", "lmm"]
    done = subprocess.run([*command, "--rounds", "2", "--out", tmp_path], capture_output=True, text=True, check=True)
    kept = json.loads((tmp_path / "scale.json").read_text())
    one, = kept["cases"][0]["programs"]
    assert len(one["seconds"]) == 2 and one["converged"] and one["peak"] >= one["before"] > 0
    assert (tmp_path / "scale.txt").read_text() in done.stdout
    assert "| sleepstudy | lmm | 2 |" in (tmp_path / "scale.md").read_text()


def test_what_a_program_cannot_do_is_in_the_table():
    case = SMALL_CASES["sleepstudy"]
    one, = measure(case.__class__(**{**case.__dict__, "formula": "Reaction ~ Days + (Days | Nobody)"}), ["lmm"])
    assert "Nobody" in one.failed
    assert one.failed in report.text([report.details([(case, [one])])])
