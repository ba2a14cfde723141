"""Whole fits side by side with lme4, from 54 rows to 1.7 million: seconds, ratio, evaluations, memory, criterion.

    python -m pytest tests/benchmarks/test_scale.py -s                          # some minutes
    LMM_GRADE_POINTS=1 python -m pytest tests/benchmarks/test_scale.py -s       # and the simulated grade points: half an hour

Each program fits each model in a process of its own, several times (the largest once), the data being in memory; the median
counts. The processes of a case follow one another on an otherwise quiet machine.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from lmm import load_data

OURS = """
import json, resource, sys, time
import pandas as pd
from lmm import lmer
file, formula, rounds, factors = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].split()
dat = pd.read_csv(file).astype({name: "category" for name in factors})
before, times = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
for _ in range(rounds):
    start = time.perf_counter()
    fit = lmer(formula, dat)
    times.append(time.perf_counter() - start)
print(json.dumps({"seconds": sorted(times)[len(times) // 2], "deviance": fit.deviance, "evaluations": fit.nfev,
                  "engine": fit.setup.engine_name, "certified": fit.converged,
                  "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "mib_before": before / 1024}))
"""
LME4 = """
suppressMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
dat <- read.csv(arguments[1])
for (name in strsplit(arguments[4], " ")[[1]]) dat[[name]] <- factor(dat[[name]])
times <- c()
for (i in seq_len(as.integer(arguments[3]))) times <- c(times, system.time(
  fit <- suppressMessages(suppressWarnings(lmer(as.formula(arguments[2]), dat))))["elapsed"])
cat(sprintf('{"seconds": %.6f, "deviance": %.9f, "evaluations": %d, "mib": %.0f}', median(times), -2 * as.numeric(logLik(fit)),
            fit@optinfo$feval, sum(gc(full = TRUE)[, 6])))
"""


def single():
    rng, n, m = np.random.default_rng(1), 10**6, 5000
    g, x = rng.integers(0, m, n), rng.normal(size=n)
    return pd.DataFrame({"y": 1 + 0.5 * x + rng.normal(size=m)[g] + rng.normal(size=n), "x": x, "g": g})


def nested():
    """400,000 pupils in 20,000 classes in 1,000 schools."""
    rng, n = np.random.default_rng(2), 400_000
    klass, x = rng.integers(0, 20_000, n), rng.normal(size=n)
    y = 1 + 0.3 * x + rng.normal(size=1000)[klass // 20] + 0.7 * rng.normal(size=20_000)[klass] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "school": klass // 20, "klass": klass})


def grade_points():
    """As in the slides: 1,685,394 grades of 54,711 students by 7,915 instructors in 102 departments; half of a student's
    courses are in a department of his own."""
    rng, n, students, instructors, departments = np.random.default_rng(2008), 1_685_394, 54_711, 7_915, 102
    order = np.argsort(department := rng.integers(0, departments, instructors), kind="stable")
    sizes = np.bincount(department, minlength=departments)
    student = np.sort(rng.integers(0, students, n))
    dept = np.where(rng.random(n) < 0.5, rng.integers(0, departments, students)[student], rng.integers(0, departments, n))
    instr = order[(np.cumsum(sizes) - sizes)[dept] + (rng.random(n) * sizes[dept]).astype(int)]
    y = 3 + 0.5 * rng.normal(size=students)[student] + 0.3 * rng.normal(size=instructors)[instr] + (
        0.15 * rng.normal(size=departments)[dept] + 0.8 * rng.normal(size=n))
    return pd.DataFrame({"y": y, "student": student, "instr": instr, "dept": dept})


# name: data, formula, factors, rounds, ratio to lme4 aimed at
CASES = {
    "Machines": (lambda: load_data("Machines"), "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)",
                 "Worker Machine", 15, 2.5),
    "Machines by Worker": (lambda: load_data("Machines"), "score ~ Machine + (0 + Machine | Worker)",
                           "Worker Machine", 15, 2.5),
    "sleepstudy": (lambda: load_data("sleepstudy"), "Reaction ~ Days + (Days | Subject)", "Subject", 15, 2.5),
    "ScotsSec": (lambda: load_data("ScotsSec"), "attain ~ verbal + sex + (1 | primary) + (1 | second)",
                 "primary second sex", 9, 2.5),
    "InstEval, two factors": (lambda: load_data("InstEval"), "y ~ 1 + (1 | s) + (1 | d)", "s d", 3, 3),
    "InstEval, three terms": (lambda: load_data("InstEval"), "y ~ service + (1 | s) + (1 | d) + (1 | dept:service)",
                              "s d dept service", 3, 3),
    "one factor, a million rows": (single, "y ~ x + (1 | g)", "g", 3, 30),
    "nested, 20,000 classes": (nested, "y ~ x + (1 | school) + (1 | klass)", "school klass", 3, 1),
    "grade points": (grade_points, "y ~ 1 + (1 | student) + (1 | instr) + (1 | dept)", "student instr dept", 1, 5),
}


def run(command, *arguments):
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R with lme4")
@pytest.mark.parametrize("name", CASES)
def test_against_lme4(name, tmp_path):
    if name == "grade points" and not os.environ.get("LMM_GRADE_POINTS"):
        pytest.skip("takes half an hour; set LMM_GRADE_POINTS=1")
    make, formula, factors, rounds, aim = CASES[name]
    file = tmp_path / "dat.csv"
    make().to_csv(file, index=False)
    (tmp_path / "lme4.R").write_text(LME4)
    ours = run([sys.executable, "-c", OURS], file, formula, rounds, factors)
    theirs = run(["Rscript", tmp_path / "lme4.R"], file, formula, rounds, factors)
    ratio = theirs["seconds"] / ours["seconds"]
    print(f"\n{name}: lmm {ours['seconds']:.3g} s ({ours['engine']}, {ours['evaluations']} evaluations, {ours['mib']:.0f} MiB, "
          f"{ours['mib_before']:.0f} before the fit), lme4 {theirs['seconds']:.3g} s ({theirs['evaluations']} evaluations, "
          f"{theirs['mib']:.0f} MiB), ratio {ratio:.1f}, aim {aim}; criterion {ours['deviance'] - theirs['deviance']:+.1e}")
    assert ours["certified"] and ours["deviance"] < theirs["deviance"] + 1e-6
    assert ratio > aim / 2


@pytest.mark.parametrize("rows", [10**4, 10**5, 10**6])
def test_an_evaluation_does_not_know_n(rows):
    """The time of set-up by row, and of an evaluation."""
    import time

    from lmm import LMMprof, LMMsetup
    rng = np.random.default_rng(3)
    dat = pd.DataFrame({"g": rng.integers(0, 1000, rows), "h": rng.integers(0, 100, rows), "y": rng.normal(size=rows)}).astype(
        {"g": "category", "h": "category"})
    start = time.perf_counter()
    setup = LMMsetup("y ~ 1", dat, ["g", "h"])
    built = time.perf_counter() - start
    times = []
    for i in range(20):
        start = time.perf_counter()
        LMMprof([0.0, -1.0 - 0.01 * i, -1.0], setup)
        times.append(time.perf_counter() - start)
    print(f"\nn = {rows}: set-up {1e9 * built / rows:.0f} ns a row, an evaluation {1e3 * np.median(times):.2f} ms")
