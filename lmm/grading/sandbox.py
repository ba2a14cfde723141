"""One process for a submission: started, asked, listened to and ended by the judge, who cannot be hung or crashed by it.

The process gets a session of its own, one BLAS thread, a folder of its own to work in, a few environment variables, and
limits of memory and time. It is ended with everything it started: by its process group, and on Linux, where a descendant
may have left the group, by a mark in its environment. What is missing elsewhere: Windows has no limit of memory, macOS does
not enforce one; on both a descendant that hides from its group or tree lives on.
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

from ..datasets import FOLDER

HERE = Path(__file__).resolve().parent
PASSED_ON = ("PATH PATHEXT SYSTEMROOT SYSTEMDRIVE LANG LC_ALL LC_CTYPE PYTHONPATH LD_LIBRARY_PATH DYLD_LIBRARY_PATH "
             "VIRTUAL_ENV CONDA_PREFIX").split()
THREADS = ("OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS VECLIB_MAXIMUM_THREADS BLIS_NUM_THREADS "
           "NUMEXPR_NUM_THREADS").split()
MOST_OUTPUT = 4000      # bytes of what a submission printed in one case that are kept
LONGEST_LINE = 4_000_000    # of an answer, bytes
LOADING = 60.0          # seconds for Python, numpy and pandas to start, on a busy machine
STARTUP = ("import sys; sys.path.insert(0, {folder!r}); from inside.running import main; "
           "[sys.modules.pop(name) for name in list(sys.modules) if name.partition('.')[0] == 'inside']; main()")


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

    Attributes
    ----------
    loaded : dict
        How loading went: ``loaded``, ``error``, ``functions``, ``events``.
    output : str
        What was printed, up to the last answer.
    """

    def __init__(self, submission, time_limit, memory_limit, count=False):
        self.time_limit, self.token, self.output = time_limit, f"\0{secrets.token_hex(12)}\0", ""
        self.mark = secrets.token_hex(12)           # of its environment, which the submission can read
        self.scratch = tempfile.mkdtemp(prefix="lmm-grading-")
        options = {"start_new_session": True} if os.name == "posix" else {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-c", STARTUP.format(folder=str(HERE))], cwd=self.scratch, env=self._environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.answers, self.printed = queue.Queue(), Printed(self.process.stderr, self.token)
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            first = {
                "path": str(submission.path), "name": submission.name, "helpers": submission.helpers, "token": self.token,
                "count": count, "memory_limit": int(memory_limit * 2**20), "cpu_limit": int(20 * time_limit + LOADING + 60),
                "startup_path": str(HERE), "closed": [str(HERE.parent), str(FOLDER)]}
            self._write(json.dumps(first).encode())
            self._receive(max(time_limit, LOADING))
            self.loaded = self._receive(time_limit)
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
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(self.process.pid)], capture_output=True, check=False)
        self.process.kill()
        self.process.wait()
        end_marked(self.mark)
        with contextlib.suppress(OSError):
            self.process.stdin.close()              # the two threads that read close theirs, at its end
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _environment(self):
        kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return {**kept, **dict.fromkeys(THREADS, "1"), **dict.fromkeys(["HOME", "TMPDIR", "TEMP", "TMP"], self.scratch),
                "PYTHONUSERBASE": site.getuserbase(), "PYTHONIOENCODING": "utf-8:replace", "MPLBACKEND": "Agg",
                "LMM_GRADING": self.mark}

    def _write(self, line):
        with contextlib.suppress(OSError):          # where it has ended, _receive says how
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def _receive(self, seconds):
        try:
            line = self.answers.get(timeout=seconds)
        except queue.Empty:
            raise Ended(f"was still running after {seconds:g} s, the limit; it loops for ever, or is very slow",
                        self.printed.taken()) from None
        self.output = self.printed.up_to_token()
        if line is None:
            raise Ended(self._how_it_ended(), self.output)
        token = self.token.encode()
        if not (line.startswith(token) and line.endswith(b"\n")):      # a submission that writes into every open file
            raise Ended("wrote into the judge's channel", self.output)
        with contextlib.suppress(ValueError):
            if isinstance(answer := json.loads(line[len(token):]), dict):
                return answer
        raise Ended("wrote into the judge's channel", self.output)

    def _listen(self):
        with self.process.stdout as lines:
            while line := lines.readline(LONGEST_LINE):
                self.answers.put(line)
                if not line.endswith(b"\n"):
                    break
            self.answers.put(None)

    def _how_it_ended(self):
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its standard output"
        if status < 0:
            name = signal.Signals(-status).name if -status in signal.Signals.__members__.values() else f"signal {-status}"
            usual = {"SIGSEGV": ": a crash of compiled code, or too deep a recursion", "SIGKILL": ": memory, as a rule",
                     "SIGXCPU": ": it used too much processor time"}.get(name, "")
            return f"ended the process by {name}{usual}"
        return f"ended the whole process, with exit status {status}"


class Printed:
    """What a process prints, read as it comes, cut at each token, and forgotten beyond a limit: megabytes do no harm."""

    def __init__(self, stream, token):
        self.stream, self.token = stream, token.encode()
        self.kept, self.total, self.pieces = bytearray(), 0, queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        rest = b""
        with self.stream:
            while piece := os.read(self.stream.fileno(), 65536):
                *before, rest = (rest + piece).split(self.token)
                for ended in before:
                    self._keep(ended)
                    self.pieces.put(self.taken())
                begun = rest.rfind(self.token[:1], -len(self.token))        # what may be the beginning of a token is held back
                self._keep(rest[:begun] if begun >= 0 else rest)
                rest = rest[begun:] if begun >= 0 else b""
        self._keep(rest)
        self.pieces.put(self.taken())

    def _keep(self, printed):
        self.total += len(printed)
        self.kept += printed[:max(0, MOST_OUTPUT - len(self.kept))]

    def taken(self):
        """The text kept so far, which is then forgotten."""
        text, total = self.kept.decode("utf-8", "replace"), self.total
        self.kept, self.total = bytearray(), 0
        return text if total <= MOST_OUTPUT else f"{text}\n... ({total:,} bytes in all; the rest is left out)"

    def up_to_token(self, patience=2.0):
        """The text up to the next token, or the end."""
        with contextlib.suppress(queue.Empty):
            return self.pieces.get(timeout=patience)
        return self.taken()


def end_marked(mark):
    """End the processes whose environment has the mark, until there are none left; where /proc shows environments."""
    wanted = f"LMM_GRADING={mark}".encode()
    for _ in range(50):
        found = [pid for pid in _processes() if wanted in _environment_of(pid)]
        if not found:
            return
        for kind in (signal.SIGSTOP, signal.SIGKILL):           # stopped first, so that none starts another meanwhile
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, kind)
        time.sleep(0.01)


def _processes():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()] if os.path.isdir("/proc/self") else []


def _environment_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""
