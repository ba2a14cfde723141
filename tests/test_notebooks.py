"""The notebooks: they run, print what is stored, and are copied by the command."""

import ast
import os
import re

import pytest
from ahead import Ahead, asked
from execute_notebooks import ANSWER, NAMES, PICTURE, answers, executed, stored, text_of

from lmm.__main__ import main
from lmm.notebooks import NOTEBOOK_FOLDER

LARGEST = 400_000       # bytes
OF_A_MACHINE = r"/home/|/Users/|/tmp/|/usr/|[A-Z]:\\\\|0x[0-9a-f]{6}"       # paths, and addresses


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook):
    """The source of each code cell, and what it prints and shows."""
    return [(cell.source, "".join(map(text_of, cell.outputs))) for cell in code_cells(notebook)]


def outputs(notebook):
    """All outputs of all code cells."""
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def pictures(notebook):
    """The text of each picture."""
    shown = [output.get("data", {}).get("text/html", "") for output in outputs(notebook)]
    return [found[1] for text in shown for found in PICTURE.finditer(text)]


def exercises(notebook):
    """The text of each exercise, to the next one."""
    (text,) = [cell.source for cell in notebook.cells if "## Exercises" in cell.source]
    return re.split(r"^\*\*\d+\.\*\*", text, flags=re.MULTILINE)[1:]


def fits_bound(notebook):
    """The names that are bound to fits, or to what may be one, as often as they are."""
    code = "\n".join([*(cell.source for cell in code_cells(notebook)), *(text for text, _ in answers(notebook))])
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            function = ast.unparse(node.value.func)
            if function in ("lmm", "lmer") or function.endswith(".update"):
                yield from map(ast.unparse, node.targets)


@pytest.fixture(scope="module")
def run(request):
    """The notebook as it is executed now; this takes its time, so two are executed at a time."""
    with Ahead(executed, asked(request, "run", "name")) as ahead:
        yield ahead


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_shows_what_is_stored(name, run):
    """Pictures are not compared, for they depend on matplotlib's version; warnings would be on stderr, and there is none."""
    (now, answered), then = run(name), stored(name)
    assert not [output.text for output in outputs(now) if output.get("name") == "stderr"]
    for (source, printed), (_, prints) in zip(texts(then), texts(now), strict=True):
        assert prints == printed, source         # if that is as it should be: python tests/execute_notebooks.py
    for (code, said), printed in zip(answers(then), answered, strict=True):
        assert printed == said, code


@pytest.mark.parametrize("name", NAMES)
def test_each_exercise_has_an_answer_folded_away(name):
    found = exercises(stored(name))
    assert len(found) >= 2
    for text in found:
        folded = re.findall(r"<details><summary>(?:Hint|Answer)</summary>\n\n.*?\n</details>", text, re.DOTALL)
        assert len(ANSWER.findall(folded[-1])) == 1 and folded[-1].startswith("<details><summary>Answer")
        assert "```" not in "".join(re.split(r"<details>.*?</details>", text, flags=re.DOTALL))


@pytest.mark.parametrize("name", NAMES)
def test_each_picture_has_a_text(name):
    """So there is none of those that Jupyter makes, to which it gives no text."""
    notebook = stored(name)
    kinds = {kind for output in outputs(notebook) for kind in output.get("data", {})}
    found = pictures(notebook)
    assert kinds <= {"text/plain", "text/html"}
    assert len(found) >= 1 and min(map(len, found)) > 40 and len(set(found)) == len(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_one_fit(name):
    names = list(fits_bound(stored(name)))
    assert len(names) == len(set(names)), names


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_small_and_holds_nothing_of_the_machine_it_ran_on(name):
    notebook = stored(name)
    assert (NOTEBOOK_FOLDER / name).stat().st_size < LARGEST
    assert not re.search(OF_A_MACHINE, "".join(text for _, text in texts(notebook)))
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    assert not [cell for cell in notebook.cells if cell.metadata]
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, 1 + len(counts)))


def test_the_command_copies_the_notebooks_and_says_how_to_open_them(tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    assert main(["notebooks", str(folder)]) == 0
    printed = capsys.readouterr().out
    copied = sorted(folder.iterdir())
    assert {path.name for path in copied} >= set(NAMES)
    assert not [path for path in copied if path.suffix == ".py"]
    for path in copied:
        assert path.read_bytes() == (NOTEBOOK_FOLDER / path.name).read_bytes()
        assert str(path) in printed
    assert "pip install notebook matplotlib" in printed


def test_the_command_overwrites_only_when_forced(tmp_path, capsys):
    """One file in the way, and nothing is copied."""
    mine = tmp_path / NAMES[0]
    mine.write_text("my answers")
    assert main(["notebooks", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.err == (
        f"lmm: {tmp_path} already holds {NAMES[0]!r}; nothing was copied: give another folder, "
        "or --force (in Python, force=True) to overwrite\n"
    )
    assert printed.out == "" and os.listdir(tmp_path) == [NAMES[0]]
    assert mine.read_text() == "my answers"
    assert main(["notebooks", str(tmp_path), "--force"]) == 0
    assert mine.read_bytes() == (NOTEBOOK_FOLDER / NAMES[0]).read_bytes()


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["notebooks", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith("lmm: ")
