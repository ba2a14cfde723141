"""Costs as ratios within one run: nothing here depends on how fast the machine is.

The functions of a ratio take turns, so that whatever else the machine does hits all alike.
"""

import time

import numpy as np
import pandas as pd
from scipy.linalg import blas, lapack

from ..datasets import load_data
from ..engines import set_up
from ..fit import derivatives, lmer
from ..inference import lmer_many
from ..model import make_design
from ..practical import LMMprof, LMMsetup
from .rows import row_of_truth

COSTS = "Costs"
SAME_RUN = "the other times of the same run"
ROUNDS, ROUNDS_IF_QUICK = 60, 20
SECONDS = 0.02          # in which about ten calls are timed together
TRIES = 3               # the best of so many ratios counts: the machine may be busy
THETA = np.array([0.0, 0.3, 0.5])


# -- timing ----------------------------------------------------------------------------------------


def interleaved(*functions, rounds=40, seconds=SECONDS):
    """The median time of a call of each function, measured in turns."""
    repeats = []
    for f in functions:
        f()
        start = time.perf_counter()
        f()
        spent = time.perf_counter() - start + 1e-9
        repeats.append(max(1, int(seconds / spent / rounds * 10)))
    times = np.empty((rounds, len(functions)))
    for i in range(rounds):
        for j, f in enumerate(functions):
            start = time.perf_counter()
            for _ in range(repeats[j]):
                f()
            times[i, j] = (time.perf_counter() - start) / repeats[j]
    return np.median(times, axis=0)


def row_of_ratio(requirement, test, most, functions, rounds):
    """The `Row` of how many times as long the first of two functions takes as the second.

    `functions` makes the two; `most` is what the ratio may be.
    """
    def find():
        pair = functions()
        ratios = []
        while len(ratios) < TRIES and not (ratios and min(ratios) <= most):
            ours, theirs = interleaved(*pair, rounds=rounds)
            ratios.append(ours / theirs)
        return min(ratios) <= most, f"at most {most:g}", f"ratio {min(ratios):.2f}"

    return row_of_truth(COSTS, requirement, test, SAME_RUN, find)


# -- what is timed ---------------------------------------------------------------------------------


def crossed_setup(levels, n):
    """The dense `Setup` of two crossed factors and two covariates."""
    rng = np.random.default_rng(0)
    dat = pd.DataFrame({
        name: pd.Categorical(rng.permutation(np.arange(n) % m)) for name, m in zip("ab", levels)
    })
    dat = dat.assign(x=rng.normal(size=n), z=rng.normal(size=n), y=rng.normal(size=n))
    return LMMsetup("y ~ x + z", dat, ["a", "b"], engine="dense")


def bare_calls(theta, setup):
    """The BLAS and LAPACK calls of one evaluation, on arrays that are ready, without any other."""
    engine, k = setup.engine, len(setup.beta_0)
    variances = np.exp(2 * np.asarray(theta))
    A = blas.dgemv(1.0, engine.parts, variances).reshape(engine.R.shape, order="F")
    L = lapack.dpotrf(A, clean=0)[0]
    B = blas.dtrsm(1.0, L, engine.QtU, trans_a=1)
    C = blas.dsyrk(1.0, B, trans=1, beta=1.0, c=blas.dsyrk(1.0, engine.S, trans=1))
    G = lapack.dpotrf(C)[0]
    G_XX, G_Xy = np.asfortranarray(G[:k, :k]), G[:k, k].copy()

    def calls():
        blas.dgemv(1.0, engine.parts, variances)
        lapack.dpotrf(A, clean=0)
        blas.dtrsm(1.0, L, engine.QtU, trans_a=1)
        blas.dsyrk(1.0, B, trans=1, beta=1.0, c=blas.dsyrk(1.0, engine.S, trans=1))
        lapack.dpotrf(C)
        lapack.dtrtrs(setup.R_X, lapack.dtrtrs(G_XX, G_Xy)[0])

    return calls


def evaluation(setup):
    """A function that evaluates the criterion once."""
    return lambda: LMMprof(THETA, setup)


def blocked_evaluation(n):
    """The same for n rows of n / 10 levels, by the blocked engine."""
    rng = np.random.default_rng(0)
    dat = pd.DataFrame({
        "y": rng.normal(size=n),
        "x": rng.normal(size=n),
        "g": pd.Categorical(np.arange(n) // 10),
    })
    setup = set_up(make_design("y ~ x + (1 | g)", dat, (), bars=True), True, "blocked")
    return lambda: LMMprof(THETA[:2], setup)


# -- rows ------------------------------------------------------------------------------------------


def rows(quick):
    """Six ratios; if quick, of smaller data, and measured less often."""
    rounds = ROUNDS_IF_QUICK if quick else ROUNDS
    sizes = (((18, 6), 54, 5.0),) if quick else (((18, 6), 54, 5.0), ((200, 100), 3000, 2.0))
    for levels, n, most in sizes:
        yield row_of_ratio(
            f"an evaluation with {sum(levels)} columns of Z costs little more than its algebra",
            "the criterion against its bare calls of BLAS and LAPACK",
            most,
            lambda levels=levels, n=n: _against_bare_calls(levels, n),
            rounds,
        )
    many = 20_000 if quick else 100_000
    yield row_of_ratio(
        "an evaluation does not depend on the number of rows",
        f"{many:,} rows against 100, dense engine",
        2.0,
        lambda: (evaluation(crossed_setup((18, 6), many)), evaluation(crossed_setup((18, 6), 100))),
        rounds,
    )
    yield row_of_ratio(
        "gradient and Hessian cost a small multiple of an evaluation",
        "(6) and (7) with 24 columns of Z against the criterion",
        10.0,
        _derivatives_against_value,
        rounds,
    )
    yield row_of_ratio(
        "an evaluation is linear in the number of levels",
        "8,000 levels against 1,000, blocked engine",
        16.0,
        lambda: (blocked_evaluation(80_000), blocked_evaluation(10_000)),
        rounds,
    )
    yield row_of_ratio(
        "many responses are fitted together",
        "200 responses on the design of Machines, in one call, against 20 fits",
        1.0,
        _many_against_each,
        5,
    )


def _against_bare_calls(levels, n):
    setup = crossed_setup(levels, n)
    return evaluation(setup), bare_calls(THETA, setup)


def _derivatives_against_value():
    setup = crossed_setup((18, 6), 54)
    return lambda: derivatives(THETA, setup), evaluation(setup)


def _many_against_each():
    machines = load_data("Machines")
    right = "~ Machine + (1 | Worker) + (1 | Worker:Machine)"
    scores = machines["score"].to_numpy()
    Y = scores[:, None] + np.random.default_rng(0).normal(size=(len(scores), 200))

    def each():
        for y in Y.T[:20]:
            lmer(f"score {right}", machines.assign(score=y))

    return lambda: lmer_many(right, machines, Y, progress=False), each
