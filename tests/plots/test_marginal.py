"""Means with intervals and letters, fitted means with a band, six diagnostics, and the smooth line."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lmm import LMMError, lmer, lmm, load_data, plots
from lmm.plots.smooth import smooth_line

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def oats():
    return lmer("Yield ~ C(nitro) * Variety + (1 | Block/Variety)", load_data("Oats"))


@pytest.fixture(scope="module")
def sleep():
    return lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))


def points(ax):
    """The heights of all points of a picture, one array for each colour."""
    return [line.get_ydata() for line in ax.lines if line.get_marker() == "o"]


def test_means_are_points_with_letters(oats):
    found = oats.means("nitro")
    ax = plots.means(found)
    [heights] = points(ax)
    assert_allclose(heights, found.table["mean"])
    assert [text.get_text() for text in ax.texts] == found.letters().tolist()
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "0.2", "0.4", "0.6"]
    [bars] = ax.collections
    ends = np.array([path.vertices[:, 1] for path in bars.get_paths()])
    assert_allclose(ends, found.table[["lower", "upper"]])
    assert not plots.means(found, letters=False).texts


def test_means_within_levels_have_a_colour_each(oats):
    found = oats.means("nitro", by="Variety")
    ax = plots.means(found)
    assert_allclose(np.concatenate(points(ax)), found.table["mean"])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["Golden Rain", "Marvellous", "Victory"]


def test_slopes_are_drawn_as_means_are(sleep):
    ax = plots.means(sleep.slopes("Days", at={"Days": [1, 5]}))
    assert ax.get_ylabel() == "slope of Reaction"


def test_an_effect_is_the_predicted_mean_and_its_band(sleep):
    ax = plots.effects(sleep, "Days")
    line = ax.lines[-1]
    assert_allclose(line.get_ydata(), sleep.beta[0] + sleep.beta[1] * line.get_xdata())
    assert len(ax.lines) == 2 and len(ax.lines[0].get_xdata()) == 180
    assert len(plots.effects(sleep, "Days", data=False).lines) == 1


def test_effects_by_a_factor_and_by_a_number():
    fit = lmer("attain ~ verbal * sex + (1 | primary)", load_data("ScotsSec"))
    ax = plots.effects(fit, "verbal", by="sex")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["M", "F"]
    counts = [len(line.get_xdata()) for line in ax.lines]
    assert sum(count for count in counts if count > 100) == fit.nobs
    dat = load_data("sleepstudy").assign(z=lambda d: np.sin(np.arange(180)))
    both = lmer("Reaction ~ Days * z + (1 | Subject)", dat)
    assert len(plots.effects(both, "Days", by="z").get_legend().get_texts()) == 3


def test_an_effect_of_a_factor_is_points(oats):
    assert len(points(plots.effects(oats, "Variety"))[0]) == 3


@pytest.mark.parametrize("ask, words", [
    (lambda fit: plots.means(fit), r"plots.means draws what fit.means\(...\) returns, not a LMMResult"),
    (lambda fit: plots.effects(fit, "Subject"), "'Subject' is in no fixed effect"),
    (lambda fit: plots.effects(fit, "Days", by="Days"), "hold 'Days' twice"),
    (lambda fit: plots.effects(3, "Days"), "fit"),
    (lambda fit: plots.check("fit"), "fit"),
])
def test_what_is_refused(sleep, ask, words):
    with pytest.raises(LMMError, match=words):
        ask(sleep)


@pytest.mark.parametrize("form, ref, words", [
    ("Yield ~ 1", ["Batch"], "all random effects are 0"),
    ("Yield ~ 1", (), "no random effects"),
])
def test_six_diagnostics_of_fits_without_modes(form, ref, words):
    axes = plots.check(lmm(form, load_data("Dyestuff2"), ref))
    assert [text.get_text() for text in axes[1, 0].texts] == [words]


def test_six_diagnostics(sleep):
    axes = plots.check(sleep)
    assert axes.shape == (2, 3) and all(ax.get_title() for ax in axes.flat)
    _, spread = axes[0, 1].lines[0].get_data()
    assert_allclose(spread, np.sqrt(np.abs(sleep.resid_scaled)))
    assert_allclose(axes[1, 2].lines[1].get_xdata(), sleep.leverage)
    assert len(axes[1, 1].lines) == 21
    heights = axes[1, 1].lines[-1].get_ydata()
    centres = axes[1, 1].lines[-1].get_xdata()
    assert_allclose(heights.sum() * (centres[1] - centres[0]), 1)


def test_the_smooth_line_follows_a_line_and_a_curve():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10, 400)
    places, heights = smooth_line(x, 3 - 2 * x)
    assert_allclose(heights, 3 - 2 * places, atol=1e-9)
    noisy = np.sin(x / 4) + 0.1 * rng.normal(size=400)
    noisy[::40] += 50                                           # outliers
    places, heights = smooth_line(x, noisy)
    assert np.abs(heights - np.sin(places / 4)).max() < 0.2


def test_there_is_no_smooth_line_of_three_places_and_a_quick_one_of_many():
    assert len(smooth_line([1, 1, 2, 2, 3], [1, 2, 3, 4, 5])[0]) == 0
    x = np.linspace(0, 1, 200_000)
    places, heights = smooth_line(x, x**2)
    assert np.abs(heights - places**2).max() < 0.1


def test_influence_is_a_line_for_each_level(sleep):
    ax = plots.influence(sleep)
    wanted = sleep.influence()["cooks_distance"].sort_values()
    assert_allclose(ax.lines[-1].get_xdata(), wanted)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == wanted.index.tolist()
    assert ax.get_ylabel() == "Subject"
    with pytest.raises(LMMError, match=r"by is 'Days.x', which is no grouping"):
        plots.influence(sleep, "Days.x")
