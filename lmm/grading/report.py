"""What a grader gets: the results of a submission, or of a class.

They are shown as text and HTML, and written as JSON, CSV and Gradescope's results.json.
"""

import csv
import io
import json
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from math import isfinite, nan
from textwrap import wrap

from ..result import rendering, tables

MOST_LINES = 6          # of a submission's own output in the printed report
NARROWEST = 40          # characters of a column of sentences, in the table of a class
WIDEST_TITLE = 40       # of its column of titles
FORMULA_STARTS = ("=", "+", "-", "@")       # of a cell, to a spreadsheet


@dataclass(frozen=True)
class Number:
    """A number that was asked for, beside the one that was found.

    Attributes
    ----------
    of : str
        What it belongs to: ``"sd"``, ``"beta"`` or ``"LMMprof"``.
    name : str
        Which of them: ``"sigma"`` or a block, a column of X, a theta.
    expected : float
        The right one. Of theta's elements the standard deviations are compared.
    found : float
        The submission's.
    on_scale : float
        The same for the eye: of a criterion that is right but for its scale and its constant,
        without them.
    off : bool
        Whether it is one of those that are wrong.
    """

    of: str
    name: str
    expected: float
    found: float
    on_scale: float
    off: bool = False


@dataclass(frozen=True)
class Drawing:
    """The submission's criterion and the right one along the log of one standard deviation.

    The others are at the optimum. Both are counted from their smallest values there.

    Attributes
    ----------
    name : str
        Whose log standard deviation: ``"sigma"`` or a block.
    positions : tuple of float
        Its values.
    right, own : tuple of float
        The criteria; nan where there is none. `own` is on the scale of `right`.
    optimum, reached : float
        The element of theta that is best, and the submission's; -inf for a standard deviation of
        zero, nan where there is none.
    words : str
        How `own` was made comparable.
    missing : str
        Why there is nothing to draw, or "".
    """

    name: str = ""
    positions: tuple = ()
    right: tuple = ()
    own: tuple = ()
    optimum: float = nan
    reached: float = nan
    words: str = ""
    missing: str = ""


def either(mistakes):
    """Mistakes that come to the same numbers, in a sentence."""
    return "; or ".join(mistakes)


@dataclass(frozen=True)
class Result:
    """The result of one case.

    Attributes
    ----------
    name, why : str
        The case, and what it is for.
    passed : bool
        Whether nothing is wrong.
    points, total : float
        What was earned, of how much.
    causes, notes : tuple of str
        Why it is not passed, the likeliest first; and what else is to be said.
    likelihood : str
        What was found of `LMMprof`.
    mistakes : tuple of str
        The mistakes that the numbers are those of, if any: several where they come to the same.
    supposed : tuple of str
        Mistakes that the numbers agree with, but too few to tell.
    right : bool or None
        Whether `LMMprof` is right; None where that is not known.
    output : str
        What the submission printed, warnings included.
    seconds : float or None
        What the call of `lmm` took.
    hidden : bool
        Whether students see only that it was or was not passed.
    numbers : tuple of Number
        What was asked for and what was found.
    drawing : Drawing or None
        The criterion along a line, for a picture.
    """

    name: str
    why: str
    passed: bool
    points: float
    total: float
    causes: tuple = ()
    notes: tuple = ()
    likelihood: str = ""
    mistakes: tuple = ()
    supposed: tuple = ()
    right: bool | None = None
    output: str = field(default="", repr=False)
    seconds: float | None = None
    hidden: bool = False
    numbers: tuple = field(default=(), repr=False)
    drawing: Drawing | None = field(default=None, repr=False)

    @property
    def mistake(self):
        """The mistakes in a sentence, or ""."""
        return either(self.mistakes)


@dataclass(frozen=True, repr=False)
class Report(tables.Shown):
    """The results of a submission: printing it shows them, as a notebook does.

    The methods are for programs.

    Attributes
    ----------
    title : str
        The submission.
    results : tuple of Result
        One for each case.
    problem : str
        Why nothing could be judged, or the submission fails as a whole: one sentence, or "".
    notes : tuple of str
        What concerns all cases: what it reads, starts or imports, how `LMMprof` is called.
    student, attempt : str
        In a class: whose it is, where a learning platform tells, and which attempt, where there
        are several.
    taken : str
        What was graded, where the title does not say.
    """

    title: str
    results: tuple
    problem: str = ""
    notes: tuple = ()
    student: str = ""
    attempt: str = ""
    taken: str = ""

    @property
    def passed(self):
        """Whether every case is passed."""
        return not self.problem and all(result.passed for result in self.results)

    @property
    def points(self):
        """What was earned."""
        return sum(result.points for result in self.results)

    @property
    def total(self):
        """What could be earned."""
        return sum(result.total for result in self.results)

    @property
    def cause(self):
        """What is wrong first of all, in a sentence, or ""."""
        failed = [result for result in self.results if not result.passed]
        if self.problem or not failed:
            return self.problem
        shown = [result for result in failed if not result.hidden and result.causes]
        if not shown:
            return "a hidden case is not passed"
        with_mistake = [result for result in shown if result.mistake]
        first = (with_mistake or shown)[0]
        return f"{first.name}: {first.causes[0]}"

    @property
    def verdict(self):
        """What is said of it in the table of a class."""
        said = self.cause or "passed"
        what = ", ".join(filter(None, (self.attempt, self.taken)))
        return f"{what}: {said}" if what else said

    def __repr__(self):
        return f"Report({self.title}: {_of(self)} points)"

    # -- shown -----------------------------------------------------------------------------------

    def _tables(self):
        passed = sum(result.passed for result in self.results)
        count = len(self.results)
        yield tables.Table(f"{self.title}: {_of(self)} points, {passed} of {count} cases passed")
        if self.problem:
            yield tables.Table(self.problem)
        else:
            yield self._table_of_cases()
            yield from self._tables_of_causes()
        yield from self._tables_of_notes()
        yield from self._tables_of_output()

    def _table_of_cases(self):
        """A line for each case."""
        rows = []
        for name, result in zip(self.shown_names(), self.results):
            points = f"{result.points:g} / {result.total:g}"
            rows.append((name, points, "" if result.passed else "NOT passed"))
        return tables.Table("", ("<Case", "Points", "<"), tuple(rows))

    def _tables_of_causes(self):
        """Why cases are not passed."""
        for results in self.failed_together():
            first = results[0]
            heading = ", ".join(result.name for result in results)
            if len(results) == 1:
                heading = f"{first.name}: {first.why}"
            yield tables.Table("")
            yield tables.Table(heading)
            for cause in first.causes:
                yield tables.Table(f"  - {cause}")

    def _tables_of_notes(self):
        """What else is to be said: of all cases, then of each."""
        notes = self.all_notes()
        if notes:
            yield tables.Table("")
        for note in notes:
            yield tables.Table(f"Note: {note}")

    def _tables_of_output(self):
        """The first lines that the submission printed, in the first case in which it did."""
        for result in self.shown_results():
            lines = [line for line in result.output.splitlines() if line.strip()]
            if lines:
                break
        else:
            return
        yield tables.Table("")
        yield tables.Table(f"Printed by the submission ({result.name}):")
        for line in lines[:MOST_LINES]:
            yield tables.Table(f"    {line[:rendering.WIDTH]}")
        if len(lines) > MOST_LINES:
            yield tables.Table(f"    ... ({len(lines)} lines)")

    # -- what a student may see ------------------------------------------------------------------

    def shown_results(self):
        """The results of cases that are not hidden."""
        return [result for result in self.results if not result.hidden]

    def shown_names(self):
        """What the cases are called: of a hidden one its place alone is told."""
        return [
            f"hidden case {i + 1}" if result.hidden else result.name
            for i, result in enumerate(self.results)
        ]

    def failed_together(self):
        """Lists of results that are not passed: with the same causes, or the same mistake."""
        together = {}
        for result in self.shown_results():
            if not result.passed:
                together.setdefault(result.mistake or result.causes, []).append(result)
        return list(together.values())

    def all_notes(self):
        """The notes on all cases, then those on each, with its name."""
        notes = list(self.notes)
        for result in self.shown_results():
            notes += [f"{result.name}: {note}" for note in result.notes]
        return notes

    # -- for programs ----------------------------------------------------------------------------

    def to_dict(self):
        """All of it as plain Python, hidden cases included."""
        return {
            "submission": self.title,
            "student": self.student,
            "attempt": self.attempt,
            "taken": self.taken,
            "passed": self.passed,
            "points": self.points,
            "total": self.total,
            "problem": self.problem,
            "notes": list(self.notes),
            "cases": [_finite(asdict(result)) for result in self.results],
        }

    def to_json(self):
        """All of it as JSON text, hidden cases included."""
        return json.dumps(self.to_dict(), indent=2)

    def gradescope(self):
        """A dict to be written as Gradescope's ``results.json``, a test for each case.

        Hidden cases are hidden there.
        """
        said = "\n".join(f"Note: {note}" for note in self.notes)
        return {
            "score": self.points,
            "output": self.problem or said,
            "output_format": "text",
            "tests": [_gradescope_test(result) for result in self.results],
        }


def _gradescope_test(result):
    """The entry of one case in Gradescope's ``results.json``."""
    return {
        "name": result.name,
        "score": result.points,
        "max_score": result.total,
        "status": "passed" if result.passed else "failed",
        "visibility": "hidden" if result.hidden else "visible",
        "output": "\n".join((*result.causes, *result.notes)) or "passed",
    }


@dataclass(frozen=True, repr=False)
class ClassReport(tables.Shown):
    """The reports of a class: printing it shows a table with a line for each.

    Attributes
    ----------
    reports : tuple of Report
        In the order of their titles.
    notes : tuple of str
        What concerns all of them.
    """

    reports: tuple
    notes: tuple = ()

    @property
    def passed(self):
        """Whether every submission passed every case."""
        return all(report.passed for report in self.reports)

    def __repr__(self):
        return f"ClassReport({len(self.reports)} submissions)"

    def __str__(self):
        """With the sentences wrapped: in text a cell is one line."""
        return rendering.to_text(_wrapped(table) for table in self._tables())

    def _tables(self):
        passed = sum(report.passed for report in self.reports)
        rows = []
        for report in self.reports:
            points = f"{report.points:g} / {report.total:g}"
            rows.append((report.title, points, report.verdict))
        count = len(self.reports)
        of_them = " of them" if count != 1 else ""
        submissions = f"{count} submission{'s' if count != 1 else ''}"
        yield tables.Table(f"{submissions}, {passed}{of_them} passed every case")
        yield tables.Table("", ("<Submission", "Points", "<First of all"), tuple(rows))
        if self.notes:
            yield tables.Table("")
        for note in self.notes:
            yield tables.Table(f"Note: {note}")

    def to_json(self):
        """The reports as JSON text."""
        return json.dumps([report.to_dict() for report in self.reports], indent=2)

    def to_csv(self):
        """A line for each submission: its points in all and by case, and its first cause.

        And whose it is and which attempt, where the names of the files tell. A text that a
        spreadsheet would take for a formula begins with an apostrophe.
        """
        results = [result for report in self.reports for result in report.results]
        names = list(dict.fromkeys(result.name for result in results))
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        is_told = any(report.student or report.attempt for report in self.reports)
        whose = ["student", "attempt"] if is_told else []
        named = map(_no_formula, names)
        table.writerow(["submission", "points", "total", "passed", *named, "cause", *whose])
        for report in self.reports:
            points = {result.name: result.points for result in report.results}
            by_case = [f"{points.get(name, 0.0):g}" for name in names]
            in_all = [f"{report.points:g}", f"{report.total:g}", report.passed]
            row = [_no_formula(report.title), *in_all, *by_case, _no_formula(report.cause)]
            table.writerow(row + [_no_formula(getattr(report, name)) for name in whose])
        return text.getvalue()


def _of(report):
    """What was earned, of how much."""
    return f"{report.points:g} of {report.total:g}"


def _no_formula(text):
    """A text for a cell, which no spreadsheet executes."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _wrapped(table):
    """A table whose first and last columns go on in further rows, for lines of the usual width."""
    if not table.rows:
        return table
    titles, *others, _ = zip(table.columns, *table.rows)
    widest_title = min(max(map(len, titles)), WIDEST_TITLE)
    widths = [widest_title, *(max(map(len, column)) for column in others)]
    width = max(rendering.WIDTH - sum(widths) - 2 * len(widths), NARROWEST)
    rows = []
    for title, *cells, sentence in table.rows:
        first, *further = zip_longest(_pieces(title), wrap(sentence, width) or [""], fillvalue="")
        rows.append((first[0], *cells, first[1]))
        rows += [(piece, *[""] * len(cells), line) for piece, line in further]
    return tables.Table(table.title, table.columns, tuple(rows))


def _pieces(title):
    """A title cut where it is too long for a line; its spaces are as they are."""
    starts = range(0, len(title), WIDEST_TITLE)
    return [title[start:start + WIDEST_TITLE] for start in starts] or [""]


def _finite(value):
    """Plain Python of which JSON can be made: None for nan and infinity, which it does not have."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
