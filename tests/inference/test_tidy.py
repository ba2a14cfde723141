"""tidy, glance and augment: broom.mixed's rows and numbers, and the fit's own.

The numbers are those of broom.mixed 0.2.9.4 with lme4 1.1-31 and lmerTest 3.1-3 in R 4.2.2; lme4 stops some 1e-5 of a standard
deviation away from the optimum.
"""

import numpy as np
import pandas as pd
import pytest
from helpers import crossed, fit_at
from numpy.testing import assert_allclose

from lmm import LMMError, lmer, lmm, load_data

BROOM = dict(rtol=3e-5, atol=1e-5)
LABELS = ["effect", "group", "level", "term"]
NUMBERS = ["estimate", "std_error", "statistic", "df", "p_value"]
NAN = np.nan


@pytest.fixture(scope="module")
def sleep():
    return lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))


@pytest.fixture(scope="module")
def weighted():
    """broom.mixed's numbers for it are at an optimum that lme4 found with tight tolerances."""
    dat = load_data("sleepstudy")
    dat["w"] = 1 + dat["Days"] / 10
    dat["o"] = dat["Days"] * 2
    return lmer("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", dat, weights="w", offset="o")


# -- tidy -------------------------------------------------------------------------------------------

TIDY = [
    ("fixed", None, "Intercept", [251.40510485, 6.824597, 36.838090, 16.99973, 1.171558e-17], [237.0064468, 265.8037629]),
    ("fixed", None, "Days", [10.46728596, 1.545790, 6.771481, 16.99998, 3.263824e-06], [7.2059547, 13.7286173]),
    ("ran_pars", "Subject", "sd__Intercept", [24.74065799, NAN, NAN, NAN, NAN], [14.3814732, 37.7159917]),
    ("ran_pars", "Subject", "cor__Intercept.Days", [0.06555124, NAN, NAN, NAN, NAN], [-0.4815008, 0.6849863]),
    ("ran_pars", "Subject", "sd__Days", [5.92213766, NAN, NAN, NAN, NAN], [3.8011643, 8.7533851]),
    ("ran_pars", "Residual", "sd__Observation", [25.59179572, NAN, NAN, NAN, NAN], [22.8982669, 28.8579965]),
]


def test_tidy_is_broom_mixeds(sleep):
    """lmerTest's Student intervals of the fixed effects, lme4's profiles of the others."""
    table = sleep.tidy(["fixed", "ran_pars"], conf_int="profile")
    assert list(table.columns) == [*LABELS, *NUMBERS, "conf_low", "conf_high"]
    student = sleep.tidy("fixed", conf_int="t")
    assert len(table) == len(TIDY)
    for (_, row), (effect, group, term, numbers, bounds) in zip(table.iterrows(), TIDY):
        assert (row["effect"], row["term"]) == (effect, term) and pd.isna(row["level"])
        assert row["group"] == group or (group is None and pd.isna(row["group"]))
        found = row[NUMBERS].to_numpy(float)
        known = ~np.isnan(numbers)
        assert_allclose(found[known], np.array(numbers)[known], rtol=1e-3 if effect == "fixed" else 3e-5)
        if effect == "fixed":
            row = student.set_index("term").loc[term]
        else:
            assert np.isnan(found[2:]).all() and found[1] > 0
        assert_allclose(row[["conf_low", "conf_high"]].to_numpy(float), bounds, rtol=1e-4)


def test_modes_are_broom_mixeds(sleep):
    table = sleep.tidy("ran_vals", conf_int="wald")
    assert list(table["term"].unique()) == ["Intercept", "Days"] and set(table["group"]) == {"Subject"}
    assert list(table["level"][:3]) == ["308", "309", "310"]
    assert_allclose(table["estimate"][:3], [2.258551, -40.398738, -38.960409], **BROOM)
    assert_allclose(table["std_error"][:3], 12.07086, **BROOM)
    assert_allclose(table["conf_low"][:3], [-21.39989, -64.05718, -62.61885], **BROOM)
    assert_allclose(table["conf_high"][:3], [25.91700, -16.74029, -15.30196], **BROOM)


def test_terms_come_as_the_lower_triangle_of_psi():
    fit = lmer("score ~ Machine + (0 + Machine | Worker)", load_data("Machines"))
    a, b, c = (f"Machine[{level}]" for level in "ABC")
    assert list(fit.tidy("ran_pars")["term"]) == [
        f"sd__{a}", f"cor__{a}.{b}", f"cor__{a}.{c}", f"sd__{b}", f"cor__{b}.{c}", f"sd__{c}", "sd__Observation"]
    assert_allclose(
        fit.tidy("ran_pars")["estimate"],
        [4.0792002, 0.8027124, 0.6224523, 8.6250217, 0.7708346, 4.3896801, 0.9615676],
        rtol=1e-4,
    )


def test_independent_terms_weights_and_offset(weighted):
    table = weighted.tidy(["fixed", "ran_pars"])
    assert list(table["term"]) == ["Intercept", "Days", "sd__Intercept", "sd__Days", "sd__Observation"]
    assert_allclose(table["estimate"], [250.620276617, 8.622116019, 24.841966675, 5.990953718, 31.593257454], rtol=1e-6)
    assert_allclose(table["std_error"][:2], [7.106752177, 1.573675104], rtol=1e-6)
    assert_allclose(table["statistic"][:2], [35.265093021, 5.478968306], rtol=1e-6)


def test_several_groupings_in_the_order_of_ref():
    fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]], reml=True)
    table = fit.tidy(["ran_pars", "ran_vals"])
    assert list(table["group"][:3]) == ["Worker", "Worker:Machine", "Residual"]
    assert_allclose(table["estimate"][:3], [4.78105058492, 3.72953842517, 0.96157663606], rtol=3e-5)
    of_worker = table[(table["effect"] == "ran_vals") & (table["group"] == "Worker")].set_index("level")
    assert_allclose(of_worker.loc[["6", "2"], "estimate"], [-7.51429062337, -1.37585602962], rtol=3e-5)
    assert_allclose(of_worker["std_error"], 1.981256443, rtol=3e-5)


def test_errors_of_standard_deviations_are_the_fits_and_of_correlations_by_the_delta_method(sleep):
    """d r = (1 - r^2) d artanh(r); Wald's interval of artanh(r) is symmetric, and its half width 1.96 errors."""
    table = sleep.tidy("ran_pars", conf_int="wald").set_index("term")
    assert_allclose(table.loc[["sd__Observation", "sd__Intercept", "sd__Days"], "std_error"], sleep.sd_se)
    r = table.loc["cor__Intercept.Days"]
    half = (np.arctanh(r["conf_high"]) - np.arctanh(r["conf_low"])) / 2
    assert_allclose(r["std_error"], (1 - r["estimate"] ** 2) * half / 1.959963984540054, rtol=1e-12)


@pytest.mark.parametrize("method", ["profile", "wald", "t", "boot"])
def test_intervals_are_those_of_the_method_in_the_places_of_their_parameters(method):
    fit = lmm("strength ~ 1", load_data("Pastes"), ["batch", "sample"])
    options = dict(nsim=20, seed=2, progress=False) if method == "boot" else {}
    bounds = fit.conf_int(method, level=0.8, **options)
    table = fit.tidy(conf_int=bounds if options else method, level=0.8)
    found = table[table["effect"] != "ran_vals"]
    assert list(found["group"][1:]) == ["batch", "sample", "Residual"]
    assert_allclose(found[["conf_low", "conf_high"]], bounds.iloc[[0, 2, 3, 1]])
    assert_allclose(found["estimate"][1:], [*fit.sd, fit.sigma])


def test_a_grouping_may_have_the_name_of_a_parameter():
    dat = load_data("Pastes").rename(columns={"batch": "sigma"})
    fit = lmm("strength ~ 1", dat, ["sigma", "sample"])
    table = fit.tidy("ran_pars", conf_int="wald")
    assert list(table["group"]) == ["sigma", "sample", "Residual"]
    assert_allclose(table["estimate"], [*fit.sd, fit.sigma])
    assert_allclose(table[["conf_low", "conf_high"]], fit.conf_int("wald").iloc[[2, 3, 1]])


def test_all_effects_by_default_and_always_in_one_order(sleep):
    table = sleep.tidy()
    assert list(table["effect"]) == ["fixed"] * 2 + ["ran_pars"] * 4 + ["ran_vals"] * 36
    assert list(table.columns) == [*LABELS, *NUMBERS]
    pd.testing.assert_frame_equal(table, sleep.tidy(["ran_vals", "fixed", "ran_pars"]))
    assert all(table[name].dtype == float for name in NUMBERS)


def test_what_has_no_random_or_no_fixed_effects():
    fit = lmm("score ~ Machine", load_data("Machines"))
    assert list(fit.tidy(conf_int="wald")["term"]) == ["Intercept", "Machine[T.B]", "Machine[T.C]", "sd__Observation"]
    assert len(fit.tidy("ran_vals")) == 0 and list(fit.tidy("ran_vals").columns) == [*LABELS, *NUMBERS]
    without = lmm("score ~ 0", load_data("Machines"), "Worker")
    assert list(without.tidy(["fixed", "ran_pars"])["term"]) == ["sd__Intercept", "sd__Observation"]


def test_a_standard_deviation_at_zero_has_no_error():
    table = lmm("Yield ~ 1", load_data("Dyestuff2"), "Batch").tidy("ran_pars", conf_int="wald")
    assert table["estimate"][0] == 0 and table.loc[0, ["std_error", "conf_low", "conf_high"]].isna().all()
    assert table.loc[1, ["std_error", "conf_low", "conf_high"]].notna().all()


@pytest.mark.parametrize("arguments, words", [
    (dict(effects="ran_val"), "there is no effect 'ran_val'; there are 'fixed', 'ran_pars', 'ran_vals'; did you mean 'ran_vals'?"),
    (dict(effects=5), "there is no effect 5; there are 'fixed', 'ran_pars', 'ran_vals'"),
    (dict(effects=[]), "effects is empty; it is one or more of 'fixed', 'ran_pars', 'ran_vals'"),
    (dict(conf_int=True), "conf_int is True; it is None, one of 'profile', 'wald', 't', 'boot', or a table that fit.conf_int() returned"),
    (dict(conf_int="walt"), "conf_int is 'walt'; it is None, one of 'profile', 'wald', 't', 'boot', or a table that fit.conf_int() returned"),
    (dict(level=95), "level is 95; it is a probability between 0 and 1, such as 0.95"),
    (dict(conf_int=pd.DataFrame({"lower": [0.0], "upper": [1.0]})), "conf_int is no table of this fit; it is what fit.conf_int() returns"),
    (dict(conf_level=0.9), "tidy has no argument 'conf_level'; write level=0.9"),
])
def test_tidy_refuses(arguments, words, sleep):
    with pytest.raises(LMMError) as error:
        sleep.tidy(**arguments)
    assert words in str(error.value)


# -- glance -----------------------------------------------------------------------------------------


def test_glance_is_broom_mixeds(sleep, weighted):
    table = sleep.glance()
    assert list(table.columns) == ["nobs", "sigma", "logLik", "AIC", "BIC", "REMLcrit", "df_residual"]
    assert_allclose(table.iloc[0], [180, 25.5918, -871.8141, 1755.628, 1774.786, 1743.628, 174], rtol=1e-5)
    by_ml = sleep.update(reml=False).glance()
    assert list(by_ml.columns) == ["nobs", "sigma", "logLik", "AIC", "BIC", "deviance", "df_residual"]
    assert_allclose(by_ml.iloc[0], [180, 25.59182, -875.9697, 1763.939, 1783.097, 1751.939, 174], rtol=1e-5)
    known = [180, 31.59325745, -877.6074027, 1765.214805, 1781.17959, 1755.214805, 175]
    assert_allclose(weighted.glance().iloc[0], known, rtol=1e-7)


# -- augment ----------------------------------------------------------------------------------------


def test_augment_is_broom_mixeds(sleep):
    table = sleep.augment()
    assert list(table.columns) == ["Reaction", "Days", "Subject", ".fitted", ".resid", ".fixed", ".hat", ".cooksd"]
    assert_allclose(table[".fitted"][:3], [253.6637, 273.3299, 292.9962], **BROOM)
    assert_allclose(table[".resid"][:3], [-4.103656, -14.625218, -42.195579], rtol=1e-4)
    assert_allclose(table[".fixed"][:3], [251.4051, 261.8724, 272.3397], **BROOM)
    assert_allclose(table[".hat"][:3], [0.2293040, 0.1697300, 0.1268237], rtol=1e-4)
    assert_allclose(table[".cooksd"][:3], [0.004963133, 0.040206202, 0.226099185], rtol=1e-4)


def test_augment_with_weights_and_offset(weighted):
    rows = weighted.augment().iloc[[0, 49, 179]]
    assert list(rows.columns[:5]) == ["Reaction", "Days", "Subject", "w", "o"]
    assert_allclose(rows[".fitted"], [254.2069185, 340.6851911, 369.8145918], rtol=1e-6)
    assert_allclose(rows[".resid"], [-4.646918539, 30.895908877, -5.690991794], rtol=1e-5)
    assert_allclose(rows[".fixed"], [250.6202766, 346.2193208, 346.2193208], rtol=1e-6)
    assert_allclose(rows[".hat"], [0.1838877075, 0.3291698056, 0.3291698056], rtol=1e-5)
    assert_allclose(rows[".cooksd"], [0.002986511349, 0.664555917926, 0.022547868713], rtol=1e-5)
    assert rows[".offset"].tolist() == [0.0, 18.0, 18.0]
    assert_allclose(rows[".weights"], [1.0, 1.9, 1.9], rtol=1e-14)


def test_augment_has_the_rows_used_as_the_data_have_them():
    dat = crossed((4, 3, 2), 30, seed=1)
    dat.index = [f"row {i}" for i in range(30)]
    dat.loc["row 3", "y"] = NAN
    dat["unused"] = NAN
    before = dat.copy()
    fit = lmm("np.exp(y / 9) ~ x + offset(x)", dat, ["a"])
    table = fit.augment()
    assert list(table.columns) == ["np.exp(y / 9)", "y", "x", "a", ".fitted", ".resid", ".fixed", ".hat", ".cooksd", ".offset"]
    rows = dat.index.drop("row 3")
    pd.testing.assert_frame_equal(table[["y", "x", "a"]], dat.loc[rows, ["y", "x", "a"]])
    assert_allclose(table["np.exp(y / 9)"], np.exp(dat.loc[rows, "y"] / 9))
    assert_allclose(table[".fitted"] + table[".resid"], table["np.exp(y / 9)"])
    assert_allclose(table[".offset"], dat.loc[rows, "x"])
    table["x"] = 0.0
    pd.testing.assert_frame_equal(dat, before)


def test_augment_of_matrices_has_their_response():
    dat = crossed((4, 3, 2), 30, seed=1)
    X = np.column_stack([np.ones(30), dat["x"]])
    Z = pd.get_dummies(dat["a"]).to_numpy(float)
    fit = lmm(dat["y"], X, {"a": Z})
    assert list(fit.augment().columns) == ["y", ".fitted", ".resid", ".fixed", ".hat", ".cooksd"]
    assert list(fit.tidy("ran_pars")["term"]) == ["sd__Intercept", "sd__Observation"]


def test_augment_refuses_a_column_of_its_own_names():
    dat = load_data("Machines").rename(columns={"Machine": ".hat"})
    fit = fit_at([1.0, 1.0], "score ~ Q('.hat')", ["Worker"], dat)
    with pytest.raises(LMMError, match=r"^dat has a column '\.hat', as augment makes one; rename that of dat$"):
        fit.augment()
