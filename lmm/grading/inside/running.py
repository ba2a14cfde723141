"""The submission's process: reads one request a line, answers with one line of JSON.

Standard output is where the answers go, so the submission gets another one: everything it prints
goes to standard error, which the judge reads as it comes. A request holds pickled arguments from
the judge; the other way there are only numbers and texts.
"""

import ast
import base64
import contextlib
import functools
import importlib.util
import inspect
import json
import os
import pickle
import sys
import time
import traceback
import warnings
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numpy as np
import pandas  # noqa: F401 - as pickled data need it, before the watch begins

from .calling import FORMS_OF_THETA, likelihood_of, parameters
from .counting import Counts, MemoryWatch, quickest, reference_time
from .describing import describe
from .watching import Watch

MODULE_NAME = "_submission"     # never "lmm"
FUNCTIONS = ("lmm", "LMMsetup", "LMMprof")
LONGEST_MESSAGE = 300           # characters of an exception's
LONGEST_LINE = 100              # characters of a line that does not parse
LONGEST_NAMES = 80              # characters of the names of columns
LARGEST_FILE = 2**28            # bytes that it may write into one
MOST_OPEN_FILES = 256           # that it may have open
DRAWING = 1.5                   # seconds at most for `LMMprof` along lines, for a picture


class Channel:
    """Lines from and to the judge.

    Only this process may write, not one that the submission has forked.
    """

    def __init__(self):
        self.requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
        self.answers = os.dup(1)
        self.process = os.getpid()
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        sys.stdout.reconfigure(line_buffering=True)     # so that a crash loses nothing printed
        self.first = json.loads(self.requests.readline())

    def send(self, message):
        """Answer, after a token that ends what has been printed.

        By the token the judge tells apart what was printed in one case and in the next.
        """
        if os.getpid() != self.process:
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        token = self.first["token"]
        with contextlib.suppress(OSError):
            os.write(2, token.encode())
        text = json.dumps(message, ensure_ascii=False)
        line = f"{token}{text}\n".encode("utf-8", "replace")       # halves of a character as ?
        while line:
            written = os.write(self.answers, line)
            line = line[written:]


def main():
    """Load the submission that the first line names, then answer a case for each further line."""
    channel = Channel()
    first = channel.first
    path = Path(first["path"])
    folders = [str(path.parent)] if first["helpers"] else []

    # -- set the stage: limits, counters, and a path on which the submission finds its helpers
    limit(first["memory_limit"], first["cpu_limit"])
    counts = Counts()
    if first["count"]:
        counts.install()
    sys.path.remove(first["startup_path"])
    watch = Watch(path, folders, first["packages"], first["closed"])
    sys.path[:0] = folders
    channel.send({"started": True})

    # -- load
    watch.begin()
    failed = []
    module, error = load(path, first["name"], first["cells"], failed)
    channel.send({
        "loaded": error is None,
        "error": error,
        "failed": failed,
        "functions": {name: _has(module, name) for name in FUNCTIONS},
        "parameters": parameters(getattr(module, "lmm", None)),
        "events": watch.taken(),
    })

    # -- answer
    def answer(given):
        if first["count"]:
            return costs(module, given, path, watch, channel, counts)
        return run(module, given, path)

    for line in channel.requests:
        found = answer(pickle.loads(base64.b64decode(line)))
        channel.send({"events": watch.taken(), **found})
    os._exit(0)


def limit(memory, seconds):
    """Bound this process and what it starts, where the platform can.

    Windows cannot; macOS ignores the limit of memory.
    """
    try:
        import resource
    except ImportError:
        return
    limits = {
        "RLIMIT_AS": memory,
        "RLIMIT_CPU": seconds,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": LARGEST_FILE,
        "RLIMIT_NOFILE": MOST_OPEN_FILES,
    }
    for name, value in limits.items():
        if hasattr(resource, name):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, name), (value, value))


# -- loading -------------------------------------------------------------------------------------

def load(path, name, cells=(), failed=None):
    """The submission as a module under a private name, `name` being its `lmm`; or what went wrong.

    A pair of the module and None, or the description of an exception. `failed` takes those of a
    notebook's cells: the next ones are executed all the same, as long as one defines `lmm`.
    """
    loader = SourceFileLoader(MODULE_NAME, str(path))
    spec = importlib.util.spec_from_loader(MODULE_NAME, loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE_NAME] = module
    if path.stem == "lmm":
        sys.modules["lmm"] = module                 # a helper that imports lmm means this one
    try:
        if cells:
            execute(cells, module, path, failed)
        else:
            loader.exec_module(module)
    except BaseException as error:
        return module, explained(error, path)
    if name != "lmm" and hasattr(module, name):
        module.lmm = getattr(module, name)
    if failed and not _has(module, "lmm"):
        return module, failed[0]
    return module, None


def execute(cells, module, path, failed):
    """Execute a notebook's cells; those that fail are described, a SyntaxError is raised.

    A cell may wait for what is asynchronous, outside of functions too, as in a notebook.
    """
    module.display = print                          # as a notebook has it
    files = [str(path.with_name(label)) for label, _ in cells]
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    codes = [compile(text, file, "exec", flags) for file, (_, text) in zip(files, cells)]
    for code in codes:
        try:
            waiting = eval(code, module.__dict__)
            if code.co_flags & inspect.CO_COROUTINE:
                import asyncio  # only here, for it is slow and rarely needed

                asyncio.run(waiting)
        except BaseException as error:
            failed.append(explained(error, path))


def _has(module, name):
    return callable(getattr(module, name, None))


def explained(error, path):
    """An exception as its type, message, and the innermost place in the submission's folder."""
    is_syntax = isinstance(error, SyntaxError)
    place = {}
    if is_syntax and os.path.dirname(error.filename or "") == str(path.parent):
        source = (error.text or "").strip()
        file = os.path.basename(error.filename)
        place = {"file": file, "line": error.lineno, "source": source[:LONGEST_LINE]}
    else:
        for frame, line in traceback.walk_tb(error.__traceback__):
            code = frame.f_code
            folder, file = os.path.split(os.path.abspath(code.co_filename))
            if folder == str(path.parent):
                place = {"file": file, "line": line, "function": code.co_name}
    try:
        message = str(error.msg if is_syntax else error)
    except Exception:                               # a hostile one
        message = ""
    return {
        "type": type(error).__name__,
        "message": " ".join(message.split())[:LONGEST_MESSAGE],
        "module": getattr(error, "name", None),
        **place,
    }


# -- a case --------------------------------------------------------------------------------------

def run(module, given, path):
    """One case: the likelihood at some thetas, then the fit, and whether arguments are changed.

    Then, for a picture, the likelihood along lines: as far as `seconds` from the start allow.
    """
    form, dat, ref, thetas, lines, seconds = given
    latest = time.perf_counter() + seconds
    dat_before = dat.copy(deep=True)
    ref_before = json.dumps(ref)
    likelihood = evaluations(module, form, dat.copy(deep=True), ref, thetas, path)
    fit = attempt(lambda: module.lmm(form, dat, ref), path)
    changed = difference(dat_before, ref_before, dat, ref)
    model = (form, dat_before, json.loads(ref_before))
    return {
        "likelihood": likelihood,
        "fit": fit,
        "changed": changed,
        "lines": along(module, model, lines, latest, path),
    }


def attempt(function, path):
    """The description of what a function returns, or of what it raises, with the seconds it took.

    Describing is not counted.
    """
    start = time.perf_counter()
    try:
        returned = function()
    except BaseException as error:
        seconds = time.perf_counter() - start
        return {"error": explained(error, path), "seconds": seconds}
    seconds = time.perf_counter() - start
    return {"returned": describe(returned), "seconds": seconds}


def evaluations(module, form, dat, ref, thetas, path):
    """`LMMprof` at some thetas, or None if the submission has none."""
    if not _has(module, "LMMsetup") or not _has(module, "LMMprof"):
        return None
    try:
        words, function = likelihood_of(module, form, dat, ref)
    except BaseException as error:
        return {"error": explained(error, path)}
    words, values, _ = in_its_form(words, function, thetas, path)
    return {"way": words, "values": values}


def in_its_form(words, function, thetas, path):
    """How `LMMprof` is called, its values, and the function: with theta in the form it takes."""
    values = _at_each(function, thetas, path)
    if "error" not in values[0]:
        return words, values, function
    for form, of_array in FORMS_OF_THETA:
        def other(theta, of_array=of_array):
            return function(of_array(theta))

        others = _at_each(other, thetas, path)
        if all(_is_number(one) for one in others):
            return f"{words}, theta being {form}", others, other
    return words, values, function


def _at_each(function, thetas, path):
    """What a function is at each theta: what it returns, or raises."""
    return [attempt(functools.partial(function, np.array(theta)), path) for theta in thetas]


def _is_number(evaluation):
    """Whether an evaluation returned something with numbers in it."""
    kind = evaluation.get("returned", {}).get("kind")
    return kind not in (None, "none", "text", "opaque", "callable")


# -- along lines, for a picture -----------------------------------------------------------------

def along(module, model, lines, latest, path):
    """What `LMMprof` returns along each of some lines of thetas, None where it raises.

    An empty list if it cannot be called; lines are left out, or end early, when time is up. What
    is printed meanwhile is lost.
    """
    is_missing = not _has(module, "LMMsetup") or not _has(module, "LMMprof")
    if is_missing or time.perf_counter() > latest:
        return []
    end = min(latest, time.perf_counter() + DRAWING)
    values = []
    with quiet():
        try:
            _, function = likelihood_of(module, *model)
        except BaseException:
            return []
        _, _, function = in_its_form("", function, lines[0][:1], path)
        for line in lines:
            values.append([])
            for theta in line:
                if time.perf_counter() > end:
                    return values
                values[-1].append(value_or_none(function, np.array(theta)))
    return values


def value_or_none(function, theta):
    """The description of what a function of theta returns, or None where it raises."""
    try:
        return describe(function(theta))
    except BaseException:
        return None


@contextlib.contextmanager
def quiet():
    """Without warnings, and with whatever is printed lost."""
    with (
        open(os.devnull, "w") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def difference(dat_before, ref_before, dat, ref):
    """What of the arguments is not as it was, in words, or None; `ref_before` is JSON."""
    try:
        changed = _difference_of_data(dat_before, dat)
        if changed is None and json.dumps(ref) != ref_before:
            return "ref"
    except Exception as error:
        return f"dat cannot be compared any more: {type(error).__name__}"
    return changed


def _difference_of_data(before, dat):
    """What of the data is not as it was, in words, or None."""
    if list(dat.columns) != list(before.columns):
        old = set(before.columns)
        added = ", ".join(str(column) for column in dat.columns if column not in old)
        said = f" ({added[:LONGEST_NAMES]} added)" if added else ""
        return f"dat has other columns{said}"
    if list(dat.index.names) != list(before.index.names):
        return "the name of dat's index"
    if not dat.index.equals(before.index):
        if len(dat) == len(before):
            return "the rows of dat"
        return f"dat, of {len(before)} rows, has {len(dat)}"
    for column in before.columns:
        is_same_type = dat[column].dtype == before[column].dtype
        if not is_same_type or not dat[column].equals(before[column]):
            return f"the column {str(column)!r} of dat"
    return None


# -- the case of many rows -----------------------------------------------------------------------

def costs(module, given, path, watch, channel, counts):
    """Memory, calls and seconds of a fit, and the time of an evaluation beside a QR's.

    As soon as the memory is that of half an n x n matrix, or the calls are as many as there are
    evaluations, what is known is sent, and the process ends.
    """
    form, dat, ref, thetas, *_ = given
    rows = len(dat)
    columns = 1 + sum(_levels(dat, names) for names in ref)
    answer = {"rows": rows}

    def give_up(peak=0):
        events = watch.taken()
        channel.send({**answer, "events": events, "peak": peak, "calls": counts.calls})
        os._exit(0)

    # -- one evaluation, and a fit
    half_n_by_n = 8 * rows**2 // 2
    with MemoryWatch(half_n_by_n, give_up) as memory:
        answer["likelihood"] = evaluations(module, form, dat, ref, thetas[:1], path)
        counts.begin(rows, give_up)
        answer["fit"] = attempt(lambda: module.lmm(form, dat, ref), path)
    answer["peak"] = memory.peak
    answer["calls"] = dict(counts.calls)

    # -- the time of an evaluation, where there is one
    values = (answer["likelihood"] or {}).get("values", [{}])
    if "returned" in values[0]:
        _, function = likelihood_of(module, form, dat, ref)
        theta = np.array(thetas[0])
        before = reference_time(rows, columns)
        seconds = quickest(lambda: function(theta))
        after = reference_time(rows, columns)
        answer["evaluation_time"] = [seconds, min(before, after)]
    return answer


def _levels(dat, names):
    """How many combinations of levels there may be."""
    product = 1
    for name in names:
        product *= dat[name].nunique()
    return product
