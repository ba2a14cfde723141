"""The README and the guide: their examples run, their links and pictures are there, and they are of the agreed size."""

import csv
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import GUIDE, PAGES, ROOT, examples, run

import lmm
from lmm import LMMError, guide, load_data
from lmm.__main__ import main

README = ROOT / "README.md"
TEXTS = [README, ROOT / "CONTRIBUTORS.md", *PAGES]
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def called(path):
    return path.name


# -- examples ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [README, *PAGES], ids=called)
def test_examples_run_and_print_what_is_shown(path):
    pytest.importorskip("matplotlib").use("Agg")
    results = run(path)
    assert results.failed == 0 and results.attempted == len(examples(path.read_text()))


def test_most_pages_have_examples():
    without = {path.stem for path in PAGES if not examples(path.read_text())}
    assert without <= {"speed", "grading", "grading_files", "validation", "requirements", "arbiter"}


@pytest.mark.parametrize("change", [("2\n", "3\n"), ("\n\n2", "\n2"), ("1\n", "1\n\n"), ("boom", "bang")])
def test_output_that_is_not_as_shown_fails(change, tmp_path, capsys):
    page = tmp_path / "page.md"
    right = '```python\n>>> print("1\\n\\n2")\n1\n\n2\n>>> raise ValueError("boom")\n' \
            'Traceback (most recent call last):\n    ...\nValueError: boom\n```\n'
    page.write_text(right)
    assert run(page) == (0, 2)
    shown = right.index("\n1\n") + 1
    page.write_text(right[:shown] + right[shown:].replace(*change, 1))
    assert run(page).failed == 1


@pytest.mark.parametrize("path", TEXTS, ids=called)
def test_no_page_has_what_no_terminal_shows(path):
    text = path.read_text()
    assert "<BLANKLINE>" not in text and "doctest:" not in text


# -- size, doors and links -----------------------------------------------------------------------------------


def test_the_readme_is_of_one_screen_and_has_two_commands():
    lines = README.read_text().splitlines()
    assert len(lines) <= 120
    commands = [line for line in lines if line.startswith("python3 -m venv .venv && ")]
    assert len(commands) == 2 and "-m lmm" in commands[0] and "-m pytest" in commands[1]


@pytest.mark.parametrize("path", PAGES, ids=called)
def test_a_page_can_be_assigned_to_a_class(path):
    """Of a length that is read at once, with what one needs to know before at its beginning."""
    text = path.read_text()
    assert 60 <= len(text.splitlines()) <= 200
    assert text.startswith("# ") and re.search(r"\bYou\s+need\b", text.split("\n## ")[0])


@pytest.mark.parametrize("path", TEXTS, ids=called)
def test_links_lead_somewhere(path):
    for _, target in LINK.findall(CODE.sub("", path.read_text())):
        file = target.partition("#")[0]
        assert not file.startswith("http") or path == README, target
        assert (path.parent / file).exists(), f"{path.name} links to {target}"


def test_each_page_has_a_door():
    """It is listed by `lmm guide`, and linked from the README."""
    names = {path.stem for path in PAGES}
    listed = [name for door in guide.DOORS.values() for name in door]
    assert set(guide.pages()) == names <= set(listed) and len(listed) == len(set(listed))
    linked = {Path(target).stem for _, target in LINK.findall(README.read_text())}
    assert set(listed) <= linked


# -- pictures ------------------------------------------------------------------------------------------------


def test_pictures_are_there_are_described_and_are_shown():
    make_pictures = importlib.import_module("make_pictures")
    shown = set()
    for path in TEXTS:
        for alternative, target in PICTURE.findall(path.read_text()):
            assert len(alternative) > 40, f"{path.name} says too little of {target}"
            assert (path.parent / target).stat().st_size < 100_000
            shown.add(Path(target).name)
    assert shown == {path.name for path in (GUIDE / "pictures").iterdir()}
    assert shown == {f"{name}.svg" for name in make_pictures.PICTURES}


@pytest.mark.parametrize("name", ["means", "machines"])
def test_the_script_draws_the_pictures(name, tmp_path):
    """The same bytes each time, and the words of the one that is in the guide; other versions move lines a little."""
    pytest.importorskip("matplotlib").use("Agg")
    make_pictures = importlib.import_module("make_pictures")
    first = make_pictures.make(name, tmp_path).read_text()
    assert first == make_pictures.make(name, tmp_path).read_text()
    words = re.findall(r"<text[^>]*>([^<]*)</text>", first)
    assert words and words == re.findall(r"<text[^>]*>([^<]*)</text>", (GUIDE / "pictures" / f"{name}.svg").read_text())


# -- what pages take from elsewhere ---------------------------------------------------------------------------


def test_the_practicals_page_shows_the_code_as_it_is():
    source = "".join((Path(lmm.__file__).parent / file).read_text() for file in ("practical.py", "engines/qr.py"))
    shown = re.findall(r"^```python\n( .*?)^```$", (GUIDE / "practical.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(shown) >= 4
    for block in shown:
        assert block in source, block


def test_the_page_of_the_data_names_each_set_and_each_file():
    text = (GUIDE / "data.md").read_text()
    rows = {name: int(rows) for name, rows in re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)}
    with (ROOT / "data" / "columns.csv").open() as file:
        names = {row["data"] for row in csv.DictReader(file)}
    assert set(rows) == names
    for name, number in rows.items():
        assert len(load_data(name)) == number
    for path in (ROOT / "data").iterdir():
        assert f"`{path.name}{'/' * path.is_dir()}`" in text or path.name.split(".")[0] in names, path.name
    assert all(re.match(r"\| `\w+` \| \d+ \| .+ \| (nlme|lme4|mlmRev); \w", line)
               for line in text.splitlines() if re.match(r"\| `\w+` \| \d", line))


def test_the_page_of_speed_is_the_benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    report = importlib.import_module("scaling.report")
    text = (GUIDE / "speed.md").read_text()
    tables = text[len(report.BEFORE) + 1 : -len(report.AFTER) - 1]
    assert text == report.page(tables) and tables.startswith("Seconds of a whole fit by REML")


# -- the command -----------------------------------------------------------------------------------------------


def test_the_command_lists_the_pages(capsys):
    assert main(["guide"]) == 0
    printed = capsys.readouterr().out
    for name in guide.pages():
        assert re.search(rf"^  {name} +\S", printed, re.MULTILINE), name
    assert "first_session" in printed and "A first session" in printed and str(guide.GUIDE_FOLDER) in printed


@pytest.mark.parametrize("name", ["first_session", "first-session", "First session", "first_session.md"])
def test_the_command_prints_a_page(name, capsys):
    assert main(["guide", name]) == 0
    assert capsys.readouterr().out == (GUIDE / "first_session.md").read_text()


def test_on_a_terminal_it_shows_a_page_in_a_pager_and_as_wide_as_that_is(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("pydoc.pager", shown.append)
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["guide", "words"]) == 0 and capsys.readouterr().out == ""
    assert shown[0].startswith("# Words\n\nWhat each word means in this package")


@pytest.mark.parametrize("path", PAGES, ids=called)
@pytest.mark.parametrize("width", [60, 100])
def test_a_page_on_a_terminal_says_the_same_and_its_code_stays(path, width):
    text = path.read_text()
    shown = guide.wrapped(text, width)
    assert shown.split() == text.split()
    assert guide.wrapped(shown, width) == shown
    for kept in (*guide.FENCED.findall(text), *re.findall(r"^(?:\||#).*$", text, re.MULTILINE)):
        assert kept in shown
    prose = guide.FENCED.sub("", shown).splitlines()
    assert all(len(line) <= width for line in prose
               if not line.startswith(("|", "#", "    ")) and len(line.split()) > 1 and "](" not in line)


def test_a_page_that_there_is_not(capsys):
    assert main(["guide", "wrods"]) == 2
    assert capsys.readouterr().err.endswith("did you mean 'words'?\n")
    with pytest.raises(LMMError, match=r"there is no page of the guide '\.\./words'"):
        guide.page("../words")


def test_a_page_is_printed_where_the_output_is_no_utf8(tmp_path):
    """As in Windows' terminals; this used to be a traceback, also of tables with such letters."""
    command = [sys.executable, "-m", "lmm", "guide", "formulas"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env={"PYTHONIOENCODING": "ascii", "PATH": ""}, check=False)
    assert done.returncode == 0 and done.stderr == b"" and b"Sepal.Length" in done.stdout
