"""Notes what a submission does besides computing: by an audit hook, and by a look at each import.

The answers are out of reach: this package cannot be imported, and its folders cannot be read.
"""

import os
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

MOST = 20               # events that are kept
FITTERS = frozenset("statsmodels pymer4 rpy2 bambi linearmodels merf gpboost glmmTMB rpy pyreadr".split())
PROCESSES = frozenset("subprocess.Popen os.fork os.forkpty os.system os.exec os.posix_spawn os.spawn os.startfile".split())
PROGRAMS = PROCESSES - {"os.fork", "os.forkpty"}     # a child that is forked hears the hook as well
MOVES = frozenset(["os.link", "os.symlink", "os.rename"])
SYSTEM = ("/sys/", "/proc/", "/dev/")   # what libraries ask of the machine
KILLS = frozenset(["os.kill", "os.killpg"])
NETWORK = frozenset("socket.connect socket.bind socket.sendto socket.getaddrinfo socket.gethostbyname".split())
SHOWING = "linecache.py", "tokenize.py"
HERE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "")
FORBIDDEN = "lmm is the package that judges, which a submission cannot use: it is to be the student's own work"


class Watch(MetaPathFinder):
    """Events since the last look, each a pair of a kind and what it was about.

    Parameters
    ----------
    path : Path
        The submission.
    folders : list of str
        Where it may read: its own.
    closed : list of str
        This package's folders.
    """

    def __init__(self, path, folders, closed):
        self.path, self.events, self.busy = path, [], False
        self.has_own = path.stem == "lmm" or any(
            (Path(folder) / "lmm.py").exists() or (Path(folder) / "lmm").is_dir() for folder in folders)
        self.own, self.scratch = _folders(folders), _folders([os.getcwd()])
        entries = [entry for entry in sys.path if entry and os.path.isdir(entry) and entry not in folders]
        self.python = _folders([sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__), *entries])
        self.closed = _folders([*closed, *(os.path.join(entry, "lmm") for entry in entries)])

    def begin(self):
        sys.meta_path.insert(0, self)
        sys.addaudithook(self._hear)

    def taken(self):
        """The events so far, which are then forgotten."""
        events, self.events = self.events, []
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
        if [kind, what] not in self.events and len(self.events) < MOST:
            self.events.append([kind, what])

    def _hear(self, event, arguments):
        if self.busy or not (event == "open" or event in PROCESSES | NETWORK | KILLS | MOVES):
            return
        self.busy = True
        try:
            if event == "open":
                self._opened(*arguments)
            elif event in KILLS:
                if arguments[0] <= 0 or arguments[0] == os.getppid():
                    self._note("kill", event)
                    raise PermissionError("a submission may not end the judge")
            elif event in MOVES:
                if os.path.realpath(os.fsdecode(arguments[0])).startswith(self.closed):
                    self._note("package", os.path.basename(os.fsdecode(arguments[0])))
                    raise PermissionError(FORBIDDEN)
            elif event in PROCESSES:
                if self._is_asking():
                    self._note("process", event)
                    if event in PROGRAMS:
                        raise PermissionError("a submission may not start other programs")
            elif event in NETWORK:
                if self._is_asking():
                    self._note("network", event)
                raise PermissionError("a submission may not use the network")
        finally:
            self.busy = False

    def _opened(self, path, mode, flags):
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        where = os.path.realpath(os.fsdecode(path))
        if where.startswith(HERE) and _is_shown():      # of a warning or a traceback, Python shows these lines
            return
        if where.startswith(self.closed):
            self._note("package", os.path.basename(where))
            raise PermissionError(FORBIDDEN)
        writes = set(mode or "") & set("wax+") or (mode is None and flags & (os.O_WRONLY | os.O_RDWR))
        mine = where == os.path.realpath(self.path) or where.startswith(self.own)
        if where == os.path.realpath(os.devnull) or where.startswith((*self.scratch, *SYSTEM)):
            return
        if not writes and (mine or where.startswith(self.python)):
            return
        if self._is_asking():
            self._note("write" if writes else "read", where)

    def _is_asking(self):
        """Whether it is the submission that asks, not a library being imported, nor Python for a traceback."""
        frame = sys._getframe(2)
        while frame is not None:
            file = frame.f_code.co_filename
            if Path(file) == self.path or os.path.abspath(file).startswith(self.own):
                return True
            if file.startswith("<frozen importlib") or os.path.basename(file) in SHOWING:
                return False
            frame = frame.f_back
        return False


def _is_shown():
    """Whether it is Python that reads a source, to show a line of it."""
    frame = sys._getframe(2)
    while frame is not None and os.path.basename(frame.f_code.co_filename) not in SHOWING:
        frame = frame.f_back
    return frame is not None


def _folders(paths):
    """Absolute paths that end with a separator, for `startswith`."""
    return tuple(os.path.join(os.path.realpath(path), "") for path in paths)
