"""This machine: BLAS on one thread where more do not pay, and what a fit needs of memory.

OpenBLAS starts threads for matrices of some thirty columns on. Where another process keeps a core
busy each such call waits for it, and a small fit takes many times as long. So BLAS is held to one
thread: OpenBLAS, which numpy's and scipy's wheels bring along, by a call of its own, other kinds by
threadpoolctl where that is installed. How many threads there are is one number for the whole
process. Where Python has no ctypes and no threads, as in a browser, there is nothing to hold, and
all is done without: what needs them is imported where it is used.
"""

import importlib
import os
from contextlib import contextmanager
from functools import cache
from math import inf
from pathlib import Path
from threading import Lock

from .errors import LMMError

PAYING = 4000  # columns of the widest matrix from which threads are left as they are, ...
# ... up to here: OpenBLAS 0.3.30's have ended Python in a Cholesky of 17,839 columns
CRASHING = 15_000
FEWEST_BLOCKS = 2           # of numpy's work, for each thread of Python
SURELY_THERE = 0.01         # GiB, which no machine lacks: it is not looked at then
GIB = 2**30
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
MAPS = Path("/proc/self/maps")              # Linux's list of the libraries that are loaded
OTHERS = ["mkl", "blis", "flexiblas"]       # what threadpoolctl calls them
# how builds of OpenBLAS name a function: before the name and after it
SPELLINGS = (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "_64"), ("", ""))


# -- threads ---------------------------------------------------------------------------------------


@contextmanager
def few_threads(columns=0):
    """A context with one thread for BLAS, unless its widest matrix is so wide that more pay.

    Several may be open at once, one within the other or in several threads of Python: what was set
    before the first one is set again after the last one.
    """
    if PAYING <= columns < CRASHING:
        yield
        return
    _HELD.begin()
    try:
        yield
    finally:
        _HELD.end()


class _Held:
    """How many contexts hold BLAS to one thread, and what is set again when the last one ends."""

    def __init__(self):
        self.lock = Lock()
        self.count = 0
        self.restore = None

    def begin(self):
        """One context more."""
        with self.lock:
            if self.count == 0:
                self.restore = hold_to_one()
            self.count += 1

    def end(self):
        """One context less."""
        with self.lock:
            self.count -= 1
            if self.count == 0:
                self.restore()


    def leave_parent(self):
        """In a forked child: its parent's contexts end in the parent alone."""
        self.lock = Lock()
        if self.count:
            self.count = 0
            self.restore()


_HELD = _Held()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HELD.leave_parent)


def hold_to_one():
    """Hold BLAS to one thread: the function that sets again what was set."""
    libraries = _openblas()
    numbers = [get() for get, _, _ in libraries]
    for _, put, _ in libraries:
        put(1)
    others = _controller()
    limiter = None if others is None else others.limit(limits=1, user_api="blas")

    def restore():
        for (_, put, _), number in zip(libraries, numbers):
            put(number)
        if limiter is not None:
            limiter.restore_original_limits()

    return restore


def blas_libraries():
    """What each OpenBLAS of this process says of itself, and how many threads it has now."""
    return [(config, get()) for get, _, config in _openblas()]


@cache
def _controller():
    """threadpoolctl's of the other kinds of BLAS; None if there are none, or it is not installed.

    It looks through all loaded libraries, so once for all. OpenBLAS is left out: what one thread of
    Python has set by it, another one may not set again.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    others = ThreadpoolController().select(internal_api=OTHERS)
    return others if len(others) else None


@cache
def _openblas():
    """Of each OpenBLAS the functions that get and set its number of threads, and its version."""
    try:
        import ctypes
    except ImportError:
        return ()
    found = []
    for path in _paths_of_openblas():
        try:
            library = ctypes.CDLL(path)         # it is loaded: this only gives its handle
        except OSError:
            continue
        for before, after in SPELLINGS:
            get = getattr(library, f"{before}openblas_get_num_threads{after}", None)
            put = getattr(library, f"{before}openblas_set_num_threads{after}", None)
            if get is None or put is None:
                continue
            get.restype = ctypes.c_int
            get.argtypes = []
            put.restype = None
            put.argtypes = [ctypes.c_int]
            about = getattr(library, f"{before}openblas_get_config{after}", None)
            version = "OpenBLAS"
            if about is not None:
                about.restype = ctypes.c_char_p
                about.argtypes = []
                version = about().decode(errors="replace")
            found.append((get, put, version))
            break
    return tuple(found)


def _paths_of_openblas():
    """Where the OpenBLAS libraries are that this process uses; only Linux lists them itself."""
    if MAPS.exists():
        lines = MAPS.read_text(errors="replace").splitlines()
        paths = {line.split(maxsplit=5)[-1] for line in lines if "openblas" in line}
        return sorted(path for path in paths if Path(path).is_file())
    beside = []
    for package in ("numpy", "scipy"):
        folder = Path(importlib.import_module(package).__file__).parent
        for place in (folder / ".dylibs", folder.parent / f"{package}.libs"):
            beside += place.glob("*openblas*")
    return sorted(map(str, beside))


# -- several threads of Python ---------------------------------------------------------------------


@contextmanager
def over_cores(blocks):
    """A function like `map`, which spreads so many blocks of numpy's work over the cores."""
    workers = min(cores(), blocks // FEWEST_BLOCKS)
    pool = _threads(workers) if workers > 1 else None
    if pool is None:
        yield map
        return
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _threads(workers):
    """A pool of so many threads; None where none can be started."""
    try:
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(workers)
        pool.submit(int)
    except (ImportError, RuntimeError):
        return None
    return pool


def cores():
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# -- memory ----------------------------------------------------------------------------------------


def memory():
    """How many GiB of memory this machine, or container, has; inf if that is not known."""
    try:
        sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):
        return inf
    for limit in LIMITS:
        if os.path.exists(limit):
            with open(limit) as file:
                text = file.read().strip()
            if text.isdigit():
                sizes.append(int(text))
    return min(sizes) / GIB


def refuse_too_large(kept, pairs):
    """Raise an LMMError if a full matrix of so many columns needs too much memory.

    With it the pairs of columns that meet.
    """
    needed = (32 * float(kept) ** 2 + 24 * float(pairs)) / GIB
    if needed < SURELY_THERE or needed <= memory():
        return
    raise LMMError(
        f"{kept} columns of Z remain beside the eliminated terms, and {pairs:.3g} pairs of columns "
        f"meet in a level, which takes {needed:.1f} GiB of memory; "
        f"this machine has {memory():.1f}. Use fewer or coarser blocks"
    )


def refuse_too_dense(n, p, entries):
    """Raise an LMMError if the QR of Z needs more memory than there is.

    With it a matrix (p, p) for each entry of psi.
    """
    needed = 8 * p * (2.0 * n + (2.0 + entries) * p) / GIB
    if needed < SURELY_THERE or needed <= memory():
        return
    raise LMMError(
        f"the dense engine needs {needed:.1f} GiB of memory for {n} rows and {p} columns of Z; "
        f"this machine has {memory():.1f}. Use fewer or coarser blocks, or, where each row has one "
        "level of each block, the default engine"
    )


@contextmanager
def bar(total, of, progress):
    """A function to call with how many more are done: a progress bar, if tqdm is installed.

    `of` says what is counted. It is shown after two seconds; where `progress` is None on a
    terminal alone.
    """
    if progress is False:
        yield lambda count: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda count: None
        return
    only_there = {"disable": None} if progress is None else {}          # unless it is a terminal
    with tqdm(total=total, desc=of, delay=2, leave=False, **only_there) as shown:
        yield shown.update
