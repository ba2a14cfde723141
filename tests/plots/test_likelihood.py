"""The surface of the likelihood: contours and ways, held to `LMMprof` and the trace."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from plots.reading import drawn, labels

from lmm import LMMprof, lmm, load_data, plots


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
