"""What a submission's process is kept from by the kernel, where the kernel is willing: Linux.

Where namespaces of one's own are allowed, a submission has

* no network: an empty one of its own, without even a loopback;
* a disk that can be read but not written: what it writes into its own folders or those of
  temporary files goes to memory, of limited size, and is forgotten;
* neither the judge's answers, files of cases and reports, nor other people's temporary files and
  sockets, nor the other submissions of its class: in their place are empty folders and files;
* no other processes to see, signal or trace: what it starts ends with it, daemons too, and it is
  ended once there are too many, threads not counted;
* no rights beyond those of the user who grades, and of root's only that of reading all files: no
  devices, no clock, no limits; and where /proc can be written, no further namespaces.

What is not held back: reading any other file that the user who grades may read; connecting to a
socket that is a file elsewhere on the disk; the memory of many processes taken together; faults
of the kernel. The submission shares its process with the code that calls it, so it can lie about
its own answers.

The process does this to itself before anything else is imported: with nothing but the standard
library, and the file imported by itself. Three processes come of it. The first one, which the
judge started, waits. The second one is the init of a namespace of processes: it counts them, and
all end with it. The third one goes on.
"""

import contextlib
import ctypes
import functools
import json
import os
import signal
import site
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOM = "256m"               # of the folder to work in: memory, not disk
LITTLE_ROOM = "16m"         # of others that can be written
MOST_PROCESSES = 256        # at a time
BETWEEN_COUNTS = 0.05       # seconds
TOO_MANY = "too many"       # the verdict on more processes; else it is how the process ended
OPEN_TO_ALL = ("/tmp", "/var/tmp", "/run", "/var/run")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}

# -- the kernel's numbers, of Linux's headers ----------------------------------------------------

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NAMESPACES = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

SYS_MOUNT_SETATTR = 442     # on all machines; Linux 5.12 and later
AT_FDCWD = -100
AT_RECURSIVE = 0x8000
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
CAP_DAC_READ_SEARCH = 2     # reads all files
MOST_CAPABILITIES = 64
CAPABILITY_VERSION = 0x20080522


# -- asked by the judge --------------------------------------------------------------------------

@functools.cache
def refused():
    """Why no process can be confined here, or ""; found by trying, once."""
    if sys.platform != "linux":
        return "only Linux can"
    with tempfile.TemporaryDirectory(prefix="lmm-grading-") as scratch:
        command = [sys.executable, "-I", "-S", __file__, json.dumps({"scratch": scratch})]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return ""
    lines = tried.stderr.strip().splitlines() or ["it failed"]
    return lines[-1].partition(": ")[2] or lines[-1]


def note():
    """The sentence on submissions that could not be confined."""
    why = refused() or "it failed this time"
    return (
        "not kept from the network, nor from the files of the user who grades: the system here "
        f"does not allow it ({why})"
    )


def hidden_folders():
    """The folders of temporary files and of sockets."""
    return [*OPEN_TO_ALL, tempfile.gettempdir()]


# -- done by the process to itself ---------------------------------------------------------------

def confine(scratch, hidden=(), emptied=(), kept=(), closed=(), apart=(), verdict=None):
    """Return in a process that is confined; raises OSError where the kernel refuses.

    Parameters
    ----------
    scratch : str
        The folder to work in.
    hidden : sequence of str
        Folders in whose place are empty ones, in memory, ...
    emptied : sequence of str
        ... and those in whose place are ones with empty files of the same names.
    kept : sequence of str
        What of these is there all the same, besides Python.
    closed : sequence of str
        Files and folders in whose place are empty ones, even where they are within what is kept.
    apart : sequence of str
        Folders that hold no libraries, though Python's path may name them or what is in them.
    verdict : int, optional
        A file descriptor to which is written how the process ended.
    """
    reads_all = _enter_namespaces()
    init = os.fork()
    if init != 0:
        os.closerange(0, 3)
        _, status = os.waitpid(init, 0)
        os._exit(abs(os.waitstatus_to_exitcode(status)))
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    _arrange_disk(scratch, closed, hidden, emptied, [*kept, *_pythons(apart), scratch])
    _drop_rights(reads_all)
    child = os.fork()
    if child != 0:
        _guard(child, verdict)
    if verdict is not None:
        os.close(verdict)


def _pythons(apart):
    """The folders of Python, and those on its path, but for folders apart and what is in them."""
    here = os.path.dirname(__file__)                # on the path, so that this file is found
    folders = [sys.prefix, sys.base_prefix, sys.exec_prefix, site.getusersitepackages()]
    within = tuple(os.path.join(os.path.realpath(folder), "") for folder in apart)
    for folder in sys.path:
        if folder in ("", here) or os.path.join(os.path.realpath(folder), "").startswith(within):
            continue
        folders.append(folder)
    return folders


def _enter_namespaces():
    """Enter namespaces of one's own; returns whether all users are known there.

    A child that stays outside maps them, for the right to do so is lost by entering: all users,
    if the one who grades is root, else that one alone. Each keeps its number.
    """
    reading, writing = os.pipe()
    outsider = os.fork()
    if outsider == 0:
        try:
            os.close(writing)
            os.read(reading, 1)                 # until the pipe is closed
            if _map_users(os.getppid()):
                os._exit(0)
        finally:                                # it says nothing, whatever happens
            os._exit(1)
    try:
        _call("unshare", NAMESPACES)
    finally:
        os.close(reading)
        os.close(writing)
        _, status = os.waitpid(outsider, 0)
    return status == 0


def _map_users(pid):
    """Map users and groups of the namespaces of a process; returns whether it is all of them."""
    folder = Path(f"/proc/{pid}")
    try:
        for kind in ("uid_map", "gid_map"):
            extents = [line.split() for line in Path("/proc/self", kind).read_text().splitlines()]
            (folder / kind).write_text("".join(f"{a} {a} {count}\n" for a, _, count in extents))
    except OSError:
        (folder / "setgroups").write_text("deny")
        (folder / "uid_map").write_text(f"{os.getuid()} {os.getuid()} 1")
        (folder / "gid_map").write_text(f"{os.getgid()} {os.getgid()} 1")
        return False
    return True


# -- the disk ------------------------------------------------------------------------------------

def _arrange_disk(scratch, closed, hidden, emptied, kept):
    """Make the disk read-only, hide folders, and give a place to write."""
    with contextlib.suppress(OSError):          # no further namespaces within, if it can be written
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    _set_attributes("/", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, AT_RECURSIVE)

    # -- files and folders of the judge's, before what they are in is covered, and kept in part
    _mount_memory(scratch, LITTLE_ROOM)
    empty = os.path.join(scratch, "empty")
    _create(empty, is_folder=False)
    for path in closed:
        if os.path.isdir(path):
            _cover(path, kept)
        elif os.path.exists(path):
            _bind(empty, path)
            _set_attributes(path, MOUNT_ATTR_RDONLY)

    # -- folders that are not seen
    for folder in dict.fromkeys(map(os.path.realpath, hidden)):
        if os.path.isdir(folder) and folder != "/":
            _cover(folder, kept)
    for folder in dict.fromkeys(map(os.path.realpath, emptied)):
        if os.path.isdir(folder):               # and not hidden already, with what it is in
            _cover(folder, kept, list(_tree(folder)))
            _set_attributes(folder, MOUNT_ATTR_RDONLY)

    # -- devices, processes, and a place to write
    _cover("/dev", [*DEVICES, *kept])
    for device in DEVICES:
        _set_attributes(device, 0, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV)
    for name, rest in LINKS.items():
        os.symlink(f"/proc/self/fd{rest}", f"/dev/{name}")
    os.makedirs("/dev/shm", exist_ok=True)
    _mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _mount_memory(scratch, ROOM)
    os.chdir(scratch)


def _cover(folder, kept, tree=()):
    """Put a folder in memory over one: with what is kept of it, and with the names of a tree."""
    places = {}
    for path in kept:
        where = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        real = os.path.realpath(path)           # of a link both are there
        places.update(dict.fromkeys([where.rstrip("/"), real], real))
    if folder in places:
        return
    below = os.open(folder, os.O_PATH)
    beneath = f"/proc/self/fd/{below}/"
    inside = os.path.join(folder, "")
    _mount_memory(folder, LITTLE_ROOM)
    for place, is_folder in tree:
        _create(place, is_folder)
    for place, real in places.items():
        source = beneath + real.removeprefix(inside) if real.startswith(inside) else real
        if place.startswith(inside) and os.path.exists(source):
            _bind(source, place)
    os.close(below)


def _tree(folder):
    """The paths below a folder, each with whether it is one."""
    for parent, folders, files in os.walk(folder):
        for name in folders:
            yield os.path.join(parent, name), True
        for name in files:
            yield os.path.join(parent, name), False


def _bind(source, place):
    """Mount at a place what is at another."""
    if not os.path.exists(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        _create(place, os.path.isdir(source))
    _mount(source, place, None, MS_BIND | MS_REC)


def _create(place, is_folder):
    """An empty folder or file."""
    if is_folder:
        os.mkdir(place)
    else:
        os.close(os.open(place, os.O_CREAT, 0o644))


def _mount_memory(folder, room):
    options = f"size={room},mode=0755"
    _mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, options)


def _mount(source, target, kind, flags, options=None):
    def text(given):
        return None if given is None else os.fsencode(given)

    numbers = ctypes.c_ulong(flags)
    _call("mount", text(source), text(target), text(kind), numbers, text(options))


def _set_attributes(path, added, flags=0, removed=0):
    """Change attributes of a mount, or recursively, and cut its ties to those outside."""
    attributes = struct.pack("=QQQQ", added, removed, MS_PRIVATE, 0)
    size = ctypes.c_size_t(len(attributes))
    number = ctypes.c_long(SYS_MOUNT_SETATTR)
    _call("syscall", number, AT_FDCWD, os.fsencode(path), flags, attributes, size)


# -- rights --------------------------------------------------------------------------------------

def _drop_rights(reads_all):
    """Give up, for good, all that came with the namespaces, but what root needs to read files."""
    kept = 1 << CAP_DAC_READ_SEARCH if reads_all else 0
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(MOST_CAPABILITIES):
        if not kept >> capability & 1:
            with contextlib.suppress(OSError):      # of those that the kernel does not have
                _prctl(PR_CAPBSET_DROP, capability)
    header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
    sets = struct.pack("=6I", kept, kept, 0, 0, 0, 0)       # effective, permitted, inheritable
    _call("capset", header, sets)


def _prctl(option, value):
    _call("prctl", option, *[ctypes.c_ulong(number) for number in (value, 0, 0, 0)])


def _call(name, *arguments):
    """Call a function of the C library that returns 0; raises OSError if it does not."""
    if getattr(_library(), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


@functools.cache
def _library():
    return ctypes.CDLL(None, use_errno=True)


# -- the init of the namespace of processes ------------------------------------------------------

def _guard(child, verdict):
    """Wait for a child to end, and end, and with it all others; or once they are too many."""
    os.closerange(0, 3)
    _prctl(PR_SET_DUMPABLE, 0)                      # nobody may trace it
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while True:
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            pid, status = ended
            if pid == child:
                _end(os.waitstatus_to_exitcode(status), verdict)
        if sum(name.isdigit() for name in os.listdir("/proc")) > MOST_PROCESSES:
            _end(TOO_MANY, verdict)
        signal.sigtimedwait([signal.SIGCHLD], BETWEEN_COUNTS)


def _end(how, verdict):
    if verdict is not None:
        os.write(verdict, str(how).encode())
    os._exit(0)


if __name__ == "__main__":                          # the trial of `refused`
    confine(**json.loads(sys.argv[1]))
