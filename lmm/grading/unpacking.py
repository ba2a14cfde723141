"""A zip file opened so that nothing it holds can do harm: by its size, its names, or its links."""

import os
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass

from ..errors import LMMError
from .folders import DEEPEST_FOLDER, printable

LONGEST_NAME = 255      # bytes of one name in a path, as most systems have it
SHOWN_NAME = 80         # characters of a name, in a sentence
ENCRYPTED = 0x1         # the bit of a member's flags
MEBIBYTE = 2**20
PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)    # which need no more memory than asked for


@dataclass(frozen=True)
class Limits:
    """How much a zip file may hold: files and folders, and bytes when they are unpacked."""

    members: int
    bytes: int


OF_STUDENT = Limits(1_000, 64 * MEBIBYTE)
OF_CLASS = Limits(20_000, 1024 * MEBIBYTE)


def unpack(path, folder, limits=OF_STUDENT):
    """Write what a zip file holds into an empty folder.

    Raises
    ------
    LMMError
        One sentence that names the file: it is broken, encrypted, too large, or one of its names
        would be written somewhere else. Some of it may have been written by then.
    """
    name = printable(path.name)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked(archive.infolist(), name, limits)
            _write_all(archive, members, folder)
    except LMMError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise LMMError(f"{name} is no zip file, or a broken one: {error}") from error
    except OSError as error:
        raise LMMError(f"{name} cannot be unpacked: {error.strerror or error}") from error


# -- what it says of itself ----------------------------------------------------------------------

def _checked(members, name, limits):
    """(member, parts of its path) for each; an LMMError for one that is refused."""
    if len(members) > limits.members:
        raise LMMError(
            f"{name} holds {len(members):,} files and folders; more than {limits.members:,} "
            "are not unpacked"
        )
    if sum(member.file_size for member in members) > limits.bytes:      # and no more is read
        largest = limits.bytes // MEBIBYTE
        raise LMMError(f"{name} is too large when unpacked: more than {largest} MiB")
    checked = []
    seen = set()
    for member in members:
        parts = _parts(member, name)
        if not parts:
            continue
        _check_kind(member, name)
        key = "/".join(parts).casefold()
        if key in seen and not member.is_dir():
            raise LMMError(f"{name} holds {'/'.join(parts)!r} twice; it is not unpacked")
        seen.add(key)
        checked.append((member, parts))
    return checked


def _parts(member, name):
    """The parts of a member's path; an LMMError where it leads out of the folder."""
    path = member.filename.replace("\\", "/")       # as some programs of Windows write them
    parts = [part for part in path.split("/") if part not in ("", ".")]
    is_absolute = path.startswith("/") or path[1:2] == ":"
    if is_absolute or ".." in parts:
        raise LMMError(
            f"{name} holds {member.filename[:SHOWN_NAME]!r}, a path that leads out of its folder; "
            "it is not unpacked"
        )
    if len(parts) > DEEPEST_FOLDER:
        raise LMMError(f"{name} holds more than {DEEPEST_FOLDER} folders within folders")
    for part in parts:
        if len(os.fsencode(part)) > LONGEST_NAME or not part.isprintable():
            raise LMMError(f"{name} holds a name that no file can have: {part[:SHOWN_NAME]!r}")
    return parts


def _check_kind(member, name):
    """Raise an LMMError for a member that is encrypted, packed oddly, or no file or folder."""
    if member.flag_bits & ENCRYPTED:
        raise LMMError(f"{name} is encrypted; it takes a zip file without a password")
    if member.compress_type not in PACKED_BY:
        raise LMMError(f"{name} is compressed in a way that is not opened here; zip it as usual")
    said = repr(member.filename[:SHOWN_NAME])
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise LMMError(f"{name} holds a link, {said}; it is not unpacked")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise LMMError(f"{name} holds {said}, which is no file; it is not unpacked")


# -- writing -------------------------------------------------------------------------------------

def _write_all(archive, members, folder):
    """Write the members, none over another; of each as many bytes as it says that it has."""
    for member, parts in members:
        target = folder.joinpath(*parts)
        if member.is_dir() or member.filename.endswith("\\"):
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as packed, open(target, "xb") as file:
            shutil.copyfileobj(packed, file)
