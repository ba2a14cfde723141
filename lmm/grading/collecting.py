"""From a class's folder to its entries: one for everything in it, so that nothing disappears.

A learning platform writes into the names whose a file is and which attempt; see `deliveries`. Of
several attempts of a student the last is an entry, which says so, or each is.
"""

import os
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import LMMError
from .deliveries import METADATA, attempts_within, delivery, people_of_gradescope
from .folders import (
    ARCHIVE,
    GRADED,
    check_no_link,
    check_readable,
    graded_file,
    is_ignored,
    not_python,
    printable,
    suffix_of,
)
from .loading import new_folder, of_folder, submission
from .unpacking import OF_CLASS, unpack

ATTEMPTS = ("last", "all")
NBGRADER_FOLDER = "submitted"
NBGRADER_NAMES = frozenset((    # of a course beside the folder of submissions
    "source",
    "release",
    "autograded",
    "feedback",
    "gradebook.db",
    "nbgrader_config.py",
    "header.ipynb",
))


@dataclass(frozen=True)
class Entry:
    """One row of a class's report.

    Attributes
    ----------
    title : str
        The path as it is seen in the class's folder; of several files that of the first.
    student : str
        Whose it is, as far as the names tell.
    attempt : str
        Which attempt, where there are several.
    paths : tuple of (str, Path)
        What was handed in: files and the names that they had, or one path that is left as it is.
    problem : str
        Why nothing can be graded, or "".
    notes : tuple of str
        What else is to be said.
    """

    title: str
    student: str
    attempt: str = ""
    paths: tuple = ()
    problem: str = ""
    notes: tuple = ()

    def submission(self):
        """The `Submission` to grade; an LMMError where there is none."""
        if self.problem:
            raise LMMError(self.problem)
        (name, path), *others = self.paths
        if not others and name in ("", path.name):
            found = submission(path, helpers=path.is_dir())
        else:
            found = _under_own_names(self.paths, self.title)
        return replace(found, title=self.title, notes=(*self.notes, *found.notes))


def _under_own_names(paths, title):
    """The `Submission` of files that a platform has renamed, copied into a folder of their own."""
    room = new_folder()
    try:
        for name, path in paths:
            shutil.copyfile(path, room / name)
        found = of_folder(room, "what was handed in", title)
        return replace(found, made=(room, *found.made))
    except BaseException:
        shutil.rmtree(room, ignore_errors=True)
        raise


# -- entries -------------------------------------------------------------------------------------

def collected(folder, attempts="last", leave_out=()):
    """The entries of a class's folder, in the order of their titles.

    Parameters
    ----------
    folder : Path
        A folder of what was handed in: files, folders and zip files, as students call them or as
        Learn, Moodle, Canvas, nbgrader or Gradescope deliver them.
    attempts : str, optional
        Whether of a student's attempts the ``"last"`` is an entry, or ``"all"`` are.
    leave_out : collection of Path, optional
        What is there for another purpose, such as the reports.

    Returns
    -------
    list of Entry

    Raises
    ------
    LMMError
        If the folder cannot be read.
    """
    left_out = {_place(Path(path)) for path in leave_out}
    paths = [path for path in _listed(folder) if _place(path) not in left_out]
    people = {path.parent: people_of_gradescope(path.parent) for path in paths}
    together = {}
    for path in paths:
        for found in _within(path) or [delivery(path, path.is_dir(), people[path.parent])]:
            together.setdefault((path.parent, *found.whose), []).append(found)
    entries = [
        entry
        for deliveries in together.values()
        for entry in _entries_of_student(deliveries, folder, attempts)
    ]
    return _told_apart(sorted(entries, key=lambda entry: entry.title))


def _place(path):
    """Where a path is, a link being where it is itself."""
    return os.path.join(os.path.realpath(path.parent), path.name)


def _listed(folder):
    """What is in a class's folder, that of a folder which is a platform's own instead of it."""
    paths = _names_in(folder)
    is_wrapper = len(paths) == 1 and _is_plain_folder(paths[0]) and any(
        delivery(path, path.is_dir()).platform for path in _names_in(paths[0])
    )
    if is_wrapper:
        folder = paths[0]
        paths = _names_in(folder)
    if any(path.name == METADATA for path in paths):
        paths = [path for path in paths if path.name != METADATA]
    inner = folder / NBGRADER_FOLDER
    if _is_plain_folder(inner) and any(_is_plain_folder(path) for path in _names_in(inner)):
        students = _students_of_nbgrader(inner)
        beside = [path for path in paths if path.name not in (NBGRADER_FOLDER, *NBGRADER_NAMES)]
        return [*beside, *students]
    if folder.name == NBGRADER_FOLDER:
        return _students_of_nbgrader(folder)
    return paths


def _within(path):
    """The attempts in a student's folder, where it holds nothing but a folder for each, or None."""
    try:
        paths = _names_in(path) if _is_plain_folder(path) else []
    except LMMError:                    # said in its row
        return None
    if any(suffix_of(one.name) in GRADED for one in paths):
        return None
    return attempts_within(path, [one for one in paths if _is_plain_folder(one)])


def _names_in(folder):
    """The paths in a folder, sorted, but for what nobody hands in."""
    try:
        return sorted(path for path in folder.iterdir() if not is_ignored(path.name))
    except OSError as error:
        said = error.strerror or error
        raise LMMError(f"the folder {str(folder)!r} cannot be read: {said}") from error


def _is_plain_folder(path):
    return path.is_dir() and not path.is_symlink() and os.access(path, os.R_OK | os.X_OK)


def _students_of_nbgrader(folder):
    """The students' folders; of one with several assignments to grade those of each."""
    paths = []
    for student in _names_in(folder):
        within = _names_in(student) if _is_plain_folder(student) else []
        with_code = [path for path in within if _is_plain_folder(path) and _holds_one(path)]
        has_own = any(suffix_of(path.name) in GRADED for path in within)
        is_several = len(with_code) > 1 and not has_own
        paths += [path for path in within if path.is_dir()] if is_several else [student]
    return paths


def _holds_one(folder):
    """Whether there is one file to be graded in a folder."""
    try:
        graded_file(folder, "")
    except LMMError:
        return False
    return True


# -- of one student ------------------------------------------------------------------------------

def _entries_of_student(deliveries, folder, attempts):
    """The entries of all that one student handed in: of the last attempt, or of each."""
    attachments = [one.attachment for one in deliveries if one.attachment]
    if len(set(attachments)) < len(attachments):        # Canvas never gives one twice: not Canvas's
        return [_entry([one], folder) for one in deliveries]
    by_attempt, order = _by_attempt(deliveries)
    if len(by_attempt) == 1:
        return [_entry(by_attempt[0], folder)]
    count = len(by_attempt)
    if order and attempts == "last":
        entry = _entry(by_attempt[-1], folder)
        others = ", ".join(_entry(one, folder).title for one in by_attempt[:-1])
        note = f"the last of {count} attempts by the {order} in their names; not graded: {others}"
        return [replace(entry, attempt=f"the last of {count} attempts", notes=(*entry.notes, note))]
    entries = []
    for i, one in enumerate(by_attempt):
        entry = _entry(one, folder)
        which = f"attempt {i + 1} of {count}" if order else f"one of {count} attempts without times"
        notes = entry.notes
        if not order and attempts == "last":
            notes = (*notes, "no name tells which attempt was the last, so each is graded")
        entries.append(replace(entry, attempt=which, notes=notes))
    return entries


def _by_attempt(deliveries):
    """Lists of deliveries, one for each attempt in their order; and what that is by, or ""."""
    if all(one.when is None for one in deliveries):
        return _undated(deliveries), ""
    times = sorted({one.when for one in deliveries})
    if deliveries[0].attachment:
        return _versions(deliveries, times), "numbers"
    attempts = [[one for one in deliveries if one.when == time] for time in times]
    return attempts, "times" if isinstance(times[0], str) else "numbers"


def _versions(deliveries, times):
    """The attempts of a student on Canvas: of each file the last version up to then.

    Where no file was handed in twice, there is one attempt.
    """
    if len({one.file for one in deliveries}) == len(deliveries):
        return [deliveries]
    deliveries = sorted(deliveries, key=lambda one: one.when)
    attempts = []
    for time in times:
        last = {one.file: one for one in deliveries if one.when <= time}
        attempts.append(list(last.values()))
    return attempts


def _undated(deliveries):
    """Each folder an attempt, and all loose files one; the platform's own goes with the first."""
    companions = [one for one in deliveries if one.companion]
    files = [one for one in deliveries if one.file and not one.companion]
    folders = [[one] for one in deliveries if not one.file and not one.companion]
    attempts = [files, *folders] if files else folders
    if not attempts:
        return [companions]
    return [[*attempts[0], *companions], *attempts[1:]]


def _entry(deliveries, folder):
    """The entry of one attempt."""
    own = [one for one in deliveries if one.companion]
    given = [one for one in deliveries if not one.companion]
    first = (sorted(given, key=_likeliest) or own)[0]
    title = printable(str(first.path.relative_to(folder)))
    entry = Entry(
        title,
        printable(first.student),
        notes=tuple(dict.fromkeys(note for one in given for note in one.notes)),
        paths=tuple((one.file, one.path) for one in given),
    )
    try:
        _check(given, own, folder)
    except LMMError as error:
        return replace(entry, problem=str(error))
    return entry


def _likeliest(one):
    """Puts first the file that is likely to be graded."""
    stem, suffix = os.path.splitext(one.file)
    suffix = suffix.lower()
    place = GRADED.index(suffix) if suffix in GRADED else len(GRADED)
    return stem.lower() != "lmm" or place == len(GRADED), place, one.path


def _check(given, own, folder):
    """Raise an LMMError where what was handed in cannot be graded."""
    if not given:
        raise LMMError(f"no file was handed in: there is only {own[0].companion}")
    for one in given:
        if one.path.is_symlink():
            check_no_link(one.path, folder)
            name = printable(one.path.name)
            raise LMMError(f"{name} is a link to something else in the folder; it is not followed")
        if not one.path.is_dir():
            check_readable(one.path)
    names = [one.file.casefold() for one in given]
    if len(given) > 1 and len(set(names)) < len(names):
        raise LMMError(f"several files are called {given[0].file!r}; one cannot be chosen")
    if len(given) > 1 and not all(one.file for one in given):
        raise LMMError("a folder and files were handed in; one cannot be chosen")
    path = given[0].path
    is_loose = len(given) == 1 and not path.is_dir()
    if is_loose and suffix_of(given[0].file or path.name) not in GRADED:
        raise LMMError(not_python(path.name))


def _told_apart(entries):
    """The entries, no two with the same title."""
    seen = Counter()
    apart = []
    for entry in entries:
        seen[entry.title] += 1
        times = seen[entry.title]
        apart.append(entry if times == 1 else replace(entry, title=f"{entry.title} ({times})"))
    return apart


# -- a class in a zip file -----------------------------------------------------------------------

def opened_class(given):
    """The folder of a class, and the temporary one to be removed: a zip file is unpacked.

    Raises
    ------
    LMMError
        If there is no such folder, or the file cannot be unpacked.
    """
    folder = Path(given)
    if folder.is_dir():
        return folder, None
    if not folder.is_file():
        raise LMMError(f"there is no folder {str(folder)!r}")
    if suffix_of(folder.name) != ARCHIVE:
        raise LMMError(f"{str(folder)!r} is a file, not a folder of submissions; leave out --all")
    room = new_folder()
    try:
        unpack(folder, room, OF_CLASS)
        paths = _names_in(room)
    except BaseException:
        shutil.rmtree(room, ignore_errors=True)
        raise
    has_wrapper = len(paths) == 1 and paths[0].is_dir()
    return (paths[0] if has_wrapper else room), room

