"""Integers, true and false enter formulas as floats: what int64 would wrap around in silence is what it is by floats."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lmm import LMMsetup, lmer, lmm
from lmm.model import make_design

N = 60
RNG = np.random.default_rng(3)
DAT = pd.DataFrame({
    "y": RNG.normal(5, 1, N), "x": RNG.normal(size=N), "pop": RNG.integers(1, 9_000_000, N), "j": RNG.integers(1, 100, N),
    "flag": RNG.random(N) < 0.5, "f": RNG.choice(list("pqr"), N), "g": np.repeat(list("abcdef"), 10)})
FLOATS = DAT.assign(**{name: DAT[name].astype(float) for name in ("pop", "j", "flag")})

KINDS = {
    "int64, int64, bool": {},
    "nullable": {"pop": "Int64", "j": "Int8", "flag": "boolean"},
    "unsigned, small": {"pop": "uint64", "j": "int8"},
    "unsigned": {"pop": "uint32", "j": "uint8"},
    "objects": {"pop": object, "j": object, "flag": object},
}


def cube(values):
    return values**3


def codes(f):
    return f.cat.codes              # int8


def is_p(f):
    return f == "p"


ARITHMETIC = [
    # powers, products, sums
    "y ~ pop + I(pop**2) + I(pop**3)", "y ~ I(pop^3)", "y ~ I(pop**-1)", "y ~ I(j**-2) + pop", "y ~ I(pop * pop * pop)", "y ~ I(j * j)",
    "y ~ I(j + j + j)", "y ~ I(-j)", "y ~ I(pop // 3)", "y ~ I(pop % 7)", "y ~ I(1 / pop)", "y ~ I(abs(j - 50)**9)", "y ~ I(Q('pop')**3)",
    # products of columns
    "y ~ pop:j", "y ~ pop * j", "y ~ (pop + j + x)**3",
    # functions
    "y ~ np.power(pop, 3)", "y ~ np.square(j)", "y ~ np.maximum(pop, j)", "y ~ center(pop)", "y ~ scale(j)", "y ~ bs(pop, df=4)",
    "y ~ poly(j, 2)", "y ~ I(round(j)**9)", "y ~ cube(pop)", "y ~ cube(j)", "y ~ I(cube(j)**3)", "y ~ np.square(cube(pop))",
    # true and false
    "y ~ I(flag * pop)", "y ~ I(flag + flag)", "y ~ I(flag - 1)", "y ~ I(-flag)", "y ~ log(flag + 1)", "y ~ I(flag**2)", "y ~ I(flag)",
    "y ~ ifelse(flag, pop, j)", "y ~ 0 + I(flag * 1)", "y ~ cube(flag)",
    # the response, the offset
    "I(pop**3) ~ x", "I(j * j) ~ x", "I(flag * 2) ~ x", "y ~ x + offset(I(pop**3))", "y ~ x + offset(pop)", "pop ~ j",
]


def described(form, dat):
    design = LMMsetup(form, dat, "g").design
    return design.x_names, design.X, design.y, design.offset


@pytest.mark.requirement("integers")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("form", ARITHMETIC)
def test_arithmetic_is_that_of_floats(form, kind):
    names, *arrays = described(form, DAT.astype(kind))
    expected_names, *expected = described(form, FLOATS)
    assert names == expected_names
    for found, wanted in zip(arrays, expected):
        assert found.dtype == float
        assert_allclose(found, wanted, rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("bar", ["(I(pop**3) | g)", "(0 + pop * j | g)", "(pop:j || g)", "(0 + I(flag * pop) | g)", "(0 + cube(pop) + x || g)",
                                 "(poly(j, 2) || g)"])
def test_effects_of_bars_too(bar, kind):
    one, other = (make_design(f"y ~ x + {bar}", dat, bars=True) for dat in (DAT.astype(kind), FLOATS))
    assert one.labels == other.labels
    for block, expected in zip(one.blocks, other.blocks):
        assert_allclose(block.matrix.data, expected.matrix.data, rtol=1e-14)


@pytest.mark.requirement("integers")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("form", ["y ~ I(pop**3) + I(flag * j) + cube(j) + (1 | g)", "y ~ I(pop > 4000000) + C(j > 50) + flag + (1 | g)",
                                  "y ~ poly(j, 2) + I(pop**-1) + (I(flag * 1) | g)", "y ~ C(j > 30) * x + offset(I(j * j)) + (1 | g)"])
def test_predictions_are_those_of_the_fit(form, kind):
    """An int used to be one in the fit, and a float in new data."""
    dat = DAT.astype(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                     # of optima that are not certified, pop**3 being 1e20
        fit = lmer(form, dat)
    assert_allclose(fit.predict(dat.iloc[[3, 17]]), fit.fittedvalues.iloc[[3, 17]], rtol=1e-9)


def test_comparisons_in_arithmetic_count():
    """True + True is True in numpy, and -True an error."""
    for expression, expected in [("(x > 0) + (x > 1)", (DAT.x > 0) * 1.0 + (DAT.x > 1)), ("(x > 0) - (x > 1)", (DAT.x > 0) * 1.0 - (DAT.x > 1)),
                                 ("-(x > 0)", -1.0 * (DAT.x > 0)), ("(pop > 4000000) * pop", (DAT["pop"] > 4e6) * FLOATS["pop"]),
                                 ("is_p(f) + is_p(f)", 2.0 * (DAT.f == "p"))]:
        assert_array_equal(LMMsetup(f"y ~ I({expression})", DAT).design.X[:, 1], expected)


def test_whole_numbers_of_functions_are_floats_where_they_are_reckoned_with():
    """int8 codes to the power of 9, and where(...) of int constants."""
    f = DAT.f.map({"p": 0.0, "q": 1.0, "r": 2.0})
    for expression, expected in [("I((codes(f) + 5)**9)", (f + 5) ** 9), ("np.power(codes(f), 9)", f**9), ("I(codes(f) * 100)", f * 100),
                                 ("np.power(ifelse(x > 0, 1000000, 3), 4)", np.where(DAT.x > 0, 1e24, 81))]:
        assert_allclose(LMMsetup(f"y ~ {expression}", DAT).design.X[:, 1], expected, rtol=1e-15)


@pytest.mark.parametrize("form, names", [
    ("y ~ flag", ["flag[T.True]"]), ("y ~ 0 + flag", ["flag[False]", "flag[True]"]), ("y ~ flag * x", ["flag[T.True]", "x", "flag[T.True]:x"]),
    ("y ~ C(flag)", ["C(flag)[T.True]"]), ("y ~ I(pop > 4000000)", ["I(pop > 4000000)[T.True]"]), ("y ~ I(flag == True)", ["I(flag == True)[T.True]"]),
    ("y ~ I(flag == 1)", ["I(flag == 1)[T.True]"]), ("y ~ I(flag > 0)", ["I(flag > 0)[T.True]"]), ("y ~ is_p(f)", ["is_p(f)[T.True]"]),
    ("y ~ I(is_p(f))", ["I(is_p(f))[T.True]"]), ("y ~ np.isin(j, 3)", ["np.isin(j, 3)[T.True]"]),
])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_factors_and_comparisons_stay(form, names, kind):
    design = LMMsetup(form, DAT.astype(kind)).design
    assert [name for name in design.x_names if name != "Intercept"] == names
    if "flag" in form:
        assert_array_equal(design.X[:, names.index(names[0]) + ("Intercept" in design.x_names)],
                           DAT.flag == (names[0] != "flag[False]"))


def test_codings_of_integers_have_whole_labels():
    dat = DAT.assign(k=np.arange(N) % 3)
    assert LMMsetup("y ~ C(k)", dat).design.x_names == ("Intercept", "C(k)[T.1]", "C(k)[T.2]")
    assert LMMsetup("y ~ C(k, levels=[2, 1, 0]) + I(j**2)", dat).design.x_names[1:3] == tuple(f"C(k, levels=[2, 1, 0])[T.{k}]" for k in (1, 0))


def test_large_ids_are_compared_as_they_are():
    """Two of three neighbours above 2**53 are the same float."""
    dat = DAT.assign(id=2**53 + np.arange(N) % 3)
    assert LMMsetup("y ~ I(id == 9007199254740993)", dat).design.X[:, 1].sum() == N / 3


def test_functions_of_the_user_get_floats_which_are_read_only():
    seen = {}

    def note(**columns):
        seen.update(columns)
        return sum(columns.values())

    LMMsetup("y ~ note(pop=pop, j=j, flag=flag)", DAT)
    for name, column in seen.items():
        assert column.dtype == float
        assert_array_equal(column, FLOATS[name])
        with pytest.raises(ValueError, match="read-only"):
            column.iloc[:] = 0.0


def test_the_town_sizes_of_a_public_report():
    """A cubic in whole numbers up to 9 million: lme4's t values, where -0.07 was returned, certified."""
    rng = np.random.default_rng(1)
    dat = pd.DataFrame({"town": np.repeat([f"t{i}" for i in range(12)], 5), "pop": rng.integers(1_000, 9_000_000, 60)})
    m = dat["pop"] / 1e6
    dat["y"] = m - 0.1 * m**2 + 0.02 * m**3 + np.repeat(rng.normal(size=12), 5) + rng.normal(size=60) * 0.3
    fit = lmer("y ~ pop + I(pop**2) + I(pop^3) + (1 | town)", dat)
    assert_allclose(fit.tvalues, [-0.3773184098, 9.0788514161, -4.6402117255, 9.2064479975], rtol=1e-5)
    assert_allclose(fit.llf, -123.0043439, atol=1e-5)


def test_an_offset_and_weights_by_name_are_floats_too():
    one, other = (lmm("y ~ x", dat, "g", weights="j", offset="pop") for dat in (DAT.astype({"j": "int8"}), FLOATS))
    assert_allclose(one.params, other.params, rtol=1e-9)
