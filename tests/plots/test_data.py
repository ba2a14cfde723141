"""Pictures: what is drawn is read back from the Axes and held to the fit."""

import sys
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from helpers import crossed, fit_at
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr

from lmm import LMMError, LMMprof, LMMWarning, lmer, lmm, load_data, plots

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

Z = 1.959963984540054       # the normal quantile of 0.975


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def sleep():
    return lmm("Reaction ~ Days", load_data("sleepstudy"), ["Subject", ["Subject", "Days"]], reml=True)


@pytest.fixture(scope="module")
def machines():
    return lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])


@pytest.fixture(scope="module")
def dyestuff():
    return lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")


@pytest.fixture(scope="module")
def zero():
    return lmm("Yield ~ 1", load_data("Dyestuff2"), "Batch")


@pytest.fixture(scope="module")
def schools():
    return lmm("attain ~ verbal + sex", load_data("ScotsSec"), ["primary", "second"])


@pytest.fixture(scope="module")
def fixed():
    return lmm("score ~ Machine", load_data("Machines"))


@pytest.fixture(scope="module")
def profile(machines):
    return machines.profile()


def drawn(ax, label):
    """x and y of the line with this label."""
    line, = (line for line in ax.lines if line.get_label() == label)
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def ticks(ax, which="y"):
    return [label.get_text() for label in getattr(ax, f"get_{which}ticklabels")()]


def labels(ax):
    return ax.get_xlabel(), ax.get_ylabel()


# -- every function ------------------------------------------------------------------------------------------

SINGLE = ["caterpillar", "residuals", "quantiles", "shrinkage", "surface"]


@pytest.mark.parametrize("name", SINGLE)
def test_a_given_axes_is_used_and_returned(machines, name):
    ax = matplotlib.figure.Figure().add_subplot()
    assert getattr(plots, name)(machines, ax=ax) is ax
    assert ax.lines and all(labels(ax)) and not plt.get_fignums()


@pytest.mark.parametrize("name", SINGLE)
def test_without_an_axes_a_new_figure_is_made(machines, name):
    settings = dict(matplotlib.rcParams)
    other = plt.figure()
    ax = getattr(plots, name)(machines)
    assert isinstance(ax, matplotlib.axes.Axes) and ax.figure is not other and len(plt.get_fignums()) == 2
    assert not other.axes and dict(matplotlib.rcParams) == settings


def test_profiles_and_panels_draw_on_what_they_are_given(machines, profile):
    figure = matplotlib.figure.Figure()
    ax = figure.add_subplot(2, 4, 8)
    assert plots.profiles(profile, ax=ax) is ax
    grid = figure.subplots(2, 4)
    given = plots.panels(machines, ax=grid)
    assert given is grid and [panel.get_visible() for panel in grid.flat] == [True] * 6 + [False] * 2
    assert plots.panels(machines, ax=list(grid.flat)).shape == (8,) and not plt.get_fignums()


def test_a_fit_is_not_changed(sleep):
    design = sleep.setup.design
    before = sleep.trace, design.dat.copy(), pd.DataFrame(design.data).copy(), design.X.copy(), str(sleep)
    for name in [*SINGLE, "panels"]:
        getattr(plots, name)(sleep)
    after = sleep.trace, design.dat, pd.DataFrame(design.data), design.X, str(sleep)
    assert all(np.array_equal(a, b) for a, b in zip(before, after))


def test_without_matplotlib_the_advice_is_one_sentence(machines, profile, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (*(getattr(plots, name) for name in SINGLE), plots.panels, lambda _: plots.profiles(profile)):
        with pytest.raises(LMMError) as error:
            call(machines)
        assert str(error.value) == "plots need matplotlib; install it with: pip install matplotlib"


def test_names_from_the_data_are_not_read_as_mathematics():
    dat = crossed((6, 4, 2), 60, seed=5)
    dat["g$1$"] = "$" + dat.pop("a").astype(str) + "_{$"
    fit = lmm('np.cbrt(y) ~ 0 + Q("x$^$")', dat.rename(columns={"x": "x$^$"}), ["g$1$", ["g$1$", "x$^$"]])
    profile = pd.DataFrame({"kind": "beta", "name": "$_{$", "value": [1.0, 2.0], "zeta": [0.0, 1.0]})
    figures = [*plots.panels(fit).flat, plots.caterpillar(fit, name="x$^$"), plots.quantiles(fit, "g$1$"), plots.shrinkage(fit),
               plots.surface(fit), plots.profiles(profile), plots.residuals(fit)]
    figures += plots.panels(lmm("y ~ 1", dat, "g$1$")).flat
    for ax in figures:
        ax.figure.canvas.draw()             # what is read as mathematics and is none raises an error here
        for text in ax.figure.findobj(matplotlib.text.Text):
            assert not matplotlib.cbook.is_math_text(text.get_text())
    assert ticks(figures[-1])[0].startswith(r"\$") and figures[-1].get_ylabel() == r"g\$1\$"
    assert {panel.get_title() for panel in figures[:6]} == {rf"\${i}_{{\$" for i in range(6)}


ERRORS = [
    (lambda fits: plots.panels(fits["machines"], group="Wroker"),
     r"there is no group 'Wroker'; \(group, name\) is one of \('Worker', 'Intercept'\), \('Worker:Machine', 'Intercept'\)$"),
    (lambda fits: plots.panels(fits["machines"], x="Worker"), "x is 'Worker', which is not a variable of the model; it has 'Machine'"),
    (lambda fits: plots.panels(fits["dyestuff"], x="Days"), "x is 'Days', which is not a variable of the model; it has none"),
    (lambda fits: plots.panels(fits["machines"], ax=plt.figure().subplots(1, 2)), "ax has 2 Axes; there are 6 levels, and each takes one"),
    (lambda fits: plots.panels(fits["fixed"]), "no random effects by group; name a grouping column in ref"),
    (lambda fits: plots.caterpillar(fits["sleep"], "Subject", "Day"), r"there is no group 'Subject' and name 'Day'; .*\('Subject', 'Days'\)"),
    (lambda fits: plots.caterpillar(fits["sleep"], name="Day"), "there is no name 'Day';"),
    (lambda fits: plots.caterpillar(fits["sleep"], level=95), "level is 95; it is a probability between 0 and 1"),
    (lambda fits: plots.caterpillar(fits["fixed"]), "no random effects by group"),
    (lambda fits: plots.quantiles(fits["sleep"], "Days"), "of is 'Days'; it is one of 'residuals', 'Subject', 'Subject:Days'"),
    (lambda fits: plots.shrinkage(fits["fixed"]), "no random effects by group"),
    (lambda fits: plots.shrinkage(fits["sleep"], "Days"), "there is no group 'Days'"),
    (lambda fits: plots.profiles(fits["sleep"]), r"profile, of type LMMResult, has not the columns kind, name, value and zeta; it is what fit.profile\(\) returns"),
    (lambda fits: plots.profiles(fits["profile"], "sd", "Machine"), r"there is no kind 'sd' and name 'Machine'; \(kind, name\) is one of \('beta', "),
    (lambda fits: plots.profiles(fits["profile"], level=0), "level is 0;"),
    (lambda fits: plots.surface(fits["fixed"]), "the fit has no random effects, so theta is log sigma alone"),
    (lambda fits: plots.surface(fits["sleep"], "Days"), "first and second are 'Days' and 'Subject'; they are two of 'sigma', 'Subject', 'Subject:Days'"),
    (lambda fits: plots.surface(fits["sleep"], "sigma", "sigma"), "they are two of"),
]


@pytest.mark.parametrize(("call", "words"), ERRORS)
def test_errors_name_what_there_is(call, words, sleep, machines, dyestuff, fixed, profile):
    with pytest.raises(LMMError, match=words):
        call({"sleep": sleep, "machines": machines, "dyestuff": dyestuff, "fixed": fixed, "profile": profile})


# -- panels --------------------------------------------------------------------------------------------------

def test_a_panel_for_each_subject_in_the_order_of_the_mean_fitted_value(sleep):
    axes = plots.panels(sleep)
    dat = load_data("sleepstudy").assign(fitted=sleep.fittedvalues)
    assert axes.shape == (3, 6) and all(panel.get_visible() for panel in axes.flat)
    assert [panel.get_title() for panel in axes.flat] == [
        str(subject) for subject in dat.groupby("Subject", observed=True)["fitted"].mean().sort_values().index]
    for panel in axes.flat:
        rows = dat[dat["Subject"].astype(str) == panel.get_title()]
        assert_array_equal(drawn(panel, "data"), rows[["Days", "Reaction"]].T)
        assert_array_equal(drawn(panel, "fitted"), rows[["Days", "fitted"]].T)
        assert_allclose(drawn(panel, "population")[1], sleep.params["Intercept"] + sleep.params["Days"] * rows["Days"])
        assert panel.get_ylim() == axes[0, 0].get_ylim()
    assert [labels(panel) for panel in axes[:, 0]] == [("", "Reaction"), ("", "Reaction"), ("Days", "Reaction")]
    assert [labels(panel) for panel in axes[:, 5]] == [("", ""), ("", ""), ("Days", "")]
    assert [text.get_text() for text in axes[0, 0].figure.legends[0].texts] == ["population", "data", "fitted"]


def test_rows_in_any_order_that_share_x_are_averaged(schools):
    panel = plots.panels(schools, group="second")[0, 0]
    design = schools.setup.design
    here = design.data["second"].astype(str) == panel.get_title()
    x, fitted = drawn(panel, "fitted")
    assert np.all(np.diff(x) > 0) and len(x) < here.sum() == len(drawn(panel, "data")[0])
    counts = np.array([np.sum(here & (design.data["verbal"] == value)) for value in x])
    often = int(np.argmax(counts))
    assert counts[often] > 5
    assert_allclose(fitted[often], schools.fittedvalues.to_numpy()[here & (design.data["verbal"] == x[often])].mean())


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
    assert axes.shape == (4, 5) and shown == [True] * 19 + [False]
    assert [panel.get_xlabel() for panel in axes[2]] == ["", "", "", "", "verbal"]
    assert [panel.xaxis.get_major_ticks(1)[0].label1.get_visible() for panel in axes[2]] == [False, False, False, False, True]


def test_a_factor_stands_on_the_horizontal_axis_where_no_variable_is_numeric(machines):
    axes = plots.panels(machines)
    last = axes.flat[-1]
    assert axes.shape == (2, 3) and last.get_title() == "3" and labels(last) == ("Machine", "") and ticks(last, "x") == ["A", "B", "C"]
    dat = load_data("Machines").assign(fitted=machines.fittedvalues)
    fitted = dat[dat["Worker"].astype(str) == "3"].groupby("Machine", observed=True)["fitted"].mean()
    assert_allclose(drawn(last, "fitted"), [[0, 1, 2], fitted])
    assert_allclose(drawn(last, "population")[1], machines.params["Intercept"] + np.array([0, *machines.params[1:]]))


def test_a_level_with_one_x_shows_its_fitted_value(machines):
    axes = plots.panels(machines, group="Worker:Machine")
    line, = (line for line in axes[0, 0].lines if line.get_label() == "fitted")
    assert axes[0, 0].get_title() == "6:B" and len(line.get_xdata()) == 1 and line.get_marker() == "_"


def test_x_may_be_chosen_and_long_labels_are_turned():
    dat = load_data("ScotsSec").iloc[:600]
    dat = dat.assign(sex=dat["sex"].map({"M": "the boys", "F": "the girls"}), school="no " + dat["second"].astype(str))
    panel = plots.panels(lmm("attain ~ verbal + sex", dat, "school"), x="sex")[-1, 0]
    assert ticks(panel, "x") == ["the boys", "the girls"] and panel.get_xticklabels()[0].get_rotation() == 90
    assert set(drawn(panel, "data")[0]) == {0, 1}


def test_the_variable_of_a_slope_serves_as_x(sleep):
    fit = lmm("Reaction ~ 1", load_data("sleepstudy"), ["Subject", ["Subject", "Days"]])
    assert plots.panels(fit)[-1, 0].get_xlabel() == "Days"


def test_without_predictors_levels_stand_one_above_the_other(dyestuff):
    axes = plots.panels(dyestuff)
    ax = axes[0]
    means = load_data("Dyestuff").groupby("Batch", observed=True)["Yield"].mean().sort_values()
    assert axes.shape == (1,) and labels(ax) == ("Yield", "Batch") and ticks(ax) == list(means.index) == list("FDABCE")
    assert_allclose(drawn(ax, "mean"), [means, range(6)])
    assert_allclose(drawn(ax, "fitted")[0], dyestuff.coef()["Batch"].loc[means.index, "Intercept"])
    x, place = drawn(ax, "data")
    assert all(set(x[place == i]) == set(load_data("Dyestuff").query("Batch == @batch")["Yield"]) for i, batch in enumerate(means.index))
    assert drawn(ax, "population")[0][0] == dyestuff.beta[0]
    own = matplotlib.figure.Figure().add_subplot()
    assert plots.panels(dyestuff, ax=own)[0] is own


def test_more_panels_than_a_figure_holds_are_refused():
    dat = crossed((201, 3, 2), 800, seed=6)
    with pytest.raises(LMMError, match="the grouping has 201 levels, and a figure at most 200 panels; give another group"):
        plots.panels(lmm("y ~ x", dat, ["a"]))


# -- caterpillar ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("level", [0.5, 0.95])
def test_modes_and_their_intervals(sleep, level):
    ax = plots.caterpillar(sleep, name="Days", level=level)
    frame = sleep.ranef(tidy=True).query("name == 'Days'").sort_values("estimate")
    assert ticks(ax) == list(frame["level"]) and ax.get_ylabel() == "Subject"
    assert ax.get_xlabel() == f"Days: conditional modes, {100 * level:g}% prediction intervals"
    errors = ax.containers[0]
    assert_allclose(errors.lines[0].get_xydata(), np.column_stack([frame["estimate"], range(18)]))
    ends = np.array([segment[:, 0] for segment in errors.lines[2][0].get_segments()])
    half = {0.5: 0.6744897501960817, 0.95: Z}[level] * frame["sd"]
    assert_allclose(ends, np.column_stack([frame["estimate"] - half, frame["estimate"] + half]))


def test_the_first_block_is_drawn_and_a_line_at_zero(machines):
    ax = plots.caterpillar(machines)
    assert ax.get_ylabel() == "Worker" and list(ax.lines[0].get_xdata()) == [0, 0]
    assert plots.caterpillar(machines, "Worker:Machine").get_ylabel() == "Worker:Machine"


def test_levels_are_named_while_they_can_be_read(schools):
    assert ticks(plots.caterpillar(schools)) == [] and len(ticks(plots.caterpillar(schools, "second"))) == 19
    ax = plots.caterpillar(lmm("y ~ x", crossed((60, 3, 2), 200, seed=6), ["a"]))
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert len(boxes) == 60 and all(below.y1 <= above.y0 + 2 for below, above in pairwise(boxes))


# -- residuals and quantiles ---------------------------------------------------------------------------------

def test_residuals_against_fitted_values(machines):
    ax = plots.residuals(machines)
    assert_array_equal(ax.lines[1].get_xydata(), np.column_stack([machines.fittedvalues, machines.resid_scaled]))
    assert list(ax.lines[0].get_ydata()) == [0, 0] and labels(ax) == ("fitted score", "scaled residual")


def test_residuals_need_no_random_effects(fixed):
    assert len(plots.residuals(fixed).lines[1].get_xdata()) == len(plots.quantiles(fixed).lines[1].get_xdata()) == 54


@pytest.mark.parametrize("of", ["residuals", "Subject", "Subject:Days"])
def test_quantiles(sleep, of):
    name = {"Subject": "Intercept", "Subject:Days": "Days"}.get(of)
    values = sleep.resid_scaled if of == "residuals" else sleep.ranef()["Subject"][name]
    ax = plots.quantiles(sleep, of)
    z, y = ax.lines[1].get_data()
    assert_array_equal(y, np.sort(values))
    assert_allclose(ndtr(z), (np.arange(1, len(y) + 1) - 0.5) / len(y))
    (x0, x1), (y0, y1) = ax.lines[0].get_data()
    quartiles = np.interp([-0.6744897501960817, 0.6744897501960817], [x0, x1], [y0, y1])
    assert_allclose(quartiles, np.quantile(values, [0.25, 0.75]))
    assert ax.get_ylabel() == ("scaled residual" if of == "residuals" else f"{of}: conditional mode")


# -- shrinkage -----------------------------------------------------------------------------------------------

def arrows(ax):
    """Starts and ends of the arrows, (m, 2) each."""
    quiver, = (artist for artist in ax.collections if isinstance(artist, matplotlib.quiver.Quiver))
    start = np.column_stack([quiver.X, quiver.Y])
    return start, start + np.column_stack([quiver.U, quiver.V])


def test_two_effects_by_subject(sleep):
    ax = plots.shrinkage(sleep)
    dat = load_data("sleepstudy")
    within = np.array([np.polyfit(rows["Days"], rows["Reaction"], 1)[::-1] for _, rows in dat.groupby("Subject", observed=True)])
    start, end = arrows(ax)
    assert_allclose(start, within, rtol=1e-10)
    assert_allclose(end, sleep.coef()["Subject"][["Intercept", "Days"]])
    assert_allclose(np.transpose(drawn(ax, "within group")), start)
    assert_allclose(np.transpose(drawn(ax, "mixed model")), end)
    assert_allclose(np.ravel(drawn(ax, "population")), sleep.params)
    assert labels(ax) == ("Intercept", "Days")


def test_one_effect_level_by_level(dyestuff):
    ax = plots.shrinkage(dyestuff)
    means = load_data("Dyestuff").groupby("Batch", observed=True)["Yield"].mean().sort_values()
    start, end = arrows(ax)
    assert_allclose(start, np.column_stack([means, range(6)]))
    assert_allclose(end, np.column_stack([dyestuff.coef()["Batch"].loc[means.index, "Intercept"], range(6)]))
    assert ticks(ax) == list(means.index) and labels(ax) == ("Intercept", "Batch")
    assert drawn(ax, "population")[0][0] == dyestuff.params["Intercept"]


def test_a_standard_deviation_of_zero_pulls_all_the_way(zero):
    assert_allclose(arrows(plots.shrinkage(zero))[1][:, 0], zero.params["Intercept"])


def test_other_fixed_effects_and_crossed_groups_are_taken_off(schools):
    """Then each mode is what ridge regression makes of the within-group estimate: n / (n + sigma^2 / sd^2) of its deviation."""
    ax = plots.shrinkage(schools, "second")
    design = schools.setup.design
    primary = design.data["primary"].astype(str).map(schools.ranef()["primary"]["Intercept"]).to_numpy(float)
    rest = design.X @ schools.beta - schools.params["Intercept"] + primary
    second = design.data["second"].astype(str).to_numpy()
    start, end = arrows(ax)
    hand = pd.Series(design.y - rest).groupby(second).mean()[ticks(ax)]
    assert_allclose(start[:, 0], hand, rtol=1e-10)
    n = pd.Series(second).value_counts()[ticks(ax)].to_numpy()
    shrunk = n / (n + schools.sigma**2 / schools.sd["second"] ** 2) * (start[:, 0] - schools.params["Intercept"])
    assert_allclose(end[:, 0] - schools.params["Intercept"], shrunk, atol=1e-10)


def test_a_nested_group_is_part_of_what_varies_within(machines):
    """Worker: means of the raw data, less the machines' effects. Worker:Machine: the worker's mode is taken off."""
    dat = load_data("Machines")
    effect = dat["Machine"].astype(str).map({"A": 0, "B": machines.params.iloc[1], "C": machines.params.iloc[2]})
    rest = dat["score"] - effect
    ax = plots.shrinkage(machines)
    assert_allclose(arrows(ax)[0][:, 0], rest.groupby(dat["Worker"].astype(str)).mean()[ticks(ax)])
    ax = plots.shrinkage(machines, "Worker:Machine")
    rest = rest - dat["Worker"].astype(str).map(machines.ranef()["Worker"]["Intercept"])
    cell = dat["Worker"].astype(str) + ":" + dat["Machine"].astype(str)
    assert_allclose(arrows(ax)[0][:, 0], rest.groupby(cell).mean()[ticks(ax)])


def test_fixed_effects_of_other_names_stay_and_a_slope_may_have_none():
    """The slope in Days is random only, so its population value is 0; log1p(Days) is a fixed effect of another name."""
    dat = load_data("sleepstudy")
    fit = lmm("Reaction ~ log1p(Days)", dat, ["Subject", ["Subject", "Days"]])
    ax = plots.shrinkage(fit)
    rest = dat["Reaction"] - fit.params["log1p(Days)"] * np.log1p(dat["Days"])
    within = np.array([np.polyfit(rows["Days"], rest[rows.index], 1)[::-1] for _, rows in dat.groupby("Subject", observed=True)])
    assert_allclose(arrows(ax)[0], within, rtol=1e-9, atol=1e-9)
    assert_allclose(np.ravel(drawn(ax, "population")), [fit.params["Intercept"], 0])


def test_levels_whose_rows_do_not_determine_the_coefficients_are_left_out():
    dat = load_data("sleepstudy")
    subjects = list(dat["Subject"].cat.categories)
    one_row = (dat["Subject"] == subjects[0]) & (dat["Days"] > 0)
    one_day = (dat["Subject"] == subjects[1]) & (dat["Days"] != 3)
    only_zero = (dat["Subject"] == subjects[2]) & (dat["Days"] != 0)
    dat = pd.concat([dat[~(one_row | one_day | only_zero)], dat[(dat["Subject"] == subjects[1]) & (dat["Days"] == 3)]], ignore_index=True)
    fit = lmm("Reaction ~ Days", dat, ["Subject", ["Subject", "Days"]])
    start, end = arrows(plots.shrinkage(fit))
    assert_allclose(end, fit.coef()["Subject"].iloc[3:])
    assert len(start) == 15


def test_no_level_left_is_an_error():
    dat = load_data("sleepstudy")
    dat = dat[dat["Days"] == dat["Subject"].cat.codes % 7]
    fit = lmm("Reaction ~ 1", pd.concat([dat, dat.assign(Reaction=dat["Reaction"] + 5 * np.cos(dat["Days"]) + 9)]),
              ["Subject", ["Subject", "Days"]])
    with pytest.raises(LMMError, match="no level of 'Subject' has enough rows for the least squares of 'Intercept', 'Days'"):
        plots.shrinkage(fit)


def test_of_three_effects_the_first_two_are_drawn():
    dat = load_data("sleepstudy").assign(square=lambda dat: (dat["Days"] - 4.5) ** 2)
    fit = lmm("Reaction ~ Days + square", dat, ["Subject", ["Subject", "Days"], ["Subject", "square"]])
    within = np.array([np.linalg.lstsq(np.column_stack([np.ones(10), rows["Days"], rows["square"]]), rows["Reaction"], rcond=None)[0]
                       for _, rows in dat.groupby("Subject", observed=True)])
    assert_allclose(arrows(plots.shrinkage(fit))[0], within[:, :2], rtol=1e-9)


def test_a_block_of_numbers_alone_has_no_groups():
    dat = load_data("sleepstudy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LMMWarning)
        fit = lmm("Reaction ~ 1", dat, ["Days", "Subject"])
    assert plots.caterpillar(fit).get_ylabel() == "Subject"
    rest = dat["Reaction"] - fit.ranef(tidy=True)["estimate"].iloc[0] * dat["Days"]
    ax = plots.shrinkage(fit)
    assert_allclose(arrows(ax)[0][:, 0], rest.groupby(dat["Subject"].astype(str)).mean()[ticks(ax)])


# -- profiles ------------------------------------------------------------------------------------------------

def test_a_profile_its_estimate_and_its_quantiles(machines, profile):
    for kind, name, label, estimate in (("beta", "Machine[T.B]", "Machine[T.B]", machines.params["Machine[T.B]"]),
                                        ("sd", "Worker", "sd of Worker", machines.sd["Worker"]),
                                        ("sd", "sigma", "sigma", machines.sigma)):
        ax = plots.profiles(profile, kind, name)
        curve = profile[(profile["kind"] == kind) & (profile["name"] == name)]
        assert_array_equal(ax.lines[-1].get_xydata(), curve[["value", "zeta"]])
        assert_allclose([line.get_ydata()[0] for line in ax.lines[:2]], [-Z, Z])
        assert_allclose(ax.lines[2].get_xdata(), estimate) and labels(ax) == (label, "zeta")
    assert plots.profiles(profile).get_xlabel() == "Intercept" and plots.profiles(profile, "sd").get_xlabel() == "sigma"
    assert_allclose(plots.profiles(profile, name="Worker", level=0.5).lines[1].get_ydata()[0], 0.6744897501960817)


# -- surface -------------------------------------------------------------------------------------------------

def check_contours(ax, fit, first, second):
    """Every point of every contour has the drop of a level, but for interpolation between points h apart: h^2/8 f''."""
    levels = np.outer(10.0 ** np.arange(5), [1, 2, 5]).ravel()
    assert {text.get_text() for text in ax.texts} <= {f"{level:g}" for level in levels} and len(ax.texts) > 2
    points = np.vstack([path.vertices for artist in ax.collections for path in artist.get_paths() if len(path.vertices)])
    assert len(points) > 100
    i, j = (fit.setup.labels.index(name) for name in (first, second))
    for point in points[::10]:
        theta = fit.theta.copy()
        theta[[i, j]] = point
        drop = 2 * (LMMprof(theta, fit.setup) - fit.nll)
        assert np.any(np.abs(drop - levels) < 0.2 + 0.02 * levels)


@pytest.mark.parametrize(("chosen", "pair"), [
    ((), ("Worker", "Worker:Machine")), (("sigma",), ("sigma", "Worker")), ((None, "Worker"), ("Worker:Machine", "Worker")),
    (("Worker:Machine", "sigma"), ("Worker:Machine", "sigma"))])
def test_the_surface_and_the_way_to_the_optimum(machines, chosen, pair):
    ax = plots.surface(machines, *chosen)
    assert labels(ax) == (f"log {pair[0]}", f"log {pair[1]}")
    check_contours(ax, machines, *pair)
    trace = machines.trace
    for label, phase in (("Nelder-Mead", "simplex"), ("Newton", "newton")):
        path = trace.loc[trace["phase"] == phase, [f"log {name}" for name in pair]]
        assert_array_equal(drawn(ax, label), path.T)
        for values, (low, high) in zip(path.to_numpy().T, (ax.get_xlim(), ax.get_ylim())):
            assert low < values.min() and values.max() < high
    assert_array_equal(np.ravel(drawn(ax, "optimum")), machines.theta[[machines.setup.labels.index(name) for name in pair]])


def test_one_block_is_drawn_with_sigma_and_by_the_criterion_of_the_fit():
    fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch", reml=True)
    ax = plots.surface(fit)
    assert labels(ax) == ("log sigma", "log Batch")
    check_contours(ax, fit, "sigma", "Batch")


def test_an_estimate_of_zero_is_marked_at_the_edge(zero):
    ax = plots.surface(zero)
    x, y = drawn(ax, "optimum (sd 0, at the edge)")
    assert x[0] == zero.theta[0] and y[0] == ax.get_ylim()[0] and np.isfinite(y[0])
    assert np.all(drawn(ax, "Newton")[1] >= y[0])
    check_contours(ax, zero, "sigma", "Batch")
    at_edge = LMMprof([x[0], y[0]], zero.setup) - zero.nll
    assert 0 < at_edge < 0.01           # the surface is flat there


def test_a_refit_has_no_simplex(zero):
    fit = zero.refit(load_data("Dyestuff")["Yield"])
    ax = plots.surface(fit)
    assert {line.get_label() for line in ax.lines} == {"Newton", "start", "optimum", "-2 log-likelihood above its least"}
    check_contours(ax, fit, "sigma", "Batch")


def test_lines_become_points_where_something_else_varies(machines):
    """A second covariate, or classes within schools, would make the fitted line zigzag."""
    dat = load_data("sleepstudy").assign(z=lambda d: np.sin(np.arange(180)), half=lambda d: (d["Days"] % 2 == 0))
    fit = fit_at(np.log([25.0, 20.0]), "Reaction ~ Days", ["Subject"], dat)
    several = fit_at(np.log([25.0, 20.0]), "Reaction ~ Days + z", ["Subject"], dat)
    nested = fit_at(np.log([25.0, 20.0, 5.0]), "Reaction ~ Days", ["Subject", ["Subject", "half"]], dat)

    def styles(fit):
        return [line.get_linestyle() for line in plots.panels(fit)[0, 0].lines]

    assert styles(fit) == ["--", "None", "-"] and styles(several) == ["None"] * 3 and styles(nested) == ["--", "None", "None"]
    assert plots.panels(machines)[0, 0].lines[2].get_linestyle() == "-"             # Worker:Machine is a function of x


@pytest.mark.parametrize("draw", [plots.panels, plots.caterpillar, plots.residuals, plots.quantiles, plots.shrinkage, plots.surface])
def test_what_is_no_fit_is_refused(draw):
    with pytest.raises(LMMError, match="fit is of type str; it is what lmm returns"):
        draw("fit")


def test_what_is_no_axes_is_refused(machines):
    with pytest.raises(LMMError, match="ax is of type ndarray; it is one of matplotlib's Axes"):
        plots.residuals(machines, ax=np.zeros(2))


# -- vector-valued terms --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both():
    return lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))


def points_of(line):
    """The points of a line, (n, 2)."""
    return np.column_stack([line.get_xdata(), line.get_ydata()]).astype(float)


def test_modes_of_two_effects_against_each_other(both):
    ax = plots.pairs(both)
    modes = both.ranef()["Subject"]
    assert_allclose(points_of(ax.lines[2]), modes[["Intercept", "Days"]])
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("Intercept", "Days", "conditional modes by Subject, -+1 sd")
    three = lmer("score ~ Machine + (0 + Machine | Worker)", load_data("Machines"))
    ax = plots.pairs(three, x="Machine[C]")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Machine[C]", "Machine[A]")


def test_the_modes_of_a_singular_covariance_lie_on_a_line():
    fit = lmer("conc ~ age + (age | Lot)", load_data("IGF"))
    assert_allclose(np.corrcoef(points_of(plots.pairs(fit).lines[2]).T)[0, 1], -1, rtol=1e-9)


@pytest.mark.parametrize("options, words", [
    ({"group": "Wroker"}, "there is no group 'Wroker'; group is one of 'Subject'"),
    ({"x": "Day"}, "x and y are 'Day' and 'Intercept'; they are two of 'Intercept', 'Days'"),
    ({"x": "Days", "y": "Days"}, "x and y are 'Days' and 'Days'"),
])
def test_bad_pairs(both, options, words):
    with pytest.raises(LMMError, match=words):
        plots.pairs(both, **options)


def test_pairs_need_two_effects(machines):
    with pytest.raises(LMMError, match="no grouping has two random effects to draw; there are 'Worker', 'Worker:Machine'"):
        plots.pairs(machines)


def test_the_other_pictures_of_vector_valued_terms(both):
    """Shrinkage starts at each subject's own least squares; caterpillar and quantiles have the modes of each effect."""
    ax = plots.shrinkage(both)
    own = np.array([np.polyfit(d["Days"], d["Reaction"], 1)[::-1]
                    for _, d in load_data("sleepstudy").groupby("Subject", observed=True)])
    assert_allclose(np.sort(ax.lines[1].get_xdata()), np.sort(own[:, 0]), rtol=1e-9)
    assert_allclose(np.sort(points_of(plots.caterpillar(both, name="Days").lines[1])[:, 0]),
                    np.sort(both.ranef()["Subject"]["Days"]))
    assert plots.quantiles(both, of="Subject:Days").get_xlabel() == "standard normal quantile"
    assert len(np.ravel(plots.panels(both))) >= 18
    profile = both.profile()
    assert plots.profiles(profile, "corr").get_xlabel() == "correlation of Subject (Intercept, Days)"
    ax = plots.surface(both, "T[Subject: Days, Intercept]", "sigma")
    assert ax.get_xlabel() == "T[Subject: Days, Intercept]" and ax.get_ylabel() == "log sigma"
