"""Pictures of the conditional modes, held to `ranef`."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from helpers import crossed
from numpy.testing import assert_allclose
from plots.reading import QUARTILE, Z, arrows, labels, points_of, ticks

from lmm import LMMWarning, lmer, lmm, load_data, plots


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_modes_and_their_intervals(sleep, level):
    ax = plots.caterpillar(sleep, name="Days", level=level)
    frame = sleep.ranef(tidy=True).query("name == 'Days'").sort_values("estimate")
    assert ticks(ax) == list(frame["level"])
    assert ax.get_ylabel() == "Subject"
    assert ax.get_xlabel() == f"Days: conditional modes, {100 * level:g}% prediction intervals"
    errors = ax.containers[0]
    modes = frame["estimate"].to_numpy()
    assert_allclose(errors.lines[0].get_xydata(), np.column_stack([modes, range(18)]))
    segments = errors.lines[2][0].get_segments()
    ends = np.array([segment[:, 0] for segment in segments])
    half = {0.5: QUARTILE, 0.95: Z}[level] * frame["sd"].to_numpy()
    assert_allclose(ends, np.column_stack([modes - half, modes + half]))


def test_the_first_block_is_drawn_and_a_line_at_zero(machines):
    ax = plots.caterpillar(machines)
    assert ax.get_ylabel() == "Worker"
    assert list(ax.lines[0].get_xdata()) == [0, 0]
    assert plots.caterpillar(machines, "Worker:Machine").get_ylabel() == "Worker:Machine"


def test_levels_are_named_while_they_can_be_read(schools):
    assert ticks(plots.caterpillar(schools)) == []
    assert len(ticks(plots.caterpillar(schools, "second"))) == 19
    ax = plots.caterpillar(lmm("y ~ x", crossed((60, 3, 2), 200, seed=6), ["a"]))
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert len(boxes) == 60
    assert all(below.y1 <= above.y0 + 2 for below, above in pairwise(boxes))


def test_a_block_of_numbers_alone_has_no_groups():
    dat = load_data("sleepstudy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LMMWarning)
        fit = lmm("Reaction ~ 1", dat, ["Days", "Subject"])
    assert plots.caterpillar(fit).get_ylabel() == "Subject"
    slope = fit.ranef(tidy=True)["estimate"].iloc[0]
    left = dat["Reaction"] - slope * dat["Days"]
    ax = plots.shrinkage(fit)
    means = left.groupby(dat["Subject"].astype(str)).mean()
    assert_allclose(arrows(ax)[0][:, 0], means[ticks(ax)])


def test_modes_of_two_effects_against_each_other(both):
    ax = plots.pairs(both)
    modes = both.ranef()["Subject"]
    assert_allclose(points_of(ax.lines[2]), modes[["Intercept", "Days"]])
    assert labels(ax) == ("Intercept", "Days")
    assert ax.get_title() == "conditional modes by Subject, -+1 sd"
    three = lmer("score ~ Machine + (0 + Machine | Worker)", load_data("Machines"))
    assert labels(plots.pairs(three, x="Machine[C]")) == ("Machine[C]", "Machine[A]")


def test_the_modes_of_a_singular_covariance_lie_on_a_line():
    fit = lmer("conc ~ age + (age | Lot)", load_data("IGF"))
    modes = points_of(plots.pairs(fit).lines[2])
    assert_allclose(np.corrcoef(modes.T)[0, 1], -1, rtol=1e-9)


def test_the_other_pictures_of_vector_valued_terms(both):
    """Shrinkage starts at each subject's own least squares; the modes are those of each effect."""
    ax = plots.shrinkage(both)
    subjects = load_data("sleepstudy").groupby("Subject", observed=True)
    own = np.array([np.polyfit(d["Days"], d["Reaction"], 1)[::-1] for _, d in subjects])
    assert_allclose(np.sort(ax.lines[1].get_xdata()), np.sort(own[:, 0]), rtol=1e-9)
    drawn_modes = points_of(plots.caterpillar(both, name="Days").lines[1])[:, 0]
    assert_allclose(np.sort(drawn_modes), np.sort(both.ranef()["Subject"]["Days"]))
    ax = plots.quantiles(both, of="Subject:Days")
    assert ax.get_xlabel() == "standard normal quantile"
    assert len(np.ravel(plots.panels(both))) >= 18
    ax = plots.profiles(both.profile(), "corr")
    assert ax.get_xlabel() == "correlation of Subject (Intercept, Days)"
    ax = plots.surface(both, "T[Subject: Days, Intercept]", "sigma")
    assert labels(ax) == ("T[Subject: Days, Intercept]", "log sigma")
