"""Bad input: one table of (what was wrong, words of the message); nothing is changed by any of it."""

import numpy as np
import pandas as pd
import pytest

from lmm import LMMError, lmer, lmm


def complex_(x):
    return x + 1j


def good():
    return pd.DataFrame({"y": [1.0, 2.5, 2.0, 4.0, 3.0, 6.0, 5.5, 1.5], "x": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0],
                         "g": list("aabbccaa"), "h": list("uvuvuvuv"), "row": list("abcdefgh"), "same": ["s"] * 8})


def but(**columns):
    return good().assign(**columns)


BAD = [
    # the formula
    (dict(form="y ~ z"), "form uses 'z', which is not a column of dat; its columns are 'y', 'x', 'g', 'h', 'row', ... (6 in all)"),
    (dict(form="Y ~ x"), "form uses 'Y', which is not a column of dat; did you mean 'y'?"),
    (dict(form=None), "form is of type NoneType; it is a formula string"),
    (dict(form="~ x"), "form has no response: '~ x'; write it on the left"),
    (dict(form="x"), "form has no '~': 'x'; write response ~ fixed effects"),
    (dict(form="y = x"), "form has no '~'"),
    (dict(form=""), "form has no '~'"),
    (dict(form="1 ~ x"), "form has no response"),
    (dict(form="y + x ~ 1"), "the response is one column or one expression; write arithmetic as I(a - b)\n    y + x ~ 1\n    ^^^^^"),
    (dict(form="y - x ~ 1"), "write arithmetic as I(a - b)"),
    (dict(form="y + 1 ~ x"), "write arithmetic as I(a - b)"),
    (dict(form="y**2 ~ x"), "write arithmetic as I(a - b)"),
    (dict(form="y:x ~ 1"), "the response is one column"),
    (dict(form="y ~ x ~ g"), "the response is one column"),
    (dict(form="y ~ x**2"), "a power of one variable is that variable, in a formula; write I(x**2)"),
    (dict(form="y ~ g + -1"), "patsy does not read '+ -'; write '-'"),
    (dict(form="y ~ g - x.mean()"), "'x', which is no module"),
    (dict(form="y ~ log(x, 2)"), "form calls 'log', which takes 1 argument and no keywords"),
    (dict(form="y ~ (x + g + h + same) ** 9 * (x + g + h) ** 9 * (x + g + h) ** 9"), "form stands for more than 1000 terms"),
    (dict(form="y ~ same"), "'same' has one level, 's', so it cannot be a fixed effect"),
    (dict(form="y ~ a-b", dat=lambda d: d.rename(columns={"h": "a-b"})),
     "form uses 'a', which is not a column of dat; the column 'a-b' is written `a-b`"),
    (dict(form="y ~ Intercept", dat=lambda d: d.rename(columns={"x": "Intercept"})), "the column 'Intercept'"),
    (dict(form="y ~ complex_(x)"), "form cannot be evaluated"),
    (dict(form="np.max(y) ~ 1"), "the response 'np.max(y)' is one number, not one per row"),
    (dict(form="pi ~ 1"), "the response 'pi' is one number"),
    (dict(form="y ~ " + "x + " * 5000 + "x"), "form"),
    (dict(form="bs(y, 3) ~ 1"), "has 3 columns; it takes one"),
    (dict(form="y ~ (1 | g)"), "name it in ref instead"),
    (dict(form="y ~ x^2"), "write I(x**2) for a square, (a + b)**2 for interactions"),
    (dict(form="y ~ log(x - 1)"), "the column of X 'log(x - 1)' is nan in row 0 of dat, counted from 0; a function in form is not defined"),
    (dict(form="log(y - 1) ~ x"), "the response 'log(y - 1)' is -inf in row 0 of dat"),
    # ref
    (dict(ref="Wroker"), "ref[0] uses 'Wroker', which is not a column of dat; its columns are 'y', 'x'"),
    (dict(ref=["g", ["g", "z"]]), "ref[1] uses 'z', which is not a column of dat"),
    (dict(ref="g:z"), "ref[0] uses 'z'"),
    (dict(ref=None), "ref is None; ref is a list with one element per block"),
    (dict(ref=3), "ref is 3, of type int; ref is a list"),
    (dict(ref={"g"}), "of type set; ref is a list"),
    (dict(ref={"g": "h"}), "of type dict; ref is a list"),
    (dict(ref=["g", 3]), "ref[1] is 3, of type int"),
    (dict(ref=[["g", None]]), "ref[0][1] is None"),
    (dict(ref=[[["g"]]]), "ref[0][0] is ['g'], of type list"),
    (dict(ref=[[]]), "ref[0] is empty"),
    (dict(ref=["g", ()]), "ref[1] is empty"),
    (dict(ref=""), "ref[0] is empty"),
    (dict(ref=["g", "g"]), "ref[0] and ref[1] are the same block 'g'"),
    (dict(ref=["g:h", ["h", "g"]]), "ref[0] and ref[1] are the same block 'h:g'"),
    (dict(ref=[["g", "g"]]), "ref[0] names 'g' twice"),
    (dict(ref=["g", "y"]), "block 'y' is the response"),
    (dict(ref=["g", "copy"], dat=lambda d: d.assign(copy="level " + d.g)),
     "blocks 'g' and 'copy' are the same grouping, so their variances cannot be told apart; drop one of them"),
    (dict(ref=["g", ["g", "part"]], dat=lambda d: d.assign(part=d.g == "a")), "blocks 'g' and 'g:part' are the same grouping"),
    # dat
    (dict(dat=None), "dat is of type NoneType, not a pandas DataFrame; what a method with inplace=True changes it does not return"),
    (dict(dat={"y": [1]}), "form uses 'x', which is not a column of dat; its columns are 'y'"),
    (dict(dat={"y": [1.0, 2.0], "x": [1.0]}), "dat cannot be made a DataFrame: its column 'x' has 1 values, and 'y' has 2"),
    (dict(dat="good.csv"), "dat is the name of a file, 'good.csv'; read it first: dat = pd.read_csv('good.csv')"),
    (dict(dat=np.ones((8, 3))), "dat is of type ndarray, without names of columns"),
    (dict(form=good(), dat="y ~ x"), "the two are swapped: the formula comes first, then dat"),
    (dict(dat=good().iloc[:0]), "dat has no rows"),
    (dict(dat=but(x=np.nan)), "every row of dat has a missing value among 'y', 'x', 'g' ('x' misses 8 of 8)"),
    (dict(dat=pd.concat([good(), good()[["x"]]], axis=1)), "dat has 2 columns named 'x'; rename all but one"),
    (dict(dat=pd.concat([good(), good()[["x"]]], axis=1), form="y ~ I(x + 1)"), "dat has 2 columns named 'x'"),
    (dict(dat=but(x=pd.date_range("2020", periods=8))), "column 'x' is of type datetime64"),
    (dict(dat=but(g=pd.date_range("2020", periods=8))), "neither numbers nor categories"),
    (dict(dat=but(x=1j)), "column 'x' is of type complex128"),
    (dict(dat=but(x=[np.inf] + [1.0] * 7)), "column 'x' is inf in row 0 of dat"),
    (dict(dat=but(z=[1, 2, 3, -np.inf] * 2), ref=[["g", "z"]]), "column 'z' is -inf in row 3 of dat"),
    (dict(dat=but(x=pd.date_range("2020", periods=8).date)), "column 'x' is of type object, dates, neither numbers nor categories; count days, "
                                                            'with d = pd.to_datetime(dat["x"]): dat["x"] = (d - d.min()).dt.days'),
    (dict(dat=but(x=pd.to_timedelta(range(8), "D"))), "durations, neither numbers nor categories; count days"),
    (dict(dat=but(g=[1, "1"] * 4)), "column 'g' holds both numbers and text, such as 1 and '1'; make it all text"),
    (dict(dat=but(g=[[1]] * 8)), "column 'g' holds values that are neither numbers nor categories"),
    # the response
    (dict(dat=but(y=lambda d: d.y * 1e150)), "the response 'y' reaches 6e+150; rescale it"),
    (dict(dat=but(y=lambda d: d.y * 1e-150)), "the response 'y' reaches 6e-150; rescale it"),
    (dict(dat=but(y=np.nan)), "every row of dat has a missing value"),
    (dict(dat=but(y=list("abcdefgh"))), "the response 'y' is not numeric: its values are 'a', 'b', 'c', ...; it takes numbers"),
    (dict(dat=but(y=pd.Categorical(list("abcdabcd")))), "the response 'y' is not numeric"),
    (dict(dat=but(y=[True, False] * 4)), "the response 'y' is not numeric"),
    (dict(dat=but(y=[1.0, np.inf] * 4)), "column 'y' is inf in row 1 of dat"),
    (dict(dat=but(y=3.5)), "the response 'y' is constant (3.5 in every row)"),
    # X
    (dict(form="y ~ row"), "X has 8 columns for 8 observations"),
    (dict(form="y ~ g:row:h"), "X has 14 columns or more for 8 observations, from 'g' and 'row' and 'h'; turn it into numbers"),
    (dict(form="log(y) ~ x", ref=["g", ["g", "y"]]), "block 'g:y' is the response"),
    (dict(form="y ~ x + " + "x + " * 5000 + "x"), "characters; it may have 10000"),
    # blocks
    (dict(ref=["same"]), "block 'same' has one level, 's', so its variance cannot be estimated"),
    (dict(ref=["row"]), "block 'row' has 8 levels for 8 observations, so its variance cannot be told from the residual's"),
    (dict(ref=["g", ["row", "h"]]), "block 'row:h' has 8 levels for 8 observations"),
    (dict(dat=but(z=0.0), ref=[["g", "z"]]), "block 'g:z' is zero in every row"),
    (dict(dat=but(z=1e200, w=1e200), ref=[["g", "z", "w"]]), "block 'g:z:w' reaches inf; rescale 'z:w'"),
    (dict(dat=but(z=1e-200), ref=[["g", "z"]]), "block 'g:z' reaches 1e-200; rescale 'z'"),
    (dict(dat=but(**{"g:h": list("ppqqppqq")}), ref=["g:h", ["g", "h"]]), "ref[0] and ref[1] are the same block 'g:h'"),
    (dict(form="y ~ g", ref="g", reml=True), "block 'g' is contained in the fixed effects, so REML cannot estimate its variance"),
    (dict(reml="ML"), "reml is 'ML'; it is True or False"),
    (dict(ref="(1|g)"), "ref[0] is '(1|g)', but ref takes names of columns; for lmer's (1 | g) write \"g\""),
    (dict(ref=["g/h"]), 'for (1 | a/b) write "a" and ["a", "b"]'),
    (dict(form="y ~ x^3"), "a power of one variable is that variable, in a formula; write I(x**2) for a square"),
    (dict(form="y ~ x + (1 + x || g)"), "name it in ref instead"),
    (dict(start=[0.0, 0.0, 0.0]), "start is no theta: theta has shape (3,); it takes 2 numbers"),
    # perfect fits
    (dict(dat=but(y=lambda d: 1 + 2 * d.x)), "the fixed effects fit 'y' perfectly"),
    (dict(dat=but(y=lambda d: 1 + 2 * d.x), ref=()), "the fixed effects fit 'y' perfectly"),
    (dict(dat=but(y=lambda d: 0.1 + 0.7 * d.x + d.g.map({"a": 0.3, "b": 1.1, "c": 5.7}))),
     "the random effects 'g' fit 'y' perfectly, so the residual sd would be 0"),
]


@pytest.mark.requirement("mistakes")
@pytest.mark.parametrize("change, words", BAD, ids=[words[:60] for _, words in BAD])
def test_bad_input_is_an_error_that_says_what_to_mend(change, words):
    call = {"form": "y ~ x", "dat": good(), "ref": ["g"]} | change
    if callable(call["dat"]):
        call["dat"] = call["dat"](good())
    before = call["dat"].copy(deep=True) if isinstance(call["dat"], pd.DataFrame) else None
    with pytest.raises(LMMError) as error:
        lmm(**call)
    assert words in str(error.value)
    assert "\n" not in str(error.value) or "^" in str(error.value)       # one sentence, or carets under the culprit
    if before is not None:
        pd.testing.assert_frame_equal(call["dat"], before)


BAD_BARS = [
    ("y ~ x + (x - x - 1 | g)", {}, "(x - x - 1 | g) holds no random effect; for a random intercept write (1 | g)"),
    ("y ~ x + (offset(x) | g)", {}, "(offset(x) | g) holds an offset, which belongs to the fixed effects"),
    ("y ~ x + (log(x - 0.5) | g)", {}, "the random effect 'log(x - 0.5)' of log(x - 0.5) | g is -inf in some row; a function in it is not defined"),
    ("y ~ x + (x + I(2 * x) | g)", {}, "(x + I(2 * x) | g), 'Intercept', 'x', 'I(2 * x)', are linear combinations of each other"),
    ("y ~ x + (z | g)", {"z": lambda d: 1e6 + d.x}, "the random effect 'z' of (z | g) is nearly a combination of those before it, its values being so far from zero"),
    ("y ~ x + (z | g)", {"z": 0.0}, "block 'g:z' is zero in every row; leave it out"),
    ("y ~ x + (x | g) + (0 + x | g)", {}, "the effect 'x' of 'g' comes twice, so their variances cannot be told apart"),
    ("y ~ x + (1 | y)", {}, "block '1 | y' is the response, or an interaction with it"),
    ("y ~ x + (x | same)", {}, "block 'same' has one level, 's', so its variance cannot be estimated"),
]


@pytest.mark.parametrize("form, change, words", BAD_BARS, ids=[form for form, _, _ in BAD_BARS])
def test_bad_random_effects_of_a_formula(form, change, words):
    with pytest.raises(LMMError) as error:
        lmer(form, but(**change))
    assert words in str(error.value)


BAD_BY_ROW = [
    ("z", "is 'z', which is not a column of dat; its columns are 'y', 'x'"),
    ("g", "holds values that are no numbers; it is a column of dat, or one number for each of its rows"),
    ([1.0, 2.0], "has shape (2,); it takes 8 numbers, one for each row of dat"),
    ([1.0] * 7 + [np.inf], "is inf in row 7 of dat, counted from 0; it takes finite numbers"),
]


@pytest.mark.parametrize("name", ["weights", "offset"])
@pytest.mark.parametrize("given, words", BAD_BY_ROW)
def test_bad_numbers_by_row(name, given, words):
    with pytest.raises(LMMError) as error:
        lmm("y ~ x", good(), ["g"], **{name: given})
    assert f"{name} {words}" in str(error.value)


def test_weights_are_positive():
    with pytest.raises(LMMError, match="weights is -1 in row 2 of dat, counted from 0; weights are positive"):
        lmm("y ~ x", good(), ["g"], weights=[1, 1, -1, 1, 1, 1, 1, 1])


BAD_RESPONSES = [
    (list("abcdefg"), "y holds values that are no numbers"),
    (np.ones(5), "y has shape (5,); it takes 7 numbers, one for each row used"),
    ([1.0, 2.0, np.nan, 4.0, 5.0, 6.0, 7.0], "y[2] is nan; it takes finite numbers"),
    (np.ones(7), "the response 'y' is constant"),
    (pd.Series(np.arange(7.0), index=range(10, 17)), "the index of y is not that of dat; to go by position, give y.to_numpy()"),
]


@pytest.mark.parametrize("y, words", BAD_RESPONSES, ids=[words for _, words in BAD_RESPONSES])
def test_bad_responses_of_a_refit(y, words):
    fit = lmm("y ~ x", but(x=lambda d: d.x.where(d.index != 3)), ["g"])        # row 3 is left out
    with pytest.raises(LMMError) as error:
        fit.refit(y)
    assert words in str(error.value)


def test_a_covariate_far_from_zero_is_not_a_combination_of_the_intercept():
    assert lmm("y ~ x", but(x=lambda d: d.x + 1e7), ["g"]).converged


def test_a_perfect_fit_of_the_rows_by_as_many_random_effects_is_no_perfect_fit():
    """With p > n and Z of rank n every y lies in the span of Z; the likelihood is bounded all the same."""
    from helpers import crossed
    fit = lmm("y ~ 1", crossed((7, 6, 5), 10, 3), ["a", "b", "c"])
    assert np.isfinite(fit.llf) and fit.sigma > 0.01
