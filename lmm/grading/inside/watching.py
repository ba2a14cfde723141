"""Notes what a submission does besides computing: by an audit hook, and by a look at each import.

The answers are out of reach: this package cannot be imported, and its folders cannot be read.
"""

import os
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

MOST_EVENTS = 20        # that are kept
FITTERS = frozenset((
    "statsmodels",
    "pymer4",
    "rpy2",
    "bambi",
    "linearmodels",
    "merf",
    "gpboost",
    "glmmTMB",
    "rpy",
    "pyreadr",
))

# -- events of Python's audit hooks --------------------------------------------------------------

FORKS = frozenset(("os.fork", "os.forkpty"))        # the child hears the hook as well
PROGRAMS = frozenset((
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
))
MOVES = frozenset((
    "os.link",
    "os.symlink",
    "os.rename",
))
KILLS = frozenset((
    "os.kill",
    "os.killpg",
))
NETWORK = frozenset((
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.getaddrinfo",
    "socket.gethostbyname",
))
HEARD = frozenset(("open",)) | FORKS | PROGRAMS | MOVES | KILLS | NETWORK

# -- places --------------------------------------------------------------------------------------

SYSTEM = ("/sys/", "/proc/", "/dev/")               # what libraries ask of the machine
SHOWING = ("linecache.py", "tokenize.py")           # in which Python reads the sources it shows
INSIDE_FOLDER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "")

FORBIDDEN = (
    "lmm is the package that judges, which a submission cannot use: it is to be the student's own "
    "work"
)


class Watch(MetaPathFinder):
    """Events since the last look, each a pair of a kind and what it was about.

    Parameters
    ----------
    path : Path
        The submission.
    folders : list of str
        Where it may read: its own.
    packages : list of str
        This package's folders.
    closed : list of str
        Files and folders of the judge's.
    """

    def __init__(self, path, folders, packages, closed=()):
        self.path = path
        self.events = []
        self.busy = False           # with an event, whose own events are not heard
        self.has_own = path.stem == "lmm" or any(_has_lmm(Path(folder)) for folder in folders)
        on_path = [
            entry for entry in sys.path if entry and os.path.isdir(entry) and entry not in folders
        ]
        installed = [os.path.join(entry, "lmm") for entry in on_path]
        library = os.path.dirname(os.__file__)
        pythons = [sys.prefix, sys.base_prefix, sys.exec_prefix, library, *on_path]
        self.own = _folders(folders)
        self.scratch = _folders([os.getcwd()])
        self.python = _folders(pythons)
        self.packages = _folders([*packages, *installed])
        needed = (*self.own, *self.scratch, *self.python, *_folders([path]))
        self.closed = tuple(
            place for place in _folders(closed) if not any(one.startswith(place) for one in needed)
        )

    def begin(self):
        sys.meta_path.insert(0, self)
        sys.addaudithook(self._hear)

    def taken(self):
        """The events so far, which are then forgotten."""
        events = self.events
        self.events = []
        return events

    def find_spec(self, name, path=None, target=None):
        """No module of its own: refuses this package, and notes those that fit mixed models."""
        top = name.partition(".")[0]
        if top == "lmm" and not self.has_own:
            self._note("package", name)
            raise ImportError(FORBIDDEN, name=name)
        if name in FITTERS:
            self._note("import", name)
        return None

    def _note(self, kind, what):
        event = [kind, what]
        if event not in self.events and len(self.events) < MOST_EVENTS:
            self.events.append(event)

    # -- the hook --------------------------------------------------------------------------------

    def _hear(self, event, arguments):
        if self.busy or event not in HEARD:
            return
        self.busy = True
        try:
            self._heard(event, arguments)
        finally:
            self.busy = False

    def _heard(self, event, arguments):
        """Note an event; raises PermissionError where it is refused."""
        if event == "open":
            self._opened(*arguments)
        elif event in KILLS:
            self._killed(event, arguments[0])
        elif event in MOVES:
            self._moved(arguments[0])
        elif event in FORKS:
            if self._is_asking():
                self._note("process", event)
        elif event in PROGRAMS:
            if self._is_asking():
                self._note("process", event)
                raise PermissionError("a submission may not start other programs")
        else:
            if self._is_asking():
                self._note("network", event)
            raise PermissionError("a submission may not use the network")

    def _killed(self, event, pid):
        """Not the judge, nor, as 0 and below mean, whole groups."""
        if pid <= 0 or pid == os.getppid():
            self._note("kill", event)
            raise PermissionError("a submission may not end the judge")

    def _moved(self, path):
        """Not what is in this package's folders, or is the judge's."""
        where = os.fsdecode(path)
        self._refuse(where, os.path.realpath(where))

    def _refuse(self, name, where):
        """Raise a PermissionError for a place in this package's folders, or of the judge's."""
        if where.startswith(self.packages):
            self._note("package", os.path.basename(name))
            raise PermissionError(FORBIDDEN)
        if os.path.join(where, "").startswith(self.closed):
            self._note("judge", os.path.basename(name))
            raise PermissionError("a submission may not open the judge's files")

    def _opened(self, path, mode, flags):
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        where = os.path.realpath(os.fsdecode(path))
        if where.startswith(INSIDE_FOLDER) and _is_shown():
            return
        self._refuse(where, where)
        if self._is_open_to_all(where):
            return
        writes = _writes(mode, flags)
        if not writes and self._may_read(where):
            return
        if self._is_asking():
            self._note("write" if writes else "read", where)

    def _is_open_to_all(self, where):
        """Whether a path is the process's own folder, or the machine's."""
        is_null = where == os.path.realpath(os.devnull)
        within = os.path.join(where, "")        # a nameless temporary file opens the folder itself
        return is_null or within.startswith((*self.scratch, *SYSTEM))

    def _may_read(self, where):
        """Whether a path is the submission's, its folder's, or a library's."""
        is_submission = where == os.path.realpath(self.path)
        return is_submission or where.startswith((*self.own, *self.python))

    def _is_asking(self):
        """Whether it is the submission that asks.

        And not a library that is imported, nor Python, to show lines of a traceback.
        """
        frame = sys._getframe(1)
        while frame is not None:
            file = frame.f_code.co_filename
            if Path(file).parent == self.path.parent or os.path.abspath(file).startswith(self.own):
                return True
            if file.startswith("<frozen importlib") or os.path.basename(file) in SHOWING:
                return False
            frame = frame.f_back
        return False


def _writes(mode, flags):
    """Whether a file is opened to be written: by `open`, with a mode, or by `os.open`."""
    if mode is None:
        return flags & (os.O_WRONLY | os.O_RDWR) != 0
    return not set("wax+").isdisjoint(mode)


def _is_shown():
    """Whether it is Python that reads a source, to show a line of it: of a warning, a traceback."""
    frame = sys._getframe(1)
    while frame is not None:
        if os.path.basename(frame.f_code.co_filename) in SHOWING:
            return True
        frame = frame.f_back
    return False


def _has_lmm(folder):
    """Whether a folder has a module lmm."""
    return (folder / "lmm.py").exists() or (folder / "lmm").is_dir()


def _folders(paths):
    """Absolute paths that end with a separator, for `startswith`."""
    return tuple(os.path.join(os.path.realpath(path), "") for path in paths)
