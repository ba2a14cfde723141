"""Formulas of plain names are read, and evaluated, without patsy: all that they say is as by patsy."""

import pickle
import re
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from patsy import PatsyError

from lmm import LMMError, LMMsetup, lmer
from lmm.formula import Formula, reading
from lmm.formula.reading import read_plain_names
from lmm.model.columns import complete_rows, kind_of

N = 12
DAT = pd.DataFrame({
    "y": np.arange(N) ** 2.0, "x": np.sin(np.arange(N)), "z": np.arange(N) % 5, "f": list("aabbcc") * 2,
    "flag": [True, False, False] * 4, "wide": pd.Categorical([3, 1, 2, 1, 2, 3] * 2, [3, 2, 1]), "log": np.cos(np.arange(N)),
    "day": pd.Categorical(pd.to_datetime(["2024-01-01", "2024-01-02"] * 6)), "_h": list("uvw") * 4, "nan": 1.5, "class": 2.5,
    "True": 3.5, "Intercept": 4.5, "reaction time": 5.5, "größe": 6.5, "x1": np.sqrt(np.arange(N)), "log(x)": list("pq") * 6,
})
NEVER = re.compile("(?!)")      # matches nothing

PLAIN = [
    "y ~ x", "y~x", " y  ~  x ", "y ~ 1", "y ~ 0", "y ~ 1 + x", "y ~ 0 + x", "y ~ 1+x+z", "y ~ x + x", "y ~ z + x + z", "y ~ y + x",
    "y ~ y", "y ~ f", "y ~ x + f", "y ~ f + x + flag + z", "y ~ 0 + f", "y ~ 0 + f + x", "y ~ 0 + x + f + flag + wide", "y ~ 0 + flag + x", "y ~ 0 + day + f", "y ~ wide", "y ~ day", "y ~ log",
    "log ~ x", "z ~ x", "y ~ _h + x1", "f ~ x", "flag ~ 1", "y ~ 0 + flag + f", "y ~ x                ",
]
NOT_PLAIN = [
    "y ~ x - 1", "y ~ x + 1", "y ~ x + 0", "y ~ -1 + x", "y ~ 0 + 1 + x", "y ~ x:z", "y ~ x * f", "y ~ log(x)", "y ~ (x)", "y ~ 2",
    "y ~ pi", "y ~ w", "w ~ x", "y ~ nan", "y ~ class", "y ~ True", "y ~ Intercept", "y ~ größe", "y ~ Q('x')", "y ~ 'x'", "y ~ x +",
    "y ~ + x", "y ~", "~ x", "1 ~ x", "y + x ~ 1", "y ~ x ~ z", "y x ~ z", "y ~ x z", "y ~ x.z", "y ~ x\n", "y ~ x # z", "y ~ 1x",
    "y ~ x + log(z)", "x", "", "y ~ " + " + ".join(["x"] * 101), "y ~ x" + " " * 10_000, None,
]


def formula_of(form, dat=DAT, shown=None):
    return Formula(form, list(dat.columns), lambda name: kind_of(dat[name]), sys._getframe(), (), shown)


def outcome(act):
    """What a function returns, or the kind and the words of its error."""
    try:
        return act()
    except (LMMError, PatsyError) as error:
        return type(error), str(error)


def answers(form, shown=None):
    """All that a formula says: of itself, of the data, of other data, and after it was pickled; arrays as lists."""
    formula = formula_of(form, shown=shown)
    data, _ = complete_rows(DAT, formula.variables)
    new = {name: data[name].iloc[[5, 2, 11]].reset_index(drop=True) for name in formula.variables}

    def right(one):         # patsy does not know how many rows the constant alone has
        return one.evaluate_right(data) if any(formula.summands) else one.evaluate(data)[1:]

    def elsewhere(one):
        return one.columns_at(new, 3, data, right(one)[0])

    said = [vars(formula) | formula.__getstate__() | {"places": None}, formula.summand_names()]
    for one in formula, pickle.loads(pickle.dumps(formula)):
        for method in one.evaluate, lambda _, one=one: right(one), lambda _, one=one: elsewhere(one), one.width:
            said.append(outcome(lambda method=method: as_lists(method(data))))
    return said


def as_lists(answer):
    if isinstance(answer, np.ndarray):
        return answer.tolist()
    return [as_lists(part) for part in answer] if isinstance(answer, tuple) else answer


def by_patsy(monkeypatch, act):
    """The same where patsy reads and evaluates every formula."""
    with monkeypatch.context() as patched:
        patched.setattr(reading, "PLAIN_FORMULA", NEVER)
        patched.setattr(Formula, "_plain_columns", lambda self, data: None)
        return act()


@pytest.mark.parametrize("form", PLAIN)
@pytest.mark.parametrize("is_shown", [False, True])
def test_plain_formulas_say_what_patsy_says(form, is_shown, monkeypatch):
    shown = form if is_shown else None
    assert read_plain_names(form, list(DAT.columns)) is not None
    with monkeypatch.context() as patched:
        patched.setattr("patsy.parse_formula.parse_formula", None)
        patched.setattr(reading, "parse_formula", None)
        assert formula_of(form, shown=shown)._description is None
    assert answers(form, shown) == by_patsy(monkeypatch, lambda: answers(form, shown))


@pytest.mark.parametrize("form", NOT_PLAIN, ids=lambda form: str(form)[:20])
def test_in_doubt_patsy_reads(form):
    assert read_plain_names(form, list(DAT.columns)) is None


WORDS = ["y", "x", "z", "f", "log", "pi", "nan", "class", "True", "Intercept", "w", "0", "1", "2", "+", "+", "+", "~", "-", ":", "(", ")", " "]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=8).map("".join), st.sampled_from(["y ~ ", "y~", ""]))
def test_whatever_is_written_patsy_agrees(words, start):
    """The same answers, or the same error with the same words and carets."""
    form = start + words
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert outcome(lambda: answers(form)) == by_patsy(monkeypatch, lambda: outcome(lambda: answers(form)))


def test_most_fits_never_ask_patsy(monkeypatch):
    for name in "ModelDesc", "dmatrix", "dmatrices":
        monkeypatch.setattr(f"patsy.{name}", None)
    monkeypatch.setattr(reading, "parse_formula", None)
    assert LMMsetup("y ~ x + f", DAT, "_h").design.x_names == ("Intercept", "f[T.b]", "f[T.c]", "x")
    assert LMMsetup("y ~ 0 + f", DAT, "_h").design.x_names == ("f[a]", "f[b]", "f[c]")
    assert lmer("y ~ x + (x | f)", DAT).beta.shape == (2,)


def test_a_call_is_not_the_column_that_is_called_like_it():
    """This used to take the column 'log(x)' that ref names, and the response from there too."""
    dat = DAT.assign(x=np.arange(1.0, N + 1), g=list("aabbccdd") + list("abcd"))
    slope = dat.assign(**{"log(x)": np.arange(N) % 3.0})
    setup = LMMsetup("y ~ log(x)", slope, [["g", "log(x)"]])
    assert_array_equal(setup.design.X[:, 1], np.log(dat.x))
    assert_array_equal(LMMsetup("log(x) ~ z", slope, [["g", "log(x)"]]).design.y, np.log(dat.x))


def test_an_unpickled_formula_is_the_formula():
    """It used to know every standard function, as if it had used them, and could not be evaluated."""
    formula = formula_of("y ~ I(x**2) + C(f, Treatment('b'))")
    again = pickle.loads(pickle.dumps(formula))
    assert again.functions == formula.functions and sorted(again.functions) == ["C", "I", "Treatment"]
    assert again.summand_names() == formula.summand_names() == ["Intercept", "I(x ** 2)", "C(f, Treatment('b'))"]
    data, _ = complete_rows(DAT, formula.variables)
    assert_array_equal(again.evaluate(data)[1], formula.evaluate(data)[1])
