"""Pages to look at: a student's, and the class's, which is the lecturer's.

A page stands alone: its style is in it, its pictures are SVG. What a submission printed or is
called, and what data are called, is escaped. Of hidden cases a student's page says only whether
they are passed.
"""

import re
import unicodedata
from collections import Counter
from html import escape
from pathlib import Path
from statistics import median
from urllib.parse import quote

from . import pictures
from .report import ClassReport
from .style import STYLE

INDEX = "index"                 # the class's page
SUFFIXES = (".py", ".ipynb", ".zip")
LONGEST_NAME = 60               # characters of a file's, without its suffix
NOT_IN_NAMES = re.compile(r"[^\w.-]+|^[.-]+|[.-]+$")
# names that Windows keeps to itself
RESERVED = frozenset((
    INDEX,
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{i}" for port in ("com", "lpt") for i in range(10)),
))
MOST_CAUSES = 12                # in the table of the most frequent ones
COMPARED_NUMBERS = re.compile(r"^\S[^:]*? = \S+, expected \S+?: ")     # at a cause's beginning
A_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")

PASSED = "&#10003; passed"      # a check mark
NOT_PASSED = "&#10007; not passed"
TABLE_HEADINGS = {
    "sd": ("Standard deviations", "sd of"),
    "beta": ("Fixed effects", "beta"),
    "LMMprof": ("LMMprof at fixed theta", "theta"),
}

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page(report):
    """The page of a `Report` or a `ClassReport`, as text."""
    if isinstance(report, ClassReport):
        return class_page(report)
    return student_page(report)


def _page(title, parts):
    return PAGE.format(title=escape(title), style=STYLE, body="\n".join(parts))


# -- files ---------------------------------------------------------------------------------------

def write_reports(report, folder):
    """The pages and texts of a class in a folder: each student's, and ``index.html``."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    names = file_names([one.title for one in report.reports])
    for name, one in zip(names, report.reports):
        _write(folder / f"{name}.html", student_page(one))
        _write(folder / f"{name}.txt", f"{one}\n")
    _write(folder / f"{INDEX}.html", class_page(report, names))


def _write(path, text):
    path.write_text(text, encoding="utf-8")


def file_names(titles):
    """Names of files for titles: safe, without a suffix, and distinct whatever the case."""
    taken = set(RESERVED)
    names = []
    for title in titles:
        first = _file_name(title)
        name = first
        i = 1
        while _folded(name) in taken:
            i += 1
            name = f"{first}-{i}"
        taken.add(_folded(name))
        names.append(name)
    return names


def _file_name(title):
    """A title as the name of a file: letters, digits, dots, hyphens and underscores."""
    for suffix in SUFFIXES:
        title = title.removesuffix(suffix)
    name = NOT_IN_NAMES.sub("-", unicodedata.normalize("NFC", title))
    return name[:LONGEST_NAME].strip("-.") or "submission"


def _folded(name):
    """What two names have in common that are one file to some system."""
    return unicodedata.normalize("NFKD", name).casefold()


# -- a student's ---------------------------------------------------------------------------------

def student_page(report):
    """The page of a `Report`; of a hidden case it says whether it is passed."""
    passed = sum(result.passed for result in report.results)
    count = len(report.results)
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="points"><strong>{report.points:g} of {report.total:g} points</strong>, '
        f"{passed} of {count} cases passed.</p>",
    ]
    if report.problem:
        parts.append(f'<p class="problem">{escape(_sentence(report.problem))}</p>')
    parts += _cases(report)
    if not report.problem:
        parts += _what_is_wrong(report)
        parts += _what_is_right(report)
    parts += _notes(report)
    parts += _printed(report)
    return _page(report.title, parts)


def _cases(report):
    """The table of the cases."""
    if not report.results:
        return
    yield "<h2>Cases</h2>"
    rows = []
    for i, (name, result) in enumerate(zip(report.shown_names(), report.results)):
        cell = breakable(name)
        if not result.hidden and not report.problem:
            cell = f'<a href="#case-{i + 1}">{cell}</a>'
        kind, words = ("ok", PASSED) if result.passed else ("no", NOT_PASSED)
        points = f"{result.points:g} / {result.total:g}"
        rows.append(
            f'<tr><th scope="row">{cell}</th><td class="number">{points}</td>'
            f'<td class="{kind}">{words}</td></tr>'
        )
    yield _table(("Case", ">Points", "Result"), rows)


def _what_is_wrong(report):
    """A section for each group of cases that are not passed for the same reason."""
    groups = report.failed_together()
    if groups:
        yield "<h2>What is wrong</h2>"
    places = {id(result): i + 1 for i, result in enumerate(report.results)}
    for first, *others in groups:
        yield f'<section id="case-{places[id(first)]}">'
        yield f"<h3>{escape(', '.join(result.name for result in (first, *others)))}</h3>"
        yield _why(first, f"{first.name}: " if others else "")
        yield _list(first.causes)
        yield from _beside(first)
        yield "</section>"
        for result in others:
            yield from _folded_case(result, places[id(result)])


def _what_is_right(report):
    """The numbers of cases that are passed, folded; of a right submission the first is open."""
    passed = [(i, one) for i, one in enumerate(report.results) if one.passed and not one.hidden]
    if passed:
        yield "<h2>What is right</h2>"
    for i, result in passed:
        yield from _folded_case(result, i + 1, is_open=report.passed and i == 0)


def _folded_case(result, place, is_open=False):
    """The numbers of a case, to be unfolded."""
    state = " open" if is_open else ""
    yield f'<details id="case-{place}"{state}><summary><h3>{escape(result.name)}</h3></summary>'
    yield _why(result)
    yield from _beside(result)
    yield "</details>"


def _why(result, before=""):
    """What a case is for, if that is said."""
    return f'<p class="why">{escape(_sentence(before + result.why))}</p>' if result.why else ""


def _sentence(text):
    return f"{text.rstrip('.')}."


def _beside(result):
    """What was expected and found: tables, and the picture of the criterion."""
    for of, (heading, what) in TABLE_HEADINGS.items():
        numbers = [number for number in result.numbers if number.of == of]
        if numbers:
            yield f"<h4>{heading}</h4>"
            yield _numbers(numbers, what)
    yield from _picture(result.drawing)


def _numbers(numbers, what):
    """A table of numbers, those that are wrong marked."""
    is_scaled = any(number.on_scale != number.found for number in numbers)
    headings = [what, ">expected", ">found"]
    if is_scaled:
        headings.append(">found, on the sheet's scale")
    headings.append("")
    rows = []
    for number in numbers:
        values = [number.expected, number.found]
        if is_scaled:
            values.append(number.on_scale)
        cells = "".join(f'<td class="number">{shown(value)}</td>' for value in values)
        kind, words = ("no", "&#10007; off") if number.off else ("ok", "&#10003;")
        mark = f'<td class="{kind}">{words}</td>'
        name = escape(number.name) if number.of != "LMMprof" else with_minus(number.name)
        rows.append(f'<tr><th scope="row">{name}</th>{cells}{mark}</tr>')
    return _table(headings, rows)


def shown(value):
    """A number for a table: six digits."""
    return with_minus(f"{value:.6g}")


def with_minus(numbers):
    """Numbers with true minus signs."""
    return numbers.replace("-", "&#8722;")


def _picture(drawing):
    """The picture of the criterion, or why there is none."""
    if drawing is None:
        return
    yield "<h4>The criterion</h4>"
    if drawing.missing:
        yield f"<p>There is no picture of it: {escape(_sentence(drawing.missing))}</p>"
        return
    moves = "log sigma" if drawing.name == "sigma" else f"log sd of {drawing.name}"
    said = [
        f"The criterion, LMMprof, while {moves} moves and the other elements of theta stay at the "
        "right optimum.",
        "Each curve is drawn from its own smallest value, so that a constant makes no difference.",
        f"Your LMMprof is {drawing.words}." if drawing.words else "",
        pictures.described(drawing),
    ]
    caption = escape(" ".join(filter(None, said)))
    yield f"<figure>{pictures.criterion(drawing)}<figcaption>{caption}</figcaption></figure>"


def _notes(report):
    notes = report.all_notes()
    if notes:
        yield "<h2>Notes</h2>"
        yield _list(notes)


def _printed(report):
    """What the submission printed, the same of several cases once."""
    together = {}
    for result in report.shown_results():
        if result.output.strip():
            together.setdefault(result.output.strip("\n"), []).append(result.name)
    if together:
        yield "<h2>Printed by the submission</h2>"
    for output, names in together.items():
        yield (
            f"<details><summary>{escape(', '.join(names))}</summary>"
            f'<pre tabindex="0">{escape(output)}</pre></details>'
        )


# -- the class's ---------------------------------------------------------------------------------

def class_page(report, files=None):
    """The page of a `ClassReport`, with links to the students' pages where there are files.

    It is for the lecturer: hidden cases are named.
    """
    reports = report.reports
    count = len(reports)
    passed = sum(one.passed for one in reports)
    title = f"{count} submission{'s' if count != 1 else ''}"
    parts = [f"<h1>{title}</h1>"]
    if reports:
        total = max(one.total for one in reports)
        points = [one.points for one in reports]
        parts += [
            f"<p>{passed} of them passed every case. The median is {median(points):g} of "
            f"{total:g} points. This page is the lecturer's: it names hidden cases.</p>",
            "<h2>Points</h2>",
            f"<figure>{pictures.histogram(points, total)}</figure>",
        ]
        parts += _frequent(reports)
        parts += _by_case(reports, _named(reports, files))
        parts += _first_of_all(reports, _named(reports, files))
    return _page(title, parts)


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
    yield _table(("Submission", ">Points", *cases.values()), rows, "cases")


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
    yield _table((">Submissions", "Cause"), rows)


def _causes(report):
    """Why cases are not passed: of each, a sentence without the numbers compared at its beginning.

    They are what is rarely the same in two submissions.
    """
    if report.problem:
        return [report.problem.removeprefix(report.title).strip()]
    failed = [result for result in report.results if not result.passed and result.causes]
    return [COMPARED_NUMBERS.sub("", result.mistake or result.causes[0]) for result in failed]


def kind_of_cause(cause):
    """What causes have in common that differ in numbers."""
    return A_NUMBER.sub("#", cause)


def _first_of_all(reports, names):
    """What is wrong first of all, in full."""
    yield "<h2>What is wrong first of all</h2>"
    rows = []
    for report, name in zip(reports, names):
        cause = escape(report.cause) or "passed"
        rows.append(f'<tr><th scope="row">{name}</th><td>{cause}</td></tr>')
    yield _table(("Submission", "First of all"), rows)


# -- pieces --------------------------------------------------------------------------------------

def _table(headings, rows, kind=""):
    """A table within a box of its own that scrolls where it is wider than the page.

    A heading that starts with ``>`` (not shown) is that of numbers.
    """
    head = "".join(map(_heading, headings))
    kind = f' class="{kind}"' if kind else ""
    return (
        f'<div class="box" tabindex="0"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heading(heading):
    """The cell of a heading."""
    kind = ' class="number"' if heading.startswith(">") else ""
    return f'<th scope="col"{kind}>{breakable(heading.removeprefix(">"))}</th>'


def breakable(name):
    """A name, escaped, that may be broken where a capital follows a small letter."""
    return escape(re.sub(r"(?<=[a-z])(?=[A-Z])", "\0", name)).replace("\0", "<wbr>")


def _list(sentences):
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>"
