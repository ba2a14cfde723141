"""Whole fits side by side with lme4 and with Python's other packages, from 54 rows to 1.7 million, and how time grows.

    python tests/benchmarks/scale.py                                    # everything but what takes longest
    python tests/benchmarks/scale.py --grade-points --rows 1e7          # and the simulated grade points, and ten million rows
    python tests/benchmarks/scale.py --only InstEval --only "busy core" --rounds 1 --out results

`pip install -e ".[test,benchmark]"` installs Python's other packages; what is not installed, R with lme4 included, is left out.
Needs a machine that does nothing else. What is printed is also written: scale.txt, scale.md, scale.json and two pictures.
"""

import argparse
import json
import sys
from pathlib import Path

from scaling import growth, report
from scaling.cases import CASES, GRADE_POINTS
from scaling.programs import LIMIT, NAMES, installed, measure

FOLDER = Path(__file__).parents[2] / ".benchmarks" / "scale"
PAGE = Path(__file__).parents[2] / "lmm" / "guide" / "speed.md"
LONG = {"Each program for each case:"}          # a table that the page of the guide leaves out
PARTS = "against n", "against p", "busy core", "memory"


def arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grade-points", action="store_true", help="also the 1.7 million grade points: many minutes")
    parser.add_argument("--rows", type=float, default=1e6, help="the most rows for set-up and evaluation (default 1e6)")
    parser.add_argument("--only", action="append", metavar="NAME",
                        help=f"cases whose names hold NAME, or a part: {', '.join(PARTS)}; may be repeated")
    parser.add_argument("--programs", nargs="+", choices=NAMES, default=installed(), help="default: all that are installed")
    parser.add_argument("--rounds", type=int, help="fits of a case by each program (default 15 of small cases, else 3 or 1)")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds to wait for a fit (default %(default)g)")
    parser.add_argument("--guide", action="store_true", help="also write the page lmm/guide/speed.md")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default .benchmarks/scale)")
    return parser.parse_args(words)


def say(line):
    print(line, file=sys.stderr, flush=True)


def run(given):
    """Measure, print and write what is asked for."""
    def wanted(name):
        return given.only is None or any(word.lower() in name.lower() for word in given.only)

    given.out.mkdir(parents=True, exist_ok=True)
    options = {"rounds": given.rounds, "limit": given.limit, "say": say}
    cases = [*CASES, *([GRADE_POINTS] if given.grade_points else [])]
    measured = [(case, measure(case, given.programs, **options)) for case in cases if wanted(case.name)]
    tables, kept = [], {"cases": as_data(measured)}
    if measured:
        tables += [report.overview(measured), report.details(measured)]
    if wanted("against n"):
        rows = [n for n in (10**4, 10**5, 10**6, 10**7) if n <= given.rows]
        kept["against n"] = points = growth.against_n(rows, say=say)
        tables.append(report.growth(points))
    if wanted("against p"):
        by_p = growth.against_p(given.programs, **options)
        kept["against p"] = as_data(by_p)
        tables.append(report.details(by_p, f"Growth with p, {growth.ROWS_FOR_P:,} rows:"))
        measured += by_p
    if wanted("memory"):
        kept["memory"] = found = growth.bytes_a_row()
        tables.append(report.memory(found))
    if wanted("busy core"):
        waits = list(growth.beside_a_busy_core(**options))
        kept["busy core"] = [{"case": case.name, **{state: [one.to_dict() for one in ones] for state, ones in found.items()}}
                             for case, found in waits]
        tables.append(report.waiting(waits))
        measured += [(case, found["idle"]) for case, found in waits]
    lines = list(report.machine(measured))
    (given.out / "scale.json").write_text(json.dumps({**kept, "machine": lines}, indent=1))
    (given.out / "scale.txt").write_text(text := report.text(tables, lines) + "\n")
    (given.out / "scale.md").write_text(report.markdown(tables, lines))
    print(text)
    if given.guide:
        PAGE.write_text(report.page(report.markdown([table for table in tables if table.title not in LONG], lines)))
    draw(kept.get("against n"), by_p if wanted("against p") else None, given.out)
    print(f"written to {given.out}")


def as_data(measured):
    return [{"case": case.name, "formula": case.formula, "programs": [one.to_dict() for one in found]}
            for case, found in measured]


def draw(points, by_p, out):
    try:
        from scaling import figures
    except ImportError:
        return print("no pictures: matplotlib is not installed")
    if points:
        figures.against_n(points, out / "against_n.png")
    if by_p:
        figures.against_p(by_p, out / "against_p.png")


if __name__ == "__main__":
    run(arguments())
