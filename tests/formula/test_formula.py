"""Formulas: which functions work, where variables come from, and that a stranger's formula runs no code."""

import math
import os  # noqa: F401 - here so that formulas could reach it
import subprocess  # noqa: F401
from pathlib import Path

import numpy
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from patsy import PatsyError, dmatrix
from scipy import optimize, special  # noqa: F401

from lmm import LMMError, LMMsetup

DAT = pd.DataFrame({"y": [1.0, 2.5, 2.0, 4.0, 3.0, 6.0], "x": [0.5, 1.0, 1.5, 2.0, 2.5, 4.0], "g": list("aabbcc"),
                    "reaction time": [3.0, 1.0, 4.0, 1.0, 5.0, 9.0]})
outside = np.arange(6.0)        # a variable of the caller, not of DAT


def doubled(x):
    return 2 * x


def lumped(g):
    return g != "a"


def column(form):
    """The last column of X."""
    return LMMsetup(form, DAT).design.X[:, -1]


@pytest.mark.parametrize("form, expected", [
    ("y ~ log(x)", np.log(DAT.x)), ("y ~ exp(x)", np.exp(DAT.x)), ("y ~ sqrt(x)", np.sqrt(DAT.x)),
    ("y ~ abs(x - 1)", abs(DAT.x - 1)), ("y ~ sin(2 * pi * x / 3)", np.sin(2 * np.pi * DAT.x / 3)),
    ("y ~ atan(x)", np.arctan(DAT.x)), ("y ~ ceiling(x)", np.ceil(DAT.x)), ("y ~ round(x)", np.round(DAT.x)),
    ("y ~ np.log1p(x)", np.log1p(DAT.x)), ("y ~ numpy.cos(x)", np.cos(DAT.x)), ("y ~ np.cos(np.pi * x)", np.cos(np.pi * DAT.x)),
    ("y ~ np.where(x > 1, x, 0)", np.where(DAT.x > 1, DAT.x, 0)), ("y ~ special.expit(x)", 1 / (1 + np.exp(-DAT.x))),
    ("y ~ I(x**2)", DAT.x**2), ("y ~ I(-x + 3 * x**2)", -DAT.x + 3 * DAT.x**2), ("y ~ doubled(x)", 2 * DAT.x),
    ("y ~ doubled(log(x))", 2 * np.log(DAT.x)), ("y ~ center(x)", DAT.x - DAT.x.mean()),
    ("y ~ I(x > 1)", DAT.x > 1), ("y ~ I(g == 'b')", DAT.g == "b"), ("y ~ Q('reaction time')", DAT["reaction time"]),
    ("y ~ I(Q('reaction time')**2)", DAT["reaction time"]**2), ("y ~ lumped(g)", DAT.g != "a"),
    ("y ~ bs(x, df=3, degree=1, lower_bound=0, upper_bound=2021)", None), ("y ~ I(x + 2000)", DAT.x + 2000),
    ("y ~ C(g, Treatment('b'))", DAT.g == "c"), ("y ~ C(g, levels=['c', 'b', 'a'])", DAT.g == "a"),
])
def test_functions_that_work(form, expected):
    if expected is None:                        # that it is let through is all
        assert np.isfinite(column(form)).all()
        return
    assert_allclose(column(form), np.asarray(expected, float), rtol=1e-15)


@pytest.mark.parametrize("form", ["y ~ g", "y ~ x + g", "y ~ x + flag + g + n", "y ~ 0 + x", "y ~ 1", "y ~ g + flag", "y ~ 0 + g + x",
                                  "y ~ x:g", "y ~ g * x", "y ~ wide", "y ~ x + g + offset(n)", "y ~ iv", "y ~ day"])
def test_columns_by_hand_are_patsys(form):
    """Where terms are plain columns patsy is not asked; the columns, their names and their order are the same."""
    dat = pd.concat([DAT, DAT], ignore_index=True).assign(
        flag=[True, False, False] * 4, n=np.arange(12) ** 2, wide=pd.Categorical([3, 1, 2, 1, 2, 3] * 2, [3, 2, 1]))
    dat["x"] += np.arange(12) % 5
    dat["iv"] = pd.cut(dat["x"], 3)
    dat["day"] = pd.Categorical(pd.to_datetime(["2024-01-01", "2024-01-02"] * 6))
    setup = LMMsetup(form, dat)
    expected = dmatrix(form.split("~")[1].replace("+ offset(n)", ""), dat, return_type="dataframe")
    assert list(setup.design.x_names) == list(expected.columns)
    assert_array_equal(setup.design.X, expected)


def test_a_function_local_to_the_caller():
    def tripled(x):
        return 3 * x

    assert_array_equal(LMMsetup("y ~ tripled(x)", DAT).design.X[:, 1], 3 * DAT.x)


def test_a_function_local_to_the_caller_seen_from_a_nested_scope():
    def tripled(x):
        return 3 * x

    (setup,) = [LMMsetup("y ~ tripled(x)", dat) for dat in [DAT]]
    assert_array_equal(setup.design.X[:, 1], 3 * DAT.x)
    assert_array_equal((lambda dat: LMMsetup("y ~ tripled(x)", dat))(DAT).design.X[:, 1], 3 * DAT.x)


def test_a_column_may_be_named_like_a_function_of_a_module():
    dat = DAT.assign(log=DAT.x)
    assert_array_equal(LMMsetup("y ~ np.log(log)", dat).design.X[:, 1], np.log(DAT.x))
    assert_array_equal(LMMsetup("y ~ log", dat).design.X[:, 1], DAT.x)


def test_a_function_of_the_response():
    assert_array_equal(LMMsetup("log(y) ~ x", DAT, "g").design.y, np.log(DAT.y))


def test_functions_from_math_give_way_to_those_for_columns():
    from math import sqrt  # noqa: F401
    assert_array_equal(LMMsetup("y ~ sqrt(x)", DAT).design.X[:, 1], np.sqrt(DAT.x))


@pytest.mark.requirement("caller")
@pytest.mark.parametrize("form", ["y ~ outside", "y ~ x + outside", "y ~ log(outside)", "outside ~ x"])
def test_a_variable_of_the_caller_is_not_a_column(form):
    with pytest.raises(LMMError, match="'outside', which is not a column of dat; its columns are 'y', 'x', 'g'"):
        LMMsetup(form, DAT)


def test_a_column_before_a_variable_of_the_caller():
    x = np.zeros(6)             # noqa: F841 - must not be seen
    assert_array_equal(LMMsetup("y ~ x", DAT).design.X[:, 1], DAT.x)


def test_patsys_own_error_with_its_carets():
    with pytest.raises(PatsyError) as error:
        LMMsetup("y ~ x + (", DAT)
    assert "^" in str(error.value)


HOSTILE = [
    "__import__('os').system('touch {f}')", "os.system('touch {f}')", "subprocess.run(['touch', '{f}'])",
    "eval('open(\"{f}\", \"w\")')", "exec('open(\"{f}\", \"w\")')", "open('{f}', 'w')", "I(open('{f}', 'w'))",
    "Path('{f}').touch()", "x.to_csv('{f}')", "np.save('{f}', x)", "np.savetxt('{f}', x)", "np.memmap('{f}', 'f8', 'w+', 0, 9)",
    "np.lib.format.open_memmap('{f}')", "x.to_numpy().tofile('{f}')", "pd.read_pickle('{f}')", "x.values.tofile('{f}')",
    "[open('{f}', 'w') for i in [1]]", "(lambda: open('{f}', 'w'))()", "{{open('{f}', 'w')}}", "doubled.__globals__",
    "doubled.__globals__['os'].system('touch {f}')", "x.__class__", "().__class__.__bases__[0].__subclasses__()",
    "getattr(x, 'to_csv')('{f}')", "f'{{open(chr(102), chr(119))}}'", "Q('__builtins__')", "Q(chr(120))", "globals()", "vars()",
    "(y := open('{f}', 'w'))", "open('{f}', 'w') if x else x", "x[0]", "doubled(*x)", "doubled(**x)", "not x", "x and x",
    "9**9**9**9**9", "I(x * 9**9**9**9**9)", "'a' * 999999999999", "doubled('{f}')", "math.factorial(99999999)",
    "breakpoint()", "input()", "exit()", "help()", "print(x)", "os", "np", "math.log(x)", "x @ x", "x << 99999999", "~x",
    "C(g, doubled)", "C(os.system('touch {f}'))", "center(open('{f}', 'w'))", "I(lambda: x)", "numpy.load('{f}')", "{{1: x}}",
    "np.tile(x, 9)", "np.save(np.max(g), x)", "I(np.max(g) * 200000000000 == 'x')", "I(g + 1)", "doubled()", "I(g)",
    "bs(x, df=+2000)", "bs(x, df=100 * 20)", "bs(x, knots=x)", "9**doubled(x)", "x[0x" + "f" * 9000 + "]", "np.round(x, 300000000)",
    "round(x, -300000000)", "round(x, decimals=300000000)", "np.round(x, 3 * 100000000)", "round(x, 'a')", "bs(x, df='a')", "bs(x, degree=[3])",
    "np.where(x, x, x, out=x)", "optimize.broyden1(x, x)", "doubled(I('{f}'))", "doubled(C('{f}'))", "pytest.main(I(['{f}']))", "pytest.main()", "I('{f}')", "I([x])", "log(C(x))",
    "I(I(9)**I(9)**I(9)**I(9))", "I(I('a')*99999999999)", "I(I([1])*9999999999)", "bs(x, 200000)", "cr(x, df=20000)",
    "main()",
    "_number_78", "_column_78 + x", "_arithmetic(x)", "_arithmetic.__globals__", "c(open('{f}', 'w'))", "C(g, levels=c(open('{f}', 'w')))",
    "bs(x, knots=c(open('{f}', 'w')))", "poly(open('{f}', 'w'), 2)", "poly(x, degree=10**9)", "ns(x, df=200)", "ns(x, knots=c(" + "1, " * 200 + "2))",
    "`x`.to_csv('{f}')", "`x`(1)", "`os`.getcwd()", "x.to_csv", "\u4e00", "\u4e00(x)", "bs(x, df=\u4e00)", "Q(`x`)", "I(x ^ 9^9^9^9^9)", "9^9^9^9^9",
    "I(9^9^9^9^9)", "`open('{f}', 'w')`", "as.factor(open('{f}', 'w'))", "factor(os.system('touch {f}'))", "I(.)", "os$system", "x %in% os",
    "np.add(x, 1, os)", "np.random.seed(1)", "yield", "await x", "-" * 5000 + "x",
]


@pytest.mark.requirement("hostile")
@pytest.mark.parametrize("factor", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("form", ["y ~ {}", "y ~ x + I({})", "{} ~ x"])
def test_a_hostile_formula_is_refused_before_it_runs(factor, form, tmp_path, monkeypatch):
    monkeypatch.setattr("patsy.dmatrices", None)        # a TypeError if it is reached
    trace = tmp_path / "f"
    with pytest.raises((LMMError, PatsyError)) as error:
        LMMsetup(form.format(factor.format(f=trace)), DAT)
    assert "cannot be evaluated" not in str(error.value)
    assert not trace.exists() and not Path("f").exists() and math.pi == np.pi and numpy is np


@pytest.mark.parametrize("power", ["({})**22", "(({})**22)**1000000", "({})**1e400", "({})**9 * ({})**9 * ({})**9"])
def test_a_formula_cannot_stand_for_ever_so_many_terms(power):
    many = " + ".join(f"log(x + {i})" for i in range(22))
    power = power.replace("{}", many)
    with pytest.raises(LMMError, match="form stands for more than 1000 terms"):
        LMMsetup(f"y ~ {power}", DAT)


@pytest.mark.parametrize("power", ["x", "(x + g)", "-1", "(1 + 1)", "nan", "2.5", "0"])
def test_a_power_that_is_no_number_is_patsys_error(power):
    """This used to be a ValueError, or a TypeError, of float's."""
    with pytest.raises(PatsyError, match="requires a positive integer"):
        LMMsetup(f"y ~ (x + g)**{power}", DAT)


def test_a_function_called_round_is_the_users_own():
    def round(x, digits):
        return x + digits

    assert_array_equal(column("y ~ round(x, x)"), 2 * DAT.x)
    assert_array_equal(column("y ~ round(x, 200)"), DAT.x + 200)


@pytest.mark.parametrize("form, words", [
    ("y ~ x + (1 | g)", ["random effect written with '|'; name it in ref", "    y ~ x + (1 | g)\n            ^^^^^^^"]),
    ("y ~ x^2", ["write I(x**2) for a square, (a + b)**2 for interactions", "\n        ^^^"]),
    ("y ~ pytest.main()", ["calls 'pytest.main', which a formula may not"]),
    ("y ~ math.sqrt(x)", ["calls 'math.sqrt', which a formula may not; allowed are R's everyday functions"]),
    ("y ~ logg(x)", ["calls 'logg', which is no function known here"]),
    ("y ~ x.mean()", ["'x', which is no module"]),
    ("y ~ os.getcwd()", ["calls 'os.getcwd', which a formula may not"]),
    ("y ~ x z", ["is an operator missing?"]),
    ("y ~ round(x, 'a')", ["form holds \"'a'\" where a number is needed"]),
    ("y ~ bs(x, df=[3])", ["form holds '[3]' where a number is needed"]),
    ("y ~ bs(x, df=x)", ["form holds 'x'; a spline takes constants there"]),
    ("y ~ bs(x, df=101)", ["form holds 'bs(x, df=101)', which is too large: at most 100 degrees of freedom"]),
    ("y ~ round(x, 101)", ["form holds '101', which is too large"]),
    ("y ~ round(x, 10 * 30)", ["form holds '10 * 30'; round takes a constant there"]),
    ("y ~ _f(x)", ["form holds '_f'; a formula holds arithmetic, comparisons"]),
    ("y ~ _m.f(x)", ["form holds '_m'; a formula holds arithmetic"]),
    ("y ~ x.e", ["form takes an attribute of 'x', which is no module"]),
    ("y ~ log(log(x))(x)", ["form holds 'log(log(x))'; a formula holds"]),
    ("y ~ I(C(g))", ["form holds 'C(g)' within an expression; a coding stands by itself"]),
    ("y ~ log(g)", ["form uses 'g', which holds categories, where numbers are needed"]),
    ("y ~ I(2**3 * x)", ["form holds a power of constants; write its value"]),
    ("y ~ doubled(2)", ["form calls 'doubled(2)', which holds no column of dat"]),
])
def test_refusals_say_why_and_where(form, words):
    with pytest.raises(LMMError) as error:
        LMMsetup(form, DAT)
    for part in words:
        assert part in str(error.value)


def test_a_column_that_is_also_called():
    """This used to be refused."""
    assert_array_equal(LMMsetup("y ~ log(log)", DAT.assign(log=DAT.x)).design.X[:, 1], np.log(DAT.x))
