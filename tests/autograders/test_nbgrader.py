"""nbgrader, from the assignment to the feedback, gives the points of the cases."""

import csv
import json
from importlib.util import find_spec

import pytest
from autograders.submissions import POINTS, SUBMISSIONS, run, write_autograders

pytestmark = pytest.mark.skipif(find_spec("nbgrader") is None, reason="nbgrader is not installed; see the extra autograders")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """nbgrader's folder of a course, graded, with feedback."""
    course = tmp_path_factory.mktemp("course")
    (write_autograders(course) / "nbgrader" / "source").rename(course / "source")
    run(course, "nbgrader", "generate_assignment", "lmm")
    released = json.loads((course / "release" / "lmm" / "lmm.ipynb").read_text())
    for name, text in SUBMISSIONS.items():
        released["cells"][1]["source"] = text
        folder = course / "submitted" / name / "lmm"
        folder.mkdir(parents=True)
        (folder / "lmm.ipynb").write_text(json.dumps(released))
    run(course, "nbgrader", "autograde", "lmm")
    run(course, "nbgrader", "export")
    run(course, "nbgrader", "generate_feedback", "lmm")
    return course


def test_the_assignment_holds_no_answer_and_no_test(course):
    released = (course / "release" / "lmm" / "lmm.ipynb").read_text()
    assert "YOUR CODE HERE" in released and "grade(" not in released and "HIDDEN" not in released


def test_the_points_are_those_of_the_cases(course):
    with open(course / "grades.csv") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert {name: float(row["score"]) for name, row in rows.items()} == POINTS
    assert {float(row["max_score"]) for row in rows.values()} == {max(POINTS.values())}


def test_the_feedback_says_what_is_wrong(course):
    page = (course / "feedback" / "middling" / "lmm" / "lmm.html").read_text()
    assert "3 of 4 points, 2 of 3 cases passed" in page and "QR with pivoting" in page
