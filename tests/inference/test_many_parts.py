"""Many responses: what goes together and what does not, and what is given in other forms."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from inference.test_many import DAYS, MODELS, held_to, responses
from numpy.testing import assert_allclose
from scipy import sparse

from lmm import LMMError, LMMResult, LMMWarning, lmer, lmer_many, lmm, lmm_many, load_data
from lmm.inference.batches import Batches


def design(seed=0, n=48):
    """Two crossed groupings, one more with few levels, a factor and a covariate."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "g": [f"g{i // 6}" for i in range(n)],
        "h": [f"h{i % 8}" for i in range(n)],
        "s": [f"s{i // 2 % 4}" for i in range(n)],
        "f": list("abc") * (n // 3),
        "x": rng.normal(size=n),
    })


def drawn(dat, m, seed=1):
    rng = np.random.default_rng(seed)
    levels = pd.factorize(dat["g"])[0]
    return pd.DataFrame(
        rng.normal(size=(len(dat), m)) + rng.normal(size=(levels.max() + 1, m))[levels],
        columns=list("abcdefghij")[:m],
    )


def by_lmer(formula, dat, fits, Y, names=None):
    """That these responses have the numbers of lmer's fits of them alone."""
    for name in Y.columns if names is None else names:
        held_to(fits, name, lmer(f"y {formula}", dat.assign(y=Y[name])))


# -- what does not go together ----------------------------------------------------------------------------------

@pytest.mark.parametrize("draw", [
    lambda rng, n: rng.standard_normal(n),
    lambda rng, n: rng.random(n),
    lambda rng, n: np.arange(n, dtype=float),
    lambda rng, n: np.arange(n, dtype=float) ** 2,
])
def test_no_covariate_is_the_response_that_stands_for_all(draw):
    dat = design().assign(x=draw(np.random.default_rng(0), 48))
    Y = drawn(dat, 2)
    by_lmer("~ x + (1 | g)", dat, lmer_many("~ x + (1 | g)", dat, Y), Y)


LOST = [
    ("~ f + (1 | g)", "f", "b", "no fixed effect 'f\\[T.b\\]'"),
    ("~ x + (0 + f | g)", "f", "b", "no random effect 'g:f\\[b\\]'"),
    ("~ x + cs(0 + f | g)", "f", "b", "no random effect 'g:f\\[b\\]'"),
    ("~ x + (0 + f || g)", "f", "b", "no random effect 'g:f\\[b\\]'"),
    ("~ x + (1 | g) + (0 + f || s)", "f", "b", "no random effect 's:f\\[b\\]'"),
]


@pytest.mark.parametrize("formula, column, level, words", LOST)
def test_a_level_that_a_response_has_not_is_named(formula, column, level, words):
    dat = design()
    Y = drawn(dat, 3)
    Y.loc[dat[column] == level, "b"] = np.nan
    fit = lmer(f"a {formula}", dat.assign(a=Y["a"]))
    for fits in (lmer_many(formula, dat, Y), fit.refit(Y)):
        assert list(fits.failed) == ["b"]
        assert re.search(words, fits.failed["b"])
        by_lmer(formula, dat, fits, Y, ["a", "c"])
    with pytest.warns(LMMWarning, match="the rows that are left have no"):
        without = fit.influence(column)
    assert without["cooks_distance"].isna().all()


@pytest.mark.parametrize("formula", ["~ x + (1 | g)", "~ x + (1 | g) + (1 | h)", "~ x + (1 | g) + (1 | h) + (1 | s)"])
def test_one_level_that_is_left_is_none_to_have_a_variance(formula):
    dat = design()
    Y = drawn(dat, 3)
    Y.loc[dat["g"] != "g1", "b"] = np.nan
    fits = lmer_many(formula, dat, Y)
    assert "one level, 'g1'" in fits.failed["b"]
    by_lmer(formula, dat, fits, Y, ["a", "c"])


def test_one_level_of_many_rows():
    dat = design().assign(g=np.repeat(["g0", "g1", "g2"], 16))
    Y = drawn(dat, 2)
    Y.loc[dat["g"] != "g1", "b"] = np.nan
    for fits in (lmer_many("~ x + (1 | g)", dat, Y), lmm_many("~ 0 + x", dat, "g", Y)):
        assert "one level, 'g1'" in fits.failed["b"]


def test_effects_that_are_one_for_some_rows():
    """x is 1 or -1; where it is 1 alone the intercept and the slope of a level are the same."""
    rng = np.random.default_rng(6)
    dat = design(n=96).assign(x=rng.choice([-1.0, 1.0], 96))
    Y = drawn(dat, 3)
    Y.loc[dat["x"] < 0, "b"] = np.nan
    fits = lmer_many("~ 1 + (x || g)", dat, Y)
    assert list(fits.failed) == ["b"]
    by_lmer("~ 1 + (x || g)", dat, fits, Y, ["a", "c"])


def test_two_groupings_that_are_one_for_some_rows():
    dat = pd.DataFrame({"g": [f"g{i // 4}" for i in range(32)], "h": [f"h{i // 4 if i < 16 else 4 + i % 4}" for i in range(32)]})
    rng = np.random.default_rng(3)
    Y = pd.DataFrame(rng.normal(size=(32, 6)), columns=list("abcdef"))
    Y.loc[16:, "b"] = np.nan                        # g and h are the same before
    Y.loc[3, "c"] = np.nan
    Y.loc[[5, 20], "d"] = np.nan
    formula = "~ 1 + (1 | g) + (1 | h)"
    fits = lmer_many(formula, dat, Y)
    assert list(fits.failed) == ["b"]
    by_lmer(formula, dat, fits, Y, list("acdef"))


@pytest.mark.parametrize("effect", ["center(x)", "scale(x)", "poly(x, 2)", "bs(x, df=4)", "I(x - np.mean(x))"])
def test_what_depends_on_all_rows_is_made_of_those_of_each_response(effect):
    dat = design()
    Y = drawn(dat, 4)
    Y.iloc[:9, 1] = np.nan
    Y.iloc[20, 2] = np.nan
    formula = f"~ {effect} + (1 | g)"
    fits = lmer_many(formula, dat, Y)
    assert fits.alone == ("b", "c")
    by_lmer(formula, dat, fits, Y)
    for name in Y:
        assert_allclose(fits[name].params, fits.params.loc[name], rtol=1e-6)


def test_random_effects_that_depend_on_all_rows_too():
    dat = design()
    Y = drawn(dat, 2)
    Y.iloc[:5, 0] = np.nan
    fits = lmer_many("~ x + (scale(x) | g)", dat, Y)
    assert fits.alone == ("a",)
    by_lmer("~ x + (scale(x) | g)", dat, fits, Y)


def test_what_is_made_row_by_row_goes_together():
    dat = design()
    Y = drawn(dat, 3)
    Y.iloc[:5, 0] = np.nan
    for formula in ("~ np.log(x + 9) + (1 | g)", "~ x * f + (1 | g)", "~ I(x ** 2) + C(f) + (1 | g) + (1 | h)"):
        fits = lmer_many(formula, dat, Y)
        assert fits.alone == ()
        by_lmer(formula, dat, fits, Y)


@pytest.mark.parametrize("formula", ["~ 1 + (x + z | g)", "~ 1 + (x + z || g)"])
def test_three_effects_of_few_rows_go_alone(formula):
    """A coarse grid of their thetas misses optima: by 1.3 (n = 16), 49 (n = 18), 3.3 (n = 27)."""
    rng = np.random.default_rng(2)
    dat = design(n=24).assign(z=rng.normal(size=24))
    Y = drawn(dat, 3)
    fits = lmer_many(formula, dat, Y)
    assert fits.alone == ("a", "b", "c")
    many = pd.concat([dat, dat, dat, dat], ignore_index=True)
    Z = rng.normal(size=(len(many), 2))
    Z[:60, 1] = np.nan                                  # 36 rows are left
    together = lmer_many(formula, many, Z)
    assert together.alone == (1,)


def test_replicates_that_go_alone_search_as_the_fit_did():
    """X and Z have as many columns as there are rows: each replicate has the optimum of its own fit."""
    rng = np.random.default_rng(8)
    dat = pd.DataFrame({"g": list("aabbccdd"), "h": list("abcdabcd"), "y": rng.normal(size=8)})
    fit = lmer("y ~ 1 + (1 | g) + (1 | h)", dat)
    assert Batches(fit.setup, fit.plan).family is None
    Y = fit.simulate(12, seed=4)
    found = fit.bootstrap(12, seed=4).replicates["sd", "sigma"]
    expected = [lmer("y ~ 1 + (1 | g) + (1 | h)", dat.assign(y=Y[b].to_numpy())).sigma for b in Y]
    assert_allclose(found.to_numpy().ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("unit", [1e6, 1e5, 3e4, 1e-6])
@pytest.mark.parametrize("values", [[1, 2, 3], [-1, 0, 1]])
def test_the_unit_of_a_covariate_is_of_no_consequence(values, unit):
    """Balanced and crossed, so that V is diagonal in a basis: a term is none for being in other units."""
    dat = pd.DataFrame([(f"g{i}", f"h{j}", k) for i in range(6) for j in range(5) for k in range(3)], columns=list("ghk"))
    dat["x"] = np.array(values)[dat["k"]] * unit
    rng = np.random.default_rng(4)
    slopes = rng.normal(size=(5, 3))[pd.factorize(dat["h"])[0]]
    Y = drawn(dat, 3) + slopes * dat[["x"]].to_numpy() / unit
    formula = "~ x + (1 | g) + (0 + x | h)"
    fits = lmer_many(formula, dat, Y)
    assert fits.alone == ()
    for name in Y:
        single = lmer(f"y {formula}", dat.assign(y=Y[name]))
        assert abs(fits.llf[name] - single.llf) < 1e-8
        assert_allclose(fits.sd.loc[name], single.sd, rtol=1e-6)
        assert_allclose(fits.pvalues.loc[name], single.pvalues, rtol=1e-4)
    assert single.prove().proved


# -- sparse responses -------------------------------------------------------------------------------------------

FORMULAS = {
    "one grouping": "~ x + (1 | g)",
    "slopes": "~ x + (x | g)",
    "crossed": "~ x + (1 | g) + (1 | h)",
    "three": "~ x + (1 | g) + (1 | h) + (1 | s)",
    "commuting": "~ 1 + (1 | g) + (1 | g:h)",
}


def counts(dat, m, seed=5):
    rng = np.random.default_rng(seed)
    levels = pd.factorize(dat["g"])[0]
    means = np.exp(rng.normal(size=(levels.max() + 1, m)) - 1)[levels]
    return rng.poisson(means).astype(float)


@pytest.mark.parametrize("formula", FORMULAS.values(), ids=FORMULAS)
def test_sparse_responses_are_those_of_the_array(formula):
    dat = pd.concat([design(), design(1)], ignore_index=True)
    Y = counts(dat, 6)
    expected = lmer_many(formula, dat, Y)
    found = lmer_many(formula, dat, sparse.csr_matrix(Y))
    assert_allclose(found.llf, expected.llf, rtol=1e-10)
    assert_allclose(found.sd, expected.sd, rtol=1e-6, atol=1e-7)
    assert_allclose(found.contrast("x" if "x" in formula else "Intercept")["df"],
                    expected.contrast("x" if "x" in formula else "Intercept")["df"], rtol=1e-4)


def test_sparse_responses_without_random_effects():
    dat = design()
    Y = counts(dat, 4)
    found = lmm_many("~ x", dat, (), sparse.csc_array(Y))
    assert_allclose(found.llf, lmm_many("~ x", dat, (), Y).llf, rtol=1e-12)


@pytest.mark.parametrize("formula", list(FORMULAS.values())[:3], ids=list(FORMULAS)[:3])
def test_values_missing_in_a_sparse_matrix(formula):
    dat = pd.concat([design(), design(1)], ignore_index=True)
    Y = counts(dat, 5)
    Y[3, 1] = np.nan
    Y[[8, 9], 4] = np.nan
    Y[2, 2] = np.inf
    found = lmer_many(formula, dat, sparse.csc_array(Y))
    expected = lmer_many(formula, dat, Y)
    assert found.nobs.tolist() == [96, 95, 96, 96, 94]
    assert list(found.failed) == [2]
    assert_allclose(found.llf, expected.llf, rtol=1e-10)


def test_a_shift_of_sparse_responses_loses_no_digits():
    dat = pd.concat([design(), design(1)], ignore_index=True)
    Y = counts(dat, 4)
    shifted = lmer_many("~ x + (1 | g)", dat, sparse.csc_array(Y + 1e5))
    plain = lmer_many("~ x + (1 | g)", dat, Y)
    assert_allclose(shifted.llf, plain.llf, rtol=1e-10)
    assert shifted.alone == ()


# -- other forms of what is given -------------------------------------------------------------------------------

def test_masked_arrays_are_missing_where_they_are_masked():
    dat = design()
    Y = drawn(dat, 3).to_numpy()
    masked = np.ma.masked_array(Y, np.zeros(Y.shape, bool))
    masked[[2, 7], 1] = np.ma.masked
    missing = Y.copy()
    missing[[2, 7], 1] = np.nan
    found = lmer_many("~ x + (1 | g)", dat, masked)
    assert_allclose(found.llf, lmer_many("~ x + (1 | g)", dat, missing).llf, rtol=1e-12)
    fit = lmer("y ~ x + (1 | g)", dat.assign(y=Y[:, 0]))
    with pytest.raises(LMMError, match=r"y\[2\] is nan"):
        fit.refit(masked[:, 1])


def test_a_table_has_columns_and_gives_fits():
    dat = design()
    Y = drawn(dat, 2)
    fit = lmer("y ~ x + (1 | g)", dat.assign(y=Y["a"]))
    assert isinstance(fit.refit(Y["a"]), LMMResult) and isinstance(fit.refit(Y["a"].to_numpy()), LMMResult)
    tables = (Y[["a"]], Y[["a"]].to_numpy(), sparse.csc_array(Y[["a"]]), {"a": Y["a"]}, Y[["a"]].to_numpy().tolist())
    for table in tables:
        assert_allclose(fit.refit(table).params, [fit.params], rtol=1e-7)
    assert_allclose(lmer_many("~ x + (1 | g)", dat, Y["a"]).params, [fit.params], rtol=1e-7)


def test_names_of_any_kind():
    dat = design().assign(response=1.0, response_=2.0)
    Y = drawn(dat, 4)
    plain = lmm_many("~ x", dat, "g", Y)
    for names in ([0, 1, 2, 3], ["my gene", "a`b", "x", "response"], [("A", 1), ("A", 2), ("B", 1), ("B", 2)]):
        named = Y.set_axis(pd.Index(names) if not isinstance(names[0], tuple) else pd.MultiIndex.from_tuples(names), axis=1)
        fits = lmm_many("~ x", dat, "g", named)
        assert list(fits) == names
        for name, old in zip(names, Y):
            assert_allclose(fits[name].params, plain.params.loc[old], rtol=1e-7)
            assert_allclose(fits.params.loc[[name]].iloc[0], plain.params.loc[old], rtol=1e-12)
        assert "4 responses" in str(fits)
        assert len(fits.tidy()) == 8 and len(fits.contrast("x")) == 4 and len(fits.anova()) == 4
    assert 1 not in plain and ["a"] not in plain
    with pytest.raises(LMMError, match="there is no response"):
        plain[["a"]]


def test_columns_whose_names_are_no_text():
    dat = design().join(drawn(design(), 2).set_axis([0, 1], axis=1))
    assert list(lmm_many("~ x", dat, "g", [1, 0])) == [1, 0]


def test_fits_are_pickled():
    dat = design()
    Y = drawn(dat, 3)
    Y.iloc[2, 1] = np.nan
    fits = lmer_many("~ x + (1 | g)", dat, Y)
    for one in (fits, fits["a"].refit(Y)):
        again = pickle.loads(pickle.dumps(one))
        assert_allclose(again.params, one.params)
        assert_allclose(again["b"].params, one.params.loc["b"], rtol=1e-7)
        assert_allclose(again.contrast("x")["df"], one.contrast("x")["df"])


def test_functions_of_the_callers_are_remembered():
    def made():
        def twice(x):
            return 2 * x

        return lmer_many("~ twice(x) + (1 | g)", design(), drawn(design(), 2))

    fits = made()
    assert_allclose(fits["a"].params, fits.params.loc["a"], rtol=1e-7)


@pytest.mark.parametrize("formula", ["~ 0", "~ 1"])
def test_no_term_to_test(formula):
    fits = lmm_many(formula, design(), "g", drawn(design(), 2))
    assert len(fits.anova()) == 0 and list(fits.anova().columns) == ["F", "num_df", "den_df", "pvalue", "qvalue"]
    assert ("Fixed effects" in str(fits)) == (formula == "~ 1")


def test_later_changes_of_the_callers_are_of_no_consequence():
    dat = design()
    for Y in (drawn(dat, 2), drawn(dat, 2).to_numpy().copy(), sparse.csc_array(drawn(dat, 2).to_numpy().copy())):
        own = dat.copy()
        fits = lmer_many("~ x + (1 | g)", own, Y)
        name = fits.names[0]
        before = fits[name].params
        own["x"] = 1.0 / np.arange(1, 49)
        if sparse.issparse(Y):
            Y.data[:] = 3.0
        elif isinstance(Y, pd.DataFrame):
            Y.iloc[:, :] = np.arange(96.0).reshape(48, 2)
        else:
            Y[:] = np.arange(96.0).reshape(48, 2)
        assert_allclose(fits[name].params, before, rtol=1e-12)


def test_two_optima_where_a_value_is_missing():
    """Few rows are looked at on a grid of their own: sd 0 is a local optimum, 0.5 lower in llf."""
    dat = pd.DataFrame({"x": [.3, -.4, -1, .6, -1, .6, -.1, 1.9, -.1, -.5, .8], "a": list("ccfeaaacbab")})
    y = [1.26, np.nan, -.654, 1.523, 1.121, -.478, -.387, -.123, 1.363, -.243, -.15]
    fits = lmer_many("~ x + (1 | a)", dat, pd.DataFrame({"y": y}))
    assert fits.alone == ()
    held_to(fits, "y", lmer("y ~ x + (1 | a)", dat.assign(y=y)))


def test_columns_left_out_are_named():
    dat = design().assign(twice=lambda dat: 2 * dat["x"])
    fits = lmer_many("~ x + twice + (1 | g)", dat, drawn(dat, 2))
    assert fits.dropped == ("twice",)
    assert np.isnan(fits.contrast("twice")["estimate"]).all()


def test_a_dot_is_what_is_no_response():
    dat = design().drop(columns=["s", "h"])
    Y = drawn(dat, 2)
    whole = dat.join(Y)
    expected = lmer_many("~ x + f + (1 | g)", dat, Y)
    for given in (["a", "b"], Y):
        assert_allclose(lmer_many("~ . + (1 | g)", whole, given).llf, expected.llf, rtol=1e-10)


def test_numbers_as_objects():
    dat = design()
    Y = drawn(dat, 2)
    assert_allclose(lmm_many("~ x", dat, "g", Y.astype(object)).llf, lmm_many("~ x", dat, "g", Y).llf)


DAT = design()
Y = drawn(DAT, 3)


@pytest.mark.parametrize("call, words", [
    (lambda: lmer_many("~ x", DAT, Y), "no random effects, such as"),
    (lambda: lmm_many("~ x", DAT, "g", Y.to_numpy().T), "responses.T may be meant"),
    (lambda: lmm_many("~ x", DAT, "g", [Y["a"].to_numpy(), Y["b"].to_numpy()]), "responses.T may be meant"),
    (lambda: lmm_many("~ x", DAT, "g", [[1, 2], [3]]), "responses is of type list; it is a frame"),
    (lambda: lmm_many("~ x", DAT, "g", 3), "responses is of type int; it is a frame"),
    (lambda: lmm_many("~ x + a", DAT.join(Y), "g", ["a", "b"]), "names 'a', which the model uses on its right-hand"),
    (lambda: lmm_many("~ x", DAT.join(Y), "g", ["b", "x"]), "names 'x', which the model uses on its right-hand"),
    (lambda: lmm_many("~ 1", DAT.assign(w=2.0), "g", ["w"], weights="w"), "which the model uses"),
    (lambda: lmm_many("~ x", DAT, "g", 1j * Y.to_numpy()), "type complex128"),
])
def test_words_about_what_is_given(call, words):
    with pytest.raises(LMMError, match=words):
        call()


def test_a_response_without_a_value_says_so():
    failed = lmm_many("~ x", DAT, "g", Y.assign(b=np.nan)).failed
    assert failed == {"b": "all its values are missing"}


# -- decisions that few data meet -------------------------------------------------------------------------------

def test_a_response_that_the_random_effects_reproduce_goes_alone():
    """e'e is 1e12 times what sigma is estimated from: sums of squares have lost these digits."""
    dat = load_data("sleepstudy")
    fit = lmer(DAYS, dat)
    rng = np.random.default_rng(1)
    codes = pd.factorize(dat["Subject"])[0]
    y = 1e3 * rng.normal(size=18)[codes] + rng.normal(size=18)[codes] * dat["Days"] + 1e-3 * rng.normal(size=180)
    fits = fit.refit(np.column_stack([y, fit.setup.design.y]))
    assert fits.alone == (0,)
    held_to(fits, 0, fit.refit(y))


def test_patterns_that_leave_too_few_rows_or_tell_too_little():
    """Rows left of a response: no more than X and Z have columns; or one in each level."""
    formula, dat, _ = MODELS["crossed"]
    fit = lmer(formula, dat)
    Z = responses(fit, 5)
    rng = np.random.default_rng(4)
    Z.iloc[rng.permutation(len(dat))[:-28], 1] = np.nan             # 30 columns of Z
    Z.iloc[rng.permutation(len(dat))[:-40], 2] = np.nan
    fits = fit.refit(Z)
    assert 1 in fits.alone and 0 not in fits.alone
    for name in (0, 2, 3, 4):
        held_to(fits, name, fits[name])
    one_each = np.where(~pd.Series(pd.factorize(dat["plate"])[0]).duplicated(), 1.0, np.nan)
    single = lmer("diameter ~ 1 + (1 | plate)", dat)
    lost = single.refit(np.column_stack([one_each * Z[0], Z[0]]))
    assert list(lost.failed) == [0] and "cannot be told from the residual's" in lost.failed[0]


def test_nearly_the_same_effects_go_alone():
    dat = load_data("sleepstudy")
    dat["day"] = dat["Days"] + 1000
    fit = lmer("Reaction ~ day + (day || Subject)", dat)
    assert "nearly the same" in Batches(fit.setup, fit.plan).why_alone
    assert Batches(fit.setup, fit.plan).family is None
    usual = lmer("Reaction ~ Days + (Days || Subject)", dat)
    assert Batches(usual.setup, usual.plan).family is not None


def test_lmm_and_its_many():
    found = lmm_many("~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]], ["score"])
    held_to(found, "score", lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]]))
