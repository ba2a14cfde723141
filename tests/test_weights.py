"""Weights and offsets: against dense algebra with V = Z psi Z' + sigma^2 / w, and against lme4."""

import pickle

import numpy as np
import pandas as pd
import pytest
from helpers import LINEAR_ALGEBRA, designs, fit_at
from numpy.testing import assert_allclose

from lmm import LMMError, LMMprof, LMMsetup, anova, derivatives, lmer, lmm, load_data

SLOPES = ["Subject", ["Subject", "Days"]]


@pytest.fixture(scope="module")
def sleep():
    return load_data("sleepstudy").assign(w=0.5 + np.arange(180) % 7 / 2, o=3.0 * (np.arange(180) % 5))


def dense(theta, setup, weights, offset):
    """nll, beta, P, psi and Z by n x n algebra."""
    design = setup.design
    Z = np.hstack([np.zeros((len(design.y), 0)), *(block.matrix.toarray() for block in design.blocks)])
    psi = np.diag(np.repeat(np.exp(2 * np.asarray(theta[1:])), [len(block.levels) for block in design.blocks]))
    V = Z @ psi @ Z.T + np.exp(2 * theta[0]) * np.diag(1 / weights)
    W, X, y = np.linalg.inv(V), design.X, design.y - offset
    beta = np.linalg.solve(X.T @ W @ X, X.T @ W @ y) if X.shape[1] else np.zeros(0)
    r = y - X @ beta
    P = W - W @ X @ np.linalg.solve(X.T @ W @ X, X.T @ W) if X.shape[1] else W
    reml = 0.5 * np.linalg.slogdet(X.T @ W @ X)[1] if setup.reml else 0.0
    return 0.5 * np.linalg.slogdet(V)[1] + 0.5 * r @ W @ r + reml, beta, P, psi, Z


@pytest.mark.requirement("weights")
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("name, form, dat, ref", designs())
def test_the_likelihood_is_that_of_dense_algebra(name, form, dat, ref, reml):
    rng = np.random.default_rng(4)
    weights, offset = rng.uniform(0.2, 5, len(dat)), rng.normal(size=len(dat))
    setup = LMMsetup(form, dat, ref, reml, weights, offset)
    for theta in rng.normal(0.2, 0.7, size=(3, len(setup.labels))):
        nll, beta, *_ = dense(theta, setup, weights, offset)
        value = LMMprof(theta, setup)
        assert_allclose(value, nll, rtol=1e-10)
        assert_allclose(value.beta, beta, **LINEAR_ALGEBRA)
    h = 1e-5 * np.eye(len(theta))
    slopes = [(dense(theta + e, setup, weights, offset)[0] - dense(theta - e, setup, weights, offset)[0]) / 2e-5 for e in h]
    assert_allclose(derivatives(theta, setup).gradient, slopes, rtol=1e-6, atol=1e-6)


def test_rows_are_those_of_dense_algebra(sleep):
    fit = lmm("Reaction ~ Days", sleep, SLOPES, weights="w", offset="o")
    w, o, y = sleep["w"].to_numpy(), sleep["o"].to_numpy(), fit.setup.design.y
    _, _, P, psi, Z = dense(fit.theta, fit.setup, w, o)
    e = fit.sigma**2 / w * (P @ (y - o))
    assert_allclose(fit.fittedvalues, y - e, rtol=1e-10)
    assert_allclose(fit.resid_scaled, e * np.sqrt(w) / fit.sigma, atol=1e-10)
    assert_allclose(fit.leverage, 1 - fit.sigma**2 / w * np.diag(P), rtol=1e-9)
    assert_allclose(fit.ranef(tidy=True)["estimate"], psi @ Z.T @ P @ (y - o), atol=1e-9)


# sds of Subject, Subject:Days and sigma; beta; se; logLik; leverage, fitted value and scaled residual of row 4
# R 4.2.2, lme4 1.1-31: lmer(Reaction ~ Days + (1 | Subject) + (0 + Days | Subject), weights = w, offset = o, ftol_abs 1e-14)
LME4 = {False: [27.3886798, 6.27182235, 30.7714049, 248.96193, 9.49494579, 7.17105692, 1.59165981, -870.196996, 0.141036792,
                327.041658, -0.257454065],
        True: [28.3249638, 6.47892869, 30.7735592, 248.939689, 9.49927062, 7.37118388, 1.63724063, -865.905731, 0.142956782,
               326.894368, -0.250667291]}


@pytest.mark.parametrize("reml", [False, True])
def test_lme4(sleep, reml):
    fit = lmm("Reaction ~ Days", sleep, SLOPES, reml=reml, weights="w", offset="o")
    found = [*fit.sd, fit.sigma, *fit.beta, *fit.bse, fit.llf, fit.leverage[3], fit.fittedvalues[3], fit.resid_scaled[3]]
    assert fit.optimum.certified
    assert_allclose(found, LME4[reml], rtol=1e-4)
    assert_allclose(fit.llf, LME4[reml][7], rtol=1e-9)


def test_ways_to_say_the_same(sleep):
    one = lmm("Reaction ~ Days", sleep, SLOPES, weights="w", offset="o")
    for other in (lmm("Reaction ~ Days + offset(o)", sleep, SLOPES, weights=sleep["w"].tolist()),
                  lmm("Reaction ~ offset(2 * o) + Days", sleep, SLOPES, weights=sleep["w"], offset=-sleep["o"].to_numpy()),
                  lmm("I(Reaction - o) ~ Days", sleep, SLOPES, weights="w")):
        assert_allclose([other.nll, *other.beta, *other.sd], [one.nll, *one.beta, *one.sd], rtol=1e-8)
    assert list(lmm("Reaction ~ Days + offset(o)", sleep, "Subject").params.index) == ["Intercept", "Days"]
    plain = lmm("Reaction ~ Days", sleep, SLOPES)
    assert_allclose(lmm("Reaction ~ Days", sleep, SLOPES, weights=np.ones(180), offset=np.zeros(180)).theta, plain.theta, rtol=1e-12)


def test_weights_times_c_are_sigma_squared_times_c(sleep):
    one, other = (lmm("Reaction ~ Days", sleep.assign(w=c * sleep["w"]), SLOPES, weights="w") for c in (1.0, 100.0))
    assert_allclose([other.sigma, *other.sd], [10 * one.sigma, *one.sd], rtol=1e-8)
    assert_allclose(other.llf, one.llf, rtol=1e-12)


def test_refits_simulations_and_updates_keep_them(sleep):
    fit = lmm("Reaction ~ Days", sleep, SLOPES, weights="w", offset="o")
    y = fit.simulate(4000, seed=1)
    z = (y.mean(axis=1) - fit.setup.design.X @ fit.beta - sleep["o"]) / y.std(axis=1) * np.sqrt(4000)
    assert np.abs(z).max() < 5
    e = fit.sigma**2 / sleep["w"] + fit.sd["Subject"] ** 2 + fit.sd["Subject:Days"] ** 2 * sleep["Days"] ** 2
    assert_allclose(y.var(axis=1), e, rtol=5 * np.sqrt(2 / 4000))
    other = lmm("Reaction ~ Days", sleep.assign(Reaction=y[0]), SLOPES, weights="w", offset="o")
    assert_allclose(fit.refit(y[0]).theta, other.theta, atol=1e-8)
    assert_allclose(fit.bootstrap(1, seed=1).replicates.iloc[0]["sd"], [other.sigma, *other.sd], rtol=1e-6)
    assert_allclose(fit.update(reml=True).nll, lmm("Reaction ~ Days", sleep, SLOPES, True, weights="w", offset="o").nll, rtol=1e-12)
    assert_allclose(fit.update(ref="Subject").nll, lmm("Reaction ~ Days", sleep, "Subject", weights="w", offset="o").nll, rtol=1e-12)
    assert_allclose(fit.conf_int().loc["beta"].mean(axis=1), fit.beta, rtol=0.02)
    text = str(fit)
    assert "Weights: w\nOffset: o" in text and "Weights: an array" in str(lmm("Reaction ~ Days", sleep, (), weights=sleep["w"]))


def test_predictions(sleep):
    by_name, by_form = lmm("Reaction ~ Days", sleep, SLOPES, weights="w", offset="o"), lmm("Reaction ~ Days + offset(o)", sleep, SLOPES)
    for fit in by_name, by_form, pickle.loads(pickle.dumps(by_form)):
        assert_allclose(fit.predict(sleep.iloc[[5, 9]]), fit.fittedvalues.iloc[[5, 9]], rtol=1e-10)
        with pytest.raises(LMMError, match="newdata has no column 'o'"):
            fit.predict(sleep[["Days", "Subject"]])
    with pytest.raises(LMMError, match="the fit's offset was an array, which new rows do not have"):
        lmm("Reaction ~ Days", sleep, SLOPES, offset=sleep["o"].to_numpy()).predict(sleep)


def test_a_new_observation_has_the_variance_of_its_weight(sleep):
    fit = lmm("Reaction ~ Days", sleep, SLOPES, weights="w")
    new = sleep.iloc[:3].assign(w=[1.0, 4.0, 100.0])
    mean, one = fit.predict(new, interval="confidence"), fit.predict(new, interval="prediction")
    variance = ((one["upper"] - one["mean"]) ** 2 - (mean["upper"] - mean["mean"]) ** 2) / 1.959963984540054**2
    assert_allclose(variance, fit.sigma**2 / new["w"], rtol=1e-8)
    own = fit.predict(interval="prediction")
    assert_allclose(own, fit.predict(sleep, interval="prediction"), rtol=1e-10)
    with pytest.raises(LMMError, match="newdata has no column 'w', the weights"):
        fit.predict(new.drop(columns="w"), interval="prediction")
    with pytest.raises(LMMError, match="weights is -1 in row 1"):
        fit.predict(new.assign(w=[1, -1, 1]), interval="prediction")
    by_array = lmm("Reaction ~ Days", sleep, SLOPES, weights=sleep["w"].to_numpy())
    assert by_array.predict(new, interval="confidence").shape == (3, 3)
    with pytest.raises(LMMError, match="the fit's weights were an array, which new rows do not have"):
        by_array.predict(new, interval="prediction")


def test_rows_left_out_may_lack_a_weight(sleep):
    dat = sleep.copy()
    dat.loc[[3, 8], ["Reaction", "w"]] = np.nan
    fit = lmm("Reaction ~ Days", dat, SLOPES, weights="w")
    assert fit.nobs == 178
    assert_allclose(fit.nll, lmm("Reaction ~ Days", sleep.drop([3, 8]), SLOPES, weights="w").nll, rtol=1e-12)


@pytest.mark.parametrize("name", ["weights", "offset"])
@pytest.mark.parametrize("given", ["column", "nullable column", "objects", "Series", "array", "masked array", "list", "frame"])
def test_a_row_without_a_weight_or_an_offset_is_left_out(sleep, name, given):
    values = sleep["w"].where(~sleep.index.isin([3, 8]))
    forms = {"column": "v", "nullable column": "v", "objects": "v", "Series": values, "array": values.to_numpy(),
             "masked array": np.ma.array(sleep["w"], mask=values.isna()), "list": values.tolist(), "frame": values.to_frame()}
    kinds = {"nullable column": "Float64", "objects": object}
    dat = sleep.assign(v=values.astype(kinds.get(given, float)))
    fit = lmm("Reaction ~ Days", dat, SLOPES, **{name: forms[given]})
    right = lmm("Reaction ~ Days", sleep.drop([3, 8]), SLOPES, **{name: "w"})
    assert fit.nobs == 178 and fit.n_dropped == 2 and fit.nll == right.nll
    assert fit.resid.index.tolist() == right.resid.index.tolist() and fit.align(fit.resid).isna().sum() == 2
    again = fit.update("Reaction ~ 1")
    assert again.nobs == 178
    assert_allclose(again.nll, right.update("Reaction ~ 1").nll, rtol=1e-12)


def test_a_missing_weight_and_a_missing_offset_leave_out_their_rows(sleep):
    dat = sleep.copy()
    dat.loc[3, "w"] = dat.loc[8, "o"] = dat.loc[11, "Days"] = np.nan
    fit = lmm("Reaction ~ Days", dat, SLOPES, weights="w", offset="o")
    assert_allclose(fit.nll, lmm("Reaction ~ Days", sleep.drop([3, 8, 11]), SLOPES, weights="w", offset="o").nll, rtol=1e-12)
    assert lmer("Reaction ~ Days + (1 | Subject)", dat, weights="w", offset=dat["o"]).nobs == 177


@pytest.mark.requirement("index")
@pytest.mark.parametrize("name", ["weights", "offset"])
@pytest.mark.parametrize("index", [range(180), range(180, 0, -1), [f"row {i}" for i in range(180)], pd.date_range("2024", periods=180)])
def test_a_series_goes_by_its_index(sleep, name, index):
    dat = sleep.set_axis(pd.Index(index))
    right = lmm("Reaction ~ Days", dat, SLOPES, **{name: "w"})
    shuffled = dat["w"].sample(frac=1, random_state=1)
    for given in (shuffled, shuffled.to_frame(), dat["w"], shuffled.astype("Float64")):
        fit = lmm("Reaction ~ Days", dat, SLOPES, **{name: given})
        assert fit.nll == right.nll
        assert_allclose(fit.update("Reaction ~ 1").nll, right.update("Reaction ~ 1").nll, rtol=1e-12)
    with pytest.raises(LMMError, match=f"the index of {name} is not that of dat"):
        fit.update(dat=dat.iloc[:170])
    assert lmm("Reaction ~ Days", dat, SLOPES, **{name: shuffled.to_numpy()}).nll != right.nll


def test_an_index_with_the_same_label_twice_is_that_of_dat_or_none(sleep):
    dat = sleep.set_axis(np.arange(180) // 2)
    assert lmm("Reaction ~ Days", dat, SLOPES, weights=dat["w"]).nll == lmm("Reaction ~ Days", sleep, SLOPES, weights="w").nll
    with pytest.raises(LMMError, match="the index of weights is not that of dat"):
        lmm("Reaction ~ Days", dat, SLOPES, weights=dat["w"][::-1])


def test_rows_of_matrices_go_by_the_index_of_y(sleep):
    X, Z = pd.DataFrame({"one": 1.0, "Days": sleep["Days"]}), pd.get_dummies(sleep["Subject"])
    right = lmm("Reaction ~ Days", sleep, "Subject", weights="w", offset="o")
    shuffled = sleep.sample(frac=1, random_state=1)
    fit = lmm(sleep["Reaction"], X, {"Subject": Z}, weights=shuffled["w"], offset=shuffled["o"])
    assert_allclose(fit.nll, right.nll, rtol=1e-12)
    assert lmm(sleep["Reaction"].to_numpy(), X, {"Subject": Z}, weights=shuffled["w"], offset=shuffled["o"]).nll == fit.nll
    with pytest.raises(LMMError, match=r"the indices of y and Subject differ; bring their rows into one order, or give Subject.to_numpy"):
        lmm(sleep["Reaction"], X, {"Subject": Z.loc[shuffled.index]})
    with pytest.raises(LMMError, match="weights is nan in row 2 of dat"):
        lmm(sleep["Reaction"], X, {"Subject": Z}, weights=sleep["w"].where(sleep.index != 2))


@pytest.mark.requirement("index")
def test_what_is_aligned_goes_by_its_index(sleep):
    fit = lmm("Reaction ~ Days", sleep.assign(Days=sleep["Days"].where(sleep.index != 5)), "Subject")
    assert fit.align(fit.resid.sort_values()).equals(fit.align(fit.resid))
    assert fit.align(fit.resid.to_numpy()).equals(fit.align(fit.resid).rename(None))
    with pytest.raises(LMMError, match="the index of the series is not that of dat"):
        fit.align(fit.resid.reset_index(drop=True))


def test_predictions_without_a_weight_or_an_offset_are_missing(sleep):
    fit = lmm("Reaction ~ Days", sleep, SLOPES, weights="w", offset="o")
    new = sleep.head(4).assign(w=[1.0, np.nan, 2.0, 3.0], o=[1.0, 2.0, np.nan, 0.0])
    assert fit.predict(new).isna().tolist() == [False, False, True, False]
    assert fit.predict(new, interval="confidence").isna().any(axis=1).tolist() == [False, False, True, False]
    table = fit.predict(new, interval="prediction")
    assert table.isna().all(axis=1).tolist() == [False, True, True, False]
    whole = fit.predict(new.assign(w=[1.0, 1.0, 2.0, 3.0], o=[1.0, 2.0, 0.0, 0.0]), interval="prediction")
    assert_allclose(table.iloc[[0, 3]], whole.iloc[[0, 3]], rtol=1e-13)
    with pytest.raises(LMMError, match="weights is -1 in row 3 of newdata, counted from 0; weights are positive"):
        fit.predict(new.assign(w=[1.0, np.nan, 2.0, -1.0]), interval="prediction")


# R 4.2.2, lme4 1.1-31: m <- lmer(Reaction ~ Days + (1 | Subject), d, weights = w); residuals(m, "pearson", scaled = TRUE)[1:3],
# summary(m)$residuals are the same; residuals(m, scaled = TRUE)[1:3]
PEARSON, UNWEIGHTED = [-1.087797942, -1.554969266, -2.444032235], [-1.538379, -1.554969, -1.995544]


def test_scaled_residuals_are_lme4s_of_pearson(sleep):
    fit = lmer("Reaction ~ Days + (1 | Subject)", sleep, weights="w")
    assert_allclose(fit.resid_scaled[:3], PEARSON, rtol=1e-4)
    assert_allclose(fit.resid[:3] / fit.sigma, UNWEIGHTED, rtol=1e-4)


def test_models_with_different_weights_are_not_compared(sleep):
    with pytest.raises(LMMError, match="m0 and m1 were fitted with different weights"):
        anova(lmm("Reaction ~ Days", sleep, "Subject", weights="w"), lmm("Reaction ~ 1", sleep, "Subject"))
    found = anova(lmm("Reaction ~ Days", sleep, "Subject", weights="w"), lmm("Reaction ~ 1", sleep, "Subject", weights="w"))
    assert found.table["pvalue"].notna().sum() == 1


def column(value, row=4):
    values = np.ones(180)
    values[row] = value
    return values


@pytest.mark.parametrize("options, words", [
    (dict(weights=column(0.0)), "weights is 0 in row 4 of dat, counted from 0; weights are positive"),
    (dict(weights=column(-1.0)), "weights is -1 in row 4"),
    (dict(weights=column(np.inf)), "weights is inf in row 4 of dat, counted from 0; it takes finite numbers"),
    (dict(offset=column(-np.inf)), "offset is -inf in row 4"),
    (dict(weights=column(np.nan)[:7]), r"weights has shape \(7,\)"),
    (dict(weights=np.full(180, np.nan)), r"every row of dat has a missing value among .* \('weights' misses 180 of 180\)"),
    (dict(weights=pd.Series(np.ones(180), range(1, 181))), "the index of weights is not that of dat; .* give weights.to_numpy"),
    (dict(weights=pd.Series(np.ones(180), [0] * 180)), "the index of weights is not that of dat"),
    (dict(offset=pd.Series(np.ones(179))), "the index of offset is not that of dat; to go by position, give offset.to_numpy"),
    (dict(weights=pd.Series(["a"] * 180)), "weights holds values that are no numbers"),
    (dict(weights=pd.Series([1j] * 180)), "weights holds values that are no numbers"),
    (dict(weights=np.ones(179)), r"weights has shape \(179,\); it takes 180 numbers, one for each row of dat"),
    (dict(weights=2.0), r"weights has shape \(\)"),
    (dict(weights="v"), "weights is 'v', which is not a column of dat"),
    (dict(weights=["a"] * 180), "weights holds values that are no numbers"),
    (dict(weights="Subject"), "weights holds values that are no numbers"),
    (dict(offset=np.ones(3)), r"offset has shape \(3,\)"),
    (dict(offset="p"), "offset is 'p', which is not a column of dat"),
    (dict(form="Reaction ~ Days:offset(o)"), "form holds '.*offset.o.*'; an offset is a term of its own"),
])
def test_bad_input(sleep, options, words):
    dat = sleep.copy()
    with pytest.raises(LMMError, match=words):
        lmm(**{"form": "Reaction ~ Days", "dat": dat, "ref": "Subject"} | options)
    pd.testing.assert_frame_equal(dat, sleep)


def test_an_inverse_weight_is_a_residual_variance():
    """Twice the rows' mean with weight 2 is the two rows, for what they say about beta."""
    dat = load_data("Machines")
    means = dat.groupby(["Worker", "Machine"], observed=True, as_index=False)["score"].mean()
    one = fit_at(np.log([1.0, 4.0, 3.0]), dat=dat)
    setup = LMMsetup("score ~ Machine", means.assign(n=3.0), ["Worker", ["Worker", "Machine"]][:1], weights="n")
    value = LMMprof(np.log([np.sqrt(1.0 + 3 * 9.0), 4.0]), setup)                   # sigma^2 / 3 + 9 = (1 + 27) / 3
    assert_allclose(value.beta, one.beta, rtol=1e-10)
