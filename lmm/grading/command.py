"""The command `lmm grade`: one submission, or a folder of them on several cores."""

import html
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from ..errors import LMMError, shorten
from .case_files import read_cases
from .catalogue import built_in_cases
from .judging import Grading
from .report import ClassReport

HELP = "judge a submission of the practical, or a class's"


def add_arguments(parser):
    """The arguments of the command."""
    add = parser.add_argument
    add("submission", metavar="SUBMISSION", nargs="?", help="a Python file that defines lmm(form, dat, ref)")
    add("--all", metavar="DIR", help="a folder of submissions: Python files, and folders with one each")
    add("--cases", metavar="FILE", help="a JSON file with further cases; see lmm.grading.read_cases")
    add("--case", metavar="NAME", action="append", help="of the built-in cases ask this one; may be given several times")
    add("--only-cases", action="store_true", help="ask the cases of that file alone")
    add("--json", metavar="FILE", help="write the report as JSON, hidden cases included")
    add("--html", metavar="FILE", help="write it as HTML")
    add("--csv", metavar="FILE", help="with --all: write the points, a line for each submission")
    add("--gradescope", metavar="FILE", help="write Gradescope's results.json")
    add("--jobs", metavar="N", type=int, default=os.cpu_count() or 1, help="with --all: at a time (default: cores)")
    add("--time-limit", metavar="S", type=float, default=20.0, help="seconds for each case (default 20)")
    add("--memory-limit", metavar="MIB", type=float, default=2048.0, help="of a submission's process (default 2048)")


def run(options):
    """Print the report, write what was asked; returns 0 if all is passed, else 1. An LMMError is a mistake in the options."""
    if (options.submission is None) == (options.all is None):
        raise LMMError("grade takes either a submission or --all DIR; see 'lmm grade --help'")
    if options.all is not None and options.gradescope:
        raise LMMError("--gradescope is for one submission, not for --all")
    if options.all is None and options.csv:
        raise LMMError("--csv is for --all, a line for each submission")
    if options.jobs < 1 or not options.time_limit > 0 or not options.memory_limit >= 256:
        raise LMMError("--jobs is at least 1, --time-limit positive, --memory-limit at least 256")
    if options.only_cases and options.case:
        raise LMMError("--case chooses among the built-in cases, which --only-cases leaves out")
    if options.only_cases and not options.cases:
        raise LMMError("--only-cases needs --cases FILE")
    _check_outputs(options)
    cases = (() if options.only_cases else _chosen(options.case)) + (read_cases(options.cases) if options.cases else ())
    grading = Grading(cases, options.time_limit, options.memory_limit)
    if options.all is None:
        report = _report_on_one(options.submission, grading)
    else:
        report = grade_all(options.all, grading, options.jobs, sys.stderr if sys.stderr.isatty() else None)
    print(report)
    for file, text in ((options.json, report.to_json), (options.html, lambda: page(report)),
                       (options.csv, getattr(report, "to_csv", None)),
                       (options.gradescope, lambda: json.dumps(report.gradescope(), indent=2))):
        if file:
            Path(file).write_text(text() + "\n", encoding="utf-8")
    return 0 if report.passed else 1


def _report_on_one(submission, grading):
    """The `Report` on one submission; of a folder of several the LMMError names --all."""
    try:
        return grading.report(submission)
    except LMMError as error:
        folder = Path(submission)
        if sum(1 for _ in (*folder.glob("*.py"), *folder.glob("*/*.py"))) < 2:
            raise
        raise LMMError(f"{error}; or, for all of a class, give --all {submission}") from None


def _chosen(names):
    """The built-in cases of these names, or all."""
    cases = built_in_cases()
    for name in names or ():
        if name not in (known := [case.name for case in cases]):
            raise LMMError(f"--case {name!r} is none of the built-in cases: {shorten(known, 20)}")
    return tuple(case for case in cases if not names or case.name in names)


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{font-family: sans-serif; max-width: 60em; margin: 2em auto}}
td, th {{padding: 0.2em 1.5em 0.2em 0; text-align: left}}
</style>
</head><body>
{body}
</body></html>"""


def page(report):
    """The HTML of a report as a page of its own."""
    return PAGE.format(title=html.escape(getattr(report, "title", "Submissions")), body=report._repr_html_())


def _check_outputs(options):
    """Raise an LMMError, before anything is graded, for a file that cannot be written, or holds what is to be read."""
    read = [Path(file).resolve() for file in (options.submission, options.cases) if file]
    for name in ("json", "html", "csv", "gradescope"):
        if (file := getattr(options, name)) is None:
            continue
        path = Path(file).resolve()
        if path in read or (options.all and path.suffix == ".py" and path.is_relative_to(Path(options.all).resolve())):
            raise LMMError(f"--{name} {file} would overwrite what is to be read; give another file")
        if path.is_dir() or not path.parent.is_dir():
            raise LMMError(f"--{name} {file} cannot be written: " + ("it is a folder" if path.is_dir() else
                                                                    f"there is no folder {str(path.parent)!r}"))


def grade_all(folder, grading, jobs=2, progress=None):
    """The `ClassReport` on every Python file in a folder, and on every folder in it with one.

    Files side by side belong to different students, so they cannot import each other. `progress` is a stream for one line,
    written over and over.
    """
    folder = Path(folder)
    if folder.is_file():
        raise LMMError(f"{str(folder)!r} is a file, not a folder of submissions; leave out --all")
    if not folder.is_dir():
        raise LMMError(f"there is no folder {str(folder)!r}")
    given = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__"))
                   and (path.is_dir() or path.suffix in (".py", ".ipynb")))
    if not given:
        raise LMMError(f"the folder {str(folder)!r} holds no Python files, nor folders with one")
    reports = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            waiting = {pool.submit(_grade_one, path, grading): path for path in given}
            for future in as_completed(waiting):
                reports[waiting[future]] = future.result()
                if progress is not None:
                    progress.write(f"\r\x1b[K{len(reports)} of {len(given)} graded: {waiting[future].name}")
                    progress.flush()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            grading.stop()
            raise
    if progress is not None:
        progress.write("\r\x1b[K")
    return ClassReport(tuple(reports[path] for path in given))


def _grade_one(path, grading):
    try:
        return grading.report(path, helpers=path.is_dir())
    except LMMError as error:
        return grading.unread(path.name, str(error))
    except Exception as error:          # so that a class is graded to its end, whatever one of its answers was
        return grading.unread(path.name, f"the judge itself failed, at its answers: {type(error).__name__}: {error}")
