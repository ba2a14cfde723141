"""The page of a class, which is the lecturer's: it names hidden cases."""

import re
from collections import Counter
from html import escape
from statistics import median
from urllib.parse import quote

from .likelihoods import UNKNOWN
from .markup import table, whole_page
from .pictures import histogram

MOST_CAUSES = 12                # in the table of the most frequent ones
# at a cause's beginning, and at its end
COMPARED_NUMBERS = re.compile(
    r"^as in '[^']*': |^\S[^:]*? = \S+, expected \S+?: "
    r"|; the criterion is \S+ above its minimum there$"
)
A_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def class_page(report, files=None):
    """The page of a `ClassReport`, with links to the students' pages where there are files."""
    reports = report.reports
    count = len(reports)
    passed = sum(one.passed for one in reports)
    title = f"{count} submission{'s' if count != 1 else ''}"
    parts = [f"<h1>{title}</h1>"]
    if reports:
        total = max(one.total for one in reports)
        points = [one.points for one in reports]
        parts += [
            f"<p>{passed} of {title} passed every case. The median is {median(points):g} of "
            f"{total:g} points. This page is the lecturer's: it names hidden cases.</p>",
            "<h2>Points</h2>",
            f"<figure>{histogram(points, total)}</figure>",
        ]
        parts += _frequent(reports)
        parts += _by_case(reports, _named(reports, files))
        parts += _first_of_all(reports, _named(reports, files))
    return whole_page(title, parts)


def _named(reports, files):
    """The titles, as links where there are files."""
    titles = [escape(report.title) for report in reports]
    if files is None:
        return titles
    return [
        f'<a href="{escape(quote(file), quote=True)}.html">{title}</a>'
        for file, title in zip(files, titles)
    ]


def _by_case(reports, names):
    """A row for each submission, a column for each case."""
    results = [result for report in reports for result in report.results]
    cases = {}
    for result in results:
        hidden = " (hidden)" if result.hidden else ""
        cases.setdefault(result.name, f"{result.name}{hidden}")
    yield "<h2>By case</h2>"
    rows = []
    for report, name in zip(reports, names):
        by_case = {result.name: result for result in report.results}
        cells = "".join(_cell(by_case.get(case)) for case in cases)
        points = f"{report.points:g} / {report.total:g}"
        rows.append(
            f'<tr><th scope="row">{name}</th><td class="number">{points}</td>{cells}</tr>'
        )
    yield table(("Submission", ">Points", *cases.values()), rows, "cases")


def _cell(result):
    """A case of a submission: a mark, the points, and a word for those who hear it."""
    if result is None:
        return "<td></td>"
    kind, mark, word = ("ok", "&#10003;", "passed") if result.passed else (
        "no", "&#10007;", "not passed"
    )
    return (
        f'<td class="{kind}">{mark} {result.points:g}'
        f'<span class="heard"> {word}</span></td>'
    )


def _frequent(reports):
    """The most frequent causes, by how many submissions have them."""
    counts = Counter()
    examples = {}
    for report in reports:
        causes = {kind_of_cause(cause): cause for cause in reversed(_causes(report))}
        counts.update(causes.keys())
        examples = {**causes, **examples}
    if not counts:
        return
    yield "<h2>Most frequent causes</h2>"
    rows = [
        f'<tr><td class="number">{count}</td><td>{escape(examples[kind])}</td></tr>'
        for kind, count in counts.most_common(MOST_CAUSES)
    ]
    yield table((">Submissions", "Cause"), rows)


def _causes(report):
    """Why cases are not passed: of each, a sentence without the numbers that are compared.

    The numbers are rarely the same in two submissions. Where some are known, those count.
    """
    if report.problem:
        return [report.problem.removeprefix(report.title).strip()]
    failed = [result for result in report.results if not result.passed and result.causes]
    known = [result for result in failed if UNKNOWN not in result.causes[0]]
    failed = known or failed            # what is not known may well be what is known elsewhere
    return [COMPARED_NUMBERS.sub("", result.mistake or result.causes[0]) for result in failed]


def kind_of_cause(cause):
    """What causes have in common that differ in numbers."""
    return A_NUMBER.sub("#", cause)


def _first_of_all(reports, names):
    """What is wrong first of all, in full."""
    yield "<h2>What is wrong first of all</h2>"
    rows = []
    for report, name in zip(reports, names):
        rows.append(f'<tr><th scope="row">{name}</th><td>{escape(report.verdict)}</td></tr>')
    yield table(("Submission", "First of all"), rows)
