"""From the bars of lmer's formulas to terms: their groupings, effects and structures, before any model is made of them."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lmm import LMMError
from lmm.formula import (
    Formula,
    IndependentEffects,
    parse_bars,
    split_bars,
    with_bars_of,
    without_dots,
)
from lmm.model.columns import complete_rows, kind_of

N = 24
RNG = np.random.default_rng(0)
DAT = pd.DataFrame({
    "y": RNG.normal(size=N), "x": RNG.normal(size=N), "z": np.arange(N) % 5, "f": list("pqr") * 8, "h": list("uv") * 12,
    "g": np.repeat(list("abcd"), 6), "k": np.arange(N) // 4, "cs": RNG.normal(size=N)})


def terms_of(form, dat=DAT):
    """The terms of a formula, whose functions are the caller's."""
    frame = sys._getframe(1)

    def kind(name):
        return kind_of(dat[name])

    def formula(text, shown=None):
        return Formula(text, list(dat.columns), kind, frame, (), shown)

    return parse_bars(form, split_bars(form)[0], list(dat.columns), formula, kind)


def complete(term, dat=DAT):
    return complete_rows(dat, [*term.effects.predictors, "y"])[0]


def effects_of(term):
    """The values and the names of a term's effects."""
    values, names, offset = term.effects.evaluate_right(complete(term))
    assert not offset.any() and values.shape == (N, len(names))
    return values, list(names)


def ones_of(f):
    return (DAT.f == f).to_numpy(float)


ONE, X, Z = np.ones(N), DAT.x.to_numpy(), DAT.z.to_numpy(float)
OF_F = {f"f[{level}]": ones_of(level) for level in "pqr"}
OF_FX = {f"f[{level}]:x": ones_of(level) * X for level in "pqr"}

STRUCTURED = [
    # independent effects
    ("(x || g)", "x || g", "diagonal", {"Intercept": ONE, "x": X}),
    ("(x + z || g)", "x + z || g", "diagonal", {"Intercept": ONE, "x": X, "z": Z}),
    ("(1 + x + z||g)", "1 + x + z || g", "diagonal", {"Intercept": ONE, "x": X, "z": Z}),
    ("(0 + x + z || g)", "0 + x + z || g", "diagonal", {"x": X, "z": Z}),
    ("diag(0 + x + z | g)", "0 + x + z || g", "diagonal", {"x": X, "z": Z}),
    ("diag (x | g)", "x || g", "diagonal", {"Intercept": ONE, "x": X}),
    ("(0 + f || g)", "0 + f || g", "diagonal", OF_F),
    ("(f || g)", "f || g", "diagonal", {"Intercept": ONE, **OF_F}),
    ("(f - 1 || g)", "f - 1 || g", "diagonal", OF_F),
    ("diag(0 + f | g)", "0 + f || g", "diagonal", OF_F),
    ("(x + f || g)", "x + f || g", "diagonal", {"Intercept": ONE, "x": X, **OF_F}),
    ("(f:x || g)", "f:x || g", "diagonal", {"Intercept": ONE, **OF_FX}),
    ("(0 + f:x || g)", "0 + f:x || g", "diagonal", OF_FX),
    ("(0 + f * x || g)", "0 + f * x || g", "diagonal", {**OF_F, "x": X, **OF_FX}),
    ("(0 + f:h || g)", "0 + f:h || g", "diagonal",
     {f"f[{f}]:h[{h}]": ones_of(f) * (DAT.h == h) for h in "uv" for f in "pqr"}),
    ("(0 + x + x + z || g)", "0 + x + x + z || g", "diagonal", {"x": X, "z": Z}),
    ("(0 + I(x**2) + z || g)", "0 + I(x**2) + z || g", "diagonal", {"I(x ** 2)": X**2, "z": Z}),
    ("(0 + C(k) || g)", "0 + C(k) || g", "diagonal", {f"C(k)[{k}]": DAT.k == k for k in range(6)}),
    ("(0 + center(x) + f || g)", "0 + center(x) + f || g", "diagonal", {"center(x)": X - X.mean(), **OF_F}),
    # compound symmetry
    ("cs(0 + f | g)", "0 + f | g", "compound symmetry", OF_F),
    ("cs (0 + f|g)", "0 + f | g", "compound symmetry", OF_F),
    ("cs(f | g)", "f | g", "compound symmetry", {"Intercept": ONE, "f[T.q]": ones_of("q"), "f[T.r]": ones_of("r")}),
    ("cs(0 + x + z | g)", "0 + x + z | g", "compound symmetry", {"x": X, "z": Z}),
    ("cs(cs + x | g)", "cs + x | g", "compound symmetry", {"Intercept": ONE, "cs": DAT.cs, "x": X}),
    # as without a word
    ("us(x | g)", "x | g", "unstructured", {"Intercept": ONE, "x": X}),
    ("(f | g)", "f | g", "unstructured", {"Intercept": ONE, "f[T.q]": ones_of("q"), "f[T.r]": ones_of("r")}),
    ("us(0 + f | g)", "0 + f | g", "unstructured", OF_F),
    # one effect, for which there is no structure
    ("(0 + x || g)", "0 + x | g", "unstructured", {"x": X}),
    ("(x - 1 || g)", "x - 1 | g", "unstructured", {"x": X}),
    ("(0 + x:z || g)", "0 + x:z | g", "unstructured", {"x:z": X * Z}),
    ("cs(0 + x | g)", "0 + x | g", "unstructured", {"x": X}),
    ("(1 + x - x || g)", "1 + x - x | g", "unstructured", {"Intercept": ONE}),
]


@pytest.mark.parametrize("bar, shown, structure, effects", STRUCTURED, ids=[case[0] for case in STRUCTURED])
def test_structures_and_effects(bar, shown, structure, effects):
    (term,) = terms_of(f"y ~ x + {bar} + z")
    assert (term.variables, term.name, term.bar, term.structure) == (("g",), "g", shown, structure)
    values, names = effects_of(term)
    assert names == list(effects)
    expected = np.column_stack([np.asarray(column, float) for column in effects.values()])
    assert_allclose(values, expected, rtol=1e-15, atol=1e-15)           # but for the rounding of a mean
    assert isinstance(term.effects, IndependentEffects) == (structure == "diagonal")


@pytest.mark.parametrize("bar", ["(1 | g)", "(1 || g)", "us(1 | g)", "diag(1 | g)", "cs(1 | g)", "(1 + 1 || g)", "cs( 1|g )"])
def test_an_intercept_alone_needs_no_formula(bar):
    (term,) = terms_of(f"y ~ {bar}")
    assert (term.variables, term.effects, term.bar, term.structure) == (("g",), None, "1 | g", "unstructured")


@pytest.mark.parametrize("bar, shown", [
    ("(x || g/h)", ["x || g", "x || g:h"]), ("cs(0 + f | g/k)", ["0 + f | g", "0 + f | g:k"]),
    ("diag(f | g:(h/k))", ["f || g:h", "f || g:h:k"]), ("(1 || Q('g')/factor(h))", ["1 | g", "1 | g:h"]),
])
def test_nested_groupings_have_a_term_each(bar, shown):
    terms = terms_of(f"y ~ x + {bar}")
    assert [term.bar for term in terms] == shown
    assert terms[0].structure == terms[1].structure and terms[0].effects is terms[1].effects


def test_a_function_of_the_users_own_in_independent_effects():
    def twice(values):
        return 2 * values

    (term,) = terms_of("y ~ (0 + twice(x) + log(z) || g)")
    assert term.effects.functions == {"twice": twice, "log": np.log}
    assert term.effects.predictors == ("x", "z")
    assert_array_equal(term.effects.evaluate_right(complete(term))[0][:, 0], 2 * X)


@pytest.mark.parametrize("bar", ["(x + f || g)", "(center(x) + f:z || g)", "cs(0 + f | g)", "(0 + f + f:h || g)"])
@pytest.mark.parametrize("is_pickled", [False, True])
def test_effects_of_other_rows_are_coded_as_those_of_the_fit(bar, is_pickled):
    (term,) = terms_of(f"y ~ {bar}")
    data = complete(term)
    known, _ = effects_of(term)
    if is_pickled:
        term = pickle.loads(pickle.dumps(term))
    rows = [17, 3, 3, 8]
    new = {name: column.iloc[rows].reset_index(drop=True) for name, column in data.items() if name != "y"}
    values, offset = term.effects.columns_at(new, 4, data, known)
    assert_array_equal(values, known[rows])
    assert_array_equal(offset, np.zeros(4))


def test_effects_that_depend_on_all_rows_have_no_other_rows():
    (term,) = terms_of("y ~ (f + I(x - mean(x)) || g)")
    data = complete(term)
    with pytest.raises(LMMError, match="a function of all rows"):
        term.effects.columns_at(data, N, data, effects_of(term)[0])


def test_a_function_that_was_lost_on_the_way_is_named():
    def twice(values):
        return 2 * values

    (term,) = terms_of("y ~ (x + twice(z) || g)")
    data = complete(term)
    again = pickle.loads(pickle.dumps(term))
    with pytest.raises(LMMError, match="form uses the function 'twice', which is not kept in a file"):
        again.effects.columns_at(data, N, data, effects_of(term)[0])


NAMED = "us (correlated, as without a word), diag (independent, as with ||) or cs (compound symmetry)"


@pytest.mark.parametrize("form, words, culprit", [
    ("y ~ x + ar1(0 + f | g)", f"form holds the word 'ar1' before random effects; it may be {NAMED}", "ar1"),
    ("y ~ x + homcs (0 + f | g)", NAMED, "homcs"),
    ("y ~ x (1 | g)", "random effects are written (1 | g), joined by +", "x"),
    ("y ~ x + CS(0 + f | g) + z", NAMED, "CS"),
    ("y ~ x + cs(0 + f || g)", "form holds both 'cs' and '||', which says by itself that the effects are independent", "||"),
    ("y ~ x + us(f || g)", "form holds both 'us' and '||'", "||"),
    ("y ~ x + log(x | g)", "a bar within a function", "|"),
    ("y ~ x + np.log(x | g)", "a bar within a function", "|"),
    ("y ~ x + (cs(0 + f | g))", "a bar within another parenthesis or a function", "|"),
    ("y ~ x + cs(0 + f | g | h)", "two in one parenthesis", "|"),
    ("y ~ x * cs(0 + f | g)", "the random effects cs(0 + f | g) stand by themselves in the sum", "cs(0 + f | g)"),
    ("y ~ x - diag(f | g)", "cannot be subtracted; leave it out", "diag(f | g)"),
    ("y ~ x + cs(0 + f | g):x", "join what follows by +", "cs(0 + f | g)"),
    ("y ~ x + cs( | g)", "nothing stands on the left of the bar", "cs( | g)"),
    ("y ~ x + cs(0 | g)", "no random effect stands on the left of the bar", "cs(0 | g)"),
    ("y ~ x + (0 + pi || g)", "form holds 'pi', which is one value, not one per row; name a column of dat", "pi"),
    ("y ~ x + (x + w || g)", "form uses 'w', which is not a column of dat", "w"),
    ("y ~ x + cs(0 + f | G)", "form groups by 'G', which is not a column of dat; did you mean 'g'?", "G"),
    ("y ~ x + (1 | g:(h)", "a parenthesis that is not closed", "("),
    ("y ~ x + (1 | (g h))", "form lacks a name or an operator before 'h'", "h"),
    ("y ~ x + (1 | g(h))", "form holds '(' out of place in a grouping", "("),
    ("y ~ x + (1 | (g:))", "form holds ')' out of place in a grouping", ")"),
    ("y ~ x + (1 | factor())", "form holds ')' out of place in a grouping", ")"),
    ("y ~ x + (1 | factor h)", "form groups by 'factor', which is not a column of dat", "factor"),
])
def test_what_cannot_be_read_is_pointed_at(form, words, culprit):
    with pytest.raises(LMMError) as caught:
        terms_of(form)
    message = str(caught.value)
    assert words in message
    _, shown, carets = message.splitlines()
    assert shown == "    " + form
    assert shown[carets.index("^") : len(carets)] == culprit


@pytest.mark.parametrize("form, rest", [
    ("y ~ x + cs(0 + f | g)", "y ~ x"), ("y ~ diag (f | g) + x", "y ~ x"), ("y~us(1|g)", "y~1"),
    ("y ~ C(f, Treatment('cs(|)')) + cs (1 | g)", "y ~ C(f, Treatment('cs(|)'))"), ("y ~ cs + cs(1|g)", "y ~ cs"),
])
def test_the_rest_has_neither_bars_nor_their_words(form, rest):
    left = split_bars(form)[1]
    assert len(left) == len(form) and " ".join(left.split()) == rest


OLD = "y ~ x + Days + cs(0 + f | g) + (x || h)"


@pytest.mark.parametrize("form, new", [
    (". ~ . - cs(0 + f | g)", "y ~ x + Days + (x || h)"),
    (".~.-cs(0+f|g)", "y ~ x + Days + (x || h)"),
    (".~.-cs (0+f|g)-(x||h)", "y ~ x + Days"),
    (". ~ . - (x||h)", "y ~ x + Days + cs(0 + f | g)"),
    (". ~ . + diag(f | k)", "y ~ x + Days + cs(0 + f | g) + (x || h) + diag(f | k)"),
    (".~.-Days", "y ~ x + cs(0 + f | g) + (x || h)"),
    (".~.-Days+z", "y ~ x + z + cs(0 + f | g) + (x || h)"),
    (".~.-Days-(x||h)+us(1|k)", "y ~ x + cs(0 + f | g) + us(1|k)"),
    ("log(y)~.", "log(y) ~ x + Days + cs(0 + f | g) + (x || h)"),
    (".~z", "y ~ z"),
    (".~z+cs(f|g)", "y ~ z + cs(f|g)"),
    (".~cs(f|g)", "y ~ 1 + cs(f|g)"),
    ("y~1", "y~1"),
])
def test_dots_keep_bars_and_take_them_away(form, new):
    assert with_bars_of(form, OLD) == new


def test_bars_that_are_not_there_cannot_be_taken_away():
    message = r"has no random effects \(0 \+ f \| g\); it has cs\(0 \+ f \| g\), \(x \|\| h\)"
    with pytest.raises(LMMError, match=message):
        with_bars_of(". ~ . - (0 + f | g)", OLD)
    with pytest.raises(LMMError, match=r"the formula has no random effects \(1\|g\); it has none"):
        with_bars_of(".~z-(1|g)", OLD)


@pytest.mark.parametrize("form, new", [
    (".~.-Days", "y ~ x"), (". ~ . - Days", "y ~ x"), (".~.-x-Days", "y ~ 1"), (".~.+z", "y ~ x + Days + z"), (".~.-1", "y ~ 0 + x + Days"),
    ("log(y)~.", "log(y) ~ x + Days"), (".~I(x*.5)+.", "y ~ I(x * .5) + x + Days"), (".~C(f,Treatment('.'))", "y ~ C(f, Treatment('.'))"),
])
def test_dots_without_bars(form, new):
    assert without_dots(form, "y ~ x + Days") == new


@pytest.mark.parametrize("form, new", [
    (".~.+z", "y ~ 0 + x + z"), (".~.+1", "y ~ x"), (". ~ . + I(z + 1)", "y ~ 0 + x + I(z + 1)"), (".~.+(1+z)", "y ~ x + z"),
    (".~.-x", "y ~ 0"),
])
def test_an_intercept_comes_only_if_a_1_is_written(form, new):
    """That of I(z + 1) used to bring one."""
    assert without_dots(form, "y ~ 0 + x") == new
