"""The verdict on many rows: what a fit holds, how often it factors, and how long an evaluation takes."""

from .diagnosis import Verdict

MOST_CALLS = 20     # with all rows, in a fit: set-ups are few, and each needs one; an optimiser evaluates a hundred times
SLOWEST = 5.0       # QR factorisations of Z, by numpy, in the time of one evaluation: p x p work takes a fraction of one


def costs(answer):
    """The `Verdict` on an answer to the case of many rows, beta and theta apart."""
    rows = answer["rows"]
    if answer["peak"] > 8 * rows**2 / 2:            # half a matrix: what p x p work needs is a tenth of it
        return Verdict(False, (
            f"memory grew by {answer['peak'] / 1e6:.0f} MB, as where an n x n matrix is formed: one of {rows:,} x {rows:,} "
            f"takes {8 * rows**2 / 1e6:.0f} MB, and the practical's p x p work a few",))
    enough = "" if "fit" in answer else " and more"
    causes = [f"{what_is_done(name)} again in each evaluation: {name} is called {count} times{enough} with {rows:,} rows in "
              "one fit; once, in LMMsetup, is enough"
              for name, count in sorted(answer["calls"].items(), key=lambda item: -item[1]) if count > MOST_CALLS]
    if causes or "evaluation" not in answer:
        return Verdict(not causes, tuple(causes))
    seconds, reference = answer["evaluation"]
    words = (f"an evaluation of LMMprof takes {1e3 * seconds:.2g} ms, {seconds / reference:.2g} times a QR factorisation of "
             "such a Z, measured beside it")
    if seconds > SLOWEST * reference:
        return Verdict(False, (f"slow: {words}; what does not depend on theta belongs in LMMsetup",))
    return Verdict(True, (), (words,))


def what_is_done(name):
    if name in ("dmatrix", "dmatrices", "build_design_matrices", "get_dummies"):
        return "the model matrix is built"
    return "QR is done" if name.startswith("qr") else f"{name} is called"
