"""A name that the fit does not have is an error that lists those it has."""

import pytest
from plots.reading import plt

from lmm import LMMError, plots

ERRORS = [
    (
        lambda fits: plots.panels(fits["machines"], group="Wroker"),
        r"there is no group 'Wroker'; \(group, name\) is one of "
        r"\('Worker', 'Intercept'\), \('Worker:Machine', 'Intercept'\)$",
    ),
    (
        lambda fits: plots.panels(fits["machines"], x="Worker"),
        "x is 'Worker', which is not a variable of the model; it has 'Machine'",
    ),
    (
        lambda fits: plots.panels(fits["dyestuff"], x="Days"),
        "x is 'Days', which is not a variable of the model; it has none",
    ),
    (
        lambda fits: plots.panels(fits["machines"], ax=plt.figure().subplots(1, 2)),
        "ax has 2 Axes; there are 6 levels, and each takes one",
    ),
    (
        lambda fits: plots.panels(fits["fixed"]),
        "no random effects by group; name a grouping column in ref",
    ),
    (
        lambda fits: plots.caterpillar(fits["sleep"], "Subject", "Day"),
        r"there is no group 'Subject' and name 'Day'; .*\('Subject', 'Days'\)",
    ),
    (
        lambda fits: plots.caterpillar(fits["sleep"], name="Day"),
        "there is no name 'Day';",
    ),
    (
        lambda fits: plots.caterpillar(fits["sleep"], level=95),
        "level is 95; it is a probability between 0 and 1",
    ),
    (
        lambda fits: plots.caterpillar(fits["fixed"]),
        "no random effects by group",
    ),
    (
        lambda fits: plots.quantiles(fits["sleep"], "Days"),
        "of is 'Days'; it is one of 'residuals', 'Subject', 'Subject:Days'",
    ),
    (
        lambda fits: plots.shrinkage(fits["fixed"]),
        "no random effects by group",
    ),
    (
        lambda fits: plots.shrinkage(fits["sleep"], "Days"),
        "there is no group 'Days'",
    ),
    (
        lambda fits: plots.profiles(fits["sleep"]),
        "profile, of type LMMResult, has not the columns kind, name, value and zeta; "
        r"it is what fit.profile\(\) returns",
    ),
    (
        lambda fits: plots.profiles(fits["profile"], "sd", "Machine"),
        r"there is no kind 'sd' and name 'Machine'; \(kind, name\) is one of \('beta', ",
    ),
    (
        lambda fits: plots.profiles(fits["profile"], level=0),
        "level is 0;",
    ),
    (
        lambda fits: plots.surface(fits["fixed"]),
        "the fit has no random effects, so theta is log sigma alone",
    ),
    (
        lambda fits: plots.surface(fits["sleep"], "Days"),
        "first and second are 'Days' and 'Subject'; "
        "they are two of 'sigma', 'Subject', 'Subject:Days'",
    ),
    (
        lambda fits: plots.surface(fits["sleep"], "sigma", "sigma"),
        "they are two of",
    ),
]


@pytest.mark.parametrize(("call", "words"), ERRORS)
def test_errors_name_what_there_is(call, words, sleep, machines, dyestuff, fixed, profile):
    fits = {
        "sleep": sleep,
        "machines": machines,
        "dyestuff": dyestuff,
        "fixed": fixed,
        "profile": profile,
    }
    with pytest.raises(LMMError, match=words):
        call(fits)


@pytest.mark.parametrize("draw", [
    plots.panels,
    plots.caterpillar,
    plots.pairs,
    plots.residuals,
    plots.quantiles,
    plots.shrinkage,
    plots.surface,
])
def test_what_is_no_fit_is_refused(draw):
    with pytest.raises(LMMError, match="fit is of type str; it is what lmm returns"):
        draw("fit")


@pytest.mark.parametrize(("options", "words"), [
    (
        {"group": "Wroker"},
        "there is no group 'Wroker'; group is one of 'Subject'",
    ),
    (
        {"x": "Day"},
        "x and y are 'Day' and 'Intercept'; they are two of 'Intercept', 'Days'",
    ),
    (
        {"x": "Days", "y": "Days"},
        "x and y are 'Days' and 'Days'",
    ),
])
def test_bad_pairs(both, options, words):
    with pytest.raises(LMMError, match=words):
        plots.pairs(both, **options)


def test_pairs_need_two_effects(machines):
    words = "no grouping has two random effects to draw; there are 'Worker', 'Worker:Machine'"
    with pytest.raises(LMMError, match=words):
        plots.pairs(machines)
    with pytest.raises(LMMError, match=words):
        plots.pairs(machines, "Worker")
