"""The command `lmm grade`: one submission, or a folder of them on several cores."""

import json
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..errors import LMMError, shorten
from . import confinement
from .autograders import write_autograders
from .case_files import read_cases
from .catalogue import built_in_cases
from .collecting import ATTEMPTS, collected, opened_class
from .folders import GRADED, suffix_of
from .judging import Grading, check_limits
from .pages import page, write_reports
from .reference import shown_cases
from .report import ClassReport

HELP = "judge a submission of the practical, or a class's"
OUTPUTS = {                 # the texts of the files that may be asked for, by the option
    "json": lambda report: report.to_json(),
    "html": page,
    "csv": lambda report: report.to_csv(),
    "gradescope": lambda report: json.dumps(report.gradescope(), indent=2),
}
STDOUT = "-"                # as an output: standard output
MOST_JOBS = 1024
CLEAR_LINE = "\r\x1b[K"     # of a terminal


def add_arguments(parser):
    """The arguments of the command."""
    add = parser.add_argument
    add(
        "submission",
        metavar="SUBMISSION",
        nargs="?",
        help=(
            "a Python file that defines lmm(form, dat, ref), a notebook, a zip file, "
            "or a folder with one of them"
        ),
    )
    add(
        "--all",
        metavar="DIR",
        help=(
            "a folder of submissions, as students or Learn, Moodle, Canvas, nbgrader and "
            "Gradescope name them, or a zip file of it"
        ),
    )
    add(
        "--attempts",
        choices=ATTEMPTS,
        default=ATTEMPTS[0],
        help="with --all: of a student's attempts grade the last (default), or all",
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
        "--show-cases",
        action="store_true",
        help="print the cases and their answers, and grade nothing",
    )
    add(
        "--json",
        metavar="FILE",
        help=(
            "write the report as JSON, hidden cases included; of this and the next three one may "
            "be -, standard output, and the report is printed to standard error then"
        ),
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
    _check_names(options)
    if options.show_cases:
        return _show_cases(options)
    if options.autograders:
        return _write_autograders(options)
    _check_options(options)
    _check_outputs(options)
    _check_reports(options)
    cases = _cases(options)
    grading = Grading(cases, options.time_limit, options.memory_limit)
    grading.closed += _judges_files(options)
    if options.gradescope:
        report = _report_for_gradescope(options.submission, grading)
    elif options.all is None:
        report = _report_on_one(options.submission, grading)
    else:
        progress = sys.stderr if sys.stderr and sys.stderr.isatty() else None
        leave_out = _other_files(options)
        folder, jobs, attempts = options.all, options.jobs, options.attempts
        report = grade_all(folder, grading, jobs, progress, attempts, leave_out)
    try:
        _write_outputs(options, report)     # first: who reads what is printed may leave, as head
    finally:
        print(report, file=sys.stderr if STDOUT in _outputs(options).values() else sys.stdout)
    return 0 if report.passed else 1


def _show_cases(options):
    """Print what the cases ask, and their answers; returns 0."""
    if options.submission is not None or options.all is not None:
        raise LMMError("--show-cases grades nothing; leave out what is to be graded")
    _check_cases(options)
    print(shown_cases(_cases(options)))
    return 0


def _check_names(options):
    """Raise an LMMError for a file or folder whose name is empty, as an unset variable's is."""
    if options.submission == "":
        raise LMMError("the submission's name is empty; give a file, or a folder with one")
    for name in (*OUTPUTS, "cases", "all", "reports", "autograders"):
        if getattr(options, name) == "":
            kind = "file" if name in (*OUTPUTS, "cases") else "folder"
            raise LMMError(f"--{name} is empty; give a {kind}")


def _check_options(options):
    """Raise an LMMError for options that do not go together, or are out of range."""
    if (options.submission is None) == (options.all is None):
        raise LMMError("grade takes either a submission or --all DIR; see 'lmm grade --help'")
    if options.all is not None and options.gradescope:
        raise LMMError("--gradescope is for one submission, not for --all")
    if options.all is None and options.attempts != ATTEMPTS[0]:
        raise LMMError("--attempts is for --all; give the attempt that is to be graded")
    if options.all is None and options.csv:
        raise LMMError("--csv is for --all, a line for each submission")
    if not 1 <= options.jobs <= MOST_JOBS:
        raise LMMError(f"--jobs is {options.jobs}; it takes a number from 1 to {MOST_JOBS}")
    check_limits(options.time_limit, options.memory_limit, ("--time-limit", "--memory-limit"))
    _check_cases(options)


def _check_cases(options):
    """Raise an LMMError for options on cases that do not go together."""
    if options.only_cases and options.case:
        raise LMMError("--case chooses among the built-in cases, which --only-cases leaves out")
    if options.only_cases and not options.cases:
        raise LMMError("--only-cases needs --cases FILE")


def _check_outputs(options):
    """Raise an LMMError for an output that cannot be written, or holds what is to be read.

    This is before anything is graded, which may take minutes.
    """
    outputs = _outputs(options)
    to_stdout = [f"--{name}" for name, file in outputs.items() if file == STDOUT]
    if len(to_stdout) > 1:
        raise LMMError(f"{' and '.join(to_stdout)} cannot both be -, standard output")
    for name, file in outputs.items():
        if file == STDOUT:
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
    """Make the folder of reports; an LMMError where it cannot be, or is in the class's."""
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
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise LMMError(f"{where} cannot be written: {error.strerror or error}") from error


def _outputs(options):
    """The outputs asked for: the files by the options' names."""
    files = {name: getattr(options, name) for name in OUTPUTS}
    return {name: file for name, file in files.items() if file is not None}


def _other_files(options):
    """What may be in the class's folder and is no submission: the outputs, and the cases."""
    return {file for file in _judges_files(options) if file != options.reports}


def _judges_files(options):
    """What no submission may read, for it tells answers: the outputs, also of before, and cases."""
    files = [*_outputs(options).values(), options.reports, options.cases]
    return [file for file in files if file and file != STDOUT]


def _is_read(path, options):
    """Whether a path is that of the submission, of the cases, or of one of the class's files."""
    given = [Path(file).resolve() for file in (options.submission, options.cases) if file]
    if path in given:
        return True
    if not options.all or suffix_of(path.name) not in GRADED:
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


def _report_for_gradescope(submission, grading):
    """The `Report` on what was handed in, also where that cannot be judged."""
    def judge():
        return grading.report(submission)

    return _come_what_may(judge, Path(submission).name, grading)


def _report_on_one(submission, grading):
    """The `Report` on one submission; of a folder of several the LMMError names --all."""
    try:
        return grading.report(submission)
    except LMMError as error:
        folder = Path(submission)
        paths = [*folder.glob("*"), *folder.glob("*/*")]
        if sum(suffix_of(path.name) in GRADED for path in paths) < 2:
            raise
        raise LMMError(f"{error}; or, for all of a class, give --all {submission}") from None


def _write_autograders(options):
    """Write the files for autograders, and say so; returns 0."""
    if options.submission or options.all:
        raise LMMError("--autograders grades nothing: leave out the submission, or the option")
    _check_cases(options)
    write_autograders(options.autograders, _cases(options), options.cases)
    print(f"written to {options.autograders}: otter, nbgrader, gradescope")
    return 0


def _write_outputs(options, report):
    """Write the files that were asked for; an LMMError names those that cannot be."""
    failed = []
    for name, file in _outputs(options).items():
        failed += _written(name, file, partial(_write, file, OUTPUTS[name](report)))
    if options.reports:
        write = partial(write_reports, report, options.reports)
        failed += _written("reports", options.reports, write)
    if failed:
        raise LMMError("; ".join(failed))


def _written(name, file, write):
    """Write an output; a list of the sentence on why that failed, if it did."""
    try:
        write()
    except BrokenPipeError:                     # nobody reads standard output any more
        raise
    except OSError as error:
        return [f"--{name} {file} cannot be written: {error.strerror or error}"]
    return []


def _write(file, text):
    """Write a text to a file; what UTF-8 cannot write, of odd names, as Python would."""
    text = text.encode("utf-8", "backslashreplace").decode() + "\n"
    if file == STDOUT:
        print(text, end="")
    else:
        Path(file).write_text(text, encoding="utf-8")


# -- a class -------------------------------------------------------------------------------------

def grade_all(folder, grading, jobs=2, progress=None, attempts=ATTEMPTS[0], leave_out=()):
    """The `ClassReport` on everything in a class's folder: nothing disappears.

    A folder of a student's has one Python file, or lmm.py among several; notebooks and zip files
    are read as well; what cannot be graded has a row that says why. Files side by side belong to
    different students, so they cannot import each other.

    Parameters
    ----------
    folder : path
        The class's submissions, or a zip file of them: as students name them, or as Learn, Moodle,
        Canvas, nbgrader and Gradescope do.
    grading : Grading
        What each is judged by.
    jobs : int, optional
        How many at a time.
    progress : text stream, optional
        Where to write one line, over and over, on how many are graded.
    attempts : {"last", "all"}, optional
        Which of a student's attempts to grade. The last is that of the latest time in its name;
        where the names have no time, each is graded.
    leave_out : collection of Path, optional
        What is in the folder but no submission.

    Returns
    -------
    ClassReport

    Raises
    ------
    LMMError
        If there is no such folder, or nothing in it.
    """
    if attempts not in ATTEMPTS:
        raise LMMError(f"attempts is {attempts!r}; it is one of {shorten(ATTEMPTS)}")
    opened, room = opened_class(folder)
    try:
        entries = collected(opened, attempts, leave_out)
        if not entries:
            given = repr(str(folder))
            raise LMMError(f"the folder {given} holds no Python files, nor folders with one")
        grading.class_folder = opened
        if room is not None:
            grading.closed.append(folder)
        reports = _graded(entries, grading, jobs, progress)
        notes = () if grading.confined else (confinement.note(),)
        return ClassReport(reports, notes)
    finally:
        if room is not None:
            shutil.rmtree(room, ignore_errors=True)


def _graded(entries, grading, jobs, progress):
    """The reports on entries, in their order, several judged at a time."""
    reports = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            waiting = {pool.submit(_grade_one, entry, grading): entry for entry in entries}
            for future in as_completed(waiting):
                title = waiting[future].title
                reports[title] = future.result()
                _show(progress, CLEAR_LINE + f"{len(reports)} of {len(entries)} graded: {title}")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            grading.stop()
            raise
    _show(progress, CLEAR_LINE)
    return tuple(reports[entry.title] for entry in entries)


def _grade_one(entry, grading):
    """The report on an entry, come what may: a class is graded to its end."""
    def judge():
        given = entry.submission()
        return grading.report(given, given.helpers)

    report = _come_what_may(judge, entry.title, grading)
    notes = report.notes or entry.notes
    return replace(report, student=entry.student, attempt=entry.attempt, notes=notes)


def _come_what_may(judge, title, grading):
    """The report that is judged, or one that says why there is nothing to judge."""
    try:
        return judge()
    except (LMMError, OSError) as error:
        return grading.unread(title, str(error))
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        return grading.unread(title, f"the judge itself failed, at its answers: {failure}")


def _show(progress, text):
    """Write to the stream of progress, if there is one."""
    if progress is not None:
        progress.write(text)
        progress.flush()
