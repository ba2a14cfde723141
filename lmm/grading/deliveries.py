"""The names under which learning platforms deliver submissions: whose, which attempt, which file.

Learn       ``Practical 1_s1234567_attempt_2026-11-20-10-15-30_lmm.py``, and beside it a text of its
            own, without a file's name: ``Practical 1_s1234567_attempt_2026-11-20-10-15-30.txt``
Moodle      ``Anne Smith_123456_assignsubmission_file_``, a folder or the start of a file's name
Canvas      ``smithanne_LATE_12345_67890_lmm-1.py``
nbgrader    ``anne+ps1+2026-11-20 10:15:30 UTC+token``, a folder, before it collects
Gradescope  ``submission_123``, a folder; who that is stands in ``submission_metadata.yml``
"""

import re
from dataclasses import dataclass
from pathlib import Path

METADATA = "submission_metadata.yml"
TIME = r"\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}"
LEARN = re.compile(
    rf"(?P<whose>(?:.+_)?(?P<student>[^_]+))_attempt_(?P<time>{TIME})"
    r"(?:_(?P<file>.+)|(?P<end>\..+))?"
)
MOODLE = re.compile(
    r"(?P<whose>(?P<student>.+?)_\d+)_assignsubmission_(?P<part>file|onlinetext)(?:_(?P<file>.*))?"
)
CANVAS = re.compile(
    r"(?P<student>[^_]+)(?:_(?P<late>LATE))?_(?P<number>\d{3,})_(?P<attachment>\d{3,})_(?P<file>.+)"
)
HANDED_IN_AGAIN = re.compile(
    r"(?P<stem>.+)-(?P<version>\d+)(?P<end>\.(?:py|ipynb|zip))", re.IGNORECASE
)
NBGRADER = re.compile(
    r"(?P<whose>(?P<student>[^+]+)\+[^+]+)\+(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^+]*)(?:\+.*)?"
)
GRADESCOPE = re.compile(r"submission_\d+")
NUMBERED = re.compile(
    r"(?P<student>.+?)[ _-]+attempt[ _-]?(?P<number>\d{1,4})(?P<end>\..+)?", re.IGNORECASE
)
ATTEMPT = re.compile(
    r".*?(?P<time>\d{4}-\d\d-\d\d(?:[-_ T]\d\d[-:.]\d\d(?:[-:.]\d\d)?)?).*"
    r"|(?:attempt|version|v)[ _-]?(?P<number>\d{1,4})",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Delivery:
    """What the name of a file or folder says.

    Attributes
    ----------
    path : Path
        Which one it is of.
    whose : tuple
        The same for all of one student's, and of no other's.
    student : str
        What the platform calls him or her; "" where there is none.
    when : str or int or None
        By what attempts are put in order: a time, or a number; None where there is neither.
    file : str
        What the file was called when it was handed in; "" for a folder, which is left as it is.
    attachment : str
        Canvas's number of the file, of which no two are alike.
    companion : str
        What it is, if it goes along with what was handed in, and is no file of the student's.
    platform : bool
        Whether it is the name that a platform gives.
    notes : tuple of str
        What else the name says.
    """

    path: Path
    whose: tuple
    student: str = ""
    when: str | int | None = None
    file: str = ""
    attachment: str = ""
    companion: str = ""
    platform: bool = True
    notes: tuple = ()


def delivery(path, is_folder, people=None):
    """The `Delivery` of a path; `people` are the students of Gradescope's folders by name."""
    name = path.name
    for read in (_learn, _moodle, _canvas, _nbgrader, _gradescope, _numbered):
        found = read(path, name, is_folder, people or {})
        if found is not None:
            return found
    return Delivery(path, ("plain", name), platform=False)


def _learn(path, name, is_folder, people):
    found = LEARN.fullmatch(name)
    if not found:
        return None
    file = found["file"] or ""
    is_own = not is_folder and not file and found["end"] in (".txt", None)
    if found["end"] and not is_own:
        file = name
    whose = ("Learn", found["whose"])
    companion = "Learn's own text" if is_own else ""
    return Delivery(path, whose, found["student"], found["time"], file, companion=companion)


def _moodle(path, name, is_folder, people):
    found = MOODLE.fullmatch(name)
    if not found:
        return None
    file = "" if is_folder else (found["file"] or name)
    companion = "a text that was typed in" if found["part"] == "onlinetext" else ""
    whose = ("Moodle", found["whose"])
    return Delivery(path, whose, found["student"], None, file, companion=companion)


def _canvas(path, name, is_folder, people):
    """Canvas adds -1, -2, ... to the name of a file that is handed in again."""
    found = CANVAS.fullmatch(name)
    if not found or is_folder:
        return None
    file = found["file"]
    when = 0
    version = HANDED_IN_AGAIN.fullmatch(file)
    if version:
        file = version["stem"] + version["end"]
        when = int(version["version"])
    whose = ("Canvas", found["student"], found["number"])
    notes = ("handed in late, as Canvas says",) if found["late"] else ()
    return Delivery(
        path,
        whose,
        found["student"],
        when,
        file,
        attachment=found["attachment"],
        notes=notes,
    )


def _nbgrader(path, name, is_folder, people):
    found = NBGRADER.fullmatch(name)
    if not found or not is_folder:
        return None
    return Delivery(path, ("nbgrader", found["whose"]), found["student"], found["time"])


def _gradescope(path, name, is_folder, people):
    if not is_folder or not GRADESCOPE.fullmatch(name):
        return None
    return Delivery(path, ("Gradescope", name), people.get(name, name))


def _numbered(path, name, is_folder, people):
    found = NUMBERED.fullmatch(name)
    if not found:
        return None
    whose = ("numbered", found["student"])
    file = "" if is_folder else name
    return Delivery(path, whose, found["student"], int(found["number"]), file, platform=False)


def attempts_within(path, folders):
    """A `Delivery` for each folder in a student's, if all are called by a time, or all by a number.

    None otherwise.
    """
    found = [ATTEMPT.fullmatch(folder.name) for folder in folders]
    for order in ("time", "number"):
        if len(found) > 1 and all(one and one[order] for one in found):
            break
    else:
        return None
    whens = [re.sub(r"\D", "", one[order]) for one in found]
    if order == "number":
        whens = [int(when) for when in whens]
    whose = ("attempts", path.name)
    return [Delivery(folder, whose, when=when) for folder, when in zip(folders, whens)]


def people_of_gradescope(folder):
    """The students of the folders of an export, by the folders' names, as its metadata tell."""
    try:
        text = (folder / METADATA).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    people = {}
    for part in re.split(r"^(?=submission_\d+:)", text, flags=re.MULTILINE):
        name = part.partition(":")[0]
        submitters = re.findall(r"^\s+(?:- )?:name: *(\S.*?) *$", part, flags=re.MULTILINE)
        if GRADESCOPE.fullmatch(name) and submitters:
            people[name] = ", ".join(one.strip("'\"") for one in submitters)
    return people
