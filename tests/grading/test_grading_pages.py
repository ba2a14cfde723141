"""The pages of a student and of a class: whole, escaped, linked, and true in their pictures."""

import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest

from lmm import LMMError, grade
from lmm.__main__ import main
from lmm.grading import (
    ClassReport,
    Grading,
    Report,
    Result,
    autograders,
    built_in_cases,
    comparing,
    pictures,
)
from lmm.grading.diagnosis import Judge
from lmm.grading.inside import running
from lmm.grading.likelihoods import Likelihood
from lmm.grading.pages import file_names, page, write_reports
from lmm.grading.report import Drawing, Number

RIGHT = Path(__file__).parent / "submissions" / "correct" / "practical.py"
U = "MachinesUnbalanced"
VOID = {"meta", "wbr"}
NASTY = "a\"b<c>&'d.py"
SCRIPT = "<script>alert(1)</script>"


class Page(HTMLParser):
    """A page read strictly: each element is closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert len(attributes) == len(dict(attributes)), tag
        self.tags.append(tag)
        self.attributes.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag, **wanted):
        """The attributes of the elements of a kind, those with the wanted values."""
        return [
            found for name, found in self.attributes
            if name == tag and all(found.get(key.rstrip("_")) == value for key, value in wanted.items())
        ]

    @property
    def words(self):
        return " ".join("".join(self.text).split())


# -- made by hand --------------------------------------------------------------------------------

POSITIONS = (0.0, 0.5, 1.0, 1.5, 2.0)
DRAWING = Drawing(f"W<{SCRIPT}", POSITIONS, (8.0, 2.0, 0.0, 3.0, 10.0), (2.0, 0.0, 1.0, 30.0, np.nan), 1.0, 0.5)
NUMBERS = (
    Number("sd", "sigma", 1.0, 1.0, 1.0),
    Number("sd", "W<b>", 2.0, 3.0, 3.0, off=True),
    Number("beta", "x", -1.5, -1.5, -1.5),
    Number("LMMprof", "0.1, -0.2", 10.0, 25.0, 10.0),
)
RESULTS = (
    Result("Machines", "the sheet's", True, 1.0, 1.0, output=SCRIPT, numbers=NUMBERS, drawing=DRAWING),
    Result("b & <c>", "why <i>", False, 0.0, 2.0, ("REML <b>", "second"), ("a note <u>",), mistakes=("REML <b>",),
           numbers=NUMBERS, drawing=DRAWING),
    Result("secret", "secret why", False, 0.0, 1.0, ("secret cause",), ("secret note",), output="secret output", hidden=True,
           numbers=(Number("beta", "secret column", 1.0, 2.0, 2.0),), drawing=replace(DRAWING, name="secret block")),
)
REPORT = Report(NASTY, RESULTS, notes=(f"reads a file: {SCRIPT}",))


def test_a_students_page_is_whole_and_escaped():
    text = page(REPORT)
    read = Page(text)
    assert text.startswith("<!doctype html>\n<html lang=\"en\">") and read.all("meta", name="viewport")
    assert "script" not in read.tags and read.words.count(SCRIPT) >= 3
    assert not {"b", "i", "u", "c"} & set(read.tags)
    assert f"<title>{REPORT.title}" not in text and NASTY in read.words
    for words in ("1 of 4 points", "1 of 3 cases passed", "✗ not passed", "✓ passed", "REML <b>", "second", "a note <u>"):
        assert words in read.words, words


def test_what_is_loaded_from_elsewhere_is_nothing():
    for text in (page(REPORT), page(ClassReport((REPORT,)))):
        assert not re.search(r"https?:|//|@import|url\(|<img|<link|<script", text)


def test_a_page_has_headings_in_order_and_links_that_lead_somewhere():
    read = Page(page(REPORT))
    levels = [int(tag[1]) for tag in read.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(following <= level + 1 for level, following in pairwise(levels))
    ids = [found["id"] for _, found in read.attributes if "id" in found]
    links = [found["href"] for found in read.all("a")]
    assert len(ids) == len(set(ids)) and {link[1:] for link in links} == set(ids) and len(links) == 2


def test_of_a_hidden_case_a_student_sees_that_it_is_not_passed():
    for hidden in (RESULTS[2], replace(RESULTS[2], passed=True, points=1.0)):
        text = page(Report("anne.py", (*RESULTS[:2], hidden)))
        assert "secret" not in text and "hidden case 3" in Page(text).words


def test_the_class_page_is_the_lecturers():
    text = page(ClassReport((REPORT, Report("ben.py", (), "ben.py defines no function lmm"))))
    read = Page(text)
    assert "secret (hidden)" in read.words and "ben.py defines no function lmm" in read.words
    assert "script" not in read.tags and not read.all("a") and "..." not in text
    assert len(read.all("td", class_="ok")) == 1 and len(read.all("td", class_="no")) == 2


def test_a_page_says_which_attempt_and_what_of_it_was_graded():
    report = replace(REPORT, attempt="attempt <2>", taken="sub/lmm.py")
    assert "Graded: attempt <2>, sub/lmm.py." in Page(page(report)).words and "Graded" not in Page(page(REPORT)).words
    assert "attempt <2>, sub/lmm.py: b & <c>: REML <b>" in Page(page(ClassReport((report,)))).words


def test_numbers_are_shown_with_those_that_are_wrong_marked():
    read = Page(page(REPORT))
    words = read.words.replace("\N{MINUS SIGN}", "-")
    for row in ("W<b>23✗ off", "sigma11✓", "x-1.5-1.5✓", "0.1, -0.2102510✓"):
        assert row in words, row
    assert "found, on the sheet's scale" in read.words


def test_a_submission_that_could_not_be_judged_says_why_and_nothing_else():
    read = Page(page(Report("eve.py", tuple(replace(one, passed=False) for one in RESULTS[:2]), "eve.py does not parse: line 3")))
    assert "eve.py does not parse: line 3." in read.words and "svg" not in read.tags and not read.all("a")


def test_a_class_of_one_and_of_none():
    assert "1 submission" in Page(page(ClassReport((REPORT,)))).words
    assert "0 submissions" in Page(page(ClassReport(()))).words


def test_frequent_causes_are_counted_by_submission():
    """Numbers apart, and once however many cases have it."""
    def with_cause(title, *causes):
        return Report(title, tuple(Result(f"c{i}", "", False, 0.0, 1.0, (cause,)) for i, cause in enumerate(causes)))

    reports = (
        with_cause("a", "sd[W] = 3, expected 4: wrong; it is 0.5 above", "sigma = 1, expected 2: wrong; it is 7e-3 above"),
        with_cause("b", "sd[W] = 9, expected 4: wrong; it is 12 above; the criterion is 2 above its minimum there"),
        with_cause("c", "lmm returned None"),
    )
    words = Page(page(ClassReport(reports))).words
    assert "SubmissionsCause2wrong; it is 0.5 above1lmm returned NoneBy case" in words.replace("Submissions Cause ", "SubmissionsCause").replace(" By", "By")


# -- files ---------------------------------------------------------------------------------------

def test_names_of_files_are_safe_and_distinct():
    titles = ["anne.py", "ANNE", "anne", "index.py", "con", "../../etc/passwd", "", "...", "Müller, Jörg (s1)", "李", NASTY, "x" * 300,
              "a/b", "a\\b", ".hidden.py"]
    names = file_names(titles)
    assert len({name.casefold() for name in names}) == len(titles) and "index" not in names and "con" not in names
    assert all(re.fullmatch(r"\w[\w.-]*", name) and len(name.encode()) < 240 for name in names)
    assert names[:3] == ["anne", "ANNE-2", "anne-3"] and names[8] == "Müller-Jörg-s1" and names[9] == "李"


def test_the_reports_of_a_class_are_linked(tmp_path):
    reports = (REPORT, replace(REPORT, title="anne.py"), replace(REPORT, title="Anne"), replace(REPORT, title="50% & más"))
    write_reports(ClassReport(reports), tmp_path / "out")
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(files) == 2 * len(reports) + 1
    read = Page((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    links = {unquote(found["href"]) for found in read.all("a")}
    assert links == {file for file in files if file.endswith(".html")} - {"index.html"}
    for file in files - {"index.html"}:
        assert "secret" not in (tmp_path / "out" / file).read_text(encoding="utf-8"), file


def test_a_class_writes_its_reports_in_the_one_run(tmp_path, capsys):
    given = tmp_path / "given"
    given.mkdir()
    (given / "anne.py").write_text(RIGHT.read_text())
    (given / "a&b.py").write_text("def lmm(form, dat, ref=()):\n    print('<script>')\n")
    asked = ["grade", "--all", str(given), "--case", "Machines", "--reports", str(tmp_path / "out"), "--html", str(tmp_path / "c.html")]
    assert main(asked) == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"anne.html", "anne.txt", "a-b.html", "a-b.txt", "index.html"}
    anne = Page((tmp_path / "out" / "anne.html").read_text(encoding="utf-8"))
    assert anne.all("svg", role="img") and "Both curves are the same" in anne.words
    other = Page((tmp_path / "out" / "a-b.html").read_text(encoding="utf-8"))
    assert "There is no picture of it: the submission has no LMMsetup and LMMprof." in other.words and "<script>" in other.words
    assert (tmp_path / "out" / "anne.txt").read_text().startswith("anne.py: 1 of 1 points")
    assert Page((tmp_path / "c.html").read_text(encoding="utf-8")).all("svg", role="img")
    assert capsys.readouterr().out.startswith("2 submissions, 1 of them passed")


def test_odd_bytes_in_names_and_in_what_is_printed(tmp_path):
    """Control characters, and halves of characters, as Python reads a name that is no UTF-8."""
    odd = "a\udcff\x00\x1b[31mb"
    result = replace(RESULTS[0], output=odd)
    write_reports(ClassReport((Report(f"{odd}.py", (result,), notes=(odd,)),)), tmp_path / "out")
    (path,) = [path for path in (tmp_path / "out").glob("*.html") if path.name != "index.html"]
    text = path.read_text(encoding="utf-8")
    assert "\x00" not in text and "\x1b" not in text and "a\ufffd\ufffd\ufffd[31mb" in Page(text).words
    assert path.stem == "a-31mb"


@pytest.mark.parametrize("options, words", [
    (["a.py", "--reports", "OUT"], "--reports is for --all; --html writes the page of one submission"),
    (["--all", "GIVEN", "--reports", "GIVEN"], "is in the folder of the submissions"),
    (["--all", "GIVEN", "--reports", "GIVEN/feedback"], "is in the folder of the submissions"),
    (["--all", "GIVEN", "--reports", "FILE"], "is a file; give a folder"),
    (["--all", "GIVEN", "--reports", "OUT/more/still"], "cannot be made: there is no folder"),
    (["a.py", "--autograders", "OUT"], "--autograders grades nothing"),
    (["--autograders", "FILE"], "the files for autograders cannot be written"),
    (["--autograders", "OUT", "--only-cases"], "--only-cases needs --cases FILE"),
])
def test_mistakes_about_folders_exit_with_2_and_one_sentence(options, words, tmp_path, capsys):
    (tmp_path / "GIVEN").mkdir()
    (tmp_path / "FILE").write_text("")
    capitals = re.compile("OUT|GIVEN|FILE")
    asked = [str(tmp_path / option) if capitals.match(option) else option for option in options]
    assert main(["grade", *asked]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and words in printed.err and printed.err.count("\n") == 1


# -- pictures ------------------------------------------------------------------------------------

def scale(read, axis):
    """The number at a place, as a function, from the labelled ticks of an axis of a picture."""
    label = {"x": ("x", "x"), "y": ("y", "y")}[axis]
    places, numbers = [], []
    texts = iter(read.svg_texts)
    for attributes, text in texts:
        if attributes.get("class") == label[0] and axis in attributes and re.fullmatch(r"-?[\d.]+", text):
            places.append(float(attributes[axis]) - (5 if axis == "y" else 0))
            numbers.append(float(text))
    slope, start = np.polyfit(places, numbers, 1)
    assert len(numbers) > 2
    return lambda place: start + slope * np.asarray(place, float)


class Picture(Page):
    """A picture, with its texts beside their places."""

    def __init__(self, text):
        self.svg_texts = []
        super().__init__(text)

    def handle_data(self, data):
        super().handle_data(data)
        if self.open and self.open[-1] == "text":
            self.svg_texts.append((self.attributes[-1][1], data))


def points_of(path):
    """The coordinates of a path, (points, 2)."""
    return np.array([list(map(float, pair.split(","))) for pair in re.findall(r"[ML]([^ML]+)", path)])


def test_a_points_place_is_that_of_its_number():
    read = Picture(pictures.criterion(DRAWING))
    x, y = scale(read, "x"), scale(read, "y")
    (right,) = (points_of(found["d"]) for found in read.all("path", class_="right"))
    np.testing.assert_allclose(x(right[:, 0]), POSITIONS, atol=0.01)
    np.testing.assert_allclose(y(right[:, 1]), DRAWING.right, atol=0.05)
    dots = [(float(found["cx"]), float(found["cy"])) for found in read.all("circle", class_="dot")][:3]
    np.testing.assert_allclose(x([dot[0] for dot in dots]), POSITIONS[:3], atol=0.01)
    np.testing.assert_allclose(y([dot[1] for dot in dots]), DRAWING.own[:3], atol=0.05)
    (frame,) = read.all("rect", class_="frame")
    marks = {found["class"]: x(found["x1"]) for found in read.all("line", y1=frame["y"]) if "class" in found}
    assert marks["mark right"] == pytest.approx(1.0, abs=0.01) and marks["mark own"] == pytest.approx(0.5, abs=0.01)


def test_a_curve_is_cut_where_it_leaves_the_frame():
    """Between its last point within and the next, at the height of the frame."""
    read = Picture(pictures.criterion(DRAWING))
    x, y = scale(read, "x"), scale(read, "y")
    (own,) = (points_of(found["d"]) for found in read.all("path", class_="own"))
    assert y(own[-1, 1]) == pytest.approx(20.0, abs=0.05)
    assert x(own[-1, 0]) == pytest.approx(1.0 + 0.5 * 19 / 29, abs=0.01)
    (frame,) = read.all("rect", class_="frame")
    top, bottom = float(frame["y"]), float(frame["y"]) + float(frame["height"])
    assert own[:, 1].min() >= top - 0.1 and own[:, 1].max() <= bottom + 0.1


def test_a_picture_is_described_to_those_who_do_not_see_it():
    read = Picture(pictures.criterion(DRAWING))
    (svg,) = read.all("svg")
    assert svg["role"] == "img" and "The right curve is smallest at 1, yours at 0.5" in svg["aria-label"]
    assert read.tags[1] == "title" and "script" not in read.tags and SCRIPT in svg["aria-label"]


@pytest.mark.parametrize("points, total, labels, counts", [
    ([0, 1, 1, 14, 13, 14, 14], 14, 15, {0: 1, 1: 2, 13: 1, 14: 3}),
    ([0.5, 2.9, 3.0], 3, 4, {0: 1, 2: 1, 3: 1}),
    ([0, 99, 100], 100, 15, {0: 1, 98: 2}),
    ([0.0, 0.0], 0, 1, {0: 2}),
    ([0.25], 0.25, 2, {0.25: 1}),
])
def test_a_histogram_counts(points, total, labels, counts):
    read = Picture(pictures.histogram(points, total))
    x, numbers = {}, []
    for attributes, text in read.svg_texts:
        if attributes.get("class") == "x" and "x" in attributes and re.fullmatch(r"[\d.]+", text):
            x[float(text)] = float(attributes["x"])
    assert len(x) == labels
    inside = [text for attributes, text in read.svg_texts if attributes.get("class") == "x count"]
    for bar, text in zip(read.all("rect", class_="bar"), inside):
        centre = float(bar["x"]) + float(bar["width"]) / 2
        (number,) = (number for number, place in x.items() if abs(place - centre) < 0.2)
        numbers.append((number, int(text), float(bar["height"])))
    assert {number: count for number, count, _ in numbers} == counts
    heights = [height / count for _, count, height in numbers]
    np.testing.assert_allclose(heights, heights[0], atol=0.2)


@pytest.mark.parametrize("low, high", [(0, 20), (-0.03, 0.04), (1e5, 3e5), (0, 2), (-1.5, 1.5), (0.1, 0.7)])
def test_ticks_are_round_and_within(low, high):
    found = pictures.ticks(low, high)
    assert 3 <= len(found) <= 11 and low <= found[0] and found[-1] <= high
    steps = np.diff(found)
    np.testing.assert_allclose(steps, steps[0])
    assert f"{steps[0]:.0e}"[0] in "125"


# -- numbers and curves --------------------------------------------------------------------------

@cache
def judge_of(name):
    return Judge(next(case for case in built_in_cases() if case.name == name))


def answered(name, text, drawing=10.0):
    """What a process says of a case, and what is found of its likelihood."""
    judge = judge_of(name)
    case = judge.case
    module = SimpleNamespace()
    space = {}
    exec(text, space)
    for function in running.FUNCTIONS:
        if function in space:
            setattr(module, function, space[function])
    lines = [line.tolist() for line in case.lines]
    given = (case.form, case.dat, case.ref, [theta.tolist() for theta in case.thetas], lines, drawing)
    answer = json.loads(json.dumps(running.run(module, given, RIGHT)))
    return judge, answer, judge.likelihood(answer["likelihood"])


def changed(*changes):
    text = RIGHT.read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


VALUE = "return half_logdet + rss / 2, beta"
SETUP = "def LMMprof(theta, setup):\n"
MAXIMUM = ("lambda theta: LMMprof(theta, setup)[0]", "lambda theta: -LMMprof(theta, setup)[0]")


@pytest.mark.parametrize("changes, words", [
    ([], ""),
    ([(VALUE, "return half_logdet + rss / 2 + 50, beta")], ""),
    ([(SETUP, f"{SETUP}    theta = theta[:, 0]\n"), ("LMMprof(theta, setup)[0], s", "LMMprof(theta[:, None], setup)[0], s"),
      ("LMMprof(found.x, setup)", "LMMprof(found.x[:, None], setup)")], ""),
    ([(VALUE, "return 2 * half_logdet + rss + 7, beta")], "twice the negative log-likelihood; it is drawn halved"),
    ([(VALUE, "return -half_logdet - rss / 2, beta"), MAXIMUM], "the log-likelihood; it is drawn with its sign changed"),
    ([(VALUE, "return -2 * half_logdet - rss, beta"), MAXIMUM], "twice the log-likelihood; it is drawn halved and with its sign"),
])
def test_a_right_likelihood_lies_on_the_right_curve_whatever_its_scale(changes, words):
    judge, answer, likelihood = answered(U, changed(*changes))
    drawn = comparing.drawing(judge, answer, likelihood)
    np.testing.assert_allclose(drawn.own, drawn.right, atol=1e-7)
    assert likelihood.right and drawn.name == "Worker" and words in drawn.words and drawn.missing == ""
    middle = len(drawn.positions) // 2
    assert drawn.right[middle] == 0.0 and drawn.positions[middle] == judge.case.theta[1] == drawn.optimum
    found = [number for number in comparing.numbers(judge, answer, False) if number.of == "LMMprof"]
    np.testing.assert_allclose([number.on_scale for number in found], [number.expected for number in found], rtol=1e-9)


def test_a_wrong_likelihood_is_drawn_where_it_differs_most():
    """(n - p) log sigma^2 depends on sigma alone: along a block's sd nothing would be seen."""
    judge, answer, likelihood = answered(U, changed((" + (n - r) * theta[0]", "")))
    drawn = comparing.drawing(judge, answer, likelihood)
    assert drawn.name == "sigma" and likelihood.right is False
    lowest = drawn.positions[int(np.argmin(drawn.own))]
    assert lowest > drawn.optimum + 0.3 and min(drawn.own) == 0.0 and "smallest at" in pictures.described(drawn)


def test_what_is_wrong_along_one_block_is_drawn_along_that():
    judge, answer, likelihood = answered(U, changed((VALUE, "return half_logdet + rss / 2 + 3 * theta[2], beta")))
    drawn = comparing.drawing(judge, answer, likelihood)
    assert drawn.name == "Worker:Machine" and likelihood.right is False
    slope = np.polyfit(drawn.positions, np.subtract(drawn.own, drawn.right), 1)[0]
    assert slope == pytest.approx(3.0)


def test_a_mistake_on_another_scale_is_drawn_on_the_right_one():
    """REML's log-likelihood, as it was to be maximised."""
    reml = (VALUE, "return -(half_logdet + rss / 2 + np.log(np.diag(G)[:k]).sum()), beta")
    judge, answer, likelihood = answered(U, changed(reml, MAXIMUM))
    drawn = comparing.drawing(judge, answer, likelihood)
    assert "REML" in likelihood.mistake and "sign changed" in drawn.words
    assert 0 < np.argmin(drawn.own) < len(drawn.own) - 1


@pytest.mark.parametrize("change, words", [
    (("def LMMprof(theta, setup):\n", "def LMMprof(theta, setup):\n    raise KeyError('q')\n"), "LMMprof raises KeyError"),
    (("def LMMsetup(form, dat, ref=()):\n", "def LMMsetup(form, dat, ref=()):\n    raise KeyError('q')\n"), "LMMsetup raises KeyError"),
    ((VALUE, "return 'text', beta"), "LMMprof returned a tuple in which no single number was found"),
    ((VALUE, "return np.nan, beta"), "LMMprof returns no finite number"),
    (("def LMMprof(", "def profile("), "the submission has no LMMsetup and LMMprof"),
])
def test_where_there_is_no_picture_the_page_says_why(change, words):
    judge, answer, likelihood = answered(U, changed(change))
    drawn = comparing.drawing(judge, answer, likelihood)
    assert words in drawn.missing, drawn
    result = Result("a", "", False, 0.0, 1.0, ("wrong",), drawing=drawn)
    assert "There is no picture of it" in Page(page(Report("a.py", (result,)))).words


def test_a_likelihood_that_is_slow_along_lines_keeps_its_answer():
    """Time is up before the first point: the fit is there, and the page says why there is no picture."""
    judge, answer, likelihood = answered(U, RIGHT.read_text(), drawing=0.0)
    assert answer["lines"] == [] and judge.fit(answer["fit"], likelihood).passed
    assert comparing.drawing(judge, answer, likelihood).missing == comparing.OUT_OF_TIME


def test_what_is_printed_along_lines_is_lost(capsys):
    """It would be as much again as a fit prints."""
    text = changed(("def LMMprof(theta, setup):\n", "def LMMprof(theta, setup):\n    print('call')\n"))
    printed = []
    for drawing in (10.0, 0.0):
        answered(U, text, drawing)
        printed.append(capsys.readouterr().out.count("call"))
    assert printed[0] == printed[1] > 0


def test_numbers_are_marked_only_where_they_are_wrong():
    judge, answer, _ = answered(U, changed((VALUE, "return half_logdet + rss / 2 + np.log(np.diag(G)[:k]).sum(), beta")))
    found = list(comparing.numbers(judge, answer, True))
    assert [number.name for number in found[:6]] == ["sigma", "Worker", "Worker:Machine", "Intercept", "Machine[T.B]", "Machine[T.C]"]
    np.testing.assert_allclose([number.expected for number in found[:3]], np.exp(judge.case.theta))
    assert [number.off for number in found[1:3]] == [True, True] and all(number.off for number in found[6:])
    judge, answer, _ = answered(U, RIGHT.read_text())
    assert not any(number.off for number in comparing.numbers(judge, answer, False))


@pytest.mark.parametrize("theta", [[1e300, 0, 0], [-1e300, 800, np.nan], [0, -np.inf, 710]])
def test_any_numbers_can_be_shown(theta):
    """Warnings being errors here."""
    judge, answer, likelihood = answered(U, RIGHT.read_text())
    items = answer["fit"]["returned"]["items"]
    items["theta"]["values"] = theta
    found = comparing.numbers(judge, answer, True)
    assert len(found) in (4, 10)
    result = Result("a", "", False, 0.0, 1.0, ("wrong",), numbers=found, drawing=comparing.drawing(judge, answer, likelihood))
    Page(page(Report("a.py", (result,))))


def test_a_zero_standard_deviation_is_drawn_from_afar():
    judge, answer, likelihood = answered("Dyestuff2", RIGHT.read_text())
    drawn = comparing.drawing(judge, answer, likelihood)
    assert drawn.optimum == -np.inf and drawn.positions[-1] == pytest.approx(judge.case.theta[0])
    np.testing.assert_allclose(drawn.own, drawn.right, atol=1e-7)
    read = Picture(pictures.criterion(drawn))
    assert not [found for found in read.all("line") if found.get("class") == "mark right"]
    assert [number.expected for number in comparing.numbers(judge, answer, False)][1] == 0.0


def test_a_report_in_json_has_no_nan():
    found = json.loads(REPORT.to_json(), parse_constant=pytest.fail)
    assert found["cases"][0]["drawing"]["own"] == [2.0, 0.0, 1.0, 30.0, None] and found["cases"][1]["numbers"][1]["off"] is True


# -- autograders ---------------------------------------------------------------------------------

@pytest.mark.parametrize("files, words", [
    ({"mine.py": "def lmm(form, dat, ref=()):\n    return None\n"}, "lmm returned None"),
    ({"a.py": "", "b.py": ""}, "holds 2 Python files, none of them lmm.py"),
    ({}, "holds no Python file"),
    ({"lmm.py": "def lmm(:\n"}, "does not parse: line 1"),
    (None, "there is no file"),
])
def test_gradescopes_file_is_always_written(files, words, tmp_path, capsys):
    """Whatever was handed in: with the points there are, and the sentence."""
    folder, results = tmp_path / "submission", tmp_path / "results.json"
    if files is not None:
        folder.mkdir()
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    assert main(["grade", str(folder), "--case", "Machines", "--gradescope", str(results)]) == 1
    found = json.loads(results.read_text())
    assert found["score"] == 0 and [test["max_score"] for test in found["tests"]] == [1.0]
    assert words in found["output"] + found["tests"][0]["output"] and words in capsys.readouterr().out


def test_gradescopes_file_is_written_where_the_judge_fails(tmp_path, monkeypatch, capsys):
    def fail(grading, given, helpers=True):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(Grading, "report", fail)
    assert main(["grade", str(RIGHT), "--case", "Machines", "--gradescope", str(tmp_path / "r.json")]) == 1
    assert "the judge itself failed" in json.loads((tmp_path / "r.json").read_text())["output"]


def test_the_files_for_autograders(tmp_path, capsys):
    """A test of otter's for each case, with its points; of a hidden one the name is not shown."""
    cases = [*built_in_cases()[:2], replace(built_in_cases()[2], name="Rail's", hidden=True, points=3.0)]
    autograders.write_autograders(tmp_path, cases, "far/away/our cases.json")
    tests = sorted((tmp_path / "otter" / "tests").iterdir())
    assert [path.name for path in tests] == ["01_machines.py", "02_machinesunbalanced.py", "03_rail_s.py"]
    texts = [path.read_text() for path in tests]
    assert "name = 'MachinesUnbalanced'\npoints = 2.0" in texts[1] and "check(lmm, 'MachinesUnbalanced')" in texts[1]
    assert "name = 'hidden case 3'" in texts[2] and "points=3.0, hidden=True" in texts[2]
    assert 'check(lmm, "Rail\'s", file=\'our cases.json\')' in texts[2]
    for text in texts:
        compile(text, "test", "exec")
    notebook = json.loads((tmp_path / "nbgrader" / "source" / "lmm" / "lmm.ipynb").read_text())
    marks = [cell["metadata"]["nbgrader"] for cell in notebook["cells"]]
    assert [mark.get("points") for mark in marks] == [None, None, 6.0] and len({mark["grade_id"] for mark in marks}) == 3
    assert "cases += read_cases('our cases.json')" in notebook["cells"][2]["source"]
    script = (tmp_path / "gradescope" / "run_autograder").read_text()
    assert "--cases '/autograder/source/our cases.json' --case Machines --case MachinesUnbalanced" in script
    assert main(["grade", "--autograders", str(tmp_path / "more"), "--case", "Machines"]) == 0
    assert len(list((tmp_path / "more" / "otter" / "tests").iterdir())) == 1


def test_the_last_value_of_nbgraders_cell_is_the_points(tmp_path, capsys):
    """Run as nbgrader would, with a submission in the cell before."""
    cases = [case for case in built_in_cases() if case.name in ("Machines", "no random effects")]
    autograders.write_autograders(tmp_path, cases)
    notebook = json.loads((tmp_path / "nbgrader" / "source" / "lmm" / "lmm.ipynb").read_text())
    *statements, last = [line for line in notebook["cells"][2]["source"].splitlines() if not line.startswith("#")]
    path = tmp_path / "mine.py"
    path.write_text(changed(("np.hstack([np.empty((len(y), 0)), *blocks])", "np.hstack(blocks)")))
    space = {"lmm": path}
    exec("\n".join(statements), space)
    assert repr(eval(last, space)) == "1.0" and "1 of 2 points" in capsys.readouterr().out


def test_one_case_is_checked(monkeypatch, tmp_path):
    """And a submission is judged once, however many tests ask, until its text is another."""
    judged = []

    def graded(given, cases):
        judged.append(given)
        return grade(given, cases[:2])

    monkeypatch.setattr(autograders, "grade", graded)
    autograders._remembered.clear()
    path = tmp_path / "mine.py"
    path.write_text("def lmm(form, dat, ref=()):\n    return None\n")
    for name in ("Machines", U):
        with pytest.raises(AssertionError, match=f"{name}: lmm returned None"):
            autograders.check(path, name)
    with pytest.raises(LMMError, match="there is no case 'machines'"):
        autograders.check(path, "machines")
    with pytest.raises(LMMError, match="there is no function lmm"):
        autograders.check(None, "Machines")
    assert len(judged) == 1
    path.write_text(RIGHT.read_text())
    autograders.check(path, "Machines")
    autograders.check(path, U)
    assert len(judged) == 2
    autograders._remembered.clear()


def test_a_likelihood_that_is_not_known_has_no_curve():
    assert comparing.drawing(judge_of(U), {"likelihood": None}, Likelihood(None, "")).missing
