"""Many responses at once: each is the single fit, whatever happens to the others."""

import numpy as np
import pandas as pd
import pytest
from helpers import crossed
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from lmm import Fits, LMMError, LMMWarning, anova, lmer, lmer_many, lmm, lmm_many, load_data
from lmm.fit import refitted
from lmm.inference.fits import false_discovery_rates

MACHINES = "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)"
DAYS = "Reaction ~ Days + (Days | Subject)"
FEW = 12                # responses of each design here; 300 in tests/benchmarks/test_many.py


def weighted():
    dat = crossed((5, 4, 2), 60, seed=2)
    rng = np.random.default_rng(5)
    return dat.assign(w=rng.uniform(0.5, 2, len(dat)), o=rng.normal(size=len(dat)))


MODELS = {
    "balanced": (MACHINES, load_data("Machines"), {}),
    "unbalanced": (MACHINES, load_data("MachinesUnbalanced"), {}),
    "one way": ("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff"), {}),
    "zero": ("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff2"), {}),
    "nested": ("strength ~ 1 + (1 | batch) + (1 | sample)", load_data("Pastes"), {}),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", load_data("Penicillin"), {}),
    "slopes": (DAYS, load_data("sleepstudy"), {}),
    "independent": ("Reaction ~ Days + (Days || Subject)", load_data("sleepstudy"), {}),
    "slopes and crossed": ("y ~ x + (x | a) + (1 | b)", crossed((9, 7, 2), 90, seed=6), {}),
    "weights": ("y ~ x + (x | a)", weighted(), {"weights": "w", "offset": "o"}),
    "compound symmetry": ("score ~ Machine + cs(0 + Machine | Worker)", load_data("Machines"), {}),
    "crossed, blocked": ("attain ~ sex + (1 | primary) + (1 | second)", load_data("ScotsSec"), {}),
}


def responses(fit, B, seed=1):
    """Simulated responses: a third as the fit says, a third with small variances, a third of e alone."""
    Y = fit.simulate(B, seed=seed).to_numpy()
    noise = fit.sigma * np.random.default_rng(seed).normal(size=Y.shape)
    mean = fit.setup.design.X @ fit.beta
    share = np.repeat([1.0, 0.4, 0.0], -(-B // 3))[:B]
    return pd.DataFrame(mean[:, None] + share * (Y - mean[:, None]) + (1 - share) * noise)


def held_to(fits, name, single):
    """That a response's numbers are those of its single fit."""
    assert abs(fits.llf[name] - single.llf) < 1e-8
    assert_allclose(fits.sd.loc[name], single.sd, rtol=1e-6, atol=1e-6 * single.sigma)
    assert_array_equal(fits.sd.loc[name] == 0, single.sd == 0)
    assert_allclose(fits.sigma[name], single.sigma, rtol=1e-6)
    assert_allclose(fits.params.loc[name], single.params, rtol=1e-6, atol=1e-7 * single.sigma)
    assert_allclose(fits.bse.loc[name], single.bse, rtol=1e-6)
    assert_allclose(fits.corr.loc[name], single.corr, rtol=1e-5, atol=1e-5)
    assert_allclose(fits.df.loc[name], single.df, rtol=1e-4)
    assert_allclose(fits.pvalues.loc[name], single.pvalues, rtol=1e-4)
    assert fits.singular[name] == bool(single.singular)
    assert fits.nobs[name] == single.nobs


@pytest.mark.requirement("many")
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_each_response_is_its_single_fit(model, reml):
    formula, dat, given = MODELS[model]
    fit = lmer(formula, dat, reml=reml, **given)
    Y = responses(fit, FEW)
    fits = fit.refit(Y)
    assert not fits.failed and fits.converged.all() and (fits.optimum_error < 1e-8).all()
    assert len(fits.alone) <= 2
    for name in Y:
        held_to(fits, name, fit.refit(Y[name]))


@pytest.mark.parametrize("model", ["unbalanced", "slopes", "slopes and crossed", "weights", "nested"])
def test_missing_values_leave_out_their_rows_for_their_response_alone(model):
    formula, dat, given = MODELS[model]
    fit = lmer(formula, dat, **given)
    Y = responses(fit, 6)
    rng = np.random.default_rng(3)
    for name in (0, 2, 3):
        Y.loc[rng.choice(len(Y), 4, replace=False), name] = np.nan
    Y.loc[Y[3].isna(), 5] = np.nan                              # the same rows as another one
    fits = fit.refit(Y)
    assert not fits.failed
    for name in Y:
        kept = Y[name].notna()
        rows = {key: dat[column][kept.to_numpy()] for key, column in given.items()}
        part = dat[kept.to_numpy()].assign(**{formula.split(" ~")[0]: Y[name][kept].to_numpy()})
        held_to(fits, name, lmer(formula, part, **rows))


def test_many_responses_with_the_same_rows_missing():
    fit = lmer(DAYS, load_data("sleepstudy"))
    Y = fit.simulate(70, seed=1)
    Y.iloc[[3, 50, 51]] = np.nan
    fits = fit.refit(Y)
    for name in (0, 69):
        held_to(fits, name, fits[name])
    assert (fits.nobs == 177).all()


def test_a_level_that_is_lost_and_a_column_that_is():
    dat = load_data("Machines")
    fit = lmm("score ~ Machine", dat, "Worker", reml=True)
    Y = fit.simulate(3, seed=1)
    Y.loc[dat["Worker"] == "2", 0] = np.nan
    Y.loc[dat["Machine"] == "B", 1] = np.nan
    fits = fit.refit(Y)
    held_to(fits, 0, fits[0])
    held_to(fits, 2, fits[2])
    assert list(fits.failed) == [1] and "have no fixed effect 'Machine[T.B]'" in fits.failed[1]
    assert fits.params.loc[1].isna().all() and fits.pvalues.loc[1].isna().all()


def test_levels_of_one_row_each_are_told():
    dat = pd.DataFrame({"g": list("aabbccddee")})
    Y = pd.DataFrame(np.random.default_rng(1).normal(size=(10, 2)))
    Y.loc[::2, 1] = np.nan
    fits = lmm_many("~ 1", dat, "g", Y)
    assert list(fits.failed) == [1] and "5 levels for 5 observations" in fits.failed[1]


def test_what_fails_fails_alone():
    fit = lmer(DAYS, load_data("sleepstudy"))
    Y = fit.simulate(5, seed=1).set_axis(list("abcde"), axis=1)
    Y["b"] = 2.5
    Y.loc[7, "c"] = np.inf
    Y["d"] = np.nan
    fits = fit.refit(Y)
    assert list(fits.failed) == ["b", "c", "d"] and fits.alone == ()
    assert fits.failed["b"] == (
        "the response 'b' is constant (2.5 in every row), so there is no variation to model"
    )
    assert fits.failed["c"].startswith("a value is inf, in row 7 of those used")
    held_to(fits, "e", fits["e"])
    assert fits.params.isna().any(axis=1).tolist() == [False, True, True, True, False]
    assert fits.qvalues.loc["a"].notna().all()


@pytest.mark.parametrize("scale, shift", [(1e-6, 0.0), (1e6, 0.0), (1.0, 1e6), (1e-3, 1e5)])
def test_units_of_the_response_do_not_matter(scale, shift):
    fit = lmer(MACHINES, load_data("MachinesUnbalanced"))
    Y = responses(fit, 6)
    fits = fit.refit(Y)
    again = fit.refit(scale * Y + shift)
    assert_allclose(again.sd, scale * fits.sd, rtol=1e-5, atol=1e-6 * scale)
    assert_allclose(again.df, fits.df, rtol=1e-4)
    moved = scale * fits.params
    moved["Intercept"] += shift
    assert_allclose(again.params, moved, rtol=1e-8, atol=1e-6 * scale)


def test_neither_order_nor_company_matters():
    fit = lmer(DAYS, load_data("sleepstudy"))
    Y = fit.simulate(30, seed=1)
    fits = fit.refit(Y)
    few = fit.refit(Y[[7, 3]])
    assert_allclose(few.theta, fits.theta.loc[[7, 3]], rtol=1e-7)


def test_rows_go_by_index_as_of_one_response():
    dat = load_data("sleepstudy").iloc[::-1]
    dat.iloc[4, dat.columns.get_loc("Days")] = np.nan
    fit = lmer(DAYS, dat)
    Y = pd.DataFrame({"a": dat["Reaction"], "b": 2 * dat["Reaction"]})
    by_index = fit.refit(Y.sort_index())
    assert_allclose(by_index.params.loc["a"], fit.params, rtol=1e-7)
    assert_allclose(fit.refit(Y.to_numpy()).params.loc[0], fit.params, rtol=1e-7)
    assert_allclose(fit.refit(Y.drop(index=dat.index[4])).params.loc["b"], 2 * fit.params, rtol=1e-7)


def test_sparse_counts_are_what_their_array_is():
    rng = np.random.default_rng(4)
    dat = pd.DataFrame({"g": np.repeat(list("abcdefgh"), 25), "x": rng.normal(size=200)})
    Y = sparse.csr_array(rng.poisson(0.4, size=(200, 9)).astype(float))
    fits = lmer_many("~ x + (1 | g)", dat, Y)
    dense = lmer_many("~ x + (1 | g)", dat, Y.toarray())
    assert_allclose(fits.params, dense.params, rtol=1e-8)
    assert_allclose(fits.sd, dense.sd, rtol=1e-5, atol=1e-7)
    assert_allclose(fits.pvalues, dense.pvalues, rtol=1e-6)


def test_without_random_effects_it_is_least_squares():
    dat = load_data("sleepstudy").assign(speed=lambda d: 1000 / d["Reaction"])
    fits = lmm_many("~ Days", dat, (), ["Reaction", "speed"], reml=True)
    held_to(fits, "speed", lmm("speed ~ Days", dat, reml=True))
    assert fits.df.to_numpy() == pytest.approx(178.0)


# -- from a formula ---------------------------------------------------------------------------------------------

def test_a_formula_and_columns_or_a_frame():
    dat = load_data("sleepstudy").assign(speed=lambda d: 1000 / d["Reaction"])
    fits = lmer_many("~ Days + (Days | Subject)", dat, ["Reaction", "speed"])
    held_to(fits, "speed", lmer("speed ~ Days + (Days | Subject)", dat))
    assert fits.names.tolist() == ["Reaction", "speed"] and fits.reml
    frame = dat[["Reaction", "speed"]].set_axis(["HLA-A", "Days"], axis=1)
    again = lmm_many("~ Days", dat, ["Subject"], frame)
    assert not again.reml
    held_to(again, "Days", lmm("speed ~ Days", dat, ["Subject"]))
    one = again["HLA-A"]
    assert one.setup.design.form == "`HLA-A` ~ Days" and one.nobs == 180
    assert_allclose(one.params, again.params.loc["HLA-A"])


def test_a_dot_is_what_is_no_response():
    dat = load_data("sleepstudy")[["Reaction", "Days", "Subject"]].assign(y=lambda d: d["Reaction"] ** 2)
    fits = lmer_many("~ . + (1 | Subject)", dat, ["Reaction", "y"])
    assert list(fits.params) == ["Intercept", "Days"]


def test_rows_without_a_predictor_are_left_out_of_all():
    dat = load_data("sleepstudy")
    dat.loc[[3, 9], "Days"] = np.nan
    fits = lmer_many("~ Days + (1 | Subject)", dat, dat[["Reaction"]])
    held_to(fits, "Reaction", lmer("Reaction ~ Days + (1 | Subject)", dat))


GOOD = load_data("sleepstudy")


@pytest.mark.parametrize("call, words", [
    (lambda: lmer_many("Reaction ~ Days + (1 | Subject)", GOOD, ["Reaction"]), "its left-hand side is left out"),
    (lambda: lmer_many("Days + (1 | Subject)", GOOD, ["Reaction"]), "without a .~.; it is text such as"),
    (lambda: lmm_many("~ Days", GOOD, "Subject"), "responses is None; it is a list of columns"),
    (lambda: lmm_many("~ Days", GOOD, "Subject", ["Reaktion"]), "responses names 'Reaktion', which is no column"),
    (lambda: lmm_many("~ Days", GOOD, "Subject", ["Reaction"] * 2), "names a column twice"),
    (lambda: lmm_many("~ Days", GOOD, "Subject", GOOD[["Subject"]]), "responses has .* values in column 'Subject'"),
    (lambda: lmm_many("~ Days", GOOD, "Subject", np.ones((7, 3))), "responses has 7 rows; it takes 180"),
    (lambda: lmm_many("~ Days", GOOD, "Subject", np.ones((180, 0))), "responses has no columns"),
    (lambda: lmm_many("~ Days", GOOD, "Subject", np.full((180, 2), "a")), "responses is an array .* type str"),
    (lambda: lmm_many("~ Days", GOOD, "Subject", GOOD[["Reaction"]].set_axis(range(1, 181))), "the index of responses"),
    (lambda: lmm_many("~ Days", GOOD, "Subject", pd.concat([GOOD[["Reaction"]]] * 2, axis=1)), "several columns named"),
    (lambda: lmm_many("~ Days", GOOD, "Subject", ["Reaction"], progress=2), "progress is 2; it is True or False"),
    (lambda: lmm_many(3, GOOD, "Subject", ["Reaction"]), "the formula is of type int"),
    (lambda: lmer(DAYS, GOOD).refit(np.ones((7, 3))), "y has 7 rows; it takes 180"),
])
def test_bad_input(call, words):
    with pytest.raises(LMMError, match=words):
        call()


def test_the_callers_data_are_left_as_they_are():
    dat = load_data("sleepstudy")
    before = dat.copy()
    Y = pd.DataFrame({"a": dat["Reaction"], "b": dat["Reaction"] ** 2})
    Y.iloc[3, 1] = np.nan
    copy = Y.copy()
    lmer_many("~ Days + (Days | Subject)", dat, Y)
    pd.testing.assert_frame_equal(dat, before)
    pd.testing.assert_frame_equal(Y, copy)


# -- what is asked of the fits ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def machines():
    fit = lmer(MACHINES, load_data("MachinesUnbalanced"))
    Y = responses(fit, 9)
    Y.iloc[[2, 5], 4] = np.nan
    Y[7] = 1.0
    return fit, fit.refit(Y)


def test_contrasts_are_those_of_the_single_fits(machines):
    _, fits = machines
    L = {"B": "Machine[T.B]", "B against C": "Machine[T.B] - Machine[T.C]"}
    found = fits.contrast(L)
    for name in (0, 4, 8):
        expected = fits[name].contrast(L)
        assert_allclose(found.loc[name, list(expected)], expected, rtol=1e-4)
    assert found.loc[7].isna().all(axis=None)
    one = fits.contrast("Machine[T.B] = 8")
    assert_allclose(one.loc[0, ["estimate", "t"]], fits[0].contrast("Machine[T.B] = 8").iloc[0][["estimate", "t"]], rtol=1e-5)
    assert one.index.name == "response" and found.index.names == ["response", "contrast"]
    with pytest.raises(LMMError, match="no coefficient"):
        fits.contrast("Machine[T.D]")


@pytest.mark.parametrize("type", [1, 2, 3])
def test_anova_is_that_of_the_single_fits(machines, type):
    _, fits = machines
    found = fits.anova(type)
    for name in (0, 4, 8):
        expected = anova(fits[name], type=type).table
        columns = ["F", "num_df", "den_df", "pvalue"]
        some_missing = type == 3 and name == 4                  # other rows L of the same space
        assert_allclose(found.loc[name][columns], expected[columns], rtol=1e-3 if some_missing else 1e-4)
        assert_allclose(found.loc[name]["F"], expected["F"], rtol=1e-6)
    with pytest.raises(LMMError, match="type is 4; it is 3, 2 or 1"):
        fits.anova(4)


def test_q_values_are_benjamini_and_hochbergs():
    """The example of their paper, table 1; R's p.adjust says the same."""
    p = np.array([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                  0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0])
    q = false_discovery_rates(p[::-1])[::-1]
    assert_allclose(q[:5], [0.0015, 0.003, 0.0095, 0.035625, 0.0603], atol=1e-10)
    assert (q < 0.05).sum() == 4
    assert_array_equal(np.isnan(false_discovery_rates(np.array([np.nan, 0.5]))), [True, False])


def test_long_and_wide(machines):
    _, fits = machines
    long = fits.tidy()
    assert list(long) == ["response", "term", "estimate", "std_error", "statistic", "df", "p_value", "q_value"]
    assert len(long) == 27 and long.loc[long["response"] == 7, "estimate"].isna().all()
    wide = long.pivot(index="response", columns="term", values="p_value")[list(fits.pvalues)]
    assert_allclose(wide, fits.pvalues)
    assert isinstance(fits, Fits) and len(fits) == 9 and list(fits) == list(range(9)) and 3 in fits
    with pytest.raises(LMMError, match="there is no response 'x'"):
        fits["x"]


def test_what_is_printed():
    dat = load_data("sleepstudy").assign(speed=lambda d: 1000 / d["Reaction"], same=3.0)
    fits = lmer_many("~ Days + (1 | Subject)", dat, ["Reaction", "speed", "same"])
    assert str(fits) == """\
3 responses by REML: ~ Days + (1 | Subject)
180 rows; 0 singular, 0 not certified, 1 failed, 0 fitted one by one

Fixed effects over the responses
            1st quartile    Median  3rd quartile  q < 0.05
 Intercept       65.8256  127.6855      189.5453         2
 Days             2.5336    5.1781        7.8227         2

Standard deviations over the responses
           1st quartile  Median  3rd quartile  zero
 Subject         9.6256  18.792        27.958     0
 Residual        7.9883  15.656        23.324     0
Failed: 'same'; 'same': the response 'same' is constant (3 in every row), so there is no variation to model
"""[:-1]
    assert repr(fits) == "Fits('~ Days + (1 | Subject)', 3 responses, 1 failed)"
    assert "<table" in fits._repr_html_()


# -- what uses them ---------------------------------------------------------------------------------------------

def test_the_bootstrap_is_that_of_single_refits():
    fit = lmer(MACHINES, load_data("MachinesUnbalanced"))
    boot = fit.bootstrap(15, seed=3)
    Y = fit.simulate(15, seed=3)
    for name in Y:
        single = refitted(fit, Y[name].to_numpy())
        assert_allclose(boot.replicates.loc[name, "beta"], single.params, rtol=1e-7)
        assert_allclose(boot.replicates.loc[name, "sd"], [single.sigma, *single.sd], rtol=1e-5, atol=1e-8)


def test_a_statistic_gets_a_fit_at_the_optimum():
    fit = lmer(DAYS, load_data("sleepstudy"))
    boot = fit.bootstrap(6, seed=3, statistic=lambda one: [one.llf, one.sigma, one.nobs, one.df.iloc[1]])
    fits = fit.refit(fit.simulate(6, seed=3))
    assert_allclose(boot.replicates[0], fits.llf, rtol=1e-10)
    assert_allclose(boot.replicates[1], fits.sigma, rtol=1e-7)
    assert_allclose(boot.replicates[3], fits.df["Days"], rtol=1e-4)


def test_a_simulated_comparison_is_that_of_single_refits():
    small = lmer("Reaction ~ Days + (1 | Subject)", load_data("sleepstudy"), reml=False)
    large = lmer(DAYS, load_data("sleepstudy"), reml=False)
    found = anova(small, large, nsim=8, seed=2).simulated["m1"]
    Y = small.simulate(8, seed=2)
    expected = [2 * (small.refit(Y[b]).nll - large.refit(Y[b]).nll) for b in Y]
    assert_allclose(found, expected, atol=1e-6)


def test_influence_is_that_of_refits_without_each_level():
    dat = load_data("MachinesUnbalanced")
    fit = lmer(MACHINES, dat)
    found = fit.influence("Worker")
    for level in ("1", "6"):
        less = lmer(MACHINES, dat[dat["Worker"].astype(str) != level])
        changes = [less.sigma, *less.sd] - np.array([fit.sigma, *fit.sd])
        columns = [name for name in found if name.startswith("change")]
        assert_allclose(found.loc[level, columns].astype(float), changes, rtol=1e-4, atol=1e-6)


def test_a_design_that_is_none_for_stacks_goes_one_by_one():
    rng = np.random.default_rng(1)
    dat = pd.DataFrame({"g": np.arange(900) % 250, "h": rng.permutation(900) % 230}).astype("category")
    Y = rng.normal(size=(900, 2)) + rng.normal(size=(250, 2))[dat["g"].cat.codes]
    fits = lmer_many("~ 1 + (1 | g) + (1 | h)", dat, Y)
    assert fits.alone == (0, 1) and fits.converged.all()
    held_to(fits, 1, fits[1])
    assert_allclose(fits.contrast("Intercept").loc[1, "df"], fits[1].df.iloc[0], rtol=1e-6)


def test_few_rows_with_correlated_effects():
    """Several optima are common there; none is missed that the single fit finds."""
    rng = np.random.default_rng(8)
    dat = pd.DataFrame({"g": np.repeat(list("abcde"), 4), "x": np.tile([0.0, 1.0, 2.0, 4.0], 5)})
    Y = rng.normal(size=(20, 25))
    fits = lmer_many("~ x + (x | g)", dat, Y, reml=False)
    for name in fits:
        assert fits.llf[name] > fits[name].llf - 1e-8


@pytest.mark.parametrize("formula", ["~ x + cs(0 + f | g)", "~ x + (x | g)", "~ 1 + (1 | g) + (0 + x | g)", "~ 0 + x + (1 | g)"])
@pytest.mark.parametrize("reml", [False, True])
def test_small_designs_with_a_covariate_far_from_zero(formula, reml):
    """Among these were missed optima, slopes taken for zero, and grids of the wrong shape."""
    rng = np.random.default_rng(12)
    n = 36
    dat = pd.DataFrame({"g": np.arange(n) % 6, "x": 50 + rng.normal(size=n).round(1), "f": rng.choice(list("AB"), n)})
    Y = rng.normal(size=(n, 12)) + rng.gamma(1.0, 1.0, 12) * rng.normal(size=(6, 12))[dat["g"]]
    Y[:, 6:] += 1e3
    fits = lmer_many(formula, dat, Y, reml=reml)
    for name in fits:
        single = fits[name]
        if single.converged:
            assert fits.llf[name] > single.llf - 1e-8 * abs(single.llf)
            if fits.llf[name] < single.llf + 1e-8:
                assert_allclose(fits.df.loc[name], single.df, rtol=1e-2)


def test_degrees_of_freedom_where_slope_and_intercept_are_nearly_one():
    """Against 60 digits of the Hessian; in theta's coordinates the first is 3.6."""
    rng = np.random.default_rng(94)
    n = 30
    dat = pd.DataFrame({"g": rng.integers(0, 7, n), "x": 50 + rng.normal(size=n)})
    y = rng.normal(size=n) + 2 * rng.normal(size=7)[dat["g"]] + 1.5 * rng.normal(size=7)[dat["g"]] * (dat["x"] - 50)
    far = lmer("y ~ x + (x | g)", dat.assign(y=y))
    near = lmer("y ~ x + (x | g)", dat.assign(y=y, x=dat["x"] - 50))
    assert_allclose(far.df["x"], near.df["x"], rtol=1e-6)
    assert_allclose(far.bse["x"], near.bse["x"], rtol=1e-7)
    L = [[1.0, 50.0]]
    assert_allclose(far.contrast(L)["df"].iloc[0], near.contrast([[1.0, 0.0]])["df"].iloc[0], rtol=1e-6)


def test_no_warning_of_numpys_whatever_the_responses_are(recwarn):
    fit = lmer(DAYS, load_data("sleepstudy"))
    Y = fit.simulate(4, seed=1)
    Y[0] = 0.0
    Y[1] *= 1e-200
    Y.loc[3, 2] = np.inf
    fit.refit(Y)
    assert not [one for one in recwarn if not issubclass(one.category, LMMWarning)]
