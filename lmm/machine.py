"""This machine: BLAS on one thread where more do not pay, and what a fit needs of memory.

OpenBLAS starts threads for matrices of some thirty columns on. Where another process keeps a core
busy each such call waits for it, and a small fit takes many times as long. threadpoolctl, an extra,
is the well-kept way to hold BLAS to one.
"""

import os
from contextlib import nullcontext
from functools import cache
from math import inf

from .errors import LMMError

PAYING = 4000  # columns of the widest matrix from which threads are left as they are, ...
# ... up to here: OpenBLAS 0.3.30's have ended Python in a Cholesky of 17,839 columns
CRASHING = 15_000
SURELY_THERE = 0.01         # GiB, which no machine lacks: it is not looked at then
GIB = 2**30
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def few_threads(columns=0):
    """A context with one thread for BLAS, where more would not pay.

    If threadpoolctl is there and the widest matrix is too narrow.
    """
    controller = None if PAYING <= columns < CRASHING else _controller()
    return nullcontext() if controller is None else controller.limit(limits=1, user_api="blas")


@cache
def _controller():
    """threadpoolctl's, or None if it is not installed.

    It looks through all loaded libraries, so once for all.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


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
