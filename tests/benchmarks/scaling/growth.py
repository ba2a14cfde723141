"""How time grows: set-up and evaluation with n, a whole fit with p, and both beside a busy core."""

import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from statistics import median

from lmm import LMMprof, LMMsetup

from .cases import CASES, SMALL, Case, crossed, one_factor, single, two_factors
from .programs import cores, measure
from .timing import interleaved

COMPILED = "lmm", "lme4", "mixedlm", "glmm"
P = 50, 150, 500, 1500, 5000
ROWS_FOR_P = 50_000
# lmm as it is, holding BLAS to one thread where it sees fit; as it is without threadpoolctl; and all of it on one thread.
THREADS = {"held": {}, "free": {"without": ["threadpoolctl"]}, "one thread": {"one_thread": True}}
# With few enough levels that all combinations meet in 10,000 rows: what more rows add is rows alone.
DESIGNS = {"one factor, 200 levels": (partial(single, 200), ["g"]),
           "two crossed, 18 x 6": (partial(crossed, (18, 6)), ["g", "h"]),
           "two crossed, 200 x 10": (partial(crossed, (200, 10)), ["g", "h"])}


def against_n(rows=(10**4, 10**5, 10**6), rounds=5, say=lambda text: None):
    """For each design and number of rows a dictionary: design, n, engine, and seconds of `setup` and of an `evaluation`.

    Evaluations are on one thread, where threadpoolctl is installed: this is about n, and waiting for a core is not.
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
        with one_thread():
            evaluations = interleaved(*(partial(LMMprof, theta, setup) for setup in setups), rounds=100)
        points += [{"design": design, "n": n, "engine": setup.engine_name, "setup": median(seconds), "evaluation": float(t)}
                   for n, setup, seconds, t in zip(rows, setups, times, evaluations)]
    return points


def one_thread():
    """BLAS on one thread, if threadpoolctl is installed."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1, "blas")


def against_p(programs, sizes=P, n=ROWS_FOR_P, **options):
    """Pairs of a case and what was measured of it, for one factor and for two."""
    cases = [make(p, n) for make in (one_factor, two_factors) for p in sizes]
    return [(case, measure(case, [name for name in programs if name in COMPILED], **options)) for case in cases]


DENSE_CASE = Case("dense, 120 columns", partial(crossed, (100, 20), 3000), "y ~ x + (1 | g) + (1 | h)", ("g", "h"), SMALL,
                  options={"lmm": {"engine": "dense"}})


def busy_cases():
    """Small; dense; with most levels eliminated; with 1,128 columns to factor."""
    named = {case.name: case for case in CASES}
    return (*(named[name] for name in ("Machines", "sleepstudy")), DENSE_CASE,
            *(named[name] for name in ("ScotsSec", "InstEval, two factors")))


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
    """Pairs of a case and a dictionary, "idle" or "busy" to what was measured of lmm by the names in `THREADS`."""
    for case in cases or busy_cases():
        words = {"program": "lmm", **case.options.get("lmm", {})}
        one = replace(case, options={name: {**words, **more} for name, more in THREADS.items()})
        found = {}
        for state, others in (("idle", nullcontext), ("busy", busy_cores)):
            say(f"with other cores {state}:")
            with others():
                found[state] = measure(one, list(THREADS), say=say, **options)
        yield case, found
