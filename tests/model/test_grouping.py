"""Levels by the data's own values: what is found joins the data; labels are text, and different ones."""

import importlib

import numpy as np
import pandas as pd
import pytest
from helpers import crossed, fit_at
from numpy.testing import assert_allclose

from lmm import LMMError, LMMsetup, lmer, lmm, load_data, plots

FIRST_DAY = pd.Timestamp("2024-03-01")
KINDS = {
    "int": lambda s: s,
    "int32": lambda s: s.astype("int32"),
    "Int64": lambda s: s.astype("Int64"),
    "float": lambda s: s + 0.5,
    "str": lambda s: "g" + s.astype(str),
    "string": lambda s: ("g" + s.astype(str)).astype("string"),
    "object": lambda s: ("g" + s.astype(str)).astype(object),
    "bool": lambda s: s > 2,
    "boolean": lambda s: (s > 2).astype("boolean"),
    "date": lambda s: FIRST_DAY + pd.to_timedelta(s, "D"),
    "zone": lambda s: (FIRST_DAY + pd.to_timedelta(s, "D")).dt.tz_localize("CET"),
    "python's date": lambda s: (FIRST_DAY + pd.to_timedelta(s, "D")).dt.date,
    "period": lambda s: (FIRST_DAY + pd.to_timedelta(s, "D")).dt.to_period("D"),
}


def data(kind, category, missing):
    rng = np.random.default_rng(0)
    codes = pd.Series(np.arange(60) % 5)
    dat = pd.DataFrame({"id": KINDS[kind](codes), "b": np.where(rng.random(60) < 0.5, "u", "v"), "x": rng.normal(size=60)})
    dat["y"] = dat["x"] + codes + rng.normal(size=60)
    if missing:
        dat["id"] = dat["id"].where(dat.index != 3)
    return dat.astype({"id": "category"}) if category else dat


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("category", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_modes_join_the_data(kind, category, missing):
    dat = data(kind, category, missing)
    fit = lmer("y ~ x + (1 | id) + (1 | id:b)", dat)
    used = fit.resid.index
    Z = [block.matrix for block in fit.setup.design.blocks]
    tidy = fit.ranef(tidy=True)
    for j, (group, on) in enumerate([("id", "id"), ("id:b", ["id", "b"])]):
        for tables, name in (fit.ranef(), "Intercept"), (fit.coef(), "x"):
            joined = dat.join(tables[group][[name]].add_suffix("_of_level"), on=on)[f"{name}_of_level"]
            assert joined.notna().sum() == len(used) and joined[used].notna().all()
        joined = dat.join(fit.ranef()[group], on=on)["Intercept"]
        right = Z[j] @ tidy.loc[tidy["group"] == group, "estimate"].to_numpy()
        assert_allclose(joined[used], right)
    index = fit.ranef()["id"].index
    assert index.name == "id" and index.dtype == dat["id"].dtype
    assert index[1] == fit.ranef()["id"].index.tolist()[1] and set(index) == set(dat["id"].dropna())
    assert fit.ranef()["id:b"].index.names == ["id", "b"]
    assert_allclose(fit.predict(dat.loc[[7, 30]]), fit.fittedvalues[[7, 30]])


def test_levels_are_looked_up_by_value():
    dat = data("int", False, False)
    fit = lmer("y ~ x + (1 | id)", dat)
    assert_allclose(fit.ranef()["id"].loc[3, "Intercept"], fit.ranef()["id"]["Intercept"].iloc[3])
    assert fit.ranef(tidy=True)["level"].dtype == "int64"
    missing = lmer("y ~ x + (1 | id)", data("int", False, True))
    assert missing.ranef()["id"].index.tolist() == [0, 1, 2, 3, 4] and missing.nobs == 59
    assert missing.setup.design.blocks[0].levels == ("0", "1", "2", "3", "4")
    twice = lmer("y ~ id + (1 | id)", dat.assign(y=lambda d: d.y + d.id**2))
    assert twice.ranef()["factor(id)"].index.name == "id"


def test_a_tidy_table_has_values_and_labels_of_combinations():
    fit = fit_at([0.1, 0.3, -0.2])
    table = fit.ranef(tidy=True)
    assert table["level"].tolist()[:8] == ["6", "2", "4", "1", "3", "5", "6:A", "6:B"]
    assert fit.ranef()["Worker:Machine"].index.tolist()[:2] == [("6", "A"), ("6", "B")]
    assert_allclose(fit.ranef()["Worker:Machine"].loc[("2", "C"), "Intercept"], table.loc[table["level"] == "2:C", "estimate"].item())


def test_levels_of_matrices_are_those_that_were_given():
    dat = load_data("Dyestuff")
    Z = np.eye(6)[dat["Batch"].cat.codes]
    X = np.ones((30, 1))
    assert lmm(dat["Yield"], X, {"Batch": Z}).ranef()["Batch"].index.tolist() == list(range(6))
    assert lmm(dat["Yield"], X, {"Batch": (Z, list("uvwxyz"))}).ranef()["Batch"].index.tolist() == list("uvwxyz")
    fit = lmm(dat["Yield"], X, {"Batch": pd.get_dummies(dat["Batch"])})
    assert fit.ranef()["Batch"].index.tolist() == dat["Batch"].cat.categories.tolist()
    assert dat.join(fit.ranef()["Batch"], on="Batch")["Intercept"].notna().all()


def test_labels_that_collide_are_quoted():
    dat = crossed((4, 3, 2), 40, 5)
    dat["a"] = dat["a"].cat.rename_categories({"0": "x:y", "1": "x"})
    dat["b"] = dat["b"].cat.rename_categories({"0": "z", "1": "y:z"})
    fit = fit_at([0.0, 0.2], "y ~ 1", [["a", "b"]], dat)
    labels = fit.setup.design.blocks[0].levels
    assert len(set(labels)) == 12 and {"'x:y':z", "x:'y:z'", "x:z", "'x:y':2"} <= set(labels)
    table = fit.ranef()["a:b"]
    assert table.index.is_unique and table.loc[("x:y", "z"), "Intercept"] != table.loc[("x", "y:z"), "Intercept"]
    assert dat.join(table, on=["a", "b"])["Intercept"].nunique() == 12
    assert_allclose(fit.predict(dat), fit.fittedvalues, rtol=1e-12)
    pytest.importorskip("matplotlib").use("Agg")
    ax = plots.caterpillar(fit)
    assert len({tick.get_text() for tick in ax.get_yticklabels()}) == 12
    importlib.import_module("matplotlib.pyplot").close("all")
    single = fit_at([0.0, 0.2], "y ~ 1", ["a"], dat)
    assert "x:y" in single.setup.design.blocks[0].levels                        # no quotes where nothing collides


@pytest.mark.parametrize("columns, form", [
    ({"a:b": "c", "a": "a", "b": "b"}, 'y ~ 1 + (1 | Q("a:b")) + (1 | a:b)'),
    ({"a:x": "b", "a": "a"}, 'y ~ 1 + (1 | Q("a:x")) + (0 + x | a)')])
def test_names_that_collide_are_refused(columns, form):
    dat = crossed((4, 3, 2), 40, 5)
    dat = dat[["x", "y"]].assign(**{new: dat[old] for new, old in columns.items()})
    with pytest.raises(LMMError, match=r"two different blocks would be called 'a:.'; rename a column"):
        lmer(form, dat)


@pytest.mark.parametrize("values, words", [
    ([1, "1", 2], r"numbers and text, such as 1 and '1'; make it all text, dat\[\"id\"\] = dat\[\"id\"\].astype\(\"string\"\)"),
    (["1", 1, "b"], "text and numbers, such as '1' and 1; make it all text, .* or all numbers, .*to_numeric"),
    ([1, 2, "3a"], "numbers and text, such as 1 and '3a'"), ([True, "a"], "true and false and text"),
    ([True, 1, 0], "true and false and numbers"), ([1.5, "b"], "numbers and text"), ([FIRST_DAY.date(), "b"], "dates and text"),
    ([("u", 1), "b"], "others and text")])
def test_a_column_of_several_kinds_is_refused(values, words):
    dat = pd.DataFrame({"id": pd.Series([values[i % len(values)] for i in range(24)], dtype=object), "x": np.arange(24.0)})
    dat["y"] = np.random.default_rng(0).normal(size=24)
    for call in (lambda: lmer("y ~ x + (1 | id)", dat), lambda: lmm("y ~ x", dat, "id"), lambda: lmm("y ~ id", dat)):
        with pytest.raises(LMMError, match=f"column 'id' holds both {words}"):
            call()
    cured = dat.assign(id=dat["id"].astype("string"))
    assert LMMsetup("y ~ x", cured, "id").design.blocks[0].matrix.shape[1] == len({str(value) for value in values})


def test_categories_of_several_kinds_are_refused():
    dat = pd.DataFrame({"id": pd.Categorical([1, "1", 2] * 8, [1, "1", 2]), "x": np.arange(24.0)})
    dat["y"] = np.random.default_rng(0).normal(size=24)
    with pytest.raises(LMMError, match="column 'id' holds both numbers and text, such as 1 and '1'"):
        lmm("y ~ x", dat, "id")


def test_missing_values_are_no_kind_of_their_own():
    dat = pd.DataFrame({"id": [None, np.nan, *(["u", "v", "w"] * 6)], "x": np.arange(20.0)})
    dat["y"] = np.random.default_rng(0).normal(size=20)
    assert LMMsetup("y ~ x", dat, "id").design.n_dropped == 2


def test_dates_are_groups_of_a_bar():
    """In ref they are neither factors nor numbers."""
    dat = data("date", False, True)
    fit = lmer("y ~ x + (1 | id)", dat)
    assert fit.setup.design.blocks[0].levels == tuple(f"2024-03-0{i}" for i in range(1, 6))
    assert_allclose(fit.predict(dat), fit.fittedvalues.reindex(dat.index))
    assert_allclose(fit.nll, lmm("y ~ x", dat.astype({"id": "category"}), "id", reml=True).nll, rtol=1e-12)
    with pytest.raises(LMMError, match=r"'id' is Timestamp.* in row 0 of newdata, counted from 0, which the fit has not seen"):
        fit.predict({"x": 1.0, "id": pd.Timestamp("2025-01-01")})
    for call in (lambda: lmm("y ~ x", dat, "id"), lambda: lmer("y ~ id + (1 | id)", dat), lambda: lmer("y ~ x + (id | b)", dat)):
        with pytest.raises(LMMError, match=r"column 'id' is of type datetime64.*, dates, neither numbers nor categories; count days, "
                                           r"with d = pd.to_datetime\(dat\[\"id\"\]\): dat\[\"id\"\] = \(d - d.min\(\)\).dt.days, or for groups"):
            call()
    days = dat.assign(id=(dat["id"] - dat["id"].min()).dt.days)
    assert lmer("y ~ id + (1 | id)", days).nobs == 59


def test_modes_called_as_standard_deviations_are_not_overwritten():
    dat = crossed((4, 3, 2), 40, 5).assign(x_sd=np.cos(np.arange(40)))
    fit = lmer("y ~ x + (0 + x || a) + (0 + x_sd || a)", dat)
    assert list(fit.ranef()["a"].columns) == ["x", "x_sd"]
    with pytest.raises(LMMError, match="the effect 'x_sd' of 'a' is called as a standard deviation; give tidy=True"):
        fit.ranef(cond_sd=True)


def test_the_trace_has_a_column_for_each_parameter_whatever_groupings_are_called():
    dat = load_data("Dyestuff").rename(columns={"Batch": "sigma"})
    trace = lmm("Yield ~ 1", dat, "sigma").trace
    assert list(trace.columns) == ["phase", "nll", "log sigma", "log sigma", "sigma", "sigma"]
    assert not np.allclose(trace.iloc[:, 4], trace.iloc[:, 5])
