"""Polynomials and splines: R's values in the data and beyond, kept for predictions.

The numbers are those of R 4.2.2: ``poly``, ``splines::bs`` and ``splines::ns`` of x at its second value, and their ``predict`` at
NEW, the last two of which lie beyond the data. Those of models are lme4's.
"""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from patsy import build_design_matrices, dmatrix

from lmm import LMMError, LMMWarning, lmer, lmm, load_data

DAT = pd.DataFrame({"x": np.arange(23) * 7 % 23 / 4, "g": list("abcdefghij") * 2 + list("abc")})
DAT["y"] = np.sin(DAT.x) + np.arange(23) % 3
NEW = pd.DataFrame({"x": [2.3, -1.0, 8.0], "g": "a"})

OF_R = [
    ("poly(x, 2)", [
        [-0.12573892269239, -0.14877629969783],
        [-0.056582515211574, -0.21657578484584],
        [-0.47152096009645, 0.96173250876098],
        [0.66012934413503, 2.1094353921442],
    ]),
    ("poly(x, 4)", [
        [-0.12573892269239, -0.14877629969783, 0.23158869402141, -0.011593936190411],
        [-0.056582515211574, -0.21657578484584, 0.12532256756473, 0.17988091376018],
        [-0.47152096009645, 0.96173250876098, -2.0126160313765, 4.3154286777308],
        [0.66012934413503, 2.1094353921442, 6.9862589363124, 23.569644136806],
    ]),
    ("poly(x, 2, raw=TRUE)", [
        [1.75, 3.0625],
        [2.3, 5.29],
        [-1, 1],
        [8, 64],
    ]),
    ("bs(x, df=4)", [
        [0.5377535687453, 0.34973703981968, 0.06442524417731, 0],
        [0.38514199849737, 0.46421637866266, 0.14625995492111, 0],
        [-1.7700976709241, 0.24643125469572, -0.012021036814425, 0],
        [-0.18782870022539, 1.9909842223892, -7.7610818933133, 6.9579263711495],
    ]),
    ("bs(x)", [
        [0.44374530428249, 0.2070811419985, 0.032212622088655],
        [0.42467918858002, 0.30523816679189, 0.073129977460556],
        [-0.7618332081142, 0.11720510894065, -0.0060105184072126],
        [0.90157776108189, -2.8850488354621, 3.0773854244929],
    ]),
    ("bs(x, df=5, degree=2)", [
        [0.26446280991736, 0.69834710743802, 0.037190082644628, 0, 0],
        [0.053553719008265, 0.7201652892562, 0.22628099173554, 0, 0],
        [-2.2479338842975, 0.26446280991736, 0, 0, 0],
        [0, 0, 1.6528925619835, -8.595041322314, 7.9421487603306],
    ]),
    ("bs(x, knots=c(1, 3.5))", [
        [0.175, 0.58409090909091, 0.23257575757576, 0.0083333333333333, 0],
        [0.056424489795918, 0.50681245104102, 0.39336552829886, 0.043397530864198, 0],
        [-8.2244897959184, 1.2764378478664, -0.051948051948052, 0, 0],
        [0, -0.31565656565657, 3.6528479236813, -13.727816358025, 11.390625],
    ]),
    ("bs(x, df=5, intercept=TRUE)", [
        [0.048084147257701, 0.5377535687453, 0.34973703981968, 0.06442524417731, 0],
        [0.004381667918858, 0.38514199849737, 0.46421637866266, 0.14625995492111, 0],
        [2.5356874530428, -1.7700976709241, 0.24643125469572, -0.012021036814425, 0],
        [0, -0.18782870022539, 1.9909842223892, -7.7610818933133, 6.9579263711495],
    ]),
    ("bs(x, df=4, Boundary.knots=c(0.5, 4))", [
        [0.48469387755102, 0.40087463556851, 0.091107871720117, 0],
        [0.2291778425656, 0.49879883381924, 0.272, 2.332361516035e-05],
        [-6.9795918367347, 1.731778425656, -0.15743440233236, 0],
        [-2.9854227405248, 19.778425655977, -51.265306122449, 35.472303206997],
    ]),
    ("ns(x)", [
        [0.25511300364368],
        [0.33529137621741],
        [-0.14577885922496],
        [1.1662308737997],
    ]),
    ("ns(x, df=3)", [
        [-0.033912189914924, 0.53660696794162, -0.35773797862774],
        [0.14028269940726, 0.53342087247694, -0.3528651045664],
        [0.13829796895558, -0.41489390686673, 0.27659593791115],
        [-1.6038961038961, 0.72077922077922, 1.8831168831169],
    ]),
    ("ns(x, df=3, intercept=TRUE)", [
        [0.28140413046432, 0.42405332127526, -0.23975205139863],
        [0.41838443293335, 0.38801873018174, -0.16117251684042],
        [-0.93276313667029, 0.6972748152237, -0.4648498768158],
        [-1.0317508976507, 0.51909089314271, 1.5630303136624],
    ]),
    ("ns(x, knots=c(1, 3.5))", [
        [0.071064306308758, 0.53324554995108, -0.36340076535075],
        [0.25384745075854, 0.49683128287024, -0.31391567446572],
        [0.15961031714532, -0.5187335307223, 0.35912321357698],
        [-1.3759398496241, 0.7218045112782, 1.6541353383459],
    ]),
    ("ns(x, df=3, Boundary.knots=c(-2, 7))", [
        [0.048351327459387, 0.56454378889161, -0.34315406775764],
        [0.1937501477085, 0.53262891219964, -0.32249256689451],
        [-0.085515810909716, 0.23110879608065, -0.14047789565686],
        [-0.52902574457345, 0.44901564866229, 1.0800100959112],
    ]),
    ("ns(x, df=2, Boundary.knots=c(0.5, 4))", [
        [0.47343224463908, -0.25488291527931],
        [0.57070040005519, -0.19911027642163],
        [-0.65431717432455, 0.4362114495497],
        [-0.61424164093232, 3.6952087130025],
    ]),
]


def columns(fit, new):
    """X of new rows without the constant; warnings are not looked at here."""
    formula, data = fit.setup.design.formula, fit.setup.design.data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return formula.columns_at({"x": new.x}, len(new), data, fit.setup.design.X)[0][:, 1:]


@pytest.mark.parametrize("call, rows", OF_R, ids=[call for call, _ in OF_R])
def test_values_are_rs_in_the_data_and_beyond(call, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                     # some boundary knots are within the data
        fit = lmm("y ~ " + (f"{call} - 1" if "intercept=TRUE" in call else call), DAT)
    first = 0 if "intercept=TRUE" in call else 1
    assert_allclose(fit.setup.design.X[1, first:], rows[0], rtol=1e-11, atol=1e-13)
    if first:
        assert_allclose(columns(fit, NEW), rows[1:], rtol=1e-11, atol=1e-13)
        again = pickle.loads(pickle.dumps(fit))
        assert_allclose(columns(again, NEW), columns(fit, NEW), rtol=1e-14)


@pytest.mark.parametrize("call", ["bs(x, 4)", "bs(x, 5, degree=2)", "bs(x, 3, degree=1)", "bs(x, df=4, degree=0)", "bs(x, knots=[2, 2, 5])",
                                  "bs(x, df=6, include_intercept=True, lower_bound=-1, upper_bound=9)"])
def test_b_splines_are_patsys_where_patsy_has_them(call):
    fit = lmm(f"y ~ {call} - 1", DAT)
    expected = dmatrix(f"{call} - 1", DAT)
    assert_allclose(fit.setup.design.X, expected, rtol=1e-12, atol=1e-14)
    inside = DAT[["x"]].iloc[[3, 8]]
    assert_allclose(fit.setup.design.X[[3, 8]], build_design_matrices([expected.design_info], inside)[0], rtol=1e-12, atol=1e-14)


def test_orthogonal_polynomials_are_orthogonal_also_of_large_values():
    X = lmm("y ~ poly(x, 6)", DAT.assign(x=1e6 + 1e3 * DAT.x)).setup.design.X
    assert_allclose(X.T @ X, np.diag([23, 1, 1, 1, 1, 1, 1]), atol=1e-9)


def test_words_of_r_and_of_patsy_say_the_same():
    for one, other in [("bs(x, df=5, Boundary.knots=c(-1, 9))", "bs(x, df=5, lower_bound=-1, upper_bound=9)"),
                       ("bs(x, knots=c(1, 3), Boundary_knots=[-1, 9])", "bs(x, knots=[1, 3], lower_bound=-1, upper_bound=9)"),
                       ("poly(x, degree=2)", "poly(x, 2)"), ("poly(x, 3, raw=TRUE)", "x + I(x**2) + I(x^3)"), ("ns(x)", "ns(x, df=1)"),
                       ("bs(x)", "bs(x, df=3)"), ("bs(x, df=4, intercept=FALSE)", "bs(x, df=4)")]:
        X = [lmm(f"y ~ {call}", DAT).setup.design.X for call in (one, other)]
        assert_allclose(*X, rtol=1e-13, atol=1e-14)
    names = lmm("y ~ bs(x, df=3, Boundary.knots=c(-1, 9))", DAT).setup.design.x_names
    assert names[1] == "bs(x, df=3, Boundary.knots=c(-1, 9))[0]"


SLEEP = load_data("sleepstudy")
BEYOND = pd.DataFrame({"Days": [3.0, 12.0, -4.0], "Subject": ["308"] * 3})


@pytest.mark.parametrize("call, predicted, words", [
    ("bs(Days, df=4)", [321.4303069, 495.4092515, 388.9796447], "'bs(Days, df=4)' is evaluated at -4, beyond its boundary knots 0 and 9, "
                                                              "where the polynomial of the last piece goes on, as in R"),
    ("ns(Days, df=3)", [321.1483719, 426.2649820, 265.4753618], "'ns(Days, df=3)' is evaluated at -4, beyond its boundary knots 0 and 9, "
                                                              "where a straight line goes on, as in R; no data say that it does"),
    ("cr(Days, df=4) - 1", [321.1483719, 426.2649820, 265.4753618], "'cr(Days, df=4)' is evaluated at -4"),
    ("poly(Days, 3)", [321.3171022, 430.0000732, 278.0842312], None),
])
def test_predictions_beyond_the_data_are_lme4s_with_a_warning(call, predicted, words):
    """This used to end in "Patches accepted!". The line of lme4 for cr is that of ns, which is the same space."""
    fit = lmer(f"Reaction ~ {call} + (1 | Subject)", SLEEP)
    for model in fit, pickle.loads(pickle.dumps(fit)):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            found = model.predict(BEYOND)
        assert_allclose(found, predicted, rtol=1e-8)
        assert [warning.category for warning in seen] == [LMMWarning] * (words is not None)
        assert words is None or words in str(seen[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit.predict(BEYOND.iloc[[0]])


def test_effects_of_bars_too():
    fit = lmer("Reaction ~ ns(Days, df=2) + (ns(Days, df=2) || Subject)", SLEEP)
    assert_allclose(fit.predict(SLEEP.iloc[[5, 77]]), fit.fittedvalues.iloc[[5, 77]], rtol=1e-10)
    with pytest.warns(LMMWarning, match="beyond its boundary knots"):
        assert fit.predict(BEYOND).notna().all()


def test_lme4s_fixed_effects_of_polynomials():
    """lme4 1.1-31: fixef(lmer(Reaction ~ poly(Days, 2) + (Days | Subject)))."""
    beta = lmer("Reaction ~ poly(Days, 2) + (Days | Subject)", SLEEP).params
    assert beta.index.tolist() == ["Intercept", "poly(Days, 2)[0]", "poly(Days, 2)[1]"]
    assert_allclose(beta, [298.50789167, 403.36416786, 32.85578798], rtol=1e-8)


def test_boundary_knots_within_the_data_are_warned_of_once():
    with pytest.warns(LMMWarning, match=r"'ns\(x, df=3, Boundary.knots=c\(1, 3\)\)' is evaluated at 5.5, beyond") as seen:
        lmm("y ~ ns(x, df=3, Boundary.knots=c(1, 3))", DAT, "g")
    assert len(seen) == 1


@pytest.mark.parametrize("call, words", [
    ("poly(x, 23)", "a polynomial of degree 23 of a column with 23 distinct values, which has fewer degrees"),
    ("poly(x, 0)", "degree=0; that is a whole number, 1 or more"),
    ("poly(x, 1.5)", "degree=1.5; that is a whole number"),
    ("poly(x, 2, simple=True)", "form holds 'poly(x, 2, simple=True)'; poly takes x, degree, raw\n    y ~ poly"),
    ("poly(x, y, 2)", "form holds 'y'; a polynomial takes constants there"),
    ("poly(x, 200)", "which is too large: at most 100 degrees of freedom"),
    ("poly()", "poly takes x, degree, raw"),
    ("bs(x, df=2)", "a spline with df=2; it takes 3 or more"),
    ("bs(x, df=5, knots=[1])", "df=5, which means 2 knots, and others by knots="),
    ("bs(x, knots=[1, 99])", "the knots 1.0, 99.0, which are not all within its boundary knots, 0 and 5.5"),
    ("bs(x, lower_bound=9)", "the boundary knots 9 and 5.5; the first is to be below the second"),
    ("bs(x, Boundary.knots=3)", "the boundary knots 3; they are two numbers, [lower, upper]"),
    ("bs(x, degree=-1)", "degree=-1; that is a whole number, 0 or more"),
    ("ns(x, df=3, degree=2)", "ns takes x, df, knots, intercept, Boundary_knots"),
    ("ns(g, df=3)", "'g', which holds categories, where numbers are needed"),
    ("te(x, x)", "form holds 'te(x, x)'; te is of splines here, as in te(cr(x, df=4), cr(z, df=4))"),
])
def test_what_is_no_basis_is_said(call, words):
    with pytest.raises(LMMError) as error:
        lmm(f"y ~ {call}", DAT)
    assert words in str(error.value)
    assert "does not return numbers" not in str(error.value)
