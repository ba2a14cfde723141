"""One process for a submission: started, asked, listened to and ended by the judge.

The judge cannot be hung or crashed by it. The process gets a session of its own, one BLAS thread,
a folder of its own to work in, a few environment variables, and limits of memory and time. It is
ended with everything it started: by its process group, and on Linux, where a descendant may have
left the group, by a mark in its environment. Where the kernel allows it, it is confined besides:
see `confinement`. What is missing elsewhere: Windows has no limit of memory, macOS does not
enforce one; on both a descendant that hides from its group or tree lives on.
"""

import base64
import contextlib
import json
import os
import pickle
import queue
import secrets
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from ..datasets import DATA_FOLDER
from . import confinement
from .folders import printable, printable_text

GRADING_FOLDER = Path(__file__).resolve().parent
MARK_NAME = "LMM_GRADING"       # of the environment variable that marks a process
STARTUP = """
import json, sys
sys.path.insert(0, {folder!r})
settings = json.loads(sys.argv.pop())
if settings:
    from confinement import confine
    confine(**settings)
from inside.running import main
for name in list(sys.modules):
    if name.partition('.')[0] in ('inside', 'confinement'):
        del sys.modules[name]
main()
"""

# -- the environment -----------------------------------------------------------------------------

PASSED_ON = (
    "PATH",
    "PATHEXT",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
)
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
TEMPORARY = ("HOME", "TMPDIR", "TEMP", "TMP")

# -- limits --------------------------------------------------------------------------------------

MOST_OUTPUT = 4000          # bytes of what a submission printed in one case that are kept
LONGEST_ANSWER = 4_000_000  # bytes
PIECE = 65_536              # bytes, read at a time
LOADING = 60.0              # seconds for Python, numpy and pandas to start, on a busy machine
ENDING = 5.0                # seconds for a process that has closed its output to end
PRINTING = 2.0              # seconds for what was printed before an answer to come in
MOST_CASES = 20             # that one process may spend the limit of time on
MANY_PROCESSES = (
    f"started more than {confinement.MOST_PROCESSES} processes, and was ended with them"
)

USUAL_CAUSES = {
    "SIGSEGV": ": a crash of compiled code, or too deep a recursion",
    "SIGKILL": ": memory, as a rule",
    "SIGXCPU": ": it used too much processor time",
}


class Ended(Exception):
    """The process did not answer; the message is a clause that says why."""

    def __init__(self, why, output=""):
        super().__init__(why)
        self.output = output                # what it had printed


class Sandbox:
    """A process that has loaded a submission, to be used in a `with` statement.

    Parameters
    ----------
    submission : Submission
        What to load.
    time_limit : float
        Seconds for each request.
    memory_limit : float
        MiB of address space.
    count : bool
        Whether calls of linear algebra are to be counted.
    class_folder : path, optional
        The folder of the class: nothing of it is to be seen but the submission's own.
    closed : sequence of path, optional
        Files and folders of the judge's: nothing of them is to be seen.

    Attributes
    ----------
    loaded : dict
        How loading went: ``loaded``, ``error``, ``functions``, ``events``.
    output : str
        What was printed, up to the last answer.
    confined : bool
        Whether the kernel keeps the process from the network, the disk and others' processes.
    """

    def __init__(
        self,
        submission,
        time_limit,
        memory_limit,
        count=False,
        class_folder=None,
        closed=(),
    ):
        self.time_limit = time_limit
        self.token = f"\0{secrets.token_hex(12)}\0"     # before each answer: no submission knows it
        self.mark = secrets.token_hex(12)               # of its environment, which it can read
        self.submission = submission
        self.class_folder = class_folder
        self.closed = [
            os.path.realpath(path)
            for path in dict.fromkeys(closed)
            if os.path.isfile(path) or os.path.isdir(path)      # no pipe, no device
        ]
        first = {
            "path": str(submission.path),
            "name": submission.name,
            "cells": submission.cells,
            "helpers": submission.helpers,
            "token": self.token,
            "count": count,
            "memory_limit": int(memory_limit * 2**20),
            "cpu_limit": int(MOST_CASES * time_limit + 2 * LOADING),
            "startup_path": str(GRADING_FOLDER),
            "packages": [str(GRADING_FOLDER.parent), str(DATA_FOLDER)],
            "closed": self.closed,
        }
        self.confined = not confinement.refused()
        try:
            self._begin(first)
        except Ended:
            if not self.confined:
                raise
            self.confined = False           # it failed before anything of the submission was run
            self._begin(first)
        try:
            self.loaded = self._receive(time_limit)
        except BaseException:
            self.close()
            raise

    def _begin(self, first):
        """Start the process, and wait until it has what it needs to load the submission."""
        self.output = ""
        self.scratch = tempfile.mkdtemp(prefix="lmm-grading-")
        self.verdict = None                 # a file descriptor: how a confined process ended
        self.process = self._started()
        self.answers = queue.Queue()
        self.printed = Printed(self.process.stderr, self.token)
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self._write(json.dumps(first).encode())
            self._receive(max(self.time_limit, LOADING))
        except BaseException:
            self.close()
            raise

    def ask(self, arguments):
        """The answer to one case, a dict; raises `Ended` if there is none."""
        self._write(base64.b64encode(pickle.dumps(arguments)))
        return self._receive(self.time_limit)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End the process and all its descendants, and remove its folder."""
        pid = self.process.pid
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        else:
            end_tree = ["taskkill", "/T", "/F", "/PID", str(pid)]
            subprocess.run(end_tree, capture_output=True, check=False)
        self.process.kill()
        self.process.wait()
        end_marked(self.mark)
        with contextlib.suppress(OSError):
            self.process.stdin.close()      # the two threads that read close theirs, at its end
        if self.verdict is not None:
            os.close(self.verdict)
            self.verdict = None
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _started(self):
        """The process, in a session of its own."""
        apart = {"start_new_session": True}
        if os.name != "posix":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        startup = STARTUP.format(folder=str(GRADING_FOLDER))
        settings = {}
        writing = None
        if self.confined:
            self.verdict, writing = os.pipe()
            apart["pass_fds"] = [writing]
            settings = {**self._seen(), "verdict": writing}
        try:
            return subprocess.Popen(
                [sys.executable, "-B", "-c", startup, json.dumps(settings)],
                cwd=self.scratch,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                **apart,
            )
        finally:
            if writing is not None:
                os.close(writing)

    def _seen(self):
        """What a confined process sees of the disk, as arguments of `confinement.confine`."""
        own = self.submission.path
        hidden = [*confinement.hidden_folders(), own.parent]
        if self.class_folder is not None:
            hidden.insert(0, self.class_folder)
        kept = [own]
        if self.submission.helpers:
            with contextlib.suppress(OSError):      # of a folder that cannot be listed
                beside = [*own.parent.iterdir()]
                kept += [path for path in beside if os.path.realpath(path) not in self.closed]
        return {
            "scratch": self.scratch,
            "closed": self.closed,
            "apart": [str(self.class_folder or own.parent)] if self._is_apart() else [],
            "hidden": [str(folder) for folder in hidden],
            "emptied": [str(GRADING_FOLDER.parent), str(DATA_FOLDER)],
            "kept": [str(path) for path in (*kept, GRADING_FOLDER / "inside")],
        }

    def _is_apart(self):
        """Whether nothing beside the submission is there for it, not even on Python's path."""
        return self.class_folder is not None or not self.submission.helpers

    def _environment(self):
        kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return {
            **kept,
            **dict.fromkeys(THREADS, "1"),
            **dict.fromkeys(TEMPORARY, self.scratch),
            "PYTHONUSERBASE": site.getuserbase(),
            "PYTHONIOENCODING": "utf-8:replace",
            "MPLBACKEND": "Agg",
            MARK_NAME: self.mark,
        }

    def _write(self, line):
        with contextlib.suppress(OSError):          # where it has ended, _receive says how
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def _receive(self, seconds):
        """The next answer, a dict; raises `Ended`."""
        try:
            line = self.answers.get(timeout=seconds)
        except queue.Empty:
            running = (
                f"was still running after {seconds:g} s, the limit; it loops for ever, "
                "or is very slow"
            )
            raise Ended(running, self.printed.taken()) from None
        self.output = self.printed.up_to_token()
        if line is None:
            raise Ended(self._how_it_ended(), self.output)
        answer = self._answer_in(line)
        if answer is None:                          # a submission that writes into every open file
            raise Ended("wrote into the judge's channel", self.output)
        return answer

    def _answer_in(self, line):
        """The dict that a line holds after the token, or None if it is no such line."""
        token = self.token.encode()
        if not line.startswith(token) or not line.endswith(b"\n"):
            return None
        try:
            answer = json.loads(line[len(token):])
        except ValueError:
            return None
        return _printable(answer) if isinstance(answer, dict) else None

    def _listen(self):
        """Put the lines that come in into the queue of answers, and None at their end."""
        with self.process.stdout as lines:
            while line := lines.readline(LONGEST_ANSWER):
                self.answers.put(line)
                if not line.endswith(b"\n"):
                    break
            self.answers.put(None)

    def _how_it_ended(self):
        """A clause on a process that has closed its output."""
        try:
            status = self.process.wait(ENDING)
        except subprocess.TimeoutExpired:
            return "closed its standard output"
        if self.verdict is not None:
            verdict = os.read(self.verdict, PIECE).decode()
            if verdict == confinement.TOO_MANY:
                return MANY_PROCESSES
            status = int(verdict or status)
        if status >= 0:
            return f"ended the whole process, with exit status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"ended the process by {name}{USUAL_CAUSES.get(name, '')}"


def _printable(value):
    """What JSON holds, its texts as they can be printed: a submission may write what it likes."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_printable(one) for one in value]
    if isinstance(value, dict):
        return {printable(name): _printable(one) for name, one in value.items()}
    return value


class Printed:
    """What a process prints, read as it comes, cut at each token.

    Beyond a limit it is forgotten: megabytes do no harm.
    """

    def __init__(self, stream, token):
        self.stream = stream
        self.token = token.encode()
        self.kept = bytearray()
        self.total = 0              # bytes printed since the last token, kept or not
        self.pieces = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        held = b""                  # what may be the beginning of a token
        with self.stream:
            while read := os.read(self.stream.fileno(), PIECE):
                *ended, last = (held + read).split(self.token)
                for printed in ended:
                    self._keep(printed)
                    self.pieces.put(self.taken())
                begun = last.rfind(self.token[:1], -len(self.token))
                if begun < 0:
                    begun = len(last)
                self._keep(last[:begun])
                held = last[begun:]
        self._keep(held)
        self.pieces.put(self.taken())

    def _keep(self, printed):
        room = max(0, MOST_OUTPUT - len(self.kept))
        self.total += len(printed)
        self.kept += printed[:room]

    def taken(self):
        """The text kept so far, as it can be printed, which is then forgotten."""
        text = printable_text(self.kept.decode("utf-8", "replace"))
        total = self.total
        self.kept = bytearray()
        self.total = 0
        if total <= MOST_OUTPUT:
            return text
        return f"{text}\n... ({total:,} bytes in all; the rest is left out)"

    def up_to_token(self):
        """The text up to the next token, or the end."""
        with contextlib.suppress(queue.Empty):
            return self.pieces.get(timeout=PRINTING)
        return self.taken()


def end_marked(mark):
    """End the processes whose environment has the mark, until there are none left.

    Where /proc shows environments. They are stopped first, so that none starts another meanwhile.
    """
    wanted = f"{MARK_NAME}={mark}".encode()
    for _ in range(50):
        found = [pid for pid in _processes() if wanted in _environment_of(pid)]
        if not found:
            return
        for kind in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, kind)
        time.sleep(0.01)


def _processes():
    if not os.path.isdir("/proc/self"):
        return []
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _environment_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""
