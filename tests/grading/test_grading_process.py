"""Bad input: whatever a submission does besides computing, the judge goes on, and says it in a sentence."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lmm.__main__ import main
from lmm.datasets import DATA_FOLDER
from lmm.grading import Grading, built_in_cases
from lmm.grading.loading import submission
from lmm.grading.sandbox import Sandbox, _environment_of, _processes

FAULTY = Path(__file__).parent / "submissions" / "faulty"
RIGHT = (FAULTY.parent / "correct" / "practical.py").read_text()
FILES = sorted(FAULTY.glob("*.py"))
COMMAND = Path(sys.executable).with_name("lmm.exe" if os.name == "nt" else "lmm")
POSIX_ONLY = {"forks", "crashes", "huge_memory"}


def expected(path):
    """The words after the arrow in the first line of a faulty submission."""
    return path.read_text().splitlines()[0].split("->")[1].strip().rstrip('"').strip()


@pytest.fixture(scope="module")
def reports():
    """The reports on all of them, two at a time."""
    grading = Grading(built_in_cases()[:1], time_limit=3)
    files = [path for path in FILES if os.name == "posix" or path.stem not in POSIX_ONLY]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip([path.stem for path in files], pool.map(lambda path: grading.report(path, helpers=False), files)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_faulty_submission_is_a_sentence(path, reports):
    if path.stem not in reports:
        pytest.skip("needs what this platform lacks")
    report = reports[path.stem]
    assert not report.passed and report.points == 0
    assert expected(path) in " ".join(str(report).split()), str(report)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_nothing_is_left_of_what_was_started():
    """Three descendants have left the session, and sleep; they are found by their mark."""
    case = built_in_cases()[0]
    with Sandbox(submission(FAULTY / "forks.py"), 10, 2048) as box:
        answer, mark = box.ask((case.form, case.dat, case.ref, [])), box.mark.encode()
        assert answer["events"] == [["process", "os.fork"]]
        before = [pid for pid in _processes() if mark in _environment_of(pid)]
        folder = Path(box.scratch)
    assert len(before) >= 4 and folder.name.startswith("lmm-grading-")
    assert not [pid for pid in _processes() if mark in _environment_of(pid)] and not folder.exists()


def test_a_file_it_wrote_is_told(reports):
    assert reports["writes_files"].notes[0] == f"writes a file: {FAULTY / 'log.txt'}"
    (FAULTY / "log.txt").unlink()


def test_the_output_is_kept_and_cut(reports):
    output = reports["prints_megabytes"].results[0].output
    assert output.startswith("evaluation 0 of many") and len(output) < 5000 and "bytes in all; the rest is left out" in output
    assert reports["loops"].results[0].output == "starting\n"


def test_a_submission_that_is_lost_again_and_again_is_left_alone(tmp_path):
    path = tmp_path / "ends.py"
    path.write_text("import os\ndef lmm(form, dat, ref=()):\n    os._exit(3)\n")
    causes = [result.causes for result in Grading(built_in_cases()[:5]).report(path).results]
    assert causes == 3 * [("lmm ended the whole process, with exit status 3",)] + 2 * [
        ("lmm is not called any more: the process was lost 3 times before",)]


def test_after_a_loss_the_next_case_is_judged(tmp_path):
    """A submission that fails one case in the worst way keeps the points of the others."""
    path = tmp_path / "sometimes.py"
    path.write_text(RIGHT.replace(
        "    setup = LMMsetup(form, dat, ref)\n    y_sd", "    if not ref:\n        import os\n        os._exit(0)\n"
        "    setup = LMMsetup(form, dat, ref)\n    y_sd"))
    report = Grading(built_in_cases()[:4]).report(path)
    assert [result.passed for result in report.results] == [True, True, False, True]


def test_a_students_lmm_py_is_not_this_package(tmp_path, monkeypatch):
    """Nor the other way round: in the working directory, on the path, and imported by a helper."""
    (tmp_path / "lmm.py").write_text(f"whose = 'mine'\nimport helper\n{RIGHT}\nassert helper.name() == 'mine'\n")
    (tmp_path / "helper.py").write_text("import lmm\ndef name():\n    return lmm.whose\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    report = Grading(built_in_cases()[:1]).report("lmm.py")
    assert report.passed, str(report)


@pytest.mark.skipif(not COMMAND.exists(), reason="the command is not installed")
def test_the_command_works_in_the_folder_of_a_students_lmm_py(tmp_path):
    (tmp_path / "lmm.py").write_text("def lmm(form, dat, ref=()):\n    return None\n")
    run = subprocess.run([COMMAND, "grade", "lmm.py"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1 and run.stdout.startswith("lmm.py: 0 of 14 points") and run.stderr == ""


def graded(tmp_path, text, cases=slice(1)):
    path = tmp_path / "anne.py"
    path.write_text(text)
    return Grading(built_in_cases()[cases]).report(path)


@pytest.mark.parametrize("line", ["warnings.warn('slow', stacklevel=2)", "traceback.print_stack()", "inspect.stack()",
                                  "logging.warning('slow', stack_info=True)"])
def test_showing_where_a_call_came_from_is_no_use_of_this_package(tmp_path, line):
    """This used to cost all points: Python reads the sources of the functions that called."""
    report = graded(tmp_path, "import inspect, logging, traceback, warnings\n" + RIGHT.replace(
        "    setup = LMMsetup(form, dat, ref)\n", f"    {line}\n    setup = LMMsetup(form, dat, ref)\n", 1))
    assert report.passed, str(report)


def test_other_programs_are_not_started(tmp_path):
    """This used to pass: another Python that fits the model with this package."""
    report = graded(tmp_path, """
import json, subprocess, sys
def lmm(form, dat, ref=()):
    code = "import lmm, json; print(json.dumps([1, 2]))"
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
""")
    assert not report.passed and "a submission may not start other programs" in str(report)


@pytest.mark.parametrize("call", ["link", "symlink", "rename"])
def test_the_answers_cannot_be_moved_into_reach(tmp_path, call):
    report = graded(tmp_path, f"""
import os
def lmm(form, dat, ref=()):
    os.{call}({str(DATA_FOLDER / "exact.csv")!r}, "a.csv")
    return open("a.csv").read()
""")
    assert "uses this package" in report.problem and (DATA_FOLDER / "exact.csv").exists()


def test_what_is_written_into_the_channel_is_no_crash(tmp_path):
    """The mark in the environment is not the token of answers."""
    report = graded(tmp_path, """
import os
def lmm(form, dat, ref=()):
    token = chr(0) + os.environ["LMM_GRADING"] + chr(0)
    for file in range(3, 12):
        try:
            os.write(file, (token + "[]" + chr(10)).encode())
        except OSError:
            pass
""")
    assert "lmm wrote into the judge's channel" in str(report)


@pytest.mark.parametrize("beta", ["0 * LMMprof(found.x, setup)[1]", "LMMprof(np.append(found.x[0], [-20, -20]), setup)[1]"],
                         ids=["zeros", "least squares"])
def test_the_beta_of_an_exchanged_tuple_is_judged_as_well(tmp_path, beta):
    """This used to pass, whatever beta was."""
    answer = '{"beta": LMMprof(found.x, setup)[1], "theta": found.x}'
    assert answer in RIGHT and graded(tmp_path, RIGHT.replace(answer, "found.x, LMMprof(found.x, setup)[1]"), slice(1, 2)).passed
    report = graded(tmp_path, RIGHT.replace(answer, f"found.x, {beta}"), slice(1, 2))
    assert not report.passed and "expected" in str(report)


def test_a_right_fit_beside_a_wrong_likelihood_is_said(tmp_path):
    wrong = "\n\ndef LMMprof(theta, setup):\n    return 17.0 * theta[0] + 3\n"
    report = graded(tmp_path, RIGHT.replace("LMMprof", "good") + wrong)
    assert report.passed and "lmm is right, but not LMMprof: LMMprof at theta" in " ".join(str(report).split())


@pytest.mark.parametrize("option", ["--json", "--html", "--gradescope"])
def test_outputs_are_checked_before_anything_is_graded(tmp_path, capsys, option):
    """This used to replace the student's file by the report, or to fail after the grading."""
    path = tmp_path / "anne.py"
    path.write_text(RIGHT)
    for file, words in ((path, "would overwrite what is to be read"), (tmp_path, "it is a folder"),
                        (tmp_path / "none" / "x", "there is no folder")):
        assert main(["grade", str(path), option, str(file)]) == 2
        assert words in capsys.readouterr().err
    assert path.read_text() == RIGHT


def test_files_side_by_side_cannot_import_each_other(tmp_path):
    (tmp_path / "anne.py").write_text(RIGHT)
    (tmp_path / "ben.py").write_text("from anne import lmm\n")
    report = Grading(built_in_cases()[:1]).report(tmp_path / "ben.py", helpers=False)
    assert report.problem == "ben.py needs the module 'anne', which is not installed here"
    assert Grading(built_in_cases()[:1]).report(tmp_path / "ben.py").passed
