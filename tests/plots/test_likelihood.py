"""The surface of the likelihood: contours and ways, held to `LMMprof` and the trace."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plots.reading import below_its_legend, drawn, labels

from lmm import LMMprof, lmer, lmm, load_data, plots


def check_contours(ax, fit, first, second):
    """Every point of every contour has the drop of a level.

    But for interpolation between points h apart: h^2 / 8 f''.
    """
    levels = np.outer(10.0 ** np.arange(5), [1, 2, 5]).ravel()
    assert {text.get_text() for text in ax.texts} <= {f"{level:g}" for level in levels}
    assert len(ax.texts) > 2
    paths = [path for artist in ax.collections for path in artist.get_paths()]
    points = np.vstack([path.vertices for path in paths if len(path.vertices)])
    assert len(points) > 100
    i, j = (fit.setup.labels.index(name) for name in (first, second))
    for point in points[::10]:
        theta = fit.theta.copy()
        theta[[i, j]] = point
        drop = 2 * (LMMprof(theta, fit.setup) - fit.nll)
        assert np.any(np.abs(drop - levels) < 0.2 + 0.02 * levels)


@pytest.mark.parametrize(("chosen", "pair"), [
    ((), ("Worker", "Worker:Machine")),
    (("sigma",), ("sigma", "Worker")),
    ((None, "Worker"), ("Worker:Machine", "Worker")),
    (("Worker:Machine", "sigma"), ("Worker:Machine", "sigma")),
])
def test_the_surface_and_the_way_to_the_optimum(machines, chosen, pair):
    ax = plots.surface(machines, *chosen)
    logs = [f"log {name}" for name in pair]
    assert labels(ax) == tuple(logs)
    check_contours(ax, machines, *pair)
    trace = machines.trace
    for label, phase in (("Nelder-Mead", "simplex"), ("Newton", "newton")):
        path = trace.loc[trace["phase"] == phase, logs]
        assert_array_equal(drawn(ax, label), path.T)
        for values, (low, high) in zip(path.to_numpy().T, (ax.get_xlim(), ax.get_ylim())):
            assert low < values.min()
            assert values.max() < high
    places = [machines.setup.labels.index(name) for name in pair]
    assert_array_equal(np.ravel(drawn(ax, "optimum")), machines.theta[places])


def test_one_block_is_drawn_with_sigma_and_by_the_criterion_of_the_fit():
    fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch", reml=True)
    ax = plots.surface(fit)
    assert labels(ax) == ("log sigma", "log Batch")
    check_contours(ax, fit, "sigma", "Batch")


def test_an_estimate_of_zero_is_marked_at_the_edge(zero):
    ax = plots.surface(zero)
    x, y = drawn(ax, "optimum (sd 0, at the edge)")
    assert x[0] == zero.theta[0]
    assert y[0] == ax.get_ylim()[0]
    assert np.isfinite(y[0])
    assert np.all(drawn(ax, "Newton")[1] >= y[0])
    check_contours(ax, zero, "sigma", "Batch")
    drop = LMMprof([x[0], y[0]], zero.setup) - zero.nll
    assert 0 < drop < 0.01              # the surface is flat there


def test_a_refit_has_no_simplex(zero):
    fit = zero.refit(load_data("Dyestuff")["Yield"])
    ax = plots.surface(fit)
    found = {line.get_label() for line in ax.lines}
    assert found == {"Newton", "start", "optimum", "-2 log-likelihood above its least"}
    check_contours(ax, fit, "sigma", "Batch")


@pytest.mark.parametrize("name", ["sleep", "machines", "dyestuff", "zero", "both"])
def test_no_contour_is_labelled_where_the_frame_or_the_legend_cuts_it(name, request):
    ax = plots.surface(request.getfixturevalue(name))
    ax.figure.canvas.draw()
    frame = ax.get_window_extent()
    for text in ax.texts:
        label = text.get_window_extent()
        assert frame.x0 < label.x0 < label.x1 < frame.x1
        assert frame.y0 < label.y0 < label.y1 < frame.y1
    assert below_its_legend(ax)


@pytest.mark.parametrize("name", ["machines", "zero"])
def test_both_ways_are_seen(name, request):
    """Newton's steps used to lie under the mark of the optimum."""
    to_rgb = pytest.importorskip("matplotlib.colors").to_rgb
    ax = plots.surface(request.getfixturevalue(name))
    ax.get_legend().remove()
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba())[..., :3] / 255
    for color in ("C0", "C1"):
        near = np.abs(pixels - to_rgb(color)).max(axis=-1) < 0.1
        assert near.sum() > 50


def test_values_stand_away_from_the_path_of_the_search(machines):
    ax = plots.surface(machines, "sigma")
    ax.figure.canvas.draw()
    x, y = drawn(ax, "Nelder-Mead")
    tried = ax.transData.transform(np.column_stack([x, y]))
    for text in ax.texts:
        box = text.get_window_extent()
        assert not any(box.contains(*point) for point in tried)


def test_the_window_follows_the_units_of_a_slope():
    """T below its diagonal is no logarithm: in thousandths of days it is a thousandth."""
    form = "Reaction ~ Days + (Days | Subject)"
    dat = load_data("sleepstudy")
    fits = lmer(form, dat), lmer(form, dat.assign(Days=1000.0 * dat["Days"]))
    limits = [plots.surface(fit, "sigma", "T[Subject: Days, Intercept]").get_ylim() for fit in fits]
    assert_allclose(limits[1], np.divide(limits[0], 1000), rtol=1e-3)


def test_without_standard_errors_the_window_is_as_wide_as_sigma_makes_it(both):
    """T[Days, Intercept] -+ the sd of slopes that adds sigma^2 to a subject's sum of variances."""
    fit = replace(both, optimum=replace(both.optimum, certified=False))
    low, high = plots.surface(fit, "T[Subject: Days, Intercept]").get_xlim()
    days = load_data("sleepstudy")["Days"]
    reach = both.sigma / np.sqrt(np.sum(days**2) / 18)
    middle = both.theta[2]
    tried = both.trace["T[Subject: Days, Intercept]"][both.trace["phase"] != "elsewhere"]
    ends = np.array([min(middle - reach, tried.min()), max(middle + reach, tried.max())])
    margin = 0.05 * (ends[1] - ends[0])
    assert_allclose([low, high], [ends[0] - margin, ends[1] + margin])


def test_the_start_lies_within_the_window_also_where_there_was_no_simplex(schools):
    far = np.add(schools.theta, [-1.0, 3.0, 0.0])
    fit = lmer("attain ~ verbal + sex + (1 | primary) + (1 | second)", load_data("ScotsSec"), start=far)
    assert list(fit.trace["phase"].unique()) == ["newton", "elsewhere"]
    ax = plots.surface(fit, "sigma", "primary")
    start = np.ravel(drawn(ax, "start"))
    assert_array_equal(start, far[:2])
    corner = ax.get_xlim()[0], ax.get_ylim()[1]
    assert_allclose(corner, [start[0] - 0.2, start[1] + 0.2])
