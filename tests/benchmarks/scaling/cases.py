"""The models that are timed, and the simulated data among them, each from a seed of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from lmm import load_data

SMALL = 15              # rounds of a fit of milliseconds


@dataclass(frozen=True)
class Case:
    """A model by REML in lme4's words, and how often to fit it."""

    name: str
    make: Callable                          # the data
    formula: str
    factors: tuple                          # columns that are categories, for all programs alike
    rounds: int
    aim: float = 1.0                        # times as fast as lme4
    options: dict = field(default_factory=dict)     # by program: other ways to say it, or why it is left out


def single(levels=5000, n=10**6):
    rng = np.random.default_rng(1)
    g, x = rng.integers(0, levels, n), rng.normal(size=n)
    return pd.DataFrame({"y": 1 + 0.5 * x + rng.normal(size=levels)[g] + rng.normal(size=n), "x": x, "g": g})


def crossed(levels, n):
    """Two factors of these numbers of levels, met at random."""
    rng = np.random.default_rng(4)
    g, h = (rng.integers(0, m, n) for m in levels)
    x = rng.normal(size=n)
    y = 1 + 0.5 * x + rng.normal(size=levels[0])[g] + 0.5 * rng.normal(size=levels[1])[h] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h})


def nested(n=400_000):
    """Pupils in 20,000 classes in 1,000 schools, each measured once."""
    rng = np.random.default_rng(2)
    klass, x = rng.integers(0, 20_000, n), rng.normal(size=n)
    y = 1 + 0.3 * x + rng.normal(size=1000)[klass // 20] + 0.7 * rng.normal(size=20_000)[klass] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "school": klass // 20, "klass": klass})


def pupils(schools=1000):
    """20 classes in a school, 5 pupils in a class, 4 measurements of a pupil, on average: a pupil's number is random."""
    rng, n = np.random.default_rng(5), 400 * schools
    pupil, x = rng.integers(0, 100 * schools, n), rng.normal(size=n)
    y = (1 + 0.3 * x + 0.5 * rng.normal(size=schools)[pupil // 100] + 0.7 * rng.normal(size=20 * schools)[pupil // 5]
         + rng.normal(size=100 * schools)[pupil] + rng.normal(size=n))
    return pd.DataFrame({"y": y, "x": x, "school": pupil // 100, "klass": pupil // 5, "pupil": pupil})


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


DENSE = {"statsmodels": {"left_out": "crossed groupings are one n x n matrix there"}}
ONE_FACTOR = {"statsmodels": {"formula": "y ~ x", "groups": "g"}}
WITHIN_SCHOOLS = {"formula": "y ~ x", "groups": "school", "re_formula": "1"}

CASES = (
    Case("Machines", partial(load_data, "Machines"), "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)",
         ("Worker", "Machine"), SMALL, 2.5,
         {"statsmodels": {"formula": "score ~ Machine", "groups": "Worker", "re_formula": "1",
                          "vc_formula": {"Worker:Machine": "0 + C(Machine)"}}}),
    Case("Machines by Worker", partial(load_data, "Machines"), "score ~ Machine + (0 + Machine | Worker)",
         ("Worker", "Machine"), SMALL, 2.5,
         {"statsmodels": {"formula": "score ~ Machine", "groups": "Worker", "re_formula": "0 + Machine"},
          "glmm": {"formula": "score ~ Machine + (1 + Machine | Worker)", "note": "as (1 + Machine | Worker), the same"}}),
    Case("sleepstudy", partial(load_data, "sleepstudy"), "Reaction ~ Days + (Days | Subject)", ("Subject",), SMALL, 2.5,
         {"statsmodels": {"formula": "Reaction ~ Days", "groups": "Subject", "re_formula": "1 + Days"}}),
    Case("ScotsSec", partial(load_data, "ScotsSec"), "attain ~ verbal + sex + (1 | primary) + (1 | second)",
         ("primary", "second", "sex"), SMALL, 2.5,
         {"statsmodels": {"formula": "attain ~ verbal + sex", "groups": "everyone", "re_formula": "0",
                          "vc_formula": {"primary": "0 + C(primary)", "second": "0 + C(second)"}}}),
    Case("InstEval, two factors", partial(load_data, "InstEval"), "y ~ 1 + (1 | s) + (1 | d)", ("s", "d"), 3, 3, DENSE),
    Case("InstEval, three terms", partial(load_data, "InstEval"), "y ~ service + (1 | s) + (1 | d) + (1 | dept:service)",
         ("s", "d", "dept", "service"), 3, 3, DENSE),
    Case("one factor, a million rows", single, "y ~ x + (1 | g)", ("g",), 3, 30, ONE_FACTOR),
    Case("classes in schools", nested, "y ~ x + (1 | school) + (1 | klass)", ("school", "klass"), 3, 1,
         {"statsmodels": {**WITHIN_SCHOOLS, "vc_formula": {"klass": "0 + C(klass)"}}}),
    Case("pupils in classes in schools", pupils, "y ~ x + (1 | school) + (1 | klass) + (1 | pupil)",
         ("school", "klass", "pupil"), 1, 1,
         {"statsmodels": {"left_out": "not done in two minutes when tried"}}),
)
GRADE_POINTS = Case("grade points", grade_points, "y ~ 1 + (1 | student) + (1 | instr) + (1 | dept)",
                    ("student", "instr", "dept"), 1, 5, DENSE)


def one_factor(p, n):
    """A case with p columns of Z."""
    return Case(f"one factor, p = {p}", partial(single, p, n), "y ~ x + (1 | g)", ("g",), 3, options=ONE_FACTOR)


def two_factors(p, n):
    """A case with p columns of Z, a fifth of them the smaller factor's."""
    levels = p - p // 5, p // 5
    return Case(f"two crossed factors, p = {p}", partial(crossed, levels, n), "y ~ x + (1 | g) + (1 | h)", ("g", "h"), 3,
                options=DENSE)
