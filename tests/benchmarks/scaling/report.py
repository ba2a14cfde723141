"""What was measured as tables: cells made once, shown as text and as Markdown; and the machine they are from."""

import platform
from datetime import date

from lmm.result.rendering import to_text
from lmm.result.shown import Table

from .fit_in_python import about
from .programs import NAMES, SETTINGS, cores


def seconds(value):
    """Three digits, in s or ms."""
    return "" if value is None else f"{value:.3g} s" if value >= 0.9995 else f"{1e3 * value:.3g} ms"


def ratio(slow, fast):
    """How many times as long."""
    return "" if slow is None or fast is None else f"{slow / fast:.2g}" if slow < 99.5 * fast else f"{slow / fast:.0f}"


def by_name(found):
    return {one.program: one for one in found}


def overview(measured):
    """A table of cases by programs: median seconds, and the ratio that counts. `measured`: pairs of a case and its findings."""
    programs = [name for name in NAMES if any(name in by_name(found) for _, found in measured)]
    others = [name for name in programs if name not in ("lmm", "lme4")]
    rows = []
    for case, found in measured:
        of = by_name(found)
        times = {name: one.median for name, one in of.items()}
        cells = {name: seconds(times.get(name)) or ("-" if name in of else "") for name in programs}
        rows.append((case.name, *(cells[name] for name in programs[: len(programs) - len(others)]),
                     ratio(times.get("lme4"), times.get("lmm")), f"{case.aim:g}", *(cells[name] for name in others)))
    return Table("Seconds of a whole fit by REML, from data in memory to the fitted object, medians:",
                 ("<case", *programs[: len(programs) - len(others)], "lme4 / lmm", "aim", *others), tuple(rows))


def details(measured, title="Each program for each case:"):
    """A table with a row for each case and program."""
    rows = []
    for case, found in measured:
        lme4 = by_name(found).get("lme4")
        for one in found:
            reference = lme4.criterion if lme4 else None
            remarks = [one.failed, one.note, "" if one.converged in (None, True) else "NOT converged"]
            if one.failed:
                cells = [""] * 8
            else:
                cells = [str(len(one.seconds)), seconds(one.median), seconds(one.cpu), ratio(lme4 and lme4.median, one.median),
                         "" if one.evaluations is None else str(one.evaluations),
                         *("" if value is None else f"{value:.0f}" for value in (one.before, one.peak)),
                         "" if None in (reference, one.criterion) else f"{one.criterion - reference:+.1e}"]
            rows.append((case.name, one.program, *cells, "; ".join(filter(None, [one.engine, *remarks]))))
    return Table(title,
                 ("<case", "<program", "rounds", "time", "CPU", "lme4 / it", "evaluations", "MiB before", "MiB at most",
                  "criterion - lme4's", "<engine, remarks"), tuple(rows))


def growth(points):
    """A table of set-up and evaluation against n; points as `against_n` gives them."""
    rows = tuple((point["design"], f"{point['n']:,}", point["engine"], seconds(point["setup"]),
                  f"{1e9 * point['setup'] / point['n']:.0f} ns", f"{1e3 * point['evaluation']:.3g} ms") for point in points)
    return Table("Growth with n:", ("<design", "n", "<engine", "set-up", "a row", "an evaluation"), rows)


def waiting(rows):
    """A table of fits beside busy cores; rows as `beside_a_busy_core` gives them."""
    cells = []
    for case, found in rows:
        idle, busy = (one for (one,) in found.values())
        cells.append((case.name, idle.failed or seconds(idle.median), busy.failed or seconds(busy.median),
                      ratio(busy.median, idle.median)))
    return Table("lmm's fits with the other cores idle, and beside a busy one:", ("<case", "idle", "busy", "busy / idle"),
                 tuple(cells))


def memory(found):
    """A table of bytes a row; `found` as `bytes_a_row` gives it."""
    rows = tuple((name, f"{kept:.0f}", f"{peak:.0f}") for name, kept, peak in found)
    return Table("Bytes a row beside the data frame, y, one covariate and a factor:", ("<step", "kept", "at most"), rows)


def machine(measured):
    """Lines about where and with what: date, cores, versions, BLAS and its threads, settings."""
    ours = about("lmm")                     # of this process too, which measures growth with n
    versions, blas = dict(ours["versions"]), {"lmm": ours.get("blas") or ["unknown"]}
    for one in (one for _, found in measured for one in found if one.about):
        versions |= one.about["versions"]
        if one.program in SETTINGS:
            blas[one.program] = one.about.get("blas") or ["unknown"]
    pools = {}
    for program, libraries in blas.items():
        pools.setdefault("; ".join(sorted(libraries)), []).append(program)
    yield f"{date.today()}, {platform.system()} {platform.machine()}, {cores()} cores"
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items())
    for libraries, programs in pools.items():
        yield f"BLAS loaded by {', '.join(programs)}: {libraries}"
    for program in blas:
        yield f"{program}: {SETTINGS[program]}"
    yield ("Factors are categories for all but statsmodels; a criterion is -2 times the restricted log-likelihood; "
           "evaluations are of the criterion, derivatives not counted; memory is the process's resident set.")


def text(tables, lines=()):
    return to_text([*tables, Table(""), *map(Table, lines)])


def markdown(tables, lines=()):
    """The same cells for a README."""
    parts = []
    for table in tables:
        head = [heading.removeprefix("<") for heading in table.columns]
        rule = ["---" if heading.startswith("<") else "---:" for heading in table.columns]
        rows = [[cell.replace("|", "\\|") for cell in row] for row in (head, rule, *table.rows)]
        parts.append("\n".join([table.title, "", *(f"| {' | '.join(row)} |" for row in rows)]))
    return "\n\n".join([*parts, "\n".join(f"* {line}" for line in lines)]) + "\n"


BEFORE = """# How fast it is, and what it takes of memory

How long fits take, beside other programs. You need to have fitted a model, as in [a first session](first_session.md).

Whole fits, from a data frame in memory to the fitted object, by REML, in an installation without extras: `lmm`
beside R's lme4 and, where they are installed, the compiled packages of Python. The programs take turns, each in a
process of its own, so that a noisy machine hits all alike; times are of the wall. Simulated cases have seeds and stand
in `tests/benchmarks/scaling/cases.py`. An aim is how many times as fast as lme4 a case should be. A page made by

    python tests/benchmarks/scale.py --guide
"""
AFTER = """## Elsewhere measured

What other benchmarks found on two cores, lme4 1.1-31 in the same run:

* Profile intervals of Machines are 19 to 23 times as fast as lme4's `confint`, 1000 bootstrap refits 7 to 9 times as fast as
  `bootMer`, with `processes=2` 13 to 15 times (2026-11-21, before replicates were fitted together).
* An evaluation takes 2.4 times its bare BLAS and LAPACK calls at p = 24, less than once at p = 300, whatever n
  (`tests/benchmarks/test_speed.py`, 2026-11-25).
* In other runs InstEval with two terms was 5.6 to 8.2 times as fast as lme4, with three 8.1 to 9.8 times, and a million rows 50
  times once the process is warm (2026-11-26).
* The grade points of lme4's slides, simulated anew (1,685,394 rows, 54,711 students, 7,915 instructors, 102 departments), took
  61 s and 3.2 GiB at most where lme4 took 769 s (2026-11-25, before the search had its present start).
* The aims of memory, 33 bytes a row kept and 60 at most, are missed.

Many responses of one design are on the page [many](many.md), data beyond memory on [chunks](chunks.md).
"""


def page(tables):
    """The guide's page around the tables, in Markdown."""
    return f"{BEFORE}\n{tables}\n{AFTER}"
