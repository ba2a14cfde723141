"""What a fit of many rows costs: factorisations of arrays as long as the data, model matrices built, memory, time.

Counts do not depend on how busy the machine is; times are compared with a factorisation on the same machine, at the same time.
"""

import functools
import importlib
import sys
import threading
import time
import tracemalloc

import numpy as np

COUNTED = {"numpy.linalg": ["qr", "inv", "det", "slogdet", "cholesky", "solve", "pinv", "eigh", "eig", "svd"],
           "scipy.linalg": ["qr", "qr_multiply", "inv", "det", "cholesky", "cho_factor", "solve", "pinv", "eigh", "eig", "svd"],
           "patsy": ["dmatrix", "dmatrices", "build_design_matrices"], "pandas": ["get_dummies"]}
COUNTERS = frozenset(name.partition(".")[0] for name in COUNTED)    # what these call among themselves is not counted
MOST = 60               # calls: an optimiser makes that many evaluations and more
INTERVAL = 0.05         # seconds between looks at the memory


class Counts:
    """Calls, since `begin`, with an argument of at least `rows` rows, by name of function.

    `too_often` is called once a function has been called `MOST` times: it has been shown then that each evaluation does, and
    what does may take minutes to come to an end.
    """

    def __init__(self):
        self.rows, self.calls, self.too_often = np.inf, {}, None

    def install(self):
        """Wrap the functions counted; before the submission is imported, which may import them by name."""
        for module_name, names in COUNTED.items():
            module = importlib.import_module(module_name)
            for name in names:
                setattr(module, name, self._counting(getattr(module, name), name))

    def begin(self, rows, too_often):
        self.rows, self.calls, self.too_often = rows, {}, too_often

    def _counting(self, function, name):
        @functools.wraps(function)
        def counted(*args, **keywords):
            caller = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
            if caller not in COUNTERS and max(map(_length, (*args, *keywords.values())), default=0) >= self.rows:
                self.calls[name] = self.calls.get(name, 0) + 1
                if self.calls[name] >= MOST:
                    self.too_often()
            return function(*args, **keywords)
        return counted


def _length(array):
    return len(array) if len(getattr(array, "shape", ())) else 0


class MemoryWatch:
    """The peak of what Python and numpy allocated, looked at while the submission runs.

    `too_much` is called, from another thread, once the peak passes `limit` bytes: a submission that holds n x n matrices
    would otherwise take minutes to say so.
    """

    def __init__(self, limit, too_much):
        self.limit, self.too_much, self.done = limit, too_much, threading.Event()

    def __enter__(self):
        tracemalloc.start()
        tracemalloc.reset_peak()
        self.before = tracemalloc.get_traced_memory()[0]
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.peak = tracemalloc.get_traced_memory()[1] - self.before
        tracemalloc.stop()

    def _look(self):
        while not self.done.wait(INTERVAL):
            peak = tracemalloc.get_traced_memory()[1] - self.before
            if peak > self.limit:
                self.too_much(peak)
                return


def quickest(function, budget=0.6, most=25):
    """The shortest time of a call, seconds: of up to 25 calls within a budget, the first one not counted if there are more."""
    times, start = [], time.perf_counter()
    while len(times) < most and time.perf_counter() - start < budget:
        before = time.perf_counter()
        function()
        times.append(time.perf_counter() - before)
    return min(times)


def reference_time(rows, columns):
    """Seconds for one QR factorisation of a matrix of that size, by numpy."""
    Z = np.random.default_rng(0).normal(size=(rows, columns))
    return quickest(lambda: np.linalg.qr(Z, mode="r"), 0.3)
