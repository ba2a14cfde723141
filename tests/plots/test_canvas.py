"""What all pictures share: Axes given or new, matplotlib or none, labels as they are."""

import doctest
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import crossed
from plots.reading import SINGLE, labels, matplotlib, plt, ticks

import lmm as package
from lmm import LMMError, lmm, plots


@pytest.mark.parametrize("name", SINGLE)
def test_a_given_axes_is_used_and_returned(machines, name):
    ax = matplotlib.figure.Figure().add_subplot()
    assert getattr(plots, name)(machines, ax=ax) is ax
    assert ax.lines
    assert all(labels(ax))
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", SINGLE)
def test_without_an_axes_a_new_figure_is_made(machines, name):
    settings = dict(matplotlib.rcParams)
    other = plt.figure()
    ax = getattr(plots, name)(machines)
    assert isinstance(ax, matplotlib.axes.Axes)
    assert ax.figure is not other
    assert len(plt.get_fignums()) == 2
    assert not other.axes
    assert dict(matplotlib.rcParams) == settings


def test_profiles_and_panels_draw_on_what_they_are_given(machines, profile):
    figure = matplotlib.figure.Figure()
    ax = figure.add_subplot(2, 4, 8)
    assert plots.profiles(profile, ax=ax) is ax
    grid = figure.subplots(2, 4)
    given = plots.panels(machines, ax=grid)
    assert given is grid
    assert [panel.get_visible() for panel in grid.flat] == [True] * 6 + [False] * 2
    assert plots.panels(machines, ax=list(grid.flat)).shape == (8,)
    assert not plt.get_fignums()


def test_a_fit_is_not_changed(sleep):
    design = sleep.setup.design

    def copies():
        data = pd.DataFrame(design.data)
        return sleep.trace, design.dat.copy(), data.copy(), design.X.copy(), str(sleep)

    before = copies()
    for name in [*SINGLE, "panels"]:
        getattr(plots, name)(sleep)
    assert all(np.array_equal(a, b) for a, b in zip(before, copies()))


def test_without_matplotlib_the_advice_is_one_sentence(machines, profile, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    calls = [getattr(plots, name) for name in SINGLE]
    for call in (*calls, plots.panels, lambda _: plots.profiles(profile)):
        with pytest.raises(LMMError) as error:
            call(machines)
        advice = "plots need matplotlib; install it with: pip install matplotlib"
        assert str(error.value) == advice


def test_names_from_the_data_are_not_read_as_mathematics():
    dat = crossed((6, 4, 2), 60, seed=5)
    dat["g$1$"] = "$" + dat.pop("a").astype(str) + "_{$"
    named = dat.rename(columns={"x": "x$^$"})
    fit = lmm('np.cbrt(y) ~ 0 + Q("x$^$")', named, ["g$1$", ["g$1$", "x$^$"]])
    profile = pd.DataFrame({
        "kind": "beta",
        "name": "$_{$",
        "value": [1.0, 2.0],
        "zeta": [0.0, 1.0],
    })
    pictures = [
        *plots.panels(fit).flat,
        plots.caterpillar(fit, name="x$^$"),
        plots.quantiles(fit, "g$1$"),
        plots.shrinkage(fit),
        plots.surface(fit),
        plots.profiles(profile),
        plots.residuals(fit),
        *plots.panels(lmm("y ~ 1", dat, "g$1$")).flat,
    ]
    for ax in pictures:
        ax.figure.canvas.draw()             # mathematics that is none raises an error here
        for text in ax.figure.findobj(matplotlib.text.Text):
            assert not matplotlib.cbook.is_math_text(text.get_text())
    assert ticks(pictures[-1])[0].startswith(r"\$")
    assert pictures[-1].get_ylabel() == r"g\$1\$"
    titles = {panel.get_title() for panel in pictures[:6]}
    assert titles == {rf"\${i}_{{\$" for i in range(6)}


def test_what_is_no_axes_is_refused(machines):
    words = "ax is of type ndarray; it is one of matplotlib's Axes"
    with pytest.raises(LMMError, match=words):
        plots.residuals(machines, ax=np.zeros(2))


@pytest.mark.parametrize("name", plots.__all__)
def test_the_examples_run(name):
    """They are skipped where all docstrings are run, for matplotlib is an extra."""
    names = {public: getattr(package, public) for public in package.__all__}
    examples, = doctest.DocTestFinder().find(getattr(plots, name), globs=names)
    for example in examples.examples:
        example.options.clear()
    results = doctest.DocTestRunner().run(examples)
    assert results.failed == 0
    assert results.attempted == 2
    assert len(plt.get_fignums()) == 1
