"""BLAS on one thread where more do not pay.

OpenBLAS starts threads for matrices of some thirty columns on. Where another process keeps a core busy each such call waits
for it, and a small fit takes many times as long. threadpoolctl, an extra, is the well-kept way to hold BLAS to one.
"""

from contextlib import nullcontext
from functools import cache

PAYING = 4000           # columns of the widest matrix from which threads are left as they are, ...
CRASHING = 15_000       # ... up to here: OpenBLAS 0.3.30's threads have ended Python in a Cholesky factor of 17,839 columns


def few_threads(columns=0):
    """A context with one thread for BLAS, if threadpoolctl is installed and the widest matrix has no more columns than pay."""
    controller = None if PAYING <= columns < CRASHING else _controller()
    return nullcontext() if controller is None else controller.limit(limits=1, user_api="blas")


@cache
def _controller():
    """threadpoolctl's, or None if it is not installed. It looks through all loaded libraries, so once for all."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()
