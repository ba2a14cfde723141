"""What the kernel keeps submissions from, tried by submissions; and what is said where it does not."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
import zipfile
from functools import cache
from pathlib import Path

import pytest

import lmm
from lmm.__main__ import main
from lmm.datasets import DATA_FOLDER
from lmm.grading import Grading, built_in_cases, confinement, read_cases
from lmm.grading.command import grade_all
from lmm.grading.loading import submission
from lmm.grading.sandbox import Sandbox, _environment_of, _processes

SUBMISSIONS = Path(__file__).parent / "submissions"
FAULTY = SUBMISSIONS / "faulty" / "confined"
RIGHT = (SUBMISSIONS / "correct" / "practical.py").read_text()
PACKAGE = Path(lmm.__file__).parent
NOTE = "not kept from the network, nor from the files of the user who grades"

confining = pytest.mark.skipif(
    bool(confinement.refused()),
    reason=f"processes cannot be confined here: {confinement.refused()}",
)


def machines():
    return Grading(first_case(), time_limit=10)


@cache
def first_case():
    return built_in_cases()[:1]


def expected(path):
    """The words after the arrow in the first line of a faulty submission."""
    return path.read_text().splitlines()[0].split("->")[1].strip().rstrip('"').strip()


def written(folder, name, given=None, file=None):
    """A faulty submission in a folder, with what it is given to attack."""
    path = folder / (file or f"{name}.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((FAULTY / f"{name}.py").read_text().replace("GIVEN", repr(given)))
    return path


def check(folder, name, given=None):
    """Judge a faulty submission, alone in its class: the report says what is expected."""
    path = written(folder, name, given)
    report = machines().report(path, helpers=False)
    words = " ".join(str(report).split())
    assert not report.passed and report.points == 0
    assert expected(FAULTY / f"{name}.py") in words, str(report)
    assert NOTE not in words
    return report


# -- what is tried -------------------------------------------------------------------------------

@confining
def test_each_attempt_has_a_test():
    source = Path(__file__).read_text()
    for path in FAULTY.glob("*.py"):
        assert f'"{path.stem}"' in source, path.stem


@confining
def test_no_server_is_reached(tmp_path):
    """Neither through the network nor through a file among temporary ones."""
    (tmp_path / "class").mkdir()
    file = str(tmp_path / "s")
    with socket.create_server(("127.0.0.1", 0)) as internet, socket.socket(socket.AF_UNIX) as local:
        local.bind(file)
        local.listen()
        check(tmp_path / "class", "reaches_a_server", (internet.getsockname()[1], file))
        for server in (internet, local):
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.accept()


@confining
def test_nothing_is_written_to_the_disk(tmp_path):
    name = uuid.uuid4().hex
    folders = [FAULTY, Path.home(), sys.prefix, PACKAGE]
    files = [Path(folder, name) for folder in folders]
    check(tmp_path, "writes_through_c", [str(file) for file in files])
    assert not any(file.exists() for file in files)


@confining
def test_what_it_writes_beside_itself_is_forgotten(tmp_path):
    """So a right submission that keeps a log is right."""
    log = "open(__file__ + '.log', 'w').write('log')\nopen('/tmp/log', 'w').write('log')\n"
    (tmp_path / "anne").mkdir()
    path = tmp_path / "anne" / "anne.py"
    path.write_text(log + RIGHT)
    for helpers in (False, True):
        report = machines().report(path, helpers)
        assert report.passed and report.notes[0] == f"writes a file: {path}.log"
    assert list(path.parent.iterdir()) == [path]


@confining
def test_the_answers_are_out_of_reach(tmp_path):
    files = [str(PACKAGE / "grading" / "catalogue.py"), str(DATA_FOLDER / "exact.csv")]
    assert all(Path(file).stat().st_size for file in files)
    check(tmp_path, "reads_answers_through_c", files)


@confining
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "above"])
def test_hidden_cases_and_reports_are_out_of_reach(tmp_path, beside, monkeypatch):
    """They used to be open to whoever knows where they are, such as in the folder above."""
    monkeypatch.setattr(confinement, "hidden_folders", list)        # this folder is a temporary one
    course = tmp_path / "course"
    folder = course if beside else course / "submissions"
    (course / "reports").mkdir(parents=True)
    entry = {"name": "hidden", "form": "y ~ 1", "data": "hidden.csv", "hidden": True}
    (course / "hidden.json").write_text(json.dumps([entry]))
    (course / "hidden.csv").write_text("y\n1\n2\n4\n")
    (course / "reports" / "anne.html").write_text("the answers")
    (course / "report.json").write_text("the answers")
    names = ["hidden.json", "hidden.csv", "report.json", "reports/anne.html"]
    up = "" if beside else "../../"
    path = written(folder, "reads_the_judges_files", [up + name for name in names], "anne/anne.py")
    if beside:
        path = path.replace(course / "anne.py")
    cases = [*first_case(), *read_cases(course / "hidden.json")]
    grading = Grading(cases, time_limit=10)
    grading.closed += [course / "report.json", course / "reports"]
    report = grading.report(path)
    assert grading.confined and expected(FAULTY / "reads_the_judges_files.py") in str(report)
    assert "tries to open a file of the judge's (hidden.json), which is refused" in report.notes


def test_what_the_command_reads_and_writes_is_closed(tmp_path, monkeypatch, capsys):
    """The file of cases, and each output; a class's zip file as well, which holds the others."""
    given = []
    monkeypatch.setattr(Grading, "report", lambda grading, *_: given.append(grading.closed) or 1 / 0)
    (tmp_path / "hidden.csv").write_text("y\n1\n2\n4\n")
    cases = tmp_path / "hidden.json"
    cases.write_text(json.dumps([{"name": "hidden", "form": "y ~ 1", "data": "hidden.csv"}]))
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        archive.writestr("anne.py", RIGHT)
    outputs = {name: str(tmp_path / "out" / name) for name in ("json", "html", "csv", "reports")}
    (tmp_path / "out").mkdir()
    options = [part for name, file in outputs.items() for part in (f"--{name}", file)]
    options += ["--cases", str(cases), "--only-cases"]
    main(["grade", "--all", str(tmp_path / "class.zip"), *options])
    places = {str(file) for file in given[0]}
    assert places >= {*outputs.values(), str(cases), str(tmp_path / "hidden.csv")}
    assert str(tmp_path / "class.zip") in places


@confining
def test_a_class_on_pythons_path_is_hidden_all_the_same(tmp_path, monkeypatch):
    """A folder on the path used to be kept whole, as libraries are."""
    neighbour = tmp_path / "ben.py"
    written(tmp_path, "reads_its_neighbour", str(neighbour), "anne.py")
    neighbour.write_text(RIGHT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    grading = machines()
    anne, ben = grade_all(tmp_path, grading).reports
    assert grading.confined and "lmm raises FileNotFoundError" in anne.cause and ben.passed


@confining
def test_nobody_is_killed(tmp_path):
    check(tmp_path, "kills_through_c", os.getpid())


@confining
def test_no_daemon_is_left(tmp_path):
    """In a session of its own, its environment empty: nothing but its namespace tells whose it is."""
    mark = f"600.{uuid.uuid4().int}"
    check(tmp_path, "leaves_a_daemon", mark)
    assert not any(mark.encode() in command_of(pid) for pid in _processes())


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@confining
@pytest.mark.parametrize("place", ["anne.py", "anne/lmm.py"])
def test_no_submission_sees_another(tmp_path, place):
    """Of a class of files, and of a class of folders."""
    neighbour = tmp_path / place.replace("anne", "ben")
    written(tmp_path, "reads_its_neighbour", str(neighbour), place)
    neighbour.parent.mkdir(exist_ok=True)
    neighbour.write_text(RIGHT)
    anne, ben = grade_all(tmp_path, machines()).reports
    assert not anne.passed and "lmm raises FileNotFoundError" in anne.cause
    assert anne.notes[0] == f"reads a file: {neighbour}"
    assert ben.passed


@confining
def test_the_files_that_can_be_open_are_few(tmp_path):
    check(tmp_path, "opens_too_many_files")


@confining
def test_no_rights_are_gained(tmp_path):
    check(tmp_path, "asks_for_rights", (str(PACKAGE), os.getpid()))


@confining
def test_a_class_survives_a_fork_bomb_and_one_that_fills_the_disk(tmp_path):
    """With files of 16 MiB, where there is room for 256."""
    for name in ("fork_bomb", "fills_the_disk"):
        written(tmp_path, name)
    (tmp_path / "right.py").write_text(RIGHT)
    class_report = grade_all(tmp_path, machines())
    assert [report.passed for report in class_report.reports] == [False, False, True]
    for report in class_report.reports[:2]:
        assert expected(FAULTY / report.title) in report.results[0].causes[0]
    written_files = class_report.reports[0].results[0].output.split()
    assert int(written_files[-1]) in (14, 15, 16)
    assert NOTE not in str(class_report)


@confining
@pytest.mark.parametrize("target", ["absolute", "relative"])
def test_links_to_submissions_are_followed(tmp_path, target):
    """A class of links into a folder that is hidden as they are."""
    (tmp_path / "store").mkdir()
    stored = tmp_path / "store" / "anne.py"
    stored.write_text(RIGHT)
    (tmp_path / "anne.py").symlink_to(stored if target == "absolute" else "store/anne.py")
    with Sandbox(submission(tmp_path / "anne.py", helpers=False), 20, 2048) as box:
        assert box.confined and box.loaded["loaded"]


# -- how a process is confined -------------------------------------------------------------------

@confining
@pytest.mark.parametrize("statement, words", [
    ("os._exit(7)", "lmm ended the whole process, with exit status 7"),
    ("os.kill(os.getpid(), signal.SIGSEGV)", "lmm ended the process by SIGSEGV: a crash of"),
], ids=["status", "signal"])
def test_how_it_ended_is_told_as_before(tmp_path, statement, words):
    """By its own end, not by that of the processes around it."""
    path = tmp_path / "anne.py"
    path.write_text(f"import os, signal\ndef lmm(form, dat, ref=()):\n    {statement}\n")
    assert machines().report(path).results[0].causes[0].startswith(words)


@confining
def test_nothing_is_left_when_the_first_process_is_killed(tmp_path):
    """As by a judge that is itself killed with its group."""
    path = tmp_path / "anne.py"
    path.write_text(RIGHT)
    with Sandbox(submission(path), 20, 2048) as box:
        assert box.confined and marked(box.mark)
        box.process.kill()
        box.process.wait()
        end = time.monotonic() + 10
        while marked(box.mark) and time.monotonic() < end:
            time.sleep(0.01)
        assert not marked(box.mark)


def marked(mark):
    return [pid for pid in _processes() if mark.encode() in _environment_of(pid)]


@confining
def test_users_that_cannot_be_mapped_are_no_news():
    """The process that tries used to write its traceback into what the submission printed."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import confinement\n"
        "def fail(pid): raise OSError('no')\n"
        "confinement._map_users = fail\n"
        "print(confinement._enter_namespaces())"
    )
    command = [sys.executable, "-c", code, str(PACKAGE / "grading")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("False\n", "")


# -- where the kernel does not allow it ----------------------------------------------------------

@pytest.fixture
def unwilling(monkeypatch):
    """A kernel that refuses."""
    monkeypatch.setattr(confinement, "refused", lambda: "unshare: Operation not permitted")


def right_class(folder):
    for name in ("anne", "ben"):
        (folder / f"{name}.py").write_text(RIGHT)
    return folder


def test_a_report_says_that_it_was_not_confined(tmp_path, unwilling):
    report = machines().report(right_class(tmp_path) / "anne.py")
    assert report.passed
    assert report.notes[-1] == (
        f"{NOTE}: the system here does not allow it (unshare: Operation not permitted)"
    )


def test_a_class_is_told_once(tmp_path, unwilling):
    class_report = grade_all(right_class(tmp_path), machines())
    assert class_report.passed
    assert " ".join(str(class_report).split()).count(NOTE) == 1
    assert class_report._repr_html_().count(NOTE) == 1
    for report in class_report.reports:
        assert NOTE not in str(report)


def test_one_that_cannot_be_confined_is_judged_all_the_same(tmp_path, monkeypatch):
    """Though the trial went well."""
    monkeypatch.setattr(confinement, "refused", lambda: "")
    monkeypatch.setattr(Sandbox, "_seen", lambda box: {"scratch": str(tmp_path / "none")})
    report = machines().report(right_class(tmp_path) / "anne.py")
    assert report.passed and report.notes[-1].endswith("(it failed this time)")


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_not_asked(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    assert confinement.refused.__wrapped__() == "only Linux can"


@confining
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs the program unshare")
def test_a_system_without_namespaces(tmp_path):
    """As in most containers: here one in which there are to be none."""
    forbid = "echo 0 > /proc/sys/user/max_user_namespaces"
    path = right_class(tmp_path) / "anne.py"
    grade = f"{sys.executable} -m lmm grade {path} --case Machines"
    python_path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": python_path}
    run = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", f"{forbid} && {grade}"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and run.stderr == "" and NOTE in run.stdout
    assert "unshare: No space left on device" in run.stdout
