"""What a fit of many rows costs: calls with arrays as long as the data, memory, time.

The calls that count are decompositions, and building model matrices. Counts do not depend on how
busy the machine is; times are compared with a QR on the same machine, at the same time.
"""

import functools
import importlib
import sys
import threading
import time
import tracemalloc

import numpy as np

COUNTED = {
    "numpy.linalg": (
        "qr",
        "inv",
        "det",
        "slogdet",
        "cholesky",
        "solve",
        "pinv",
        "eigh",
        "eig",
        "svd",
    ),
    "scipy.linalg": (
        "qr",
        "qr_multiply",
        "inv",
        "det",
        "cholesky",
        "cho_factor",
        "solve",
        "pinv",
        "eigh",
        "eig",
        "svd",
    ),
    "patsy": (
        "dmatrix",
        "dmatrices",
        "build_design_matrices",
    ),
    "pandas": (
        "get_dummies",
    ),
}
# packages, whose calls among themselves are not counted
COUNTERS = frozenset(name.partition(".")[0] for name in COUNTED)
ENOUGH_CALLS = 60       # an optimiser makes that many evaluations and more
LOOK = 0.05             # seconds between looks at the memory
TIMED = 0.6             # seconds, for repeated calls whose shortest time is taken, ...
MOST_TIMED = 25         # ... and how many of them


class Counts:
    """Calls, since `begin`, with an argument of at least `rows` rows, by name of function.

    `too_often` is called once a function has been called `ENOUGH_CALLS` times: it has been shown
    then that each evaluation does, and what does may take minutes to come to an end.
    """

    def __init__(self):
        self.rows = np.inf
        self.calls = {}
        self.too_often = None

    def install(self):
        """Wrap the functions counted; before the submission, which may import them by name."""
        for module_name, names in COUNTED.items():
            module = importlib.import_module(module_name)
            for name in names:
                counted = self._counting(getattr(module, name), name)
                setattr(module, name, counted)

    def begin(self, rows, too_often):
        self.rows = rows
        self.calls = {}
        self.too_often = too_often

    def _counting(self, function, name):
        @functools.wraps(function)
        def counted(*args, **keywords):
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if caller.partition(".")[0] not in COUNTERS:
                self._count(name, (*args, *keywords.values()))
            return function(*args, **keywords)

        return counted

    def _count(self, name, arguments):
        if max(map(_rows, arguments), default=0) < self.rows:
            return
        self.calls[name] = self.calls.get(name, 0) + 1
        if self.calls[name] >= ENOUGH_CALLS:
            self.too_often()


def _rows(array):
    return len(array) if len(getattr(array, "shape", ())) else 0


class MemoryWatch:
    """The peak of what Python and numpy allocated, looked at while the submission runs.

    `too_much` is called, from another thread, once the peak passes `limit` bytes: a submission
    that holds n x n matrices would otherwise take minutes to say so.
    """

    def __init__(self, limit, too_much):
        self.limit = limit
        self.too_much = too_much
        self.ended = threading.Event()

    def __enter__(self):
        tracemalloc.start()
        tracemalloc.reset_peak()
        self.before = tracemalloc.get_traced_memory()[0]
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.peak = self._grown()
        tracemalloc.stop()

    def _grown(self):
        """By how much the peak is above what was allocated at first, bytes."""
        return tracemalloc.get_traced_memory()[1] - self.before

    def _look(self):
        while not self.ended.wait(LOOK):
            peak = self._grown()
            if peak > self.limit:
                self.too_much(peak)
                return


def quickest(function, budget=TIMED):
    """The shortest time of a call, seconds, of some 25 calls within a budget of seconds."""
    times = []
    start = time.perf_counter()
    while len(times) < MOST_TIMED and time.perf_counter() - start < budget:
        before = time.perf_counter()
        function()
        times.append(time.perf_counter() - before)
    return min(times)


def reference_time(rows, columns):
    """Seconds for one QR of a matrix of that size, by numpy."""
    Z = np.random.default_rng(0).normal(size=(rows, columns))
    return quickest(lambda: np.linalg.qr(Z, mode="r"), TIMED / 2)
