"""A zip file opened so that nothing it holds can do harm: by its size, its names, or its links."""

import os
import stat
import zipfile
import zlib
from dataclasses import dataclass

from ..errors import LMMError

CHUNK = 65_536          # bytes, unpacked at a time
DEEPEST = 12            # folders within folders
LONGEST_NAME = 255      # bytes of one name in a path, as most systems have it
ENCRYPTED = 0x1         # the bit of a member's flags
MEBIBYTE = 2**20


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
    name = path.name
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked(archive.infolist(), name, limits)
            _write_all(archive, members, folder, name, limits)
    except LMMError:
        raise
    except NotImplementedError as error:
        raise LMMError(f"{name} is compressed in a way that is not known here: {error}") from error
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
    if sum(member.file_size for member in members) > limits.bytes:
        raise _too_large(name, limits)
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
            f"{name} holds {member.filename!r}, a path that leads out of its folder; "
            "it is not unpacked"
        )
    if len(parts) > DEEPEST:
        raise LMMError(f"{name} holds more than {DEEPEST} folders within folders")
    for part in parts:
        if len(os.fsencode(part)) > LONGEST_NAME or not part.isprintable():
            raise LMMError(f"{name} holds a name that no file can have: {part[:40]!r}")
    return parts


def _check_kind(member, name):
    """Raise an LMMError for a member that is encrypted, or no plain file or folder."""
    if member.flag_bits & ENCRYPTED:
        raise LMMError(f"{name} is encrypted; it takes a zip file without a password")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise LMMError(f"{name} holds a link, {member.filename!r}; it is not unpacked")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise LMMError(f"{name} holds {member.filename!r}, which is no file; it is not unpacked")


def _too_large(name, limits):
    return LMMError(
        f"{name} is too large when unpacked: more than {limits.bytes // MEBIBYTE} MiB"
    )


# -- writing -------------------------------------------------------------------------------------

def _write_all(archive, members, folder, name, limits):
    """Write the members; what they hold is counted, whatever they say that they hold."""
    left = limits.bytes
    for member, parts in members:
        target = folder.joinpath(*parts)
        if member.is_dir() or member.filename.endswith("\\"):
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as packed, open(target, "xb") as file:
            while chunk := packed.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise _too_large(name, limits)
                file.write(chunk)
