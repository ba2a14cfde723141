"""How time grows: set-up and evaluation with n, a whole fit with p, and both beside a busy core."""

import subprocess
import sys
import time
import tracemalloc
from contextlib import contextmanager, nullcontext
from functools import partial
from statistics import median

from lmm import LMMprof, LMMsetup
from lmm.engines import set_up
from lmm.machine import few_threads
from lmm.model import make_design
from lmm.validation.performance import interleaved

from .cases import CASES, SMALL, Case, crossed, one_factor, single, two_factors
from .programs import cores, measure

COMPILED = "lmm", "lme4", "mixedlm", "glmm"
P = 50, 150, 500, 1500, 5000
ROWS_FOR_P = 50_000
# With few enough levels that all combinations meet in 10,000 rows: what more rows add is rows alone.
DESIGNS = {"one factor, 200 levels": (partial(single, 200), ["g"]),
           "two crossed, 18 x 6": (partial(crossed, (18, 6)), ["g", "h"]),
           "two crossed, 200 x 10": (partial(crossed, (200, 10)), ["g", "h"])}


def against_n(rows=(10**4, 10**5, 10**6), rounds=5, say=lambda text: None):
    """For each design and number of rows a dictionary: design, n, engine, and seconds of `setup` and of an `evaluation`.

    Evaluations are on one thread: this is about n, and waiting for a core is not.
    """
    points = []
    for design, (make, ref) in DESIGNS.items():
        setups, times = [], []
        for n in rows:
            dat = make(n=n).astype(dict.fromkeys(ref, "category"))
            times.append([])
            for _ in range(rounds if n < 10**7 else 2):
                start = time.perf_counter()
                setup = LMMsetup("y ~ x", dat, ref)
                times[-1].append(time.perf_counter() - start)
            setups.append(setup)
            say(f"{design}, {n} rows: set-up {median(times[-1]):.3g} s")
        theta = [0.0, -0.3, -0.9][: 1 + len(ref)]
        with few_threads():
            evaluations = interleaved(*(partial(LMMprof, theta, setup) for setup in setups), rounds=100)
        points += [{"design": design, "n": n, "engine": setup.engine.name, "setup": median(seconds), "evaluation": float(t)}
                   for n, setup, seconds, t in zip(rows, setups, times, evaluations)]
    return points


def against_p(programs, sizes=P, n=ROWS_FOR_P, **options):
    """Pairs of a case and what was measured of it, for one factor and for two."""
    cases = [make(p, n) for make in (one_factor, two_factors) for p in sizes]
    return [(case, measure(case, [name for name in programs if name in COMPILED], **options)) for case in cases]


DENSE_CASE = Case("dense, 120 columns", partial(crossed, (100, 20), 3000), "y ~ x + (1 | g) + (1 | h)", ("g", "h"), SMALL,
                  options={"lmm": {"engine": "dense"}})


def busy_cases():
    """Small; dense; nested; a sparse rest; slopes; 250 and 1,128 columns to factor."""
    named = {case.name: case for case in CASES}
    names = ("Machines", "sleepstudy", "ScotsSec", "nested, 2,400 in 130", "pupils x teachers x schools", "slopes, 2,000 x 20",
             "crossed 250 + 250", "InstEval, two factors")
    return (DENSE_CASE, *(named[name] for name in names))


@contextmanager
def busy_cores(count=None):
    """All cores but one kept busy by other processes."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count or max(1, cores() - 1))]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def beside_a_busy_core(cases=None, say=lambda text: None, **options):
    """Pairs of a case and a dictionary, "idle" or "busy" to what was measured of lmm, a list of one."""
    for case in cases or busy_cases():
        found = {}
        for state, others in (("idle", nullcontext), ("busy", busy_cores)):
            say(f"with other cores {state}:")
            with others():
                found[state] = measure(case, ["lmm"], say=say, **options)
        yield case, found


def bytes_a_row(n=10**6):
    """For each step of set-up its name, and the bytes a row that are kept after it and held at most, beside the data."""
    dat = single(n=n).astype({"g": "category"})
    found = []
    tracemalloc.start()
    try:
        design = make_design("y ~ x + (1 | g)", dat, (), bars=True)
        found.append(("y, X and the blocks of Z", *(size / n for size in tracemalloc.get_traced_memory())))
        tracemalloc.reset_peak()
        setup = set_up(design, True)
        found.append((f"set-up, {setup.engine.name} engine", *(size / n for size in tracemalloc.get_traced_memory())))
    finally:
        tracemalloc.stop()
    return found
