"""Predictions for new rows and their errors: against the mixed-model equations' inverse."""

import pickle

import numpy as np
import pandas as pd
import pytest
from helpers import LINEAR_ALGEBRA, crossed, fit_at
from numpy.testing import assert_allclose

from lmm import LMMError, LMMWarning, lmer, lmm, load_data

QUANTILE = 1.959963984540054            # of the standard normal distribution, 0.975


def double(x):
    return 2 * x


@pytest.fixture(scope="module")
def sleep():
    return fit_at(np.log([25.0, 24.0, 6.0]), "Reaction ~ Days", ["Subject", ["Subject", "Days"]], load_data("sleepstudy"))


def henderson(fit, x, z):
    """x'beta + z'b and the variance of its error, by the inverse of Henderson's mixed-model equations."""
    X, y, s2 = fit.setup.design.X, fit.setup.design.y, fit.sigma**2
    Z = np.hstack([block.matrix.toarray() for block in fit.setup.design.blocks])
    psi = np.repeat(np.exp(2 * fit.theta[1:]), [len(block.levels) for block in fit.setup.design.blocks])
    XZ = np.hstack([X, Z])
    inverse = np.linalg.inv(XZ.T @ XZ / s2 + np.diag([*np.zeros(X.shape[1]), *(1 / psi)]))
    w = np.concatenate([x, z])
    return w @ inverse @ XZ.T @ y / s2, w @ inverse @ w


@pytest.mark.requirement("modes")
def test_predictions_and_their_errors_are_hendersons(sleep):
    new = pd.DataFrame({"Days": [0.0, 12.5, 3.0], "Subject": ["308", "372", "335"]}, index=["p", "q", "r"])
    table = sleep.predict(new, interval="confidence")
    assert list(table.columns) == ["mean", "lower", "upper"] and list(table.index) == ["p", "q", "r"]
    levels = sleep.setup.design.blocks[0].levels
    for (_, row), (_, found) in zip(new.iterrows(), table.iterrows()):
        z = np.zeros(36)
        z[levels.index(row["Subject"])], z[18 + levels.index(row["Subject"])] = 1.0, row["Days"]
        mean, variance = henderson(sleep, [1.0, row["Days"]], z)
        assert_allclose(found["mean"], mean, **LINEAR_ALGEBRA)
        assert_allclose(found["upper"] - found["lower"], 2 * QUANTILE * np.sqrt(variance), **LINEAR_ALGEBRA)
    wider = sleep.predict(new, interval="prediction")
    assert_allclose((wider["upper"] - wider["mean"]) ** 2, (table["upper"] - table["mean"]) ** 2 + QUANTILE**2 * 625)


def test_the_population_and_a_new_group(sleep):
    """x'Cx for the mean over groups; with z'psi z for a group that is not in the data, and sigma^2 for an observation."""
    new = pd.DataFrame({"Days": [0.0, 4.0], "Subject": ["new", "308"]})
    x = np.array([[1.0, 0.0], [1.0, 4.0]])
    mean, fixed = x @ sleep.beta, np.einsum("ij,jk,ik->i", x, sleep.cov_params(), x)
    group = np.array([24.0**2, 24.0**2 + 36 * 16])
    for options, variance in ((dict(random=False, interval="confidence"), fixed),
                              (dict(random=False, interval="prediction"), fixed + group + 625)):
        table = sleep.predict(new.drop(columns="Subject"), **options)           # no groups are asked for
        assert_allclose(table["mean"], mean)
        assert_allclose(table["upper"] - table["mean"], QUANTILE * np.sqrt(variance))
    first = sleep.predict(new, new_levels="population", interval="confidence").iloc[0]
    assert_allclose([first["mean"], first["upper"] - first["mean"]], [mean[0], QUANTILE * np.sqrt(fixed[0] + group[0])])
    assert_allclose(sleep.predict(new, random=False), mean)


def test_a_new_level_of_one_block_only():
    dat = crossed((4, 3, 2), 40, 8)
    fit = fit_at([0.0, 0.3, -0.2], "y ~ x", ["a", ["a", "b"]], dat[~((dat.a == "1") & (dat.b == "2"))])
    new = pd.DataFrame({"x": [0.5], "a": ["1"], "b": ["2"]})
    with pytest.raises(LMMError, match="row 0 of newdata, counted from 0, is of a combination of 'a:b' that the fit has not seen"):
        fit.predict(new)
    assert_allclose(fit.predict(new, new_levels="population"), fit.beta @ [1, 0.5] + fit.ranef()["a"].loc["1", "Intercept"])


def test_without_newdata_the_rows_of_the_fit(sleep):
    assert_allclose(sleep.predict(), sleep.fittedvalues, rtol=1e-13)
    assert sleep.predict().name == "Reaction"
    again = sleep.predict(load_data("sleepstudy"), interval="confidence")
    assert_allclose(again, sleep.predict(interval="confidence"), rtol=1e-12)
    assert_allclose(sleep.predict(random=False), sleep.setup.design.X @ sleep.beta)


def test_rows_with_missing_values_are_nan(sleep):
    new = pd.DataFrame({"Days": [1.0, np.nan, 2.0], "Subject": ["308", "308", None]})
    assert sleep.predict(new).isna().tolist() == [False, True, True]
    assert sleep.predict(new.iloc[1:], interval="confidence").isna().all(axis=None)
    assert sleep.predict(new.iloc[:0]).empty


def test_transforms_and_codings_are_those_of_the_fit():
    """center() keeps the fit's mean, a factor its levels and contrasts, whatever the new rows hold."""
    dat = crossed((4, 3, 2), 40, 8)
    for form in "y ~ center(x) + double(x**2) + C(b, Sum)", "y ~ bs(x, df=4) + b:c", "y ~ 1", "y ~ np.exp(x) * b":
        fit = lmm(form, dat, ["a"])
        for model in fit, pickle.loads(pickle.dumps(fit)):
            assert_allclose(model.predict(dat.iloc[[7, 3]]), fit.fittedvalues.iloc[[7, 3]], rtol=1e-9)


def test_functions_that_cannot_be_pickled_are_asked_for():
    def triple(x):
        return 3 * x

    dat = crossed((4, 3, 2), 40, 8)
    fit = lmm("y ~ triple(x)", dat, ["a"])
    assert_allclose(fit.predict(dat), fit.fittedvalues)
    again = pickle.loads(pickle.dumps(fit))
    assert again.predict().equals(fit.predict())
    with pytest.raises(LMMError, match="form uses the function 'triple', which is not kept in a file"):
        again.predict(dat)


def test_groups_may_be_text_numbers_or_bool():
    rng = np.random.default_rng(5)
    dat = pd.DataFrame({"g": rng.integers(1, 5, 60), "t": rng.choice(["u", "v", "w"], 60), "q": rng.random(60) < 0.5})
    dat["y"] = rng.normal(size=60) + dat["g"]
    dat["g"] = dat["g"].astype("category")
    fit = fit_at(np.log([1.0, 1.0, 0.5, 0.3]), "y ~ q", ["g", "t", ["g", "q"]], dat)
    new = pd.DataFrame({"g": [2, 3], "t": ["u", "w"], "q": [True, False]})
    one = dat[(dat.g == 2) & (dat.t == "u") & dat.q].index[0]
    assert_allclose(fit.predict(new).iloc[0], fit.fittedvalues[one])


def test_the_new_frame_is_not_changed(sleep):
    new = load_data("sleepstudy").head(3)
    before = new.copy(deep=True)
    sleep.predict(new, interval="prediction")
    pd.testing.assert_frame_equal(new, before)


@pytest.mark.parametrize("new, options, words", [
    ({"Subject": ["308"]}, {}, "newdata has no column 'Days', which the model uses; its columns are 'Subject'"),
    ({"Days": [1.0]}, {}, "newdata has no column 'Subject'"),
    ({"Days": [1.0], "Subject": ["1"]}, {}, "'Subject' is '1' in row 0 of newdata, counted from 0, which the fit has not seen; its "
                                            "levels are '308', '309', .* give new_levels='population'"),
    ({"Days": [1.0], "Subject": [308]}, {}, "'Subject' is 308 in row 0"),
    ({"Days": ["a"], "Subject": ["308"]}, {}, "column 'Days' of newdata is of type .*, where the fit had numbers"),
    ({"Days": [0.0, np.inf], "Subject": ["308", "309"]}, {}, "column 'Days' of newdata is inf in row 1"),
    ({"Days": [1.0], "Subject": ["308"]}, dict(interval="wide"), "interval is 'wide'; it is None, 'confidence'"),
    ({"Days": [1.0], "Subject": ["308"]}, dict(interval="confidence", level=2), "level is 2"),
    ({"Days": [1.0], "Subject": ["308"]}, dict(new_levels="zero"), "new_levels is 'zero'; it is 'error' or 'population'"),
])
def test_bad_input(sleep, new, options, words):
    with pytest.raises(LMMError, match=words):
        sleep.predict(pd.DataFrame(new), **options)


def test_the_row_of_a_new_level_of_an_effect_is_counted_in_newdata():
    """This used to be counted among the rows that lack nothing."""
    dat = load_data("sleepstudy").assign(half=np.where(np.arange(180) % 2, "p", "q"))
    fit = lmer("Reaction ~ Days + (half | Subject)", dat)
    new = dat.iloc[:3].assign(Days=[np.nan, 1.0, 2.0], half=["p", "q", "r"])
    with pytest.raises(LMMError, match=r"'half' in row 2 of newdata, counted from 0, is of a level that the fit has not seen; "
                                       r"its random effect in \(half \| Subject\) has no value there"):
        fit.predict(new)


def test_a_fit_of_matrices_predicts_no_frame():
    dat = load_data("Dyestuff")
    Z = np.eye(6)[dat["Batch"].cat.codes]
    fit = lmm(dat["Yield"], np.ones((30, 1)), {"Batch": Z})
    with pytest.raises(LMMError, match="this is a fit of matrices, so new rows are predicted by their own: X_new"):
        fit.predict(dat)


def test_arrays_of_the_fit_are_not_those_of_new_rows(sleep):
    dat, ones = load_data("sleepstudy"), np.ones(180)
    with pytest.raises(LMMError, match="the fit's offset was an array, which new rows do not have"):
        lmm("Reaction ~ Days", dat, "Subject", offset=ones).predict(dat)
    weighted = lmm("Reaction ~ Days", dat, "Subject", weights=ones)
    with pytest.raises(LMMError, match="the fit's weights were an array, which new rows do not have"):
        weighted.predict(dat, interval="prediction")
    named = lmm("Reaction ~ Days", dat.assign(w=ones), "Subject", weights="w")
    with pytest.raises(LMMError, match="newdata has no column 'w', the weights, and a new observation's variance"):
        named.predict(dat, interval="prediction")


def test_more_bad_input(sleep):
    with pytest.raises(LMMError, match="newdata has no column 'Subject'"):
        sleep.predict({"Days": [1.0]})
    with pytest.raises(LMMError, match="newdata has several columns 'Days'"):
        sleep.predict(pd.DataFrame([[1.0, 2.0, "308"]], columns=["Days", "Days", "Subject"]))
    machines = fit_at(np.log([1.0, 4.0, 3.0]))
    with pytest.raises(LMMError, match=r"'Machine' is 'D' in row 0 of newdata.*a fixed effect has no value there"):
        machines.predict(pd.DataFrame({"Worker": ["1"], "Machine": ["D"]}), new_levels="population")
    logs = lmm("Reaction ~ np.log(Days + 1)", load_data("sleepstudy"), "Subject")
    with pytest.raises(LMMError, match=r"the column of X 'np.log\(Days . 1\)' is nan in row 0 of newdata"):
        logs.predict(pd.DataFrame({"Days": [-2.0], "Subject": ["308"]}))


def collapse(x):
    return x - x.mean()


@pytest.mark.parametrize("form", ["Reaction ~ I(Days - mean(Days))", "Reaction ~ np.cumsum(Days)", "Reaction ~ collapse(Days)"])
def test_functions_of_all_rows_are_refused_on_new_rows(form):
    """These used to be evaluated on the new rows alone: a silent wrong answer."""
    dat = load_data("sleepstudy")
    fit = lmm(form, dat, "Subject")
    with pytest.raises(LMMError, match=r"form holds a function of all rows, such as mean.x., so new rows cannot be predicted; use center"):
        fit.predict(dat.iloc[[9]])
    assert len(fit.predict()) == 180


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_functions_of_scipy_and_of_modules_can_be_pickled():
    """To find a function's module pickle asks all modules that are loaded, deprecated ones of others too."""
    from scipy.special import expit
    dat = load_data("sleepstudy")
    fit = lmm("Reaction ~ expit(Days) + np.sqrt(Days)", dat, "Subject")
    assert_allclose(expit(0), 0.5)
    assert_allclose(pickle.loads(pickle.dumps(fit)).predict(dat), fit.fittedvalues)


def test_group_codes_of_another_type_are_refused_also_for_the_population(sleep):
    """308 is not '308'; it used to get the population's prediction."""
    with pytest.raises(LMMError, match="'Subject' is 308 in row 0 of newdata, counted from 0, where the fit had '308'"):
        sleep.predict(pd.DataFrame({"Days": [1], "Subject": [308]}), new_levels="population")


def test_numbers_of_the_blocks_are_only_asked_for_where_they_matter():
    dat = crossed((4, 3, 2), 40, 8)
    fit = fit_at([0.0, 0.3, -0.2], "y ~ c", ["a", ["a", "x"]], dat)
    new = dat[["c"]].head(3)
    assert fit.predict(new, random=False, interval="confidence").notna().all(axis=None)
    with pytest.raises(LMMError, match="newdata has no column 'x'"):
        fit.predict(new, random=False, interval="prediction")


def test_numeric_blocks_and_blocks_at_zero():
    """A block of numbers alone is one column of Z; a block at zero adds nothing to mean or error."""
    dat = crossed((4, 3, 2), 40, 8)
    with pytest.warns(LMMWarning, match="no factor"):
        fit = fit_at([0.0, 0.3, -0.2], "y ~ 1", ["x", "a"], dat)
    assert_allclose(fit.predict(dat), fit.fittedvalues, rtol=1e-12)
    one, other = fit_at([0.0, 0.3, -np.inf], "y ~ x", ["a", "b"], dat), fit_at([0.0, 0.3], "y ~ x", ["a"], dat)
    assert_allclose(one.predict(dat, interval="prediction"), other.predict(dat, interval="prediction"), rtol=1e-12)


@pytest.mark.parametrize("random", [None, 1, [], {"Subject"}])
def test_random_is_true_or_false_or_names(sleep, random):
    with pytest.raises(LMMError, match=r"random is .*; it is True, False, or the names of"):
        sleep.predict(random=random)


# -- some of the terms ---------------------------------------------------------------------------

def clinics(seed):
    """Patients in clinics, and drugs crossed with them; a covariate, weights, slopes."""
    rng = np.random.default_rng(seed)
    n = 90
    patient = rng.integers(0, 20, n)
    x = rng.normal(size=n)
    drug = rng.integers(0, 5, n)
    y = 2 + x + rng.normal(size=20)[patient] * (1 + x) + rng.normal(size=4)[patient % 4]
    return pd.DataFrame({
        "y": y + rng.normal(size=5)[drug] + rng.normal(size=n),
        "x": x,
        "clinic": np.array(list("ABCD"))[patient % 4],
        "patient": [f"p{i}" for i in patient],
        "drug": [f"d{i}" for i in drug],
        "w": rng.uniform(0.5, 2, n),
    })


MODELS = [
    "y ~ x + (1 | clinic/patient)",
    "y ~ x + (x | clinic:patient) + (1 | clinic)",
    "y ~ x + (1 | clinic) + (1 | clinic:patient) + (1 | drug)",
    "y ~ x + (x || clinic:patient) + (1 | drug)",
]
ASKED = [("clinic:patient",), ("clinic",), ("drug",), ("clinic", "clinic:patient")]


def error_variance(fit, x, z):
    """Var[x'(beta^ - beta) + z'(b^ - b)] in n x n algebra: of a'u - z'b, u = Zb + e."""
    design = fit.setup.design
    levels = [len(block.levels) for block in design.blocks]
    Z = np.hstack([block.matrix.toarray() for block in design.blocks])
    Lambda = fit.setup.covariance.Lambda(fit.theta, levels).toarray()
    psi = Lambda @ Lambda.T
    weights = 1.0 if design.root_weights is None else design.root_weights**2
    V = Z @ psi @ Z.T + fit.sigma**2 * np.diag(np.ones(fit.nobs) / weights)
    W = np.linalg.inv(V)
    X = design.X
    Phi = np.linalg.inv(X.T @ W @ X)
    P = W - W @ X @ Phi @ X.T @ W
    a = W @ X @ Phi @ x + P @ Z @ psi @ z
    mean = x @ fit.beta + z @ psi @ Z.T @ W @ (design.y - X @ fit.beta)
    return mean, a @ V @ a - 2 * a @ Z @ psi @ z + z @ psi @ z, Z, psi


@pytest.mark.parametrize("engine", ["dense", "blocked"])
@pytest.mark.parametrize("seed", range(6))
def test_some_terms_against_n_by_n_algebra(seed, engine):
    weights = "w" if seed % 2 else None
    dat = clinics(seed)
    fit = lmer(MODELS[seed % 4], dat, weights=weights, engine=engine)
    design = fit.setup.design
    groups = [block.group for block in design.blocks]
    of_column = np.repeat(groups, [len(block.levels) for block in design.blocks])
    for asked in [names for names in ASKED if set(names) <= set(groups)]:
        for given in (None, dat):
            found = fit.predict(given, random=list(asked), se=True, interval="prediction")
            for row in (0, 41, 89):
                z = np.hstack([block.matrix.toarray()[row] for block in design.blocks])
                chosen = z * np.isin(of_column, asked)
                mean, variance, _, psi = error_variance(fit, design.X[row], chosen)
                assert_allclose(found["mean"].iloc[row], mean, rtol=1e-9)
                assert_allclose(found["se"].iloc[row], np.sqrt(variance), rtol=1e-9)
                others = z - chosen
                weight = 1.0 if weights is None else dat["w"].iloc[row]
                whole = variance + others @ psi @ others + fit.sigma**2 / weight
                half = QUANTILE * np.sqrt(whole)
                assert_allclose(found["upper"].iloc[row] - mean, half, rtol=1e-9)


def test_contributions_of_terms_add_up():
    fit = lmer(MODELS[2], clinics(3))
    none = fit.predict(random=False)
    parts = [fit.predict(random=name) - none for name in ("clinic", "clinic:patient", "drug")]
    assert_allclose(none + sum(parts), fit.predict(), rtol=1e-12)
    assert_allclose(fit.predict(random=["clinic", "clinic:patient", "drug"]), fit.predict(), rtol=1e-12)
    assert all(np.abs(part).max() > 0.01 for part in parts)


def test_terms_by_their_own_names(sleep):
    by_term = sleep.predict(random="Subject:Days") - sleep.predict(random=False)
    days = sleep.setup.design.data["Days"].to_numpy()
    assert (by_term[days == 0] == 0).all() and np.abs(by_term).max() > 1
    assert_allclose(sleep.predict(random="Subject"), sleep.predict())       # a grouping's: all of its terms


@pytest.mark.parametrize("random", [True, False])
def test_standard_errors_are_those_of_the_confidence_interval(sleep, random):
    new = pd.DataFrame({"Days": [0.0, 12.5], "Subject": ["308", "335"]})
    found = sleep.predict(new, random=random, se=True, interval="confidence")
    assert list(found.columns) == ["mean", "se", "lower", "upper"]
    assert_allclose(found["upper"] - found["mean"], QUANTILE * found["se"])
    assert list(sleep.predict(new, random=random, se=True).columns) == ["mean", "se"]
    wider = sleep.predict(new, random=random, se=True, interval="prediction")
    assert_allclose(wider["se"], found["se"])


def test_a_new_patient_of_a_known_clinic_needs_no_id():
    fit = lmer(MODELS[2], clinics(1))
    new = pd.DataFrame({"x": [0.5], "clinic": ["B"], "drug": ["d1"]})
    options = {"new_levels": "population", "se": True, "interval": "prediction"}
    found = fit.predict(new, **options)
    assert_allclose(found, fit.predict(new.assign(patient="nobody"), **options))
    modes = fit.ranef()
    known = modes["clinic"].loc["B", "Intercept"] + modes["drug"].loc["d1", "Intercept"]
    assert_allclose(found["mean"], fit.predict(new, random=False) + known)
    with pytest.raises(LMMError, match=r"no column 'patient'.*random=False, or for a new level of it new_levels='population'"):
        fit.predict(new)


@pytest.mark.parametrize("options, words", [
    ({"random": "Worker"}, "'Worker' is no random effect of the fit; it is True, False, or among 'Subject', 'Subject:Days'"),
    ({"random": ["Subject", 3]}, "where 3 is no random effect"),
    ({"se": 1}, "se is 1; it is True or False"),
])
def test_what_predict_does_not_take(sleep, options, words):
    with pytest.raises(LMMError, match=words):
        sleep.predict(**options)


def test_model_matrices(sleep):
    whole = sleep.model_matrix()
    assert list(whole.columns) == ["Intercept", "Days"] and len(whole) == 180
    whole.iloc[0, 0] = 99.0
    assert sleep.setup.design.X[0, 0] == 1.0
    new = pd.DataFrame({"Days": [3.0, np.nan]}, index=["p", "q"])
    found = sleep.model_matrix(new)
    assert found.loc["p"].tolist() == [1.0, 3.0] and found.loc["q"].isna().all()
    with pytest.raises(LMMError, match="newdata has no column 'Days'"):
        sleep.model_matrix(pd.DataFrame({"x": [1]}))
