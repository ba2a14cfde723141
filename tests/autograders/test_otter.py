"""otter-grader, without Docker, gives the points of the cases."""

import json
from importlib.util import find_spec

import pytest
from autograders.submissions import (
    CASES,
    POINTS,
    SUBMISSIONS,
    code_cell,
    notebook,
    run,
    write_autograders,
)

pytestmark = pytest.mark.skipif(find_spec("otter") is None, reason="otter-grader is not installed; see the extra autograders")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with otter's autograder and the submissions, as notebooks and as files."""
    folder = tmp_path_factory.mktemp("otter")
    tests = write_autograders(folder) / "otter" / "tests"
    assert len(list(tests.iterdir())) == len(CASES)
    run(folder, "otter", "generate", "-t", str(tests), "-o", "autograder.zip", "--no-requirements", "--no-environment")
    for name, text in SUBMISSIONS.items():
        cells = [code_cell(part, f"c{i}") for i, part in enumerate(text.split("\n\n\n"))]
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook(cells)))
    (folder / "lmm.py").write_text(SUBMISSIONS["good"])
    return folder


def graded(folder, file):
    (folder / f"{file}.results").mkdir()
    run(folder, "otter", "run", file, "-a", "autograder.zip", "-o", f"{file}.results", "--no-logo")
    tests = json.loads((folder / f"{file}.results" / "results.json").read_text())["tests"]
    return {test["name"]: test for test in tests if "max_score" in test}


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_a_notebook_gets_the_points_of_its_cases(folder, name):
    tests = graded(folder, f"{name}.ipynb")
    assert {case: test["max_score"] for case, test in tests.items()} == CASES
    assert sum(test["score"] for test in tests.values()) == POINTS[name]
    if name == "middling":
        assert "QR with pivoting: psi must be permuted" in tests["three crossed blocks"]["output"]


def test_a_file_called_lmm_hides_nothing(folder):
    assert sum(test["score"] for test in graded(folder, "lmm.py").values()) == POINTS["good"]
