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


def nested_two(n=31_000, fine=2_400, coarse=130):
    """The pattern of the Chem97 data: pupils of schools in areas."""
    rng = np.random.default_rng(21)
    g, parent, x = rng.integers(0, fine, n), rng.integers(0, coarse, fine), rng.normal(size=n)
    y = 1 + 0.3 * x + 0.6 * rng.normal(size=coarse)[parent[g]] + 0.5 * rng.normal(size=fine)[g] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": parent[g]})


def moving_pupils(n=24_600, pupils=10_700, teachers=1_400, schools=80, moved=0.02):
    """The pattern of the STAR data: pupils have teachers of their school, and few move to another one."""
    rng = np.random.default_rng(22)
    home, pupil, x = rng.integers(0, schools, pupils), rng.integers(0, pupils, n), rng.normal(size=n)
    school = np.where(rng.random(n) < moved, rng.integers(0, schools, n), home[pupil])
    teacher = school + schools * rng.integers(0, teachers // schools, n)
    y = (1 + 0.3 * x + 0.8 * rng.normal(size=pupils)[pupil] + 0.5 * rng.normal(size=teachers)[teacher]
         + 0.4 * rng.normal(size=schools)[school] + rng.normal(size=n))
    return pd.DataFrame({"y": y, "x": x, "pupil": pupil, "teacher": teacher, "school": school})


def slopes(levels, each, seed=23):
    """An intercept and a slope for each level, correlated."""
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(levels), each), rng.normal(size=levels * each)
    b = rng.normal(size=(levels, 2)) @ [[1, 0.2], [0, 0.5]]
    return pd.DataFrame({"y": 1 + 0.5 * x + b[g, 0] + b[g, 1] * x + rng.normal(size=len(x)), "x": x, "g": g})


def uneven_slopes(levels=125_066, n=500_264):
    """As many levels and rows as in statsmodels' issue 9097, each level in at least one row."""
    rng = np.random.default_rng(24)
    g, x = np.concatenate([np.arange(levels), rng.integers(0, levels, n - levels)]), rng.normal(size=n)
    b = rng.normal(size=(levels, 2)) @ [[1, 0.2], [0, 0.5]]
    return pd.DataFrame({"y": 1 + 0.5 * x + b[g, 0] + b[g, 1] * x + rng.normal(size=n), "x": x, "g": g})


def quadratic(levels=5_000, each=5):
    rng = np.random.default_rng(25)
    g, t = np.repeat(np.arange(levels), each), np.tile(np.arange(each) - 2.0, levels)
    b = rng.normal(size=(levels, 3)) * [1, 0.4, 0.15]
    y = 1 + 0.5 * t + b[g, 0] + b[g, 1] * t + b[g, 2] * t**2 + rng.normal(size=len(t))
    return pd.DataFrame({"y": y, "t": t, "g": g})


def complete(a, b):
    """Each level of one factor with each of the other once."""
    rng = np.random.default_rng(26)
    g, h = np.divmod(np.arange(a * b), b)
    x = rng.normal(size=a * b)
    y = 1 + 0.5 * x + rng.normal(size=a)[g] + 0.5 * rng.normal(size=b)[h] + rng.normal(size=a * b)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h})


def subjects_and_items(subjects=60, items=40):
    dat = complete(subjects, items)
    rng = np.random.default_rng(27)
    of_g, of_h = rng.normal(size=subjects) * 0.4, rng.normal(size=items) * 0.3
    return dat.assign(y=dat["y"] + (of_g[dat["g"]] + of_h[dat["h"]]) * dat["x"])


def nested_slopes(coarse=100, within=10, each=10):
    rng = np.random.default_rng(28)
    h = np.repeat(np.arange(coarse * within), each)
    g, x = h // within, rng.normal(size=len(h))
    of_g, of_h = rng.normal(size=(coarse, 2)) * [0.8, 0.3], rng.normal(size=(coarse * within, 2)) * [0.6, 0.3]
    y = 1 + 0.5 * x + of_g[g, 0] + of_g[g, 1] * x + of_h[h, 0] + of_h[h, 1] * x + rng.normal(size=len(x))
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h})


def six_factors(n=3_000, levels=30):
    rng = np.random.default_rng(29)
    dat = pd.DataFrame({f"f{j}": rng.integers(0, levels, n) for j in range(6)}).assign(x=rng.normal(size=n))
    y = 1 + 0.5 * dat["x"] + rng.normal(size=n)
    return dat.assign(y=y + sum((0.3 + 0.1 * j) * rng.normal(size=levels)[dat[f"f{j}"]] for j in range(6)))


def fifty_effects(n=20_000, k=50, levels=1_000):
    rng = np.random.default_rng(30)
    X, g = rng.normal(size=(n, k)), rng.integers(0, levels, n)
    dat = pd.DataFrame(X, columns=[f"x{j}" for j in range(k)])
    return dat.assign(g=g, y=0.1 * X @ rng.normal(size=k) + rng.normal(size=levels)[g] + rng.normal(size=n))


def assays(blocks=6, samples=6, dilutions=5):
    """As Pinheiro and Bates's Assay, of more blocks: three scalar terms, 30 fixed effects."""
    rng = np.random.default_rng(31)
    grid = np.indices((blocks, samples, dilutions)).reshape(3, -1)
    dat = pd.DataFrame(grid.T, columns=["block", "sample", "dilution"])
    y = 0.1 * rng.normal(size=blocks)[grid[0]] + 0.15 * rng.normal(size=(blocks, samples))[grid[0], grid[1]]
    y += 0.1 * rng.normal(size=(blocks, dilutions))[grid[0], grid[2]] + 0.2 * rng.normal(size=len(dat))
    return dat.assign(y=y + rng.normal(size=(samples, dilutions))[grid[1], grid[2]])


def numeric_service():
    dat = load_data("InstEval")
    return dat.assign(service=dat["service"].astype(str).astype(float))


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

SLOPES = {"statsmodels": {"formula": "y ~ x", "groups": "g", "re_formula": "1 + x"}}
SLOW = {"statsmodels": {"left_out": "not tried: minutes"}}
CASES = (
    Case("Machines", partial(load_data, "Machines"), "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)",
         ("Worker", "Machine"), SMALL, 4,
         {"statsmodels": {"formula": "score ~ Machine", "groups": "Worker", "re_formula": "1",
                          "vc_formula": {"Worker:Machine": "0 + C(Machine)"}}}),
    Case("Machines by Worker", partial(load_data, "Machines"), "score ~ Machine + (0 + Machine | Worker)",
         ("Worker", "Machine"), SMALL, 4,
         {"statsmodels": {"formula": "score ~ Machine", "groups": "Worker", "re_formula": "0 + Machine"},
          "glmm": {"formula": "score ~ Machine + (1 + Machine | Worker)", "note": "as (1 + Machine | Worker), the same"}}),
    Case("sleepstudy", partial(load_data, "sleepstudy"), "Reaction ~ Days + (Days | Subject)", ("Subject",), SMALL, 4,
         {"statsmodels": {"formula": "Reaction ~ Days", "groups": "Subject", "re_formula": "1 + Days"}}),
    Case("ScotsSec", partial(load_data, "ScotsSec"), "attain ~ verbal + sex + (1 | primary) + (1 | second)",
         ("primary", "second", "sex"), SMALL, 4,
         {"statsmodels": {"formula": "attain ~ verbal + sex", "groups": "everyone", "re_formula": "0",
                          "vc_formula": {"primary": "0 + C(primary)", "second": "0 + C(second)"}}}),
    Case("InstEval, two factors", partial(load_data, "InstEval"), "y ~ 1 + (1 | s) + (1 | d)", ("s", "d"), 3, 6, DENSE),
    Case("InstEval, three terms", partial(load_data, "InstEval"), "y ~ service + (1 | s) + (1 | d) + (1 | dept:service)",
         ("s", "d", "dept", "service"), 3, 8, DENSE),
    Case("one factor, a million rows", single, "y ~ x + (1 | g)", ("g",), 3, 30, ONE_FACTOR),
    Case("classes in schools", nested, "y ~ x + (1 | school) + (1 | klass)", ("school", "klass"), 3, 1,
         {"statsmodels": {**WITHIN_SCHOOLS, "vc_formula": {"klass": "0 + C(klass)"}}}),
    Case("pupils in classes in schools", pupils, "y ~ x + (1 | school) + (1 | klass) + (1 | pupil)",
         ("school", "klass", "pupil"), 1, 1,
         {"statsmodels": {"left_out": "not done in two minutes when tried"}}),
    Case("Penicillin", partial(load_data, "Penicillin"), "diameter ~ 1 + (1 | plate) + (1 | sample)", ("plate", "sample"), SMALL,
         4, DENSE),
    Case("Pastes", partial(load_data, "Pastes"), "strength ~ 1 + (1 | batch) + (1 | batch:cask)", ("batch", "cask"), SMALL, 4,
         DENSE),
    Case("assays, 30 fixed effects", assays, "y ~ sample * dilution + (1 | block) + (1 | block:sample) + (1 | block:dilution)",
         ("block", "sample", "dilution"), SMALL, 4, DENSE),
    Case("nested, 2,400 in 130", nested_two, "y ~ x + (1 | g) + (1 | h)", ("g", "h"), 5, 6, DENSE),
    Case("pupils x teachers x schools", moving_pupils, "y ~ x + (1 | pupil) + (1 | teacher) + (1 | school)",
         ("pupil", "teacher", "school"), 3, 3, DENSE),
    Case("crossed 250 + 250", partial(crossed, (250, 250), 5_000), "y ~ x + (1 | g) + (1 | h)", ("g", "h"), 5, 3, DENSE),
    Case("quadratic slopes, 5,000 x 5", quadratic, "y ~ t + I(t**2) + (t + I(t**2) | g)", ("g",), 3, 3, SLOW),
    Case("slopes, 8,000 x 3", partial(slopes, 8_000, 3), "y ~ x + (x | g)", ("g",), 3, 3, SLOW),
    Case("slopes, 200 x 20", partial(slopes, 200, 20), "y ~ x + (x | g)", ("g",), 5, 3, SLOPES),
    Case("slopes, 2,000 x 20", partial(slopes, 2_000, 20), "y ~ x + (x | g)", ("g",), 3, 10, SLOW),
    Case("slopes, 20,000 x 20", partial(slopes, 20_000, 20), "y ~ x + (x | g)", ("g",), 3, 25, SLOW),
    Case("slopes, 125,066 levels", uneven_slopes, "y ~ x + (1 + x | g)", ("g",), 1, 10, SLOW),
    Case("InstEval, five variances", numeric_service, "y ~ service + (1 | s) + (1 | d) + (1 | dept) + (0 + service | dept)",
         ("s", "d", "dept"), 1, 8, DENSE),
    Case("complete crossing, 200 x 100", partial(complete, 200, 100), "y ~ x + (1 | g) + (1 | h)", ("g", "h"), 3, 3, DENSE),
    Case("complete crossing, 500 x 200", partial(complete, 500, 200), "y ~ x + (1 | g) + (1 | h)", ("g", "h"), 3, 3, DENSE),
    Case("subjects x items with slopes", subjects_and_items, "y ~ x + (x | g) + (x | h)", ("g", "h"), 5, 3, DENSE),
    Case("nested slopes, 100 x 10", nested_slopes, "y ~ x + (x | g) + (x | h)", ("g", "h"), 3, 4, DENSE),
    Case("six crossed factors of 30", six_factors, "y ~ x + " + " + ".join(f"(1 | f{j})" for j in range(6)),
         tuple(f"f{j}" for j in range(6)), 5, 6, DENSE),
    Case("50 fixed effects, 20,000 rows", fifty_effects, "y ~ " + " + ".join(f"x{j}" for j in range(50)) + " + (1 | g)", ("g",), 3, 5,
         {"statsmodels": {"left_out": "not tried"}}),
)
GRADE_POINTS = Case("grade points", grade_points, "y ~ 1 + (1 | student) + (1 | instr) + (1 | dept)",
                    ("student", "instr", "dept"), 1, 12.5, DENSE)


def one_factor(p, n):
    """A case with p columns of Z."""
    return Case(f"one factor, p = {p}", partial(single, p, n), "y ~ x + (1 | g)", ("g",), 3, options=ONE_FACTOR)


def two_factors(p, n):
    """A case with p columns of Z, a fifth of them the smaller factor's."""
    levels = p - p // 5, p // 5
    return Case(f"two crossed factors, p = {p}", partial(crossed, levels, n), "y ~ x + (1 | g) + (1 | h)", ("g", "h"), 3,
                options=DENSE)
