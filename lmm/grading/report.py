"""What a grader gets: the results of a submission, or of a class, as text, HTML, JSON, CSV and Gradescope's results.json."""

import csv
import io
import json
from dataclasses import asdict, dataclass, field

from ..result import tables

MOST_LINES = 6      # of a submission's own output in the printed report
LONGEST = 100       # characters of a cause in the table of a class


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
    likelihood, mistake : str
        What was found of `LMMprof`, and the mistake that its numbers are those of, if any.
    output : str
        What the submission printed, warnings included.
    seconds : float or None
        What the call of `lmm` took.
    hidden : bool
        Whether students see only that it was or was not passed.
    """

    name: str
    why: str
    passed: bool
    points: float
    total: float
    causes: tuple = ()
    notes: tuple = ()
    likelihood: str = ""
    mistake: str = ""
    output: str = field(default="", repr=False)
    seconds: float | None = None
    hidden: bool = False


@dataclass(frozen=True, repr=False)
class Report(tables.Shown):
    """The results of a submission: printing it shows them, as a notebook does; the methods are for programs.

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
    """

    title: str
    results: tuple
    problem: str = ""
    notes: tuple = ()

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

    def __repr__(self):
        return f"Report({self.title}: {self.points:g} of {self.total:g} points)"

    @property
    def cause(self):
        """What is wrong first of all, in a sentence, or ""."""
        failed = [result for result in self.results if not result.passed]
        shown = [result for result in failed if not result.hidden and result.causes]
        if self.problem or not failed:
            return self.problem
        if not shown:
            return "a hidden case is not passed"
        first = next((result for result in shown if result.mistake), shown[0])
        return f"{first.name}: {first.causes[0]}"

    def _tables(self):
        passed = sum(result.passed for result in self.results)
        yield tables.Table(f"{self.title}: {self.points:g} of {self.total:g} points, "
                           f"{passed} of {len(self.results)} cases passed")
        if self.problem:
            yield tables.Table(self.problem)
        else:
            rows = tuple((shown_name(result, i), f"{result.points:g} / {result.total:g}", "" if result.passed else "NOT passed")
                         for i, result in enumerate(self.results))
            yield tables.Table("", ("<Case", "Points", "<"), rows)
            yield from self._causes()
        shown = [result for result in self.results if not result.hidden]
        notes = [*self.notes, *(f"{result.name}: {note}" for result in shown for note in result.notes)]
        yield from (tables.Table(""), *(tables.Table(f"Note: {note}") for note in notes)) if notes else ()
        printed = next((result for result in shown if result.output.strip()), None)
        if printed is not None:
            lines = [line for line in printed.output.splitlines() if line.strip()]
            yield tables.Table("")
            yield tables.Table(f"Printed by the submission ({printed.name}):")
            yield from (tables.Table(f"    {line[:tables.WIDTH]}") for line in lines[:MOST_LINES])
            yield from [tables.Table(f"    ... ({len(lines)} lines)")] if len(lines) > MOST_LINES else ()

    def _causes(self):
        """Why cases are not passed; those with the same causes, or the same mistake, together."""
        together = {}
        for result in self.results:
            if not result.passed and not result.hidden:
                together.setdefault(result.mistake or result.causes, []).append(result)
        for results in together.values():
            first, *others = results
            yield tables.Table("")
            yield tables.Table(", ".join(result.name for result in results) if others else f"{first.name}: {first.why}")
            yield from (tables.Table(f"  - {cause}") for cause in first.causes)

    def to_dict(self):
        """All of it as plain Python, hidden cases included."""
        return {"submission": self.title, "passed": self.passed, "points": self.points, "total": self.total,
                "problem": self.problem, "notes": list(self.notes), "cases": [asdict(result) for result in self.results]}

    def to_json(self):
        """All of it as JSON text, hidden cases included."""
        return json.dumps(self.to_dict(), indent=2)

    def gradescope(self):
        """A dict to be written as Gradescope's ``results.json``: a test for each case, hidden ones being hidden there."""
        tests = [{"name": result.name, "score": result.points, "max_score": result.total,
                  "status": "passed" if result.passed else "failed", "visibility": "hidden" if result.hidden else "visible",
                  "output": "\n".join((*result.causes, *result.notes)) or "passed"} for result in self.results]
        said = self.problem or "\n".join(f"Note: {note}" for note in self.notes)
        return {"score": self.points, "output": said, "output_format": "text", "tests": tests}


@dataclass(frozen=True, repr=False)
class ClassReport(tables.Shown):
    """The reports of a class: printing it shows a table with a line for each.

    Attributes
    ----------
    reports : tuple of Report
        In the order of their titles.
    """

    reports: tuple

    @property
    def passed(self):
        """Whether every submission passed every case."""
        return all(report.passed for report in self.reports)

    def __repr__(self):
        return f"ClassReport({len(self.reports)} submissions)"

    def _tables(self):
        passed = sum(report.passed for report in self.reports)
        rows = tuple((report.title, f"{report.points:g} / {report.total:g}", cut(report.cause) or "passed")
                     for report in self.reports)
        yield tables.Table(f"{len(self.reports)} submissions, {passed} of them passed every case")
        yield tables.Table("", ("<Submission", "Points", "<First of all"), rows)

    def to_json(self):
        """The reports as JSON text."""
        return json.dumps([report.to_dict() for report in self.reports], indent=2)

    def to_csv(self):
        """A line for each submission: what it earned in all and by case, and what is wrong first of all."""
        names = list(dict.fromkeys(result.name for report in self.reports for result in report.results))
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["submission", "points", "total", "passed", *names, "cause"])
        for report in self.reports:
            points = {result.name: result.points for result in report.results}
            table.writerow([report.title, f"{report.points:g}", f"{report.total:g}", report.passed,
                            *(f"{points.get(name, 0.0):g}" for name in names), report.cause])
        return text.getvalue()


def shown_name(result, i):
    """The name of a case, unless it is hidden."""
    return f"hidden case {i + 1}" if result.hidden else result.name


def cut(text):
    """A cause short enough for a table."""
    return text if len(text) <= LONGEST else text[:LONGEST - 3].rstrip() + "..."
