"""Bad input: whatever a submission does besides computing, the judge goes on, and says it in a sentence."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from ahead import Ahead, asked

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
WAITED_FOR = {"loops", "sleeps_when_loaded"}        # until the limit of time, which is made short


LACKING = set() if os.name == "posix" else POSIX_ONLY


@cache
def grading(*names):
    """The built-in cases of these names, by default the first, whose answers are found once."""
    names = names or ("Machines",)
    return Grading([case for case in built_in_cases() if case.name in names])


def graded(folder, text, *names):
    """The report on a submission of that text."""
    path = folder / "anne.py"
    path.write_text(text)
    return grading(*names).report(path)


def with_first(statement):
    """The right submission, whose `lmm` executes a statement first."""
    start = "    setup = LMMsetup(form, dat, ref)\n    y_sd"
    assert RIGHT.count(start) == 1
    return RIGHT.replace(start, f"    {statement}\n{start}")


def words_of(report):
    """What a report shows, on one line."""
    return " ".join(str(report).split())


def expected(path):
    """The words after the arrow in the first line of a faulty submission."""
    return path.read_text().splitlines()[0].split("->")[1].strip().rstrip('"').strip()


@pytest.fixture(scope="module")
def report_on(request):
    """The report on a file of them."""
    patient = grading()
    impatient = Grading([judge.case for judge in patient.judges], time_limit=1.0)

    def report(path):
        judging = impatient if path.stem in WAITED_FOR else patient
        return judging.report(path, helpers=False)

    paths = asked(request, "report_on", "path")
    with Ahead(report, [path for path in paths if path.stem not in LACKING]) as ahead:
        yield ahead


def check_written(report):
    """Where the kernel keeps it from the disk, there is no file."""
    assert report.notes[0] == f"writes a file: {FAULTY / 'log.txt'}"
    (FAULTY / "log.txt").unlink(missing_ok=True)


def check_output_is_cut(report):
    output = report.results[0].output
    assert output.startswith("evaluation 0 of many") and len(output) < 5000
    assert "bytes in all; the rest is left out" in output


def check_output_is_kept(report):
    assert report.results[0].output == "starting\n"


FURTHER_CHECKS = {
    "loops": check_output_is_kept,
    "prints_megabytes": check_output_is_cut,
    "writes_files": check_written,
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_faulty_submission_is_a_sentence(path, report_on):
    if path.stem in LACKING:
        pytest.skip("needs what this platform lacks")
    report = report_on(path)
    assert not report.passed and report.points == 0
    assert expected(path) in words_of(report), str(report)
    if path.stem in FURTHER_CHECKS:
        FURTHER_CHECKS[path.stem](report)


def marked(mark):
    """The processes whose environment has a mark."""
    return [pid for pid in _processes() if mark in _environment_of(pid)]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_nothing_is_left_of_what_was_started():
    """Three descendants have left the session, and sleep; they are found by their mark."""
    case = grading().judges[0].case
    with Sandbox(submission(FAULTY / "forks.py"), 10, 2048) as box:
        answer = box.ask((case.form, case.dat, case.ref, [], [], 0.0))
        mark = box.mark.encode()
        assert answer["events"] == [["process", "os.fork"]]
        assert len(marked(mark)) >= 4
        folder = Path(box.scratch)
    assert folder.name.startswith("lmm-grading-")
    assert not marked(mark) and not folder.exists()


def test_a_submission_that_is_lost_again_and_again_is_left_alone(tmp_path):
    text = "import os\ndef lmm(form, dat, ref=()):\n    os._exit(3)\n"
    names = [case.name for case in built_in_cases()[:5]]
    causes = [result.causes for result in graded(tmp_path, text, *names).results]
    lost = ("lmm ended the whole process, with exit status 3",)
    left_alone = ("lmm is not called any more: the process was lost 3 times before",)
    assert causes == [lost, lost, lost, left_alone, left_alone]


def test_after_a_loss_the_next_case_is_judged(tmp_path):
    """A submission that fails one case in the worst way keeps the points of the others."""
    text = with_first("if not ref: import os; os._exit(0)")
    names = [case.name for case in built_in_cases()[:4]]
    report = graded(tmp_path, text, *names)
    assert [result.passed for result in report.results] == [True, True, False, True]


def test_a_students_lmm_py_is_not_this_package(tmp_path, monkeypatch):
    """Nor the other way round: in the working directory, on the path, and imported by a helper."""
    asserted = "assert helper.name() == 'mine'"
    (tmp_path / "lmm.py").write_text(f"whose = 'mine'\nimport helper\n{RIGHT}\n{asserted}\n")
    (tmp_path / "helper.py").write_text("import lmm\ndef name():\n    return lmm.whose\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    report = grading().report("lmm.py")
    assert report.passed, str(report)


@pytest.mark.skipif(not COMMAND.exists(), reason="the command is not installed")
def test_the_command_works_in_the_folder_of_a_students_lmm_py(tmp_path):
    (tmp_path / "lmm.py").write_text("def lmm(form, dat, ref=()):\n    return None\n")
    run = subprocess.run([COMMAND, "grade", "lmm.py"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1 and run.stdout.startswith("lmm.py: 0 of 17 points")
    assert run.stderr == ""


@pytest.mark.parametrize("line", [
    "warnings.warn('slow', stacklevel=2)",
    "traceback.print_stack()",
    "inspect.stack()",
    "logging.warning('slow', stack_info=True)",
])
def test_showing_where_a_call_came_from_is_no_use_of_this_package(tmp_path, line):
    """This used to cost all points: Python reads the sources of the functions that called."""
    report = graded(tmp_path, "import inspect, logging, traceback, warnings\n" + with_first(line))
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
    answers = DATA_FOLDER / "exact.csv"
    report = graded(tmp_path, f"""
import os
def lmm(form, dat, ref=()):
    os.{call}({str(answers)!r}, "a.csv")
    return open("a.csv").read()
""")
    assert "uses this package" in report.problem and answers.exists()


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


@pytest.mark.parametrize("beta, passed", [
    ("LMMprof(found.x, setup)[1]", True),
    ("0 * LMMprof(found.x, setup)[1]", False),
    ("LMMprof(np.append(found.x[0], [-20, -20]), setup)[1]", False),
], ids=["right", "zeros", "least squares"])
def test_the_beta_of_an_exchanged_tuple_is_judged_as_well(tmp_path, beta, passed):
    """This used to pass, whatever beta was."""
    answer = '{"beta": LMMprof(found.x, setup)[1], "theta": found.x}'
    assert answer in RIGHT
    report = graded(tmp_path, RIGHT.replace(answer, f"found.x, {beta}"), "MachinesUnbalanced")
    assert report.passed == passed and ("expected" in str(report)) != passed


def test_a_right_fit_beside_a_wrong_likelihood_is_said(tmp_path):
    wrong = "\n\ndef LMMprof(theta, setup):\n    return 17.0 * theta[0] + 3\n"
    report = graded(tmp_path, RIGHT.replace("LMMprof", "good") + wrong)
    assert report.passed and "lmm is right, but not LMMprof: LMMprof at theta" in words_of(report)


@pytest.mark.parametrize("option", ["--json", "--html", "--gradescope"])
def test_outputs_are_checked_before_anything_is_graded(tmp_path, capsys, option):
    """This used to replace the student's file by the report, or to fail after the grading."""
    path = tmp_path / "anne.py"
    path.write_text(RIGHT)
    for file, words in (
        (path, "would overwrite what is to be read"),
        (tmp_path, "it is a folder"),
        (tmp_path / "none" / "x", "there is no folder"),
    ):
        assert main(["grade", str(path), option, str(file)]) == 2
        assert words in capsys.readouterr().err
    assert path.read_text() == RIGHT


def test_files_side_by_side_cannot_import_each_other(tmp_path):
    (tmp_path / "anne.py").write_text(RIGHT)
    (tmp_path / "ben.py").write_text("from anne import lmm\n")
    report = grading().report(tmp_path / "ben.py", helpers=False)
    assert report.problem == "ben.py needs the module 'anne', which is not installed here"
    assert grading().report(tmp_path / "ben.py").passed


def test_temporary_files_are_no_news(tmp_path):
    """One without a name used to be a note, for it is opened as the folder."""
    report = graded(tmp_path, with_first("import tempfile; tempfile.TemporaryFile().write(b'x')"))
    assert report.passed and not any("writes" in note for note in report.notes), report.notes
