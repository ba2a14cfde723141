"""What is graded in a student's folder, and what is said of files that cannot be graded."""

import codecs
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LMMError, shorten

MOST_FILES = 5_000      # in a student's folder
DEEPEST_FOLDER = 12
FEW_NAMED = 3          # files, in a sentence
ENOUGH_TO_TELL = 200    # bytes of a file, in which encoding it is
MAIN_STEM = "lmm"       # of the file that is graded among several
IGNORED = frozenset((
    "__macosx",
    "__pycache__",
    "__init__.py",
    "thumbs.db",
    "desktop.ini",
))
LEFT_BEHIND = ("._", "~$")      # how names begin: of a copy by macOS, of an editor's lock

# -- kinds of files ------------------------------------------------------------------------------

PYTHON = ".py"
NOTEBOOK = ".ipynb"
ARCHIVE = ".zip"
GRADED = (PYTHON, NOTEBOOK, ARCHIVE)
KINDS_OF_FILES = {
    "": "a file whose name has no ending",
    ".txt": "a text",
    ".md": "a text",
    ".r": "a script of R",
    ".rmd": "a document of R",
    ".qmd": "a document of Quarto",
    ".m": "a script of another language",
    ".jl": "a script of Julia",
    ".pyc": "compiled Python, which is not taken",
    ".pdf": "a PDF",
    ".doc": "a document of Word",
    ".docx": "a document of Word",
    ".odt": "a document",
    ".rtf": "a document",
    ".html": "a page of HTML",
    ".htm": "a page of HTML",
    ".csv": "a table",
    ".xlsx": "a table",
    ".json": "JSON",
    ".rar": "an archive that cannot be opened here, which takes zip",
    ".7z": "an archive that cannot be opened here, which takes zip",
    ".tar": "an archive that cannot be opened here, which takes zip",
    ".gz": "an archive that cannot be opened here, which takes zip",
    ".tgz": "an archive that cannot be opened here, which takes zip",
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".heic", ".bmp", ".svg", ".tif", ".tiff",
                     ".webp"), "a picture"),
}


def is_ignored(name):
    """Whether a name is that of what systems and editors leave behind, and nobody hands in."""
    if name.lower() in IGNORED or name.startswith(LEFT_BEHIND):
        return True
    return name.startswith(".") and suffix_of(name) not in GRADED


def suffix_of(name):
    """The ending of a name in lower case."""
    return os.path.splitext(name)[1].lower()


def printable(name):
    """A name as it can be printed: what cannot is written as Python writes it."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def printable_text(text):
    """A text as it can be printed, its lines and tabs kept."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(one if one in "\n\t" else printable(one) for one in text)


def not_python(name):
    """The sentence on a file that is neither Python nor a notebook nor a zip file."""
    suffix = suffix_of(name)
    kind = KINDS_OF_FILES.get(suffix, f"a file that ends in {suffix}")
    said = f"{printable(name)} is no Python file, but {kind}"
    stem = os.path.splitext(name)[0]
    if suffix_of(stem) in GRADED:
        said += f"; if it is Python, rename it to {printable(stem)}"
    return said


def check_readable(path):
    """Raise an LMMError unless a path is that of a file that can be read."""
    name = printable(path.name)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):     # a pipe would be waited for
            raise LMMError(f"{name} is no regular file")
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise LMMError(f"{name} cannot be read: {error.strerror or error}") from error


def check_no_link(path, root):
    """Raise an LMMError for a link that is broken, or leads out of a folder."""
    if not path.is_symlink():
        return
    name = printable(path.name)
    if not os.path.exists(path):
        raise LMMError(f"{name} is a link to nothing")
    if not path.resolve().is_relative_to(root.resolve()):
        raise LMMError(f"{name} is a link to a place outside of its folder; it is not followed")


def check_encoding(path):
    """Raise an LMMError for a file in UTF-16, which Python does not read."""
    with open(path, "rb") as file:
        start = file.read(ENOUGH_TO_TELL)
    odd, even = start[0::2].strip(b"\0"), start[1::2].strip(b"\0")
    is_wide = len(start) > 1 and bool(odd) != bool(even)    # of ASCII every other byte is zero
    if is_wide or start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = printable(path.name)
        raise LMMError(f"{name} is in UTF-16, which Python does not read; save it as UTF-8")


# -- the one file of a folder --------------------------------------------------------------------

@dataclass
class Listing:
    """What is in a folder: what may be graded, by its kind, and the names of what may not."""

    folder: Path
    by_suffix: dict = field(default_factory=lambda: {suffix: [] for suffix in GRADED})
    others: list = field(default_factory=list)
    folders: list = field(default_factory=list)

    @property
    def has_code(self):
        return bool(self.by_suffix[PYTHON] or self.by_suffix[NOTEBOOK])


def graded_file(folder, called):
    """The file to grade in a student's folder, and a tuple of notes on how it was found.

    It is the one Python file, or lmm.py among several; else the one notebook, or lmm.ipynb; else
    those of folders within; else the one zip file. `called` is how sentences begin, such as
    ``"the folder 'anne'"``.

    Raises
    ------
    LMMError
        If there is none, or one cannot be chosen.
    """
    listings = _listings(folder, called)
    deepest = max(len(one.folder.parts) for one in listings)
    for depth in range(len(folder.parts), deepest + 1):
        here = [one for one in listings if len(one.folder.parts) == depth and one.has_code]
        if here:
            return _chosen_of_level(here, folder, called)
    archives = [path for one in listings for path in one.by_suffix[ARCHIVE]]
    if len(archives) == 1:
        return archives[0], ()
    if archives:
        names = shorten([path.name for path in archives], FEW_NAMED)
        raise LMMError(f"{called} holds {len(archives)} zip files, {names}; give one")
    others = [said for one in listings for said in one.others]
    but = f", but {', '.join(others[:FEW_NAMED])}" if others else ""
    if len(others) > FEW_NAMED:
        but += f", ... ({len(others)} files)"
    raise LMMError(f"{called} holds no Python file{but}")


def _listings(folder, called):
    """A `Listing` of a folder and of each within it, links left out; LMMErrors name the folder."""
    listings = []
    waiting = [folder]
    count = 0
    while waiting:
        listing = Listing(waiting.pop(0))
        try:
            paths = sorted(listing.folder.iterdir())
        except OSError as error:
            within = printable(listing.folder.name)
            raise LMMError(
                f"the folder {within!r} cannot be read: {error.strerror or error}"
            ) from error
        for path in paths:
            _put(path, listing, folder)
        count += len(paths)
        too_deep = len(listing.folder.parts) - len(folder.parts) > DEEPEST_FOLDER
        if count > MOST_FILES or too_deep:
            raise LMMError(
                f"{called} holds more than {MOST_FILES:,} files, or more than "
                f"{DEEPEST_FOLDER} folders within folders; give the file"
            )
        listings.append(listing)
        waiting += listing.folders
    return listings


def _put(path, listing, root):
    """Add a path to a listing; a link only if it is one to a file within the folder."""
    if is_ignored(path.name):
        return
    said = printable(str(path.relative_to(root)))
    if path.is_symlink():
        try:
            check_no_link(path, root)
        except LMMError:
            listing.others.append(f"{said}, a link that is not followed")
            return
        if path.is_dir():
            return
    suffix = suffix_of(path.name)
    if path.is_dir():
        listing.folders.append(path)
    elif suffix in GRADED:
        listing.by_suffix[suffix].append(path)
    else:
        listing.others.append(said)


def _chosen_of_level(listings, folder, called):
    """The file to grade among folders that are equally deep, and the notes."""
    if len(listings) > 1:
        with_main = [one for one in listings if _main(one)]
        if len(with_main) != 1:
            names = shorten([str(one.folder.relative_to(folder)) for one in listings], FEW_NAMED)
            raise LMMError(
                f"{called} holds several folders with Python files, {names}; give one"
            )
        listings = with_main
    listing = listings[0]
    path = _main(listing) or _only(listing, called)
    notes = []
    if path.parent != folder:
        notes.append(f"graded is {printable(str(path.relative_to(folder)))}")
    others = [one for suffix in GRADED for one in listing.by_suffix[suffix] if one != path]
    is_beside = suffix_of(path.name) == NOTEBOOK or any(
        suffix_of(one.name) != PYTHON for one in others
    )
    if others and is_beside:
        names = ", ".join(printable(one.name) for one in others[:FEW_NAMED])
        notes.append(f"graded is {printable(path.name)}, not what is beside it: {names}")
    return path, tuple(notes)


def _main(listing):
    """The file called lmm.py, else the one called lmm.ipynb, else None."""
    for suffix in (PYTHON, NOTEBOOK):
        named = [one for one in listing.by_suffix[suffix] if one.stem.lower() == MAIN_STEM]
        if named:
            return max(named, key=lambda one: one.name == MAIN_STEM + suffix)
    return None


def _only(listing, called):
    """The only Python file, else the only notebook."""
    if listing.by_suffix[PYTHON]:
        suffix, kind = PYTHON, "Python files"
    else:
        suffix, kind = NOTEBOOK, "notebooks"
    paths = listing.by_suffix[suffix]
    if len(paths) == 1:
        return paths[0]
    raise LMMError(
        f"{called} holds {len(paths)} {kind}, none of them {MAIN_STEM}{suffix}; "
        "give one"
    )
