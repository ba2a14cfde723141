"""The submission's process: reads one request a line, answers with one line of JSON, and knows no answers.

Standard output is where the answers go, so the submission gets another one: everything it prints goes to standard error,
which the judge reads as it comes. A request holds pickled arguments from the judge; the other way there are only numbers.
"""

import base64
import contextlib
import importlib.util
import json
import os
import pickle
import sys
import time
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numpy as np
import pandas  # noqa: F401 - as pickled data need it, before the watch begins

from .calling import profile_of
from .counting import Counts, MemoryWatch, quickest, reference_time
from .describing import describe
from .watching import Watch

NAME = "_submission"    # never "lmm"
FUNCTIONS = ("lmm", "LMMsetup", "LMMprof")


class Channel:
    """Lines from and to the judge; only this process may write, not one that the submission has forked."""

    def __init__(self):
        self.requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
        self.answers, self.process = os.dup(1), os.getpid()
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        sys.stdout.reconfigure(line_buffering=True)         # what is printed before the process is ended is not lost
        self.first = json.loads(self.requests.readline())

    def send(self, message):
        """Answer, after a token that ends what has been printed, by which the judge tells the cases apart."""
        if os.getpid() != self.process:
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with contextlib.suppress(OSError):
            os.write(2, self.first["token"].encode())
        line = f"{self.first['token']}{json.dumps(message)}\n".encode()
        while line:
            line = line[os.write(self.answers, line):]


def main():
    """Load the submission that the first line names, then answer a case for each further line."""
    channel = Channel()
    first, path, counts = channel.first, Path(channel.first["path"]), Counts()
    folders = [str(path.parent)] if first["helpers"] else []
    limit(first["memory_limit"], first["cpu_limit"])
    if first["count"]:
        counts.install()
    sys.path.remove(first["startup_path"])
    watch = Watch(path, folders, first["closed"])
    sys.path[:0] = folders
    channel.send({"started": True})
    watch.begin()
    module, error = load(path, first["name"])
    found = {name: callable(getattr(module, name, None)) for name in FUNCTIONS}
    channel.send({"loaded": error is None, "error": error, "functions": found, "events": watch.taken()})
    for line in channel.requests:
        given = pickle.loads(base64.b64decode(line))
        answer = costs(module, given, path, watch, channel, counts) if first["count"] else run(module, given, path)
        channel.send({"events": watch.taken(), **answer})
    os._exit(0)


def limit(memory, seconds):
    """Bound this process and what it starts, where the platform can (not on Windows; macOS ignores the memory's)."""
    try:
        import resource
    except ImportError:
        return
    for name, value in (("RLIMIT_AS", memory), ("RLIMIT_CPU", seconds), ("RLIMIT_CORE", 0)):
        if hasattr(resource, name):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, name), (value, value))


def load(path, name):
    """The submission as a module under a private name, `name` being its `lmm`; or what went wrong."""
    loader = SourceFileLoader(NAME, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(NAME, loader))
    sys.modules[NAME] = module
    if path.stem == "lmm":
        sys.modules["lmm"] = module                 # a helper that imports lmm means this one
    try:
        loader.exec_module(module)
    except BaseException as error:
        return module, explained(error, path)
    if name != "lmm" and hasattr(module, name):
        module.lmm = getattr(module, name)
    return module, None


def explained(error, path):
    """An exception as its type, message, and the innermost place in the submission's folder."""
    place = {}
    if isinstance(error, SyntaxError) and error.filename == str(path):
        place = {"file": path.name, "line": error.lineno, "source": (error.text or "").strip()[:100]}
    else:
        for frame, line in traceback.walk_tb(error.__traceback__):
            file = frame.f_code.co_filename
            if os.path.dirname(os.path.abspath(file)) == str(path.parent):
                place = {"file": os.path.basename(file), "line": line, "function": frame.f_code.co_name}
    try:
        message = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())[:300]
    except Exception:
        message = ""
    return {"type": type(error).__name__, "message": message, "module": getattr(error, "name", None), **place}


def attempt(function, path):
    """The description of what a function returns, or of what it raises, with the seconds it took."""
    start = time.perf_counter()
    try:
        returned = function()
    except BaseException as error:
        return {"error": explained(error, path), "seconds": time.perf_counter() - start}
    return {"returned": describe(returned), "seconds": time.perf_counter() - start}


def run(module, given, path):
    """One case: the likelihood at some thetas, then the fit, and whether the arguments are what they were."""
    form, dat, ref, thetas = given
    kept = dat.copy(deep=True), json.dumps(ref)
    answer = {"profile": profile(module, form, dat.copy(deep=True), ref, thetas, path)}
    answer["fit"] = attempt(lambda: module.lmm(form, dat, ref), path)
    answer["changed"] = difference(kept, dat, ref)
    return answer


def profile(module, form, dat, ref, thetas, path):
    """`LMMprof` at some thetas, or None if the submission has none."""
    if not all(callable(getattr(module, name, None)) for name in ("LMMsetup", "LMMprof")):
        return None
    try:
        words, function = profile_of(module, form, dat, ref)
    except BaseException as error:
        return {"error": explained(error, path)}
    return {"way": words, "values": [attempt(lambda t=t: function(np.array(t)), path) for t in thetas]}


def difference(kept, dat, ref):
    """What of the arguments is not as it was, in words, or None."""
    before, ref_before = kept
    try:
        if list(dat.columns) != list(before.columns):
            added = [str(c) for c in dat.columns if c not in set(before.columns)]
            return f"dat has other columns ({', '.join(added)[:80]} added)" if added else "dat has other columns"
        if not dat.index.equals(before.index):
            return "the rows of dat" if len(dat) == len(before) else f"dat, of {len(before)} rows, has {len(dat)}"
        for column in before.columns:
            if dat[column].dtype != before[column].dtype or not dat[column].equals(before[column]):
                return f"the column {str(column)!r} of dat"
        if json.dumps(ref) != ref_before:
            return "ref"
    except Exception as error:
        return f"dat cannot be compared any more: {type(error).__name__}"
    return None


def costs(module, given, path, watch, channel, counts):
    """The case of many rows: memory, calls and seconds of a fit, and the time of an evaluation beside a factorisation's."""
    form, dat, ref, thetas = given
    columns = 1 + sum(_levels(dat, names) for names in ref)
    answer, too_large = {"rows": len(dat)}, 8 * len(dat) ** 2 // 2

    def give_up(peak=0):
        channel.send({**answer, "events": watch.taken(), "peak": peak, "calls": counts.calls})
        os._exit(0)

    with MemoryWatch(too_large, give_up) as memory:
        answer["profile"] = profile(module, form, dat, ref, thetas[:1], path)
        counts.begin(len(dat), give_up)
        answer["fit"] = attempt(lambda: module.lmm(form, dat, ref), path)
    answer |= {"peak": memory.peak, "calls": dict(counts.calls)}
    if answer["profile"] is not None and "returned" in answer["profile"].get("values", [{}])[0]:
        _, function = profile_of(module, form, dat, ref)
        theta = np.array(thetas[0])
        times = [reference_time(len(dat), columns), quickest(lambda: function(theta)), reference_time(len(dat), columns)]
        answer["evaluation"] = [times[1], min(times[0], times[2])]
    return answer


def _levels(dat, names):
    product = 1
    for name in names:
        product *= dat[name].nunique()
    return product
