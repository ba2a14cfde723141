"""What a fit needs of this machine's memory, and the refusal of one that asks for more."""

import os
from math import inf

from .errors import LMMError


def memory():
    """How many GiB of memory this machine, or container, has; inf if that is not known."""
    try:
        sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):
        return inf
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if os.path.exists(limit):
            with open(limit) as file:
                sizes += [int(text) for text in [file.read().strip()] if text.isdigit()]
    return min(sizes) / 2**30


def refuse_too_large(kept, pairs):
    """Raise an LMMError if so many columns in a full matrix, and pairs of columns that meet, need more than there is."""
    needed, present = (32 * float(kept) ** 2 + 24 * float(pairs)) / 2**30, memory()
    if needed > present:
        raise LMMError(f"{kept} columns of Z remain beside the eliminated terms, and {pairs:.3g} pairs of columns meet in a "
                       f"level, which takes {needed:.1f} GiB of memory; this machine has {present:.1f}. Use fewer or coarser "
                       "blocks")


def refuse_too_dense(n, p, entries):
    """Raise an LMMError if the QR of Z, and a matrix (p, p) for each entry of psi, need more memory than there is."""
    needed, present = 8 * p * (2.0 * n + (2.0 + entries) * p) / 2**30, memory()
    if needed > present:
        raise LMMError(f"the dense engine needs {needed:.1f} GiB of memory for {n} rows and {p} columns of Z; this machine has "
                       f"{present:.1f}. Use fewer or coarser blocks, or, where each row has one level of each block, the "
                       "default engine")
