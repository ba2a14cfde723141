"""Names as data have them: any column in any place of a model, its plain name in the labels, carets in the user's own text."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from patsy import PatsyError

from lmm import LMMError, LMMsetup, lmer, lmm
from lmm.formula.spelling import Spelling
from lmm.formula.text import is_name, ticked

N = 120
RNG = np.random.default_rng(3)
DAT = pd.DataFrame({
    "x": RNG.normal(size=N), "z": RNG.normal(size=N), "f": RNG.choice(list("pqr"), N), "g": np.repeat([f"s{i}" for i in range(12)], 10),
    "h": RNG.choice(list("uv"), N), "k": RNG.integers(0, 4, N), "w": RNG.random(N) + 0.5, "o": RNG.normal(size=N)})
DAT["y"] = DAT.x + np.repeat(RNG.normal(size=12), 10) + np.repeat(RNG.normal(size=12), 10) * DAT.x + RNG.normal(size=N)

NAMES = {
    "R's": dict(x="x.1", z="Sepal.Length", f="f_2", g=".g", h="h.", k="Country.of.birth", w="w.1", o="o.o", y="y_1.b"),
    "Python's words": dict(x="class", z="lambda", f="yield", g="is", h="not", k="and", w="or", o="if", y="def"),
    "Python's constants": dict(x="True", z="None", f="False", g="in", h="async", k="await", w="with", o="as", y="import"),
    "functions'": dict(x="log", z="center", f="C", g="I", h="factor", k="poly", w="Q", o="offset", y="np"),
    "of many scripts": dict(x="µg", z="größe", f="年龄", g="नाम", h="возраст", k="m²", w="gewicht.kg", o="ø", y="naïve"),
    "with blanks": dict(x="reaction time", z="Sepal Length", f="group name", g="Subject ID", h="h h", k="k  k", w="the weight", o=" o", y="y (mm)"),
    "with signs": dict(x="1B", z="a-b", f="it's", g="a|b", h="x~y", k="k:1", w="w%", o="$o", y="y/z"),
    "like formulas": dict(x="log(x)", z="a + b", f="f(x)", g="(1 | g)", h="0", k="k^2", w="1", o="o == o", y="y ~ x"),
}
FORMULAS = [
    "y ~ x + f + (1 | g)", "y ~ x * z + I(x^2) + (x | g)", "y ~ center(x) + f:h + (x || g) + (1 | g:h)",
    "log(y + 20) ~ C(k) + offset(o) + (0 + x | g) + (1 | g/h)", "y ~ poly(x, 2) + factor(k) + (1 | g)", "y ~ . + (1 | g)",
    "y ~ (x + z + f)^2 + (0 + f || g)", "y ~ I(k > 1) + np.exp(z) + (1 | factor(k))", "y ~ I(x * z - k^3) + cs(0 + h | g)",
]


def renamed(form, names):
    """A formula with other names for its columns."""
    return re.sub(r"\b([xzfghkwoy])\b(?!\()", lambda found: ticked(names[found.group()]), form)


@pytest.mark.parametrize("form", FORMULAS)
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_model_is_the_same_whatever_its_columns_are_called(form, names):
    dat = DAT.rename(columns=names)
    one = lmer(form, DAT, weights="w", reml=False)
    other = lmer(renamed(form, names), dat, weights=names["w"], reml=False)
    assert_allclose(other.params, one.params, rtol=1e-10)
    assert_allclose(other.theta, one.theta, rtol=1e-8)
    assert other.setup.design.response in (names["y"], f"log({names['y']} + 20)")

    # -- predictions, also of what was pickled
    new = dat.drop(columns=names["y"]).iloc[[5, 77]]
    for fit in other, pickle.loads(pickle.dumps(other)):
        assert_allclose(fit.predict(new), one.predict(DAT.iloc[[5, 77]]), rtol=1e-10)

    # -- updates
    new, old = (f". ~ . - {x} + I(abs({z})^3)" for x, z in [(ticked(names["x"]), ticked(names["z"])), ("x", "z")])
    assert_allclose(other.update(new).params, one.update(old).params, rtol=1e-8, atol=1e-10)
    assert_allclose(other.update(". ~ .").params, one.params, rtol=1e-8)

    # -- what is printed
    for show in str, repr, type(other)._repr_html_:
        assert show(other)
    assert names["g"] in str(other) or "factor(k)" in form


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_ref_weights_and_offset_take_a_name_with_backticks_or_without(names):
    dat = DAT.rename(columns=names)
    one = lmm("y ~ x", DAT, ["g", ["g", "x"]], weights="w", offset="o")
    for spell in str, ticked, "`{}`".format:
        g, x, w, o = (spell(names[name]) for name in "gxwo")
        other = lmm(renamed("y ~ x", names), dat, [g, [g, x]], weights=w, offset=o)
        assert_allclose(other.params, one.params, rtol=1e-10)
        assert other.sd.index.tolist() == [names["g"], f"{names['g']}:{names['x']}"]
        assert_allclose(other.predict(dat.iloc[[3]], interval="prediction"), one.predict(DAT.iloc[[3]], interval="prediction"), rtol=1e-8)
    joined = lmm(renamed("y ~ 1", names), dat, [f"`{names['g']}`:`{names['h']}`"])
    assert joined.sd.index.tolist() == [f"{names['g']}:{names['h']}"]


@pytest.mark.parametrize("form, labels", [
    ("y ~ class + yield", ["class", "yield"]), ("y ~ Sepal.Length:x", ["Sepal.Length:x"]), ("y ~ `reaction time`*x", ["reaction time", "x", "reaction time:x"]),
    ("y ~ µg", ["µg"]), ("y ~ \u03bcg", ["µg"]), ("y ~ cafe\u0301", ["café"]), ("y ~ `class` + class", ["class"]), ("y ~ np.pi", ["np.pi"]),
    ("y ~ I(np.e * x)", ["I(np.e * x)"]), ("y ~ log(log) + log", ["log(log)", "log"]), ("y ~ np.log(log)", ["np.log(log)"]),
    ("y ~ I(`reaction time`^2)", ["I(reaction time ** 2)"]), ("y ~ scale(Sepal.Length)", ["scale(Sepal.Length)"]),
    ("y ~ Q('reaction time')", ["Q('reaction time')"]), ("y ~ Q('reaction time'):x", ["Q('reaction time'):x"]), ("y ~ Q('µg')", ["Q('µg')"]),
    ("y ~ I(Sepal.Length > 0)", ["I(Sepal.Length > 0)[T.True]"]), ("y ~ `a b c`", ["a b c[T.q]"]), ("y ~ `x^2` + I(x^2)", ["x^2", "I(x ** 2)"]),
    ("y ~ C(Sum, Sum)", ["C(Sum, Sum)[S.p]"]), ("y ~ None + True", ["None", "True"]), ("y ~ pi + I(pi * x)", ["pi", "I(pi * x)"]),
    ("y ~ x\N{NO-BREAK SPACE}+ class", ["x", "class"]), ("  y ~\n x", ["x"]), ("y ~ x + Q('x')", ["x"]),
])
def test_labels_show_plain_names(form, labels):
    rng = np.random.default_rng(0)
    numbers = ["y", "x", "class", "yield", "Sepal.Length", "reaction time", "µg", "café", "np.pi", "x^2", "None", "True", "pi"]
    dat = pd.DataFrame(rng.normal(size=(30, len(numbers))), columns=numbers).assign(log=rng.random(30) + 1)
    dat["a b c"] = dat["Sum"] = list("pq") * 15
    design = LMMsetup(form, dat).design
    assert list(design.x_names) == ["Intercept", *labels]
    if labels == ["µg"]:
        assert_array_equal(design.X[:, 1], dat["µg"])


def test_of_two_names_that_look_alike_each_means_itself():
    dat = DAT.assign(**{"µg": DAT.x, "\u03bcg": DAT.z})
    assert_array_equal(LMMsetup("y ~ µg", dat).design.X[:, 1], DAT.x)
    assert_array_equal(LMMsetup("y ~ \u03bcg", dat).design.X[:, 1], DAT.z)
    with pytest.raises(LMMError, match="form uses '\uff58', which is not a column of dat"):
        LMMsetup("y ~ \uff58", DAT)                         # a wide x, which Python reads as x


def test_a_column_wins_over_a_module_but_not_where_it_is_called():
    from math import e  # noqa: F401
    dat = DAT.assign(**{"np.e": DAT.z, "sqrt": DAT.x**2, "math": DAT.x})
    assert_array_equal(LMMsetup("y ~ np.e", dat).design.X[:, 1], DAT.z)
    assert_array_equal(LMMsetup("y ~ I(np.pi * math)", dat).design.X[:, 1], np.pi * DAT.x)
    assert_allclose(LMMsetup("y ~ sqrt(sqrt)", dat).design.X[:, 1], abs(DAT.x))
    assert_allclose(LMMsetup("y ~ np.sqrt(sqrt) + sqrt", dat).design.X[:, 1], abs(DAT.x))


def test_a_function_with_a_name_of_its_own_script():
    def größe(x):
        return 2 * x

    assert_array_equal(LMMsetup("y ~ größe(größe)", DAT.assign(größe=DAT.x)).design.X[:, 1], 2 * DAT.x)


ODD = DAT.rename(columns={"x": "a-b", "z": "Sepal.Length", "k": "1B", "o": "my col", "f": "class"})


@pytest.mark.parametrize("form, words, culprit", [
    ("y ~ Sepal.Lenght", "form uses 'Sepal.Lenght', which is not a column of dat; did you mean 'Sepal.Length'?", "Sepal.Lenght"),
    ("y ~ sepal.length + w", "did you mean 'Sepal.Length'?", "sepal.length"),
    ("y ~ `my cal`", "form uses 'my cal', which is not a column of dat; did you mean 'my col'?", "`my cal`"),
    ("y ~ my col + w", "form cannot be read here; the column 'my col' is written `my col`", "my col"),
    ("my col ~ w", "the column 'my col' is written `my col`", "my col"),
    ("y ~ a-b", "form uses 'a', which is not a column of dat; the column 'a-b' is written `a-b`", "a"),
    ("y ~ 1B", "the column '1B' is written `1B`", "1B"),
    ("y ~ w + klass", "form uses 'klass', which is not a column of dat; did you mean 'class'?", "klass"),
    ("y ~ class + w + log(`my col`, 2)", "form calls 'log', which takes 1 argument and no keywords", "log(`my col`, 2)"),
    ("y ~ Sepal.Length + I(class + 1)", "form uses 'class', which holds categories, where numbers are needed", "I(class + 1)"),
    ("y ~ `my col` + lgo(Sepal.Length)", "form calls 'lgo', which is no function known here", "lgo(Sepal.Length)"),
    ("y ~ `my col` + w.x", "form uses 'w.x', which is not a column of dat", "w.x"),
    ("y ~ `my col", "form holds a backtick that is not closed", "`my col"),
    ("y ~ `my col`w", "form cannot be read here; is an operator missing? A column whose name holds blanks", "`my col`"),
    ("y ~ w`my col`", "form cannot be read here; is an operator missing?", "`my col`"),
    ("y ~ `my col``my col`", "form cannot be read here; is an operator missing?", "`my col`"),
    ("y ~ Sepal.Length (w + h)", "form calls 'Sepal.Length', which is a column of dat; is an operator missing?", "Sepal.Length (w + h)"),
    ("y ~ `my col` w", "form cannot be read here", "`my col` w"),
    ("y ~ class class", "form cannot be read here", "class class"),
    ("   y ~ class + v", "form uses 'v', which is not a column of dat", "v"),
    ("y ~ `my col`**2", "write I(my col**2) for a square", "`my col`**2"),
    ("`my col` + y ~ w", "the response is one column or one expression", "`my col` + y"),
    ("y ~ class + (1 | `my group`)", "form groups by 'my group', which is not a column of dat", "`my group`"),
    ("y ~ class + (0 + Sepal.Width | g)", "form uses 'Sepal.Width', which is not a column of dat; did you mean 'Sepal.Length'?", "Sepal.Width"),
])
def test_carets_point_into_the_users_own_text(form, words, culprit):
    with pytest.raises(LMMError) as caught:
        (lmer if "|" in form else lmm)(form, ODD)
    message, shown, carets = str(caught.value).splitlines()
    assert words in message
    assert shown == "    " + form
    assert shown[carets.index("^") : len(carets)] == culprit


@pytest.mark.parametrize("form, message, culprit", [
    ("`my col` ~ class + (", "expected a noun, but instead the expression ended", ""),
    ("  y ~ `my col` * 1", "intercept term cannot interact with anything else", "1"),
    ("y ~ (class + Sepal.Length)**h", "'**' requires a positive integer", "h"),
])
def test_so_do_patsys(form, message, culprit):
    with pytest.raises(PatsyError) as caught:
        lmm(form, ODD)
    said, shown, carets = str(caught.value).splitlines()
    assert said == message and shown == "    " + form
    if culprit:
        assert shown[carets.index("^") : len(carets)] == culprit


def test_errors_in_functions_are_pointed_at_too():
    def fail(x):
        raise RuntimeError("no")

    with pytest.raises(PatsyError, match=r"RuntimeError: no\n    y ~ `my col` \+ fail\(Sepal.Length\)\n {19}\^{18}"):
        lmm("y ~ `my col` + fail(Sepal.Length)", ODD)


def test_names_that_are_no_strings():
    numbered = DAT[["y", "x", "g"]].set_axis([0, 1, 2], axis=1)
    advice = r"its columns are 0, 1, 2, names that are no strings; make them strings: dat.columns = dat.columns.map\(str\)"
    for form in "y ~ x", "`0` ~ 1":
        with pytest.raises(LMMError, match=advice):
            lmm(form, numbered)
    with pytest.raises(LMMError, match=r"ref\[0\] is 2, a column whose name is no string; make it one: dat.columns = dat.columns.map\(str\)"):
        lmm("y ~ 1", DAT.rename(columns={"g": 2}), [2])
    with pytest.raises(LMMError, match=r"a lone '.', for the other columns of dat; its columns are .* names that are no strings"):
        lmm("y ~ .", DAT.rename(columns={"g": 2}))
    as_text = numbered.set_axis(numbered.columns.map(str), axis=1)
    assert_allclose(lmm("`0` ~ `1`", as_text, "2").params, lmm("y ~ x", DAT, "g").params)


def test_two_columns_of_one_label():
    dat = DAT.assign(**{"x:z": DAT.o})
    with pytest.raises(LMMError, match="form has two columns of X that are called 'x:z', one of them by the name of a column of dat; rename that"):
        lmm("y ~ x:z + `x:z`", dat)


@pytest.mark.parametrize("text, answer", [
    ("x", True), ("x.1", True), (".x", True), ("..x", True), ("_x", True), ("x.", True), ("größe", True), ("नाम", True), ("m²", True),
    ("class", True), ("a b", False), ("1x", False), (".1x", False), ("a-b", False), ("", False), (".", False), ("a\N{NO-BREAK SPACE}b", False), ("a`b", False),
])
def test_names_that_need_no_backticks(text, answer):
    assert is_name(text) == answer


def test_the_two_spellings_are_as_long_as_each_other_and_go_back():
    form = "log(`a b`)^2 ~ class*Sepal.Length + np.log(np) + C(f, Treatment('a b')) + 1e-5*x.1 + 年 + f(Boundary.knots=2) - ."
    columns = ["a b", "class", "Sepal.Length", "np", "f", "x.1", "年"]
    spelling = Spelling(form, form, columns)
    assert len(spelling.text) == len(form)
    assert spelling.written(spelling.text) == form
    assert spelling.plain(spelling.text) == form.replace("`a b`", "a b")
    for name in columns:
        assert spelling.column(spelling.named(name)) == name
    assert spelling.text.isidentifier() is False and "class" not in spelling.text and "log(" in spelling.text
