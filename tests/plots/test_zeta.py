"""Profiles as they are drawn."""

import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plots.reading import QUARTILE, Z, labels, points_of

from lmm import plots


@pytest.mark.parametrize(("kind", "name", "label"), [
    ("beta", "Machine[T.B]", "Machine[T.B]"),
    ("sd", "Worker", "sd of Worker"),
    ("sd", "sigma", "sigma"),
])
def test_a_profile_its_estimate_and_its_quantiles(machines, profile, kind, name, label):
    estimates = {**machines.params, **machines.sd, "sigma": machines.sigma}
    ax = plots.profiles(profile, kind, name)
    curve = profile[(profile["kind"] == kind) & (profile["name"] == name)]
    assert_array_equal(points_of(ax.lines[-1]), curve[["value", "zeta"]])
    assert_allclose([line.get_ydata()[0] for line in ax.lines[:2]], [-Z, Z])
    assert_allclose(ax.lines[2].get_xdata(), estimates[name])
    assert labels(ax) == (label, "zeta")


def test_the_first_parameter_that_fits_is_drawn(profile):
    assert plots.profiles(profile).get_xlabel() == "Intercept"
    assert plots.profiles(profile, "sd").get_xlabel() == "sigma"
    ax = plots.profiles(profile, name="Worker", level=0.5)
    assert_allclose(ax.lines[1].get_ydata()[0], QUARTILE)
