"""Pages to look at: a student's; and the files of a class, whose page is the lecturer's.

A page stands alone: its style is in it, its pictures are SVG. What a submission printed or is
called, and what data are called, is escaped. Of hidden cases a student's page says only whether
they are passed.
"""

import re
import unicodedata
from html import escape
from pathlib import Path

from .class_page import class_page
from .markup import breakable, table, unordered, whole_page
from .pictures import criterion, described
from .report import ClassReport

INDEX = "index"                 # the class's page
SUFFIXES = (".py", ".ipynb", ".zip")
LONGEST_STEM = 60               # characters of a file's, without its suffix
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
PASSED = "&#10003; passed"      # a check mark
NOT_PASSED = "&#10007; not passed"
TABLE_HEADINGS = {
    "sd": ("Standard deviations", "sd of"),
    "beta": ("Fixed effects", "beta"),
    "LMMprof": ("LMMprof at fixed theta", "theta"),
}


def page(report):
    """The page of a `Report` or a `ClassReport`, as text."""
    if isinstance(report, ClassReport):
        return class_page(report)
    return student_page(report)


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
    path.write_bytes(text.encode("utf-8", "backslashreplace"))


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
    return name[:LONGEST_STEM].strip("-.") or "submission"


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
    taken = ", ".join(filter(None, (report.attempt, report.taken)))
    if taken:
        parts.append(f"<p>Graded: {escape(_sentence(taken))}</p>")
    if report.problem:
        parts.append(f'<p class="problem">{escape(_sentence(report.problem))}</p>')
    parts += _cases(report)
    if not report.problem:
        parts += _what_is_wrong(report)
        parts += _what_is_right(report)
    parts += _notes(report)
    parts += _printed(report)
    return whole_page(report.title, parts)


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
    yield table(("Case", ">Points", "Result"), rows)


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
        yield unordered(first.causes)
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
    return table(headings, rows)


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
        described(drawing),
    ]
    caption = escape(" ".join(filter(None, said)))
    yield f"<figure>{criterion(drawing)}<figcaption>{caption}</figcaption></figure>"


def _notes(report):
    notes = report.all_notes()
    if notes:
        yield "<h2>Notes</h2>"
        yield unordered(notes)


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
