"""The command `lmm grade`: one submission, or a folder of them on several cores."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from ..errors import LMMError, shorten
from .autograders import write_autograders
from .case_files import read_cases
from .catalogue import built_in_cases
from .judging import Grading
from .pages import page, write_reports
from .report import ClassReport

HELP = "judge a submission of the practical, or a class's"
OUTPUTS = ("json", "html", "csv", "gradescope")
LEAST_MEMORY = 256          # MiB: Python, numpy and pandas take most of it
CLEAR_LINE = "\r\x1b[K"     # of a terminal


def add_arguments(parser):
    """The arguments of the command."""
    add = parser.add_argument
    add(
        "submission",
        metavar="SUBMISSION",
        nargs="?",
        help="a Python file that defines lmm(form, dat, ref)",
    )
    add(
        "--all",
        metavar="DIR",
        help="a folder of submissions: Python files, and folders with one each",
    )
    add(
        "--cases",
        metavar="FILE",
        help="a JSON file with further cases; see lmm.grading.read_cases",
    )
    add(
        "--case",
        metavar="NAME",
        action="append",
        help="of the built-in cases ask this one; may be given several times",
    )
    add(
        "--only-cases",
        action="store_true",
        help="ask the cases of that file alone",
    )
    add(
        "--json",
        metavar="FILE",
        help="write the report as JSON, hidden cases included",
    )
    add(
        "--html",
        metavar="FILE",
        help="write it as HTML",
    )
    add(
        "--reports",
        metavar="DIR",
        help="with --all: write a page and a text for each submission, and a page of the class",
    )
    add(
        "--csv",
        metavar="FILE",
        help="with --all: write the points, a line for each submission",
    )
    add(
        "--gradescope",
        metavar="FILE",
        help="write Gradescope's results.json",
    )
    add(
        "--autograders",
        metavar="DIR",
        help="grade nothing: write files for otter, nbgrader and Gradescope, points by case",
    )
    add(
        "--jobs",
        metavar="N",
        type=int,
        default=os.cpu_count() or 1,
        help="with --all: at a time (default: cores)",
    )
    add(
        "--time-limit",
        metavar="S",
        type=float,
        default=20.0,
        help="seconds for each case (default 20)",
    )
    add(
        "--memory-limit",
        metavar="MIB",
        type=float,
        default=2048.0,
        help="of a submission's process (default 2048)",
    )


def run(options):
    """Print the report, write what was asked; returns 0 if all is passed, else 1.

    An LMMError is a mistake in the options.
    """
    _check_cases(options)
    if options.autograders:
        return _write_autograders(options)
    _check_options(options)
    _check_outputs(options)
    _check_reports(options)
    cases = _cases(options)
    grading = Grading(cases, options.time_limit, options.memory_limit)
    if options.gradescope:
        report = _grade_one(Path(options.submission), grading, helpers=True)
    elif options.all is None:
        report = _report_on_one(options.submission, grading)
    else:
        progress = sys.stderr if sys.stderr.isatty() else None
        report = grade_all(options.all, grading, options.jobs, progress)
    print(report)
    _write_outputs(options, report)
    return 0 if report.passed else 1


def _check_options(options):
    """Raise an LMMError for options that do not go together, or are out of range."""
    if (options.submission is None) == (options.all is None):
        raise LMMError("grade takes either a submission or --all DIR; see 'lmm grade --help'")
    if options.all is not None and options.gradescope:
        raise LMMError("--gradescope is for one submission, not for --all")
    if options.all is None and options.csv:
        raise LMMError("--csv is for --all, a line for each submission")
    in_range = (
        options.jobs >= 1
        and options.time_limit > 0
        and options.memory_limit >= LEAST_MEMORY
    )
    if not in_range:
        raise LMMError(
            "--jobs is at least 1, --time-limit positive, "
            f"--memory-limit at least {LEAST_MEMORY}"
        )


def _check_cases(options):
    """Raise an LMMError for options about cases that do not go together."""
    if options.only_cases and options.case:
        raise LMMError("--case chooses among the built-in cases, which --only-cases leaves out")
    if options.only_cases and not options.cases:
        raise LMMError("--only-cases needs --cases FILE")


def _check_outputs(options):
    """Raise an LMMError for an output that cannot be written, or holds what is to be read.

    This is before anything is graded, which may take minutes.
    """
    for name in OUTPUTS:
        file = getattr(options, name)
        if file is None:
            continue
        path = Path(file).resolve()
        if _is_read(path, options):
            raise LMMError(
                f"--{name} {file} would overwrite what is to be read; give another file"
            )
        if path.is_dir():
            raise LMMError(f"--{name} {file} cannot be written: it is a folder")
        if not path.parent.is_dir():
            folder = repr(str(path.parent))
            raise LMMError(f"--{name} {file} cannot be written: there is no folder {folder}")


def _check_reports(options):
    """Raise an LMMError for a folder of reports that cannot be made, or is in the class's."""
    if not options.reports:
        return
    folder = Path(options.reports).resolve()
    where = f"--reports {options.reports}"
    if options.all is None:
        raise LMMError("--reports is for --all; --html writes the page of one submission")
    if folder.is_relative_to(Path(options.all).resolve()):
        raise LMMError(
            f"{where} is in the folder of the submissions, and would be taken for one of them; "
            "give another folder"
        )
    if folder.exists() and not folder.is_dir():
        raise LMMError(f"{where} is a file; give a folder")
    if not folder.parent.is_dir():
        raise LMMError(f"{where} cannot be made: there is no folder {str(folder.parent)!r}")


def _is_read(path, options):
    """Whether a path is that of the submission, of the cases, or of one of the class's files."""
    given = [Path(file).resolve() for file in (options.submission, options.cases) if file]
    if path in given:
        return True
    if not options.all or path.suffix != ".py":
        return False
    return path.is_relative_to(Path(options.all).resolve())


def _cases(options):
    """The built-in cases chosen, then those of the file."""
    built_in = () if options.only_cases else _chosen(options.case)
    further = read_cases(options.cases) if options.cases else ()
    return built_in + further


def _chosen(names):
    """The built-in cases of these names, or all."""
    cases = built_in_cases()
    if not names:
        return cases
    known = [case.name for case in cases]
    for name in names:
        if name not in known:
            listed = shorten(known, 20)
            raise LMMError(f"--case {name!r} is none of the built-in cases: {listed}")
    return tuple(case for case in cases if case.name in names)


def _report_on_one(submission, grading):
    """The `Report` on one submission; of a folder of several the LMMError names --all."""
    try:
        return grading.report(submission)
    except LMMError as error:
        folder = Path(submission)
        files = [*folder.glob("*.py"), *folder.glob("*/*.py")]
        if len(files) < 2:
            raise
        raise LMMError(f"{error}; or, for all of a class, give --all {submission}") from None


def _write_autograders(options):
    """Write the files for autograders, and say so; returns 0."""
    if options.submission or options.all:
        raise LMMError("--autograders grades nothing: leave out the submission, or the option")
    write_autograders(options.autograders, _cases(options), options.cases)
    print(f"written to {options.autograders}: otter, nbgrader, gradescope")
    return 0


def _write_outputs(options, report):
    """Write the files that were asked for."""
    if options.json:
        _write(options.json, report.to_json())
    if options.reports:
        write_reports(report, options.reports)
    if options.html:
        _write(options.html, page(report))
    if options.csv:
        _write(options.csv, report.to_csv())
    if options.gradescope:
        _write(options.gradescope, json.dumps(report.gradescope(), indent=2))


def _write(file, text):
    Path(file).write_text(text.rstrip("\n") + "\n", encoding="utf-8")


# -- a class -------------------------------------------------------------------------------------

def grade_all(folder, grading, jobs=2, progress=None):
    """The `ClassReport` on every Python file in a folder, and on every folder in it with one.

    Files side by side belong to different students, so they cannot import each other.

    Parameters
    ----------
    folder : path
        The class's submissions.
    grading : Grading
        What each is judged by.
    jobs : int, optional
        How many at a time.
    progress : text stream, optional
        Where to write one line, over and over, on how many are graded.

    Returns
    -------
    ClassReport

    Raises
    ------
    LMMError
        If there is no such folder, or nothing in it to grade.
    """
    folder = Path(folder)
    if folder.is_file():
        raise LMMError(f"{str(folder)!r} is a file, not a folder of submissions; leave out --all")
    if not folder.is_dir():
        raise LMMError(f"there is no folder {str(folder)!r}")
    given = sorted(path for path in folder.iterdir() if _is_submission(path))
    if not given:
        raise LMMError(f"the folder {str(folder)!r} holds no Python files, nor folders with one")
    reports = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            waiting = {
                pool.submit(_grade_one, path, grading, helpers=path.is_dir()): path
                for path in given
            }
            for future in as_completed(waiting):
                path = waiting[future]
                reports[path] = future.result()
                line = f"{len(reports)} of {len(given)} graded: {path.name}"
                _show(progress, CLEAR_LINE + line)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            grading.stop()
            raise
    _show(progress, CLEAR_LINE)
    return ClassReport(tuple(reports[path] for path in given))


def _is_submission(path):
    """Whether a path in a class's folder is to be graded; of a notebook is said that it cannot."""
    if path.name.startswith((".", "__")):
        return False
    return path.is_dir() or path.suffix in (".py", ".ipynb")


def _grade_one(path, grading, helpers):
    """The report on a submission, come what may: a class is graded to its end."""
    try:
        return grading.report(path, helpers)
    except LMMError as error:
        return grading.unread(path.name, str(error))
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        return grading.unread(path.name, f"the judge itself failed, at its answers: {failure}")


def _show(progress, text):
    """Write to the stream of progress, if there is one."""
    if progress is not None:
        progress.write(text)
        progress.flush()
