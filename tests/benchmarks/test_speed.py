"""Speed as ratios within one run: against the bare BLAS and LAPACK calls, and against lme4 where R has it.

    python -m pytest tests/benchmarks -s
"""

import shutil
import subprocess
import time

import numpy as np
import pytest

from lmm import LMMprof, lmer, lmm, load_data, models
from lmm.validation.performance import bare_calls, crossed_setup, interleaved


@pytest.mark.parametrize("levels, n, aim", [((18, 6), 54, 2.0), ((200, 100), 3000, 1.3)], ids=["p=24", "p=300"])
def test_an_evaluation_against_its_bare_calls(levels, n, aim, benchmark):
    setup, theta = crossed_setup(levels, n), np.array([0.0, 0.3, 0.5])
    benchmark(LMMprof, theta, setup)
    ours, bare = interleaved(lambda: LMMprof(theta, setup), bare_calls(theta, setup), rounds=100)
    print(f"\nLMMprof at p = {sum(levels)}: {ours * 1e6:.1f} us, bare calls {bare * 1e6:.1f} us, "
          f"ratio {ours / bare:.2f}, aim {aim}")
    assert ours / bare < 1.25 * aim             # guards what was reached: 2.0 to 2.3 at p = 24, 1.0 at p = 300


def test_an_evaluation_is_independent_of_n():
    theta = np.array([0.0, 0.3, 0.5])
    few, many = (crossed_setup((18, 6), n) for n in (100, 100_000))
    t_few, t_many = interleaved(lambda: LMMprof(theta, few), lambda: LMMprof(theta, many), rounds=100)
    print(f"\nLMMprof with n = 100,000 against n = 100: ratio {t_many / t_few:.2f}")
    assert t_many / t_few < 1.2


LME4 = """
suppressMessages({library(lme4); library(nlme)})
con <- file("stdin", "r")
fit <- function() lmer(score ~ Machine + (1 | Worker) + (1 | Worker:Machine), Machines, REML = FALSE)
m <- fit()
values <- function(x) c(fixef(x), sigma(x), getME(x, "theta") * sigma(x))
run <- function(task) switch(task, fit = for (i in 1:20) fit(),
                             sleepstudy = for (i in 1:10) lmer(Reaction ~ Days + (Days | Subject), sleepstudy),
                             worker = for (i in 1:10) lmer(score ~ Machine + (0 + Machine | Worker), Machines),
                             profile = confint(m, method = "profile", quiet = TRUE),
                             bootstrap = bootMer(m, values, nsim = 100))
for (i in 1:3) fit()
while (length(task <- readLines(con, 1)) > 0) cat(system.time(run(task))["elapsed"], "\\n")
"""


def against_lme4(task, ours, rounds):
    """Median seconds of `ours` and of lme4's task, in turns."""
    times = np.empty((rounds, 2))
    with subprocess.Popen(["Rscript", "-e", LME4], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as lme4:
        for row in times:
            start = time.perf_counter()
            ours()
            row[0] = time.perf_counter() - start
            lme4.stdin.write(task + "\n")
            lme4.stdin.flush()
            row[1] = float(lme4.stdout.readline())
        lme4.stdin.close()
    return np.median(times, axis=0)


def test_small_fits_stay_on_one_thread():
    """OpenBLAS's threads are no help at p = 24, and where another process keeps a core busy each call would wait for it."""
    fit = machines_fit()
    fit.conf_int()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(5):
        machines_fit().conf_int()
    ratio = (time.process_time() - cpu) / (time.perf_counter() - wall)
    print(f"\nMachines, fits and profile intervals: processor time / elapsed time {ratio:.2f}, 1 on one thread")
    assert ratio < 1.1


def machines_fit():
    model = models().loc["Machines"]
    return lmm(model.form, load_data("Machines"), model.ref)


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R with lme4")
def test_the_whole_machines_fit_against_lme4():
    machines, model = load_data("Machines"), models().loc["Machines"]
    ours, theirs = against_lme4("fit", lambda: [lmm(model.form, machines, model.ref) for _ in range(20)], rounds=20) / 20
    print(f"\nMachines, setup, fit and result: lmm {ours * 1e3:.1f} ms, lme4 {theirs * 1e3:.1f} ms, "
          f"ratio {theirs / ours:.2f}, aim 2.5")
    assert theirs / ours > 1.5                  # guards what was reached: 2.1 to 2.3 on a quiet machine


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R with lme4")
@pytest.mark.parametrize("task, form, data", [("sleepstudy", "Reaction ~ Days + (Days | Subject)", "sleepstudy"),
                                              ("worker", "score ~ Machine + (0 + Machine | Worker)", "Machines")])
def test_vector_valued_fits_against_lme4(task, form, data):
    dat = load_data(data)
    lmer(form, dat)
    ours, theirs = against_lme4(task, lambda: [lmer(form, dat) for _ in range(10)], rounds=20) / 10
    print(f"\n{form}, setup, fit and result: lmer {ours * 1e3:.1f} ms, lme4 {theirs * 1e3:.1f} ms, "
          f"ratio {theirs / ours:.2f}, aim 2")
    assert theirs / ours > 1.6


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R with lme4")
def test_profile_intervals_against_lme4():
    fit = machines_fit()
    ours, theirs = against_lme4("profile", fit.conf_int, rounds=10)
    print(f"\nMachines, profile intervals of 6 parameters: lmm {ours * 1e3:.1f} ms, lme4 {theirs * 1e3:.0f} ms, "
          f"ratio {theirs / ours:.1f}, aim 20")
    assert theirs / ours > 16                   # guards what was reached: 19 to 23 on a shared machine


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R with lme4")
def test_bootstrap_against_lme4():
    """lme4 in one process, ours in one and in two; 1000 refits."""
    fit = machines_fit()
    for processes, guard in (1, 7), (2, 10):
        def ours_1000(processes=processes):
            return fit.bootstrap(1000, seed=1, processes=processes, progress=False)

        ours, theirs = against_lme4("bootstrap", ours_1000, rounds=5)
        print(f"\nMachines, 1000 refits of the parametric bootstrap, {processes} process{'es' if processes > 1 else ''}: "
              f"lmm {ours:.2f} s, lme4 {10 * theirs:.1f} s, ratio {10 * theirs / ours:.1f}, aim 10")
        assert 10 * theirs / ours > guard       # guards what was reached: 9 in one process, 15 in two
