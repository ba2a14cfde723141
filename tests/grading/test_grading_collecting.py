"""A class's folder: an entry for everything in it, as students and learning platforms name it."""

import csv
import io
import json
import os
import stat
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest

from lmm import LMMError, grade
from lmm.__main__ import main
from lmm.grading import Grading, Report, built_in_cases, grade_all
from lmm.grading.collecting import collected
from lmm.grading.folders import not_python, printable, printable_text
from lmm.grading.loading import source_with_all_it_uses, submission
from lmm.grading.notebook_files import read_notebook
from lmm.grading.pages import page
from lmm.grading.unpacking import Limits, unpack

CLASS = Path(__file__).parent / "submissions" / "class"
RIGHT = (CLASS / "mixed" / "capitals.PY").read_text()
NOTHING = "def lmm(form, dat, ref=()):\n    pass\n"
LEARN = "Practical 1_s10000{}_attempt_2026-11-{}-10-15-30"
POSIX = pytest.mark.skipif(os.name != "posix", reason="links, pipes, rights and bytes as names")


@cache
def least_squares():
    """What is right for least squares."""
    return Grading("no random effects")


def rows(report):
    """What the table of a class says of each."""
    return {one.title: one.verdict for one in report.reports}


def entries(folder, *arguments):
    return {entry.title: entry for entry in collected(Path(folder), *arguments)}


def problems(folder):
    """Why each of the entries of a folder cannot be graded, "" where it can."""
    found = {}
    for entry in collected(folder):
        try:
            entry.submission().remove()
            found[entry.title] = ""
        except LMMError as error:
            found[entry.title] = str(error)
    return found


def notebook(*sources, **content):
    """A notebook's text: code cells, and what else it holds."""
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": one} for one in sources]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells, **content})


# -- as learning platforms deliver them ----------------------------------------------------------------------

def test_learn():
    """Its own text beside an attempt is no submission; the last attempt is taken; a helper is found."""
    report = grade_all(CLASS / "learn", least_squares())
    assert rows(report) == {
        "Practical 1_s1000001_attempt_2026-11-21-09-00-00_lmm.py": "the last of 2 attempts: passed",
        "Practical 1_s1000002_attempt_2026-11-20-10-15-30_practical.ipynb": "its code cells: passed",
        "Practical 1_s1000003_attempt_2026-11-21-09-00-00.txt": "no file was handed in: there is only Learn's own text",
        "Practical 1_s1000004_attempt_2026-11-20-10-15-30_lmm.py": "passed",
    }
    assert report.reports[0].notes[0] == ("the last of 2 attempts by the times in their names; not graded: "
                                          "Practical 1_s1000001_attempt_2026-11-20-10-15-30_lmm.py")
    lines = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [line["student"] for line in lines] == ["s1000001", "s1000002", "s1000003", "s1000004"]
    assert [line["attempt"] for line in lines] == ["the last of 2 attempts", "", "", ""]
    assert str(report).count("Practical 1_s") == 4


def test_every_attempt_if_asked(monkeypatch, capsys):
    folder = CLASS / "learn"
    assert [one.attempt for one in collected(folder, "all")] == ["attempt 1 of 2", "attempt 2 of 2", "", "", ""]
    asked = []
    monkeypatch.setattr("lmm.grading.command.collected", lambda *given: asked.append(given) or [])
    options = ["--case", "no random effects", "--attempts", "all"]
    assert main(["grade", "--all", str(folder), *options]) == 2
    assert asked == [(folder, "all", set())]
    assert main(["grade", "anne.py", *options]) == 2 and "--attempts is for --all" in capsys.readouterr().err
    with pytest.raises(LMMError, match="attempts is 'first'; it is one of 'last', 'all'"):
        grade_all(folder, least_squares(), attempts="first")


def test_moodle():
    """Two students of one name are two; with and without the last underscore; a folder within."""
    found = entries(CLASS / "moodle")
    assert {title: (one.student, one.problem) for title, one in found.items()} == {
        "Student One_123456_assignsubmission_file_": ("Student One", ""),
        "Student One_123457_assignsubmission_file": ("Student One", ""),
        "Student Two_123458_assignsubmission_onlinetext_": (
            "Student Two", "no file was handed in: there is only a text that was typed in"),
    }
    within = found["Student One_123457_assignsubmission_file"].submission()
    assert within.path.parts[-2:] == ("practical", "lmm.py") and within.taken == str(Path("practical/lmm.py"))


def test_moodles_files_without_folders(tmp_path):
    for name in ("lmm.py", "algebra.py"):
        (tmp_path / f"Student One_123456_assignsubmission_file_{name}").write_text("")
    (tmp_path / "Student One_123457_assignsubmission_file_lmm.py").write_text("")
    assert list(entries(tmp_path)) == [
        "Student One_123456_assignsubmission_file_lmm.py",
        "Student One_123457_assignsubmission_file_lmm.py",
    ]


def test_canvas():
    """-1 is Canvas's; two files of a student are one submission; a number tells students apart."""
    found = entries(CLASS / "canvas")
    assert list(found) == [
        "onestudent_12345_67890_lmm-1.py",
        "twostudent_12347_67893_report.pdf",
        "twostudent_LATE_12346_67891_lmm.py",
    ]
    assert found["onestudent_12345_67890_lmm-1.py"].paths[0][0] == "lmm.py"
    late = found["twostudent_LATE_12346_67891_lmm.py"]
    assert [name for name, _ in late.paths] == ["lmm.py", "algebra.py"] and late.notes == ("handed in late, as Canvas says",)
    handed_in = late.submission()
    assert sorted(path.name for path in handed_in.path.parent.iterdir()) == ["algebra.py", "lmm.py"]
    handed_in.remove()
    assert not handed_in.path.exists()


def test_versions_on_canvas(tmp_path):
    """Of each file the last; that is what the row says."""
    for name in ("67890_lmm.py", "67891_algebra.py", "67895_lmm-1.py", "67899_lmm-12.py"):
        (tmp_path / f"onestudent_12345_{name}").write_text(name)
    (one,) = collected(tmp_path)
    assert one.attempt == "the last of 3 attempts" and one.title == "onestudent_12345_67899_lmm-12.py"
    assert {name: path.read_text() for name, path in one.paths} == {"lmm.py": "67899_lmm-12.py", "algebra.py": "67891_algebra.py"}


def test_what_only_looks_like_canvas_is_not_mixed_up(tmp_path):
    for name in ("anne", "ben"):
        (tmp_path / f"practical_2026_101_{name}.py").write_text(RIGHT)
    assert list(entries(tmp_path)) == ["practical_2026_101_anne.py", "practical_2026_101_ben.py"]


@pytest.mark.parametrize("folder", ["nbgrader", "nbgrader/submitted"])
def test_nbgrader(folder):
    """The course's other folders are no submissions; two assignments of a student are two rows."""
    found = collected(CLASS / folder)
    first = found[0].submission()
    prefix = "" if folder.endswith("submitted") else "submitted/"
    titles = [entry.title.replace(os.sep, "/") for entry in found]
    assert titles == [f"{prefix}one", f"{prefix}two/ps1", f"{prefix}two/ps2"]
    assert first.path.name == "practical.ipynb" and len(first.cells) == 4


def test_nbgraders_inbound_folders(tmp_path):
    for when in ("2026-11-20 10:15:30", "2026-11-22 09:00:00", "2026-11-21 10:15:30"):
        folder = tmp_path / f"one+ps1+{when} UTC+token"
        try:
            folder.mkdir()
        except OSError:
            pytest.skip("colons in names")
        (folder / "lmm.py").write_text("")
    (one,) = collected(tmp_path)
    assert one.attempt == "the last of 3 attempts" and "11-22" in one.title and one.student == "one"


def test_gradescope():
    """Its metadata say who that is, and are no submission; the folder around it is looked into."""
    found = list(collected(CLASS / "gradescope"))
    assert [(Path(one.title).name, one.student) for one in found] == [("submission_1", "Student One"), ("submission_2", "Student Two")]
    with pytest.raises(LMMError, match=r"holds no Python file, but report\.docx"):
        found[1].submission()


def test_attempts_without_a_time_are_each_graded_and_it_is_said(tmp_path):
    for folder in ("_file_", "_file"):
        (tmp_path / f"Student One_1_assignsubmission{folder}").mkdir()
    both = collected(tmp_path)
    assert [one.attempt for one in both] == ["one of 2 attempts without times"] * 2
    assert both[0].notes == ("no name tells which attempt was the last, so each is graded",)


@pytest.mark.parametrize("names, words", [
    (["2026-11-20-10-15-30", "2026-11-21-09-00-00"], ["the last of 2 attempts"]),
    (["attempt_9", "attempt_10"], ["the last of 2 attempts"]),
    (["first", "second"], [""]),
])
def test_attempts_in_a_students_folder(names, words, tmp_path):
    for name in names:
        (tmp_path / "anne" / name).mkdir(parents=True)
        (tmp_path / "anne" / name / "lmm.py").write_text("")
    found = collected(tmp_path)
    assert [one.attempt for one in found] == words
    assert found[0].title == ("anne" if words == [""] else str(Path("anne") / names[1]))


# -- as students call them -----------------------------------------------------------------------------------

def test_everything_is_an_entry():
    """This used to be six rows, and the other files went unmentioned."""
    report = grade_all(CLASS / "mixed", least_squares())
    assert rows(report) == {
        "attempts_attempt_2.py": "the last of 2 attempts: passed",
        "both": "passed",
        "capitals.PY": "passed",
        "cells_that_fail.ipynb": "its code cells: passed",
        "does_not_parse.ipynb": "its code cells: does_not_parse.ipynb does not parse: line 2 of code cell 2: "
                                + report.reports[4].problem.split("code cell 2: ")[1],
        "essay.docx": "essay.docx is no Python file, but a document of Word",
        "essay.pdf": "essay.pdf is no Python file, but a PDF",
        "hidden_ending.py.txt": "hidden_ending.py.txt is no Python file, but a text; if it is Python, rename it to hidden_ending.py",
        "nested": f"{Path('work/lmm.py')}: passed",
        "no_ending": "no_ending is no Python file, but a file whose name has no ending",
        "no_python": "the folder 'no_python' holds no Python file, but essay.pdf",
        "notes.txt": "notes.txt is no Python file, but a text",
        "of_r.ipynb": "of_r.ipynb is a notebook of R, not of Python",
        "old_format.ipynb": "its code cells: passed",
        "photo.JPG": "photo.JPG is no Python file, but a picture",
        "raises.ipynb": "its code cells: no random effects: lmm raises ZeroDivisionError at line 2 of code cell 2 of raises.ipynb, "
                        "in inner: division by zero",
        "script.r": "script.r is no Python file, but a script of R",
        "script2.R": "script2.R is no Python file, but a script of R",
        "several": "the folder 'several' holds 2 Python files, none of them lmm.py; give one",
    }
    notes = {one.title: one.notes for one in report.reports}
    assert "graded is practical.py, not what is beside it: practical.ipynb" in notes["both"]
    failed = notes["cells_that_fail.ipynb"]
    assert any(note.startswith("the notebook raises FileNotFoundError at line 2 of code cell 1 of cells") for note in failed)
    assert any(note.startswith("the notebook raises NameError at line 7 of code cell 3 of cells_that_fail.ipynb") for note in failed)


@pytest.mark.parametrize("names, words", [
    (["a/lmm.py", "b/lmm.py"], "holds several folders with Python files, 'a', 'b'; give one"),
    (["a/other.py", "b/lmm.py", "b/more.py"], "b/lmm.py"),
    (["a/b/c/mixed.py"], "a/b/c/mixed.py"),
    (["LMM.PY", "other.py"], "LMM.PY"),
    (["helpers.py", "lmm.ipynb"], "lmm.ipynb"),
    (["a.ipynb", "b.ipynb"], "holds 2 notebooks, none of them lmm.ipynb; give one"),
    (["a.zip", "b.zip"], "holds 2 zip files, 'a.zip', 'b.zip'; give one"),
    (["a.pdf", "b.pdf", "c.pdf", "d.pdf"], "holds no Python file, but a.pdf, b.pdf, c.pdf, ... (4 files)"),
    (["anne.py", "~$anne.py", "~$lmm.ipynb"], "anne.py"),
    (["__pycache__/lmm.py", ".git/lmm.py", "__init__.py", "Thumbs.db"], "holds no Python file"),
])
def test_the_file_of_a_students_folder(names, words, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(notebook("x = 1") if name.endswith("ipynb") else "")
    try:
        found = submission(tmp_path)
    except LMMError as error:
        assert str(error) == f"the folder {tmp_path.name!r} {words}"
    else:
        assert found.path == tmp_path / words


def test_a_folder_of_very_many_files_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("lmm.grading.folders.MOST_FILES", 3)
    for name in "abcd":
        (tmp_path / name).write_text("")
    with pytest.raises(LMMError, match="holds more than 3 files, or more than 12 folders within folders"):
        submission(tmp_path)


@POSIX
def test_links_pipes_and_odd_names(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "class"
    outside.mkdir()
    (outside / "lmm.py").write_text(RIGHT)
    (folder / "ben").mkdir(parents=True)
    (folder / "anne.py").write_text(NOTHING)
    os.symlink(outside / "lmm.py", folder / "out.py")
    os.symlink(outside, folder / "out")
    os.symlink("nowhere.py", folder / "nothing.py")
    os.symlink("loop.py", folder / "loop.py")
    os.symlink("anne.py", folder / "copy.py")
    os.symlink(outside / "lmm.py", folder / "ben" / "lmm.py")
    os.mkfifo(folder / "pipe.py")
    (folder / "two\nlines.py").write_text(NOTHING)
    odd = os.path.join(os.fsencode(folder), b"caf\xe9.py")
    try:
        with open(odd, "w") as file:
            file.write("def lmm(form, dat, ref):\n    return 1 / 0\n")
    except OSError:                     # a file system that takes UTF-8 alone
        pytest.skip("names that are no UTF-8")
    found = problems(folder)
    assert [one.title for one in collected(folder, leave_out={folder / "anne.py"})] == sorted(found)[1:]
    assert found == {
        "anne.py": "",
        "ben": "the folder 'ben' holds no Python file, but lmm.py, a link that is not followed",
        "caf\\udce9.py": "",
        "copy.py": "copy.py is a link to something else in the folder; it is not followed",
        "loop.py": "loop.py is a link to nothing",
        "nothing.py": "nothing.py is a link to nothing",
        "out": "out is a link to a place outside of its folder; it is not followed",
        "out.py": "out.py is a link to a place outside of its folder; it is not followed",
        "pipe.py": "pipe.py is no regular file",
        "two\\nlines.py": "",
    }
    report = least_squares().report(os.fsdecode(odd))
    assert "raises ZeroDivisionError at line 2" in str(report)
    str(report).encode()                # it can be printed


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read(tmp_path):
    (tmp_path / "anne.py").write_text(RIGHT)
    (tmp_path / "ben").mkdir()
    (tmp_path / "anne.py").chmod(0)
    (tmp_path / "ben").chmod(0)
    found = problems(tmp_path)
    (tmp_path / "ben").chmod(0o700)
    assert found == {"anne.py": "anne.py cannot be read: Permission denied", "ben": "the folder 'ben' cannot be read: Permission denied"}


def test_a_file_that_cannot_be_read_is_a_row(tmp_path, monkeypatch):
    """Whoever runs this, root included."""
    (tmp_path / "anne.py").write_text(RIGHT)
    (tmp_path / "ben.ipynb").write_text(notebook("x = 1"))

    def refuse(path, *_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lmm.grading.folders.open", refuse, raising=False)
    assert problems(tmp_path) == {name: f"{name} cannot be read: Permission denied" for name in ("anne.py", "ben.ipynb")}


def test_what_is_written_and_read_by_the_grader_is_no_submission(tmp_path, capsys):
    (tmp_path / "anne.py").write_text(RIGHT)
    table = tmp_path / "points.csv"
    for _ in range(2):
        assert main(["grade", "--all", str(tmp_path), "--case", "no random effects", "--csv", str(table)]) == 0
    assert capsys.readouterr().out.count("1 submission, 1 passed every case") == 2
    (tmp_path / "ben.ipynb").write_text("")
    assert main(["grade", "--all", str(tmp_path), "--json", str(tmp_path / "ben.ipynb")]) == 2
    assert "would overwrite what is to be read" in capsys.readouterr().err


def test_titles_are_told_apart(tmp_path, monkeypatch):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr("lmm.grading.collecting.printable", lambda name: "?.py")
    assert [one.title for one in collected(tmp_path)] == ["?.py", "?.py (2)"]


def test_names_that_can_be_printed():
    assert printable("café.py") == "café.py" and printable("a\tb\udce9") == "a\\tb\\udce9"
    assert not_python("a.XYZ") == "a.XYZ is no Python file, but a file that ends in .xyz"


# -- zip files -----------------------------------------------------------------------------------------------

def zipped(path, members):
    """A zip file of names and texts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_a_zip_file(tmp_path):
    path = zipped(tmp_path / "anne.zip", {
        "practical/lmm.py": "from algebra import fitted as lmm\n",
        "practical/algebra.py": RIGHT.replace("def lmm(", "def fitted("),
        "__MACOSX/practical/._lmm.py": "x",
    })
    report = grade(path, "no random effects")
    assert report.passed and report.title == "anne.zip", str(report)
    assert report.notes[:2] == ("anne.zip was unpacked", f"graded is {Path('practical/lmm.py')}")
    found = submission(path)
    assert found.path.exists()
    found.remove()
    assert not found.path.exists() and not found.made[0].exists()


def test_a_class_in_a_zip_file_and_what_is_left_of_it(tmp_path):
    """A platform's download, as it comes; a student's zip file is opened, one within that is not."""
    bomb = zipped(tmp_path / "lmm.zip", {"lmm.py": RIGHT}).read_bytes()
    student = zipped(tmp_path / "student.zip", {"lmm.py": RIGHT}).read_bytes()
    within = zipped(tmp_path / "within.zip", {"a/lmm.zip": bomb}).read_bytes()
    path = zipped(tmp_path / "class.zip", {"class/anne.zip": student, "class/ben.zip": within, "class/eve/lmm.py": NOTHING})
    report = grade_all(path, least_squares())
    assert rows(report) == {
        "anne.zip": "passed",
        "ben.zip": "ben.zip holds no Python file, but another zip file, 'lmm.zip', which is not opened",
        "eve": "no random effects: lmm returned None: is a return statement missing?",
    }
    assert not Path(submission(tmp_path / "student.zip").made[0].parent / "class").exists()


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize("members, words", [
    ({"../lmm.py": ""}, "holds '../lmm.py', a path that leads out of its folder; it is not unpacked"),
    ({"a/../../lmm.py": ""}, "a path that leads out of its folder"),
    ({"/tmp/lmm.py": ""}, "holds '/tmp/lmm.py', a path that leads out of its folder"),
    ({"C:/lmm.py": ""}, "a path that leads out of its folder"),
    ({"..\\lmm.py": ""}, "a path that leads out of its folder"),
    ({"lmm.py": "", link("out"): "/etc"}, "holds a link, 'out'; it is not unpacked"),
    ({"lmm.py": b"0" * 3_000_000}, "is too large when unpacked: more than 1 MiB"),
    ({f"{i}.py": "" for i in range(21)}, "holds 21 files and folders; more than 20 are not unpacked"),
    ({"/".join("abcdefghijklmno"): ""}, "holds more than 12 folders within folders"),
    ({"x" * 300 + ".py": ""}, "holds a name that no file can have: 'xxx"),
    ({"a\x01.py": ""}, "holds a name that no file can have: 'a\\x01.py'"),
    ({"a.py": "", "A.py": ""}, "holds 'A.py' twice"),
    ({"a": "", "a/lmm.py": ""}, "cannot be unpacked: File exists"),
], ids=range(13))
def test_zip_files_that_are_not_unpacked(members, words, tmp_path):
    path = zipped(tmp_path / "anne.zip", members)
    (tmp_path / "in").mkdir()
    with pytest.raises(LMMError) as error:
        unpack(path, tmp_path / "in", Limits(members=20, bytes=2**20))
    assert str(error.value).startswith("anne.zip ") and words in str(error.value)
    assert not (tmp_path / "lmm.py").exists()


def changed(path, before, after):
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after))


def test_broken_zip_files(tmp_path):
    """Of a member that says it is small no more than that is read."""
    text = "x = 1\n" * 1000
    path = zipped(tmp_path / "anne.zip", {"lmm.py": text})
    whole = path.read_bytes()
    cases = {
        "encrypted": (b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00", "is encrypted; it takes a zip file without"),
        "method": (b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x0e\x00", "is compressed in a way that is not opened here; zip it as usual"),
        "sum": (zipfile.ZipFile(path).infolist()[0].CRC.to_bytes(4, "little"), b"\0\0\0\0", "is no zip file, or a broken one: Bad CRC-32"),
        "cut": (whole, whole[:-30], "is no zip file, or a broken one: File is not a zip file"),
        "empty": (whole, b"", "is no zip file, or a broken one"),
        "lies": (len(text).to_bytes(4, "little"), (10).to_bytes(4, "little"), "is no zip file, or a broken one: Bad CRC-32"),
    }
    for name, (before, after, words) in cases.items():
        path.write_bytes(whole)
        changed(path, before, after)
        (tmp_path / name).mkdir()
        with pytest.raises(LMMError) as error:
            unpack(path, tmp_path / name)
        assert str(error.value).startswith("anne.zip ") and words in str(error.value), name


def test_a_refused_zip_file_leaves_nothing(tmp_path):
    path = zipped(tmp_path / "anne.zip", {"notes.txt": ""})
    rooms = submission(zipped(tmp_path / "ben.zip", {"lmm.py": ""})).made[0].parent
    before = set(rooms.iterdir())
    with pytest.raises(LMMError, match=r"anne.zip holds no Python file, but notes.txt"):
        submission(path)
    assert set(rooms.iterdir()) == before


# -- notebooks -----------------------------------------------------------------------------------------------

def test_a_notebook(capsys):
    """Its cells are taken, with a word on it; magics and input() are no reason to fail."""
    path = CLASS / "nbgrader" / "submitted" / "one" / "ps1" / "practical.ipynb"
    assert main(["grade", str(path), "--case", "no random effects"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Note: practical.ipynb is a notebook: its code cells were taken, as one file" in printed
    assert "left out of the notebook: %matplotlib in code cell 1, !pip in code cell 1, the cell %%bash in code cell 2" in printed
    assert "the notebook asks for input at line 1 of code cell 3 of practical.ipynb, by input(), where nobody answers" in printed


@pytest.mark.parametrize("source, python", [
    ("%matplotlib inline\nx = 1", "pass\nx = 1"),
    ("if a:\n    !ls -l\n    %cd ..", "if a:\n    pass\n    pass"),
    ("?lmm\nlmm?\nnp.log??\nfiles = !ls\nx = %pwd", "pass\npass\npass\npass\npass"),
    ("pip install numpy\nx = 1", "pass\nx = 1"),
    ("%time x = f(1)\n  %time", "x = f(1)\n  pass"),
    ("%%time\nx = 1", "\nx = 1"),
    ("print('%d'\n%3)", "print('%d'\n%3)"),
    ("text = '''\n%matplotlib\n!ls'''", "text = '''\n%matplotlib\n!ls'''"),
    ("x = 7 \\\n% 2", "x = 7 \\\n% 2"),
    ("x = 7 % 2 != 1\ny = 'a?'", "x = 7 % 2 != 1\ny = 'a?'"),
    ("%load_ext x\nz = (7\n% 2)\n%who", "pass\nz = (7\n% 2)\npass"),
    (["x = 1\n", "y = 2"], "x = 1\ny = 2"),
])
def test_magics(source, python, tmp_path):
    """Each is a line that does nothing, so that lines keep their numbers; a % that divides stays."""
    (tmp_path / "a.ipynb").write_text(notebook(source))
    ((label, text),), _ = read_notebook(tmp_path / "a.ipynb")
    assert text == python and label == "code cell 1 of a.ipynb"


@pytest.mark.parametrize("text, words", [
    ("", "anne.ipynb is no notebook: it is no JSON"),
    ("[1]", "anne.ipynb is no notebook: its JSON has no cells"),
    ("[" * 100_000, "anne.ipynb is no notebook: it is no JSON"),
    ('{"cells": 1}', "anne.ipynb is no notebook: its cells are not as nbformat has them"),
    ('{"cells": [{}]}', "anne.ipynb is no notebook: its cells are not as nbformat has them"),
    ('{"cells": [{"cell_type": "code", "source": [1]}]}', "anne.ipynb is no notebook: its cells are not as nbformat has them"),
    (notebook("", "%%html\n<p>"), "anne.ipynb is a notebook without code"),
    (notebook("x", metadata={"language_info": {"name": "julia"}}), "anne.ipynb is a notebook of julia, not of Python"),
], ids=range(8))
def test_what_is_no_notebook(text, words, tmp_path):
    (tmp_path / "anne.ipynb").write_text(text)
    with pytest.raises(LMMError) as error:
        submission(tmp_path / "anne.ipynb")
    assert str(error.value).startswith(words)


def test_a_loose_notebook_is_watched_as_a_file_is(tmp_path):
    """What its cells do is noted, and its warnings name the cell."""
    (tmp_path / "data.csv").write_text("a\n1\n")
    cell = f"import warnings\nopen({str(tmp_path / 'data.csv')!r}).read()"
    warning = "def lmm(form, dat, ref=()):\n    warnings.warn('slow')\n"
    (tmp_path / "anne.ipynb").write_text(notebook(cell, warning))
    report = least_squares().report(tmp_path / "anne.ipynb", helpers=False)
    assert f"reads a file: {tmp_path / 'data.csv'}" in report.notes, report.notes
    assert "code cell 2 of anne.ipynb:2: UserWarning: slow" in report.results[0].output


def test_a_notebook_that_fails_before_lmm_is_defined(tmp_path):
    (tmp_path / "anne.ipynb").write_text(notebook("raise KeyError('x')", "y = 1"))
    report = least_squares().report(tmp_path / "anne.ipynb")
    assert report.problem == "anne.ipynb cannot be loaded: it raises KeyError at line 1 of code cell 1 of anne.ipynb: 'x'"


def test_a_cell_may_wait_outside_of_functions(tmp_path):
    """As in a notebook: this used to be no Python, for 0 points."""
    first = "import asyncio\nasync def one():\n    return 'waited for'\nprint(await one())\nx = await one()"
    fails = "await asyncio.sleep(0)\nraise KeyError('x')"
    (tmp_path / "anne.ipynb").write_text(notebook(first, fails, RIGHT))
    report = least_squares().report(tmp_path / "anne.ipynb")
    assert report.passed, str(report)
    assert "the notebook raises KeyError at line 2 of code cell 2 of anne.ipynb: 'x'" in report.notes
    (tmp_path / "ben.ipynb").write_text(notebook(f"{first}\n{RIGHT}\nassert x == 'waited for'"))
    assert least_squares().report(tmp_path / "ben.ipynb").passed


@pytest.mark.parametrize("magic", ["%%writefile lmm.py", "\n%%file -a 'my work/lmm.py' "])
def test_what_a_notebook_writes_is_taken_as_well(tmp_path, magic):
    """This used to be left out, and there was no function lmm, or it was taken for this package."""
    (tmp_path / "anne.ipynb").write_text(notebook(f"{magic}\n{RIGHT}", "import lmm as mine\nmine.lmm"))
    report = least_squares().report(tmp_path / "anne.ipynb")
    assert report.passed, str(report)
    name = magic.split(maxsplit=1)[1].removeprefix("-a ").strip(" '")
    assert f"taken as well is what the notebook writes: {name} in code cell 1" in report.notes
    (text,), _ = zip(*read_notebook(tmp_path / "anne.ipynb")[0][:1])
    assert text == "code cell 1 of anne.ipynb"


@pytest.mark.parametrize("cell", ["%%writefile notes.txt\nx = 1", "%%writefile lmm.py\nx ="])
def test_what_is_no_python_is_left_out(tmp_path, cell):
    (tmp_path / "anne.ipynb").write_text(notebook(cell, "y = 1"))
    cells, notes = read_notebook(tmp_path / "anne.ipynb")
    assert [text for _, text in cells] == ["y = 1"]
    assert notes[1] == "left out of the notebook: the cell %%writefile in code cell 1"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["anne.py", "anne.ipynb"])
def test_utf_16(tmp_path, name, encoding):
    """As some systems' editors write it: Python's words are "cannot contain null bytes"."""
    text = notebook(RIGHT) if name.endswith("ipynb") else RIGHT
    (tmp_path / name).write_text(text, encoding=encoding)
    said = f"{name} is in UTF-16, which Python does not read; save it as UTF-8"
    with pytest.raises(LMMError, match=f"^{said}$"):
        submission(tmp_path / name)
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert least_squares().report(tmp_path / name).passed


# -- what a submission prints, as it can be printed -----------------------------------------------------------

ODD = "\x1b[2J\0\u202eevil\x9b"
SHOWN = r"\x1b[2J\x00\u202eevil\x9b"


@pytest.mark.parametrize("text, words", [
    (f"def lmm(form, dat, ref=()):\n    print({ODD!r}, end='\\r\\n')", SHOWN),
    (f"def lmm(form, dat, ref=()):\n    raise KeyError(type('', (), {{'__repr__': lambda one: {ODD!r}}})())", SHOWN),
    (f"def lmm(form, dat, ref=()):\n    return {{{ODD!r}: 1}}", SHOWN.replace("\\", "\\\\")),
    (f"raise ValueError({ODD!r})", SHOWN),
    (f"open({'/etc/' + ODD.replace(chr(0), '')!r})", SHOWN.replace(r"\x00", "")),
], ids=["printed", "raised", "a key", "when loaded", "a file"])
def test_what_cannot_be_printed_is_written_as_python_writes_it(tmp_path, text, words):
    """A submission used to be able to clear the grader's terminal, or to turn its lines round."""
    (tmp_path / "anne.py").write_text(text)
    report = least_squares().report(tmp_path / "anne.py")
    for shown in (str(report), page(report), report._repr_html_(), "\n".join(map(str, report.notes))):
        assert not any(one in shown for one in ODD if not one.isprintable())
    assert words in str(report) and words in page(report), str(report)


def test_lines_and_tabs_of_what_is_printed_stay():
    assert printable_text("a\tb\r\nc\rd\n\x1b") == "a\tb\nc\nd\n\\x1b"


def test_odd_characters_of_what_is_made_by_hand_are_no_part_of_a_page():
    found = page(Report(ODD, ()))
    assert "[2J" in found and not any(one in found for one in ODD if not one.isprintable())


def test_a_magic_that_cannot_be_printed(tmp_path):
    (tmp_path / "anne.ipynb").write_text(notebook("%\x1bx", "y = 1"))
    assert read_notebook(tmp_path / "anne.ipynb")[1][1].endswith(r": %\x1bx in code cell 1")


# -- other ways to ask ---------------------------------------------------------------------------------------

def test_a_lambda_and_names_of_cases():
    def fitted(form, dat):
        return beta_and_theta(form, dat)

    report = grade(lambda form, dat, ref: fitted(form, dat), "no random effects")
    assert report.passed and report.title == "the lambda", str(report)
    both = [name for name in ("Machines", "Dyestuff2")]
    assert [judge.case.name for judge in Grading(both).judges] == both
    assert len(Grading().judges) == len(built_in_cases())


def beta_and_theta(form, dat):
    import numpy as np
    from patsy import dmatrices
    y, X = dmatrices(form, dat)
    beta, rss, *_ = np.linalg.lstsq(X, y, rcond=None)
    half = lambda x, by=0.5: x * by; same = lambda x: x         # noqa: E702, E731
    return same(beta[:, 0]), [half(float(np.log(rss[0] / len(y))))]


half = lambda x: x / 2; double = lambda x: x * 2                # noqa: E702, E731


def test_lambdas_that_share_a_line():
    """They have the same names and constants: their instructions tell them apart."""
    source = source_with_all_it_uses(lambda form, dat, ref: half(4) + double(1), "mine")
    assert source == ("half = (lambda x: x / 2)\n\n\ndouble = (lambda x: x * 2)\n\n\n"
                      "mine = (lambda form, dat, ref: half(4) + double(1))\n\n")


def test_a_lambda_whose_source_is_lost():
    with pytest.raises(LMMError, match="the lambda cannot be taken out of the notebook, for it has no source"):
        grade(eval("lambda form, dat, ref: 3"), "no random effects")


@pytest.mark.parametrize("cases, words", [
    ("machines", "there is no built-in case 'machines'; there are .*; did you mean 'Machines'"),
    (3, "cases is a int; it takes cases, or names of built-in ones"),
    ([3], "cases holds 3; it takes cases, or names of built-in ones"),
    ([], "cases is empty; it takes at least one case"),
    (["Machines", "Machines"], "two cases are called 'Machines'; rename one of them"),
])
def test_what_are_no_cases(cases, words):
    with pytest.raises(LMMError, match=words):
        grade("anne.py", cases)


def test_outputs_to_standard_output(tmp_path, capsys):
    """The report then goes to standard error, so that the next program reads the table alone."""
    (tmp_path / "anne.py").write_text(RIGHT)
    asked = ["--case", "no random effects"]
    assert main(["grade", "--all", str(tmp_path), *asked, "--csv", "-"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1] == "anne.py,1,1,True,1,"
    assert printed.err.startswith("1 submission, 1 passed every case")
    assert main(["grade", str(tmp_path), *asked, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["points"] == 1
    assert main(["grade", str(tmp_path), *asked, "--json", "-", "--html", "-"]) == 2
    assert "--json and --html cannot both be -, standard output" in capsys.readouterr().err


def test_files_are_written_even_if_nobody_reads_what_is_printed(tmp_path, monkeypatch):
    """As in ``lmm grade ... --csv points.csv | head -1``: this used to write nothing."""
    class Closed(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    (tmp_path / "anne.py").write_text(RIGHT)
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        main(["grade", "--all", str(tmp_path), "--case", "no random effects", "--csv", str(tmp_path / "p.csv")])
    assert (tmp_path / "p.csv").read_text().splitlines()[1] == "anne.py,1,1,True,1,"
