"""The verdict on many rows: memory, how often a fit factors, how long an evaluation takes."""

from .diagnosis import Verdict

# with all rows, in a fit: set-ups are few, and each needs one; evaluations are a hundred
MOST_CALLS = 20
# QRs of Z, by numpy, in the time of one evaluation: p x p work takes a fraction of one
SLOWEST = 5.0
BUILD_MODEL_MATRICES = ("dmatrix", "dmatrices", "build_design_matrices", "get_dummies")


def costs(answer):
    """The `Verdict` on an answer to the case of many rows, beta and theta apart."""
    n_by_n = 8 * answer["rows"] ** 2                # bytes
    if answer["peak"] > n_by_n / 2:                 # what p x p work needs is a tenth of a half
        return Verdict(False, (_too_large(answer["peak"], answer["rows"], n_by_n),))
    causes = _repeated(answer)
    if causes or "evaluation_time" not in answer:
        return Verdict(not causes, causes)
    seconds, reference = answer["evaluation_time"]
    words = (
        f"an evaluation of LMMprof takes {1e3 * seconds:.2g} ms, "
        f"{seconds / reference:.2g} times a QR factorisation of such a Z, measured beside it"
    )
    if seconds > SLOWEST * reference:
        slow = f"slow: {words}; what does not depend on theta belongs in LMMsetup"
        return Verdict(False, (slow,))
    return Verdict(True, (), (words,))


def _too_large(peak, rows, n_by_n):
    """The sentence on the memory of an n x n matrix."""
    return (
        f"memory grew by {peak / 1e6:.0f} MB, as where an n x n matrix is formed: "
        f"one of {rows:,} x {rows:,} takes {n_by_n / 1e6:.0f} MB, "
        "and the practical's p x p work a few"
    )


def _repeated(answer):
    """A sentence for each function that evaluations call again and again with all rows."""
    enough = "" if "fit" in answer else " and more"
    by_count = sorted(answer["calls"].items(), key=lambda call: -call[1])
    return tuple(
        f"{what_is_done(name)} again in each evaluation: {name} is called {count} times{enough} "
        f"with {answer['rows']:,} rows in one fit; once, in LMMsetup, is enough"
        for name, count in by_count
        if count > MOST_CALLS
    )


def what_is_done(name):
    """What a function does, in words."""
    if name in BUILD_MODEL_MATRICES:
        return "the model matrix is built"
    return "QR is done" if name.startswith("qr") else f"{name} is called"
