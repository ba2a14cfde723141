"""The picture of the data, held to the fit."""

import numpy as np
import pytest
from helpers import crossed, fit_at
from numpy.testing import assert_allclose, assert_array_equal
from plots.reading import arrows, below_its_legend, drawn, labels, matplotlib, ticks

from lmm import LMMError, lmm, load_data, plots


def test_a_panel_for_each_subject_in_the_order_of_the_mean_fitted_value(sleep):
    axes = plots.panels(sleep)
    dat = load_data("sleepstudy").assign(fitted=sleep.fittedvalues)
    means = dat.groupby("Subject", observed=True)["fitted"].mean()
    assert axes.shape == (3, 6)
    assert all(panel.get_visible() for panel in axes.flat)
    titles = [panel.get_title() for panel in axes.flat]
    assert titles == [str(subject) for subject in means.sort_values().index]
    for panel in axes.flat:
        rows = dat[dat["Subject"].astype(str) == panel.get_title()]
        population = sleep.params["Intercept"] + sleep.params["Days"] * rows["Days"]
        assert_array_equal(drawn(panel, "data"), rows[["Days", "Reaction"]].T)
        assert_array_equal(drawn(panel, "fitted"), rows[["Days", "fitted"]].T)
        assert_allclose(drawn(panel, "population")[1], population)
        assert panel.get_ylim() == axes[0, 0].get_ylim()
    left = [labels(panel) for panel in axes[:, 0]]
    right = [labels(panel) for panel in axes[:, 5]]
    assert left == [("", "Reaction"), ("", "Reaction"), ("Days", "Reaction")]
    assert right == [("", ""), ("", ""), ("Days", "")]
    legend = axes[0, 0].figure.legends[0]
    assert [text.get_text() for text in legend.texts] == ["population", "data", "fitted"]


def test_rows_in_any_order_that_share_x_are_averaged(schools):
    panel = plots.panels(schools, group="second")[0, 0]
    design = schools.setup.design
    here = design.data["second"].astype(str) == panel.get_title()
    x, fitted = drawn(panel, "fitted")
    assert np.all(np.diff(x) > 0)
    assert len(x) < here.sum() == len(drawn(panel, "data")[0])
    verbal = design.data["verbal"]
    counts = np.array([np.sum(here & (verbal == value)) for value in x])
    often = int(np.argmax(counts))
    assert counts[often] > 5
    together = here & (verbal == x[often])
    assert_allclose(fitted[often], schools.fittedvalues.to_numpy()[together].mean())


def test_rows_left_out_and_any_index_are_no_matter():
    dat = load_data("sleepstudy").set_axis(np.zeros(180))
    dat.iloc[[3, 50], 0] = np.nan
    fit = lmm("Reaction ~ Days", dat, "Subject")
    panel = plots.panels(fit)[0, 0]
    rows = dat.assign(fitted=fit.align(fit.fittedvalues).to_numpy()).dropna()
    rows = rows[rows["Subject"].astype(str) == panel.get_title()]
    assert_array_equal(drawn(panel, "data"), rows[["Days", "Reaction"]].T)
    assert_array_equal(drawn(panel, "fitted"), rows[["Days", "fitted"]].T)
    assert len(arrows(plots.shrinkage(fit))[0]) == 18


def test_axes_left_over_are_hidden_and_the_panels_above_them_labelled(schools):
    axes = plots.panels(schools, group="second")
    shown = [panel.get_visible() for panel in axes.flat]
    assert axes.shape == (4, 5)
    assert shown == [True] * 19 + [False]
    assert [panel.get_xlabel() for panel in axes[2]] == ["", "", "", "", "verbal"]
    first_ticks = [panel.xaxis.get_major_ticks(1)[0] for panel in axes[2]]
    named = [tick.label1.get_visible() for tick in first_ticks]
    assert named == [False, False, False, False, True]


def test_a_factor_stands_on_the_horizontal_axis_where_no_variable_is_numeric(machines):
    axes = plots.panels(machines)
    last = axes.flat[-1]
    assert axes.shape == (2, 3)
    assert last.get_title() == "3"
    assert labels(last) == ("Machine", "")
    assert ticks(last, "x") == ["A", "B", "C"]
    dat = load_data("Machines").assign(fitted=machines.fittedvalues)
    of_worker = dat[dat["Worker"].astype(str) == "3"]
    fitted = of_worker.groupby("Machine", observed=True)["fitted"].mean()
    assert_allclose(drawn(last, "fitted"), [[0, 1, 2], fitted])
    population = machines.params["Intercept"] + np.array([0, *machines.params[1:]])
    assert_allclose(drawn(last, "population")[1], population)


def test_a_level_with_one_x_shows_its_fitted_value(machines):
    axes = plots.panels(machines, group="Worker:Machine")
    line, = (line for line in axes[0, 0].lines if line.get_label() == "fitted")
    assert axes[0, 0].get_title() == "6:B"
    assert len(line.get_xdata()) == 1
    assert line.get_marker() == "_"


def test_x_may_be_chosen_and_long_labels_are_turned():
    dat = load_data("ScotsSec").iloc[:600]
    sex = dat["sex"].map({"M": "the boys", "F": "the girls"})
    dat = dat.assign(sex=sex, school="no " + dat["second"].astype(str))
    panel = plots.panels(lmm("attain ~ verbal + sex", dat, "school"), x="sex")[-1, 0]
    assert ticks(panel, "x") == ["the boys", "the girls"]
    assert panel.get_xticklabels()[0].get_rotation() == 90
    assert set(drawn(panel, "data")[0]) == {0, 1}


def test_the_variable_of_a_slope_serves_as_x():
    fit = lmm("Reaction ~ 1", load_data("sleepstudy"), ["Subject", ["Subject", "Days"]])
    assert plots.panels(fit)[-1, 0].get_xlabel() == "Days"


def test_without_predictors_levels_stand_one_above_the_other(dyestuff):
    axes = plots.panels(dyestuff)
    ax = axes[0]
    dat = load_data("Dyestuff")
    means = dat.groupby("Batch", observed=True)["Yield"].mean().sort_values()
    assert axes.shape == (1,)
    assert labels(ax) == ("Yield", "Batch")
    assert ticks(ax) == list(means.index) == list("FDABCE")
    assert_allclose(drawn(ax, "mean"), [means, range(6)])
    coefficients = dyestuff.coef()["Batch"].loc[means.index, "Intercept"]
    assert_allclose(drawn(ax, "fitted")[0], coefficients)
    x, place = drawn(ax, "data")
    for i, batch in enumerate(means.index):
        assert set(x[place == i]) == set(dat["Yield"][dat["Batch"] == batch])
    assert drawn(ax, "population")[0][0] == dyestuff.beta[0]
    ax.figure.canvas.draw()
    assert below_its_legend(ax)
    own = matplotlib.figure.Figure().add_subplot()
    assert plots.panels(dyestuff, ax=own)[0] is own


def test_more_panels_than_a_figure_holds_are_refused():
    fit = lmm("y ~ x", crossed((201, 3, 2), 800, seed=6), ["a"])
    words = "the grouping has 201 levels, and a figure at most 200 panels; give another group"
    with pytest.raises(LMMError, match=words):
        plots.panels(fit)


def test_lines_become_points_where_something_else_varies(machines):
    """A second covariate, or classes within schools, would make the fitted line zigzag."""
    dat = load_data("sleepstudy")
    dat = dat.assign(z=np.sin(np.arange(180)), half=dat["Days"] % 2 == 0)
    theta = np.log([25.0, 20.0])
    fit = fit_at(theta, "Reaction ~ Days", ["Subject"], dat)
    several = fit_at(theta, "Reaction ~ Days + z", ["Subject"], dat)
    nested_ref = ["Subject", ["Subject", "half"]]
    nested = fit_at(np.log([25.0, 20.0, 5.0]), "Reaction ~ Days", nested_ref, dat)

    def styles(fit):
        return [line.get_linestyle() for line in plots.panels(fit)[0, 0].lines]

    assert styles(fit) == ["--", "None", "-"]
    assert styles(several) == ["None"] * 3
    assert styles(nested) == ["--", "None", "None"]
    assert styles(machines)[2] == "-"               # Worker:Machine is a function of x
