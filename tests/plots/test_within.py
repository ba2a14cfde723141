"""Shrinkage: arrows from least squares within each level, by other means, to `coef`."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from plots.reading import arrows, below_its_legend, drawn, labels, ticks

from lmm import LMMError, lmm, load_data, plots

SLOPES = ["Subject", ["Subject", "Days"]]


def lines_by_subject(dat, y):
    """Intercept and slope of y in Days by least squares within each subject, (m, 2)."""
    subjects = dat.groupby("Subject", observed=True)
    return np.array([np.polyfit(d["Days"], y[d.index], 1)[::-1] for _, d in subjects])


def test_two_effects_by_subject(sleep):
    ax = plots.shrinkage(sleep)
    dat = load_data("sleepstudy")
    start, end = arrows(ax)
    assert_allclose(start, lines_by_subject(dat, dat["Reaction"]), rtol=1e-10)
    assert_allclose(end, sleep.coef()["Subject"][["Intercept", "Days"]])
    assert_allclose(np.transpose(drawn(ax, "within group")), start)
    assert_allclose(np.transpose(drawn(ax, "mixed model")), end)
    assert_allclose(np.ravel(drawn(ax, "population")), sleep.params)
    assert labels(ax) == ("Intercept", "Days")
    ax.figure.canvas.draw()
    assert below_its_legend(ax)


def test_one_effect_level_by_level(dyestuff):
    ax = plots.shrinkage(dyestuff)
    batches = load_data("Dyestuff").groupby("Batch", observed=True)
    means = batches["Yield"].mean().sort_values()
    mixed = dyestuff.coef()["Batch"].loc[means.index, "Intercept"]
    start, end = arrows(ax)
    assert_allclose(start, np.column_stack([means, range(6)]))
    assert_allclose(end, np.column_stack([mixed, range(6)]))
    assert ticks(ax) == list(means.index)
    assert labels(ax) == ("Intercept", "Batch")
    assert drawn(ax, "population")[0][0] == dyestuff.params["Intercept"]


def test_a_standard_deviation_of_zero_pulls_all_the_way(zero):
    _, end = arrows(plots.shrinkage(zero))
    assert_allclose(end[:, 0], zero.params["Intercept"])


def test_other_fixed_effects_and_crossed_groups_are_taken_off(schools):
    """Then each mode is ridge regression within: n / (n + sigma^2 / sd^2) of the deviation."""
    ax = plots.shrinkage(schools, "second")
    design = schools.setup.design
    modes = schools.ranef()["primary"]["Intercept"]
    primary = design.data["primary"].astype(str).map(modes).to_numpy(float)
    intercept = schools.params["Intercept"]
    left = design.y - (design.X @ schools.beta - intercept + primary)
    second = design.data["second"].astype(str).to_numpy()
    start, end = arrows(ax)
    assert_allclose(start[:, 0], pd.Series(left).groupby(second).mean()[ticks(ax)], rtol=1e-10)
    n = pd.Series(second).value_counts()[ticks(ax)].to_numpy()
    penalty = schools.sigma**2 / schools.sd["second"] ** 2
    shrunk = n / (n + penalty) * (start[:, 0] - intercept)
    assert_allclose(end[:, 0] - intercept, shrunk, atol=1e-10)


def test_a_nested_group_is_part_of_what_varies_within(machines):
    """Worker: means of the raw data, less the machines' effects.

    Worker:Machine: the worker's mode is taken off.
    """
    dat = load_data("Machines")
    worker = dat["Worker"].astype(str)
    machine = dat["Machine"].astype(str)
    effects = {"A": 0, "B": machines.params.iloc[1], "C": machines.params.iloc[2]}
    left = dat["score"] - machine.map(effects)
    ax = plots.shrinkage(machines)
    assert_allclose(arrows(ax)[0][:, 0], left.groupby(worker).mean()[ticks(ax)])
    ax = plots.shrinkage(machines, "Worker:Machine")
    left = left - worker.map(machines.ranef()["Worker"]["Intercept"])
    cell = worker + ":" + machine
    assert_allclose(arrows(ax)[0][:, 0], left.groupby(cell).mean()[ticks(ax)])


def test_fixed_effects_of_other_names_stay_and_a_slope_may_have_none():
    """The slope in Days is random only, so its population value is 0.

    log1p(Days) is a fixed effect of another name.
    """
    dat = load_data("sleepstudy")
    fit = lmm("Reaction ~ log1p(Days)", dat, SLOPES)
    ax = plots.shrinkage(fit)
    left = dat["Reaction"] - fit.params["log1p(Days)"] * np.log1p(dat["Days"])
    assert_allclose(arrows(ax)[0], lines_by_subject(dat, left), rtol=1e-9, atol=1e-9)
    assert_allclose(np.ravel(drawn(ax, "population")), [fit.params["Intercept"], 0])


def test_levels_whose_rows_do_not_determine_the_coefficients_are_left_out():
    """Of three subjects one row is left, or one day, twice, or the day 0 alone."""
    dat = load_data("sleepstudy")
    first, second, third = (dat["Subject"] == name for name in dat["Subject"].cat.categories[:3])
    one_row = first & (dat["Days"] > 0)
    one_day = second & (dat["Days"] != 3)
    only_zero = third & (dat["Days"] != 0)
    again = dat[second & (dat["Days"] == 3)]
    dat = pd.concat([dat[~(one_row | one_day | only_zero)], again], ignore_index=True)
    fit = lmm("Reaction ~ Days", dat, SLOPES)
    start, end = arrows(plots.shrinkage(fit))
    assert_allclose(end, fit.coef()["Subject"].iloc[3:])
    assert len(start) == 15


def test_no_level_left_is_an_error():
    dat = load_data("sleepstudy")
    dat = dat[dat["Days"] == dat["Subject"].cat.codes % 7]
    again = dat.assign(Reaction=dat["Reaction"] + 5 * np.cos(dat["Days"]) + 9)
    fit = lmm("Reaction ~ 1", pd.concat([dat, again]), SLOPES)
    words = "no level of 'Subject' has enough rows for the least squares of 'Intercept', 'Days'"
    with pytest.raises(LMMError, match=words):
        plots.shrinkage(fit)


def test_of_three_effects_the_first_two_are_drawn():
    dat = load_data("sleepstudy")
    dat = dat.assign(square=(dat["Days"] - 4.5) ** 2)
    fit = lmm("Reaction ~ Days + square", dat, [*SLOPES, ["Subject", "square"]])
    within = []
    for _, rows in dat.groupby("Subject", observed=True):
        X = np.column_stack([np.ones(10), rows["Days"], rows["square"]])
        within.append(np.linalg.lstsq(X, rows["Reaction"], rcond=None)[0])
    assert_allclose(arrows(plots.shrinkage(fit))[0], np.array(within)[:, :2], rtol=1e-9)


def test_shrinkage_knows_offsets_and_weights():
    """Arrows used to start from the means of y itself: an offset moved them all."""
    dat = load_data("Dyestuff").assign(known=60.0, w=np.tile([1.0, 2.0, 1.0, 2.0, 1.0], 6))
    plain = plots.shrinkage(lmm("Yield ~ 1", dat, ["Batch"])).lines[-2].get_xdata()
    moved = plots.shrinkage(lmm("Yield ~ 1", dat, ["Batch"], offset="known")).lines[-2].get_xdata()
    assert_allclose(np.sort(moved), np.sort(plain) - 60.0, rtol=1e-9)
    weighted = plots.shrinkage(lmm("Yield ~ 1", dat, ["Batch"], weights="w")).lines[-2].get_xdata()
    means = dat.groupby("Batch", observed=True).apply(lambda of: np.average(of["Yield"], weights=of["w"]))
    assert_allclose(np.sort(weighted), np.sort(means), rtol=1e-9)
