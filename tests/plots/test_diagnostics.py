"""Residuals against fitted values, and normal quantiles."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plots.reading import QUARTILE, labels, points_of
from scipy.special import ndtr

from lmm import plots


def test_residuals_against_fitted_values(machines):
    ax = plots.residuals(machines)
    expected = np.column_stack([machines.fittedvalues, machines.resid_scaled])
    assert_array_equal(points_of(ax.lines[1]), expected)
    assert list(ax.lines[0].get_ydata()) == [0, 0]
    assert labels(ax) == ("fitted score", "scaled residual")


def test_residuals_need_no_random_effects(fixed):
    assert len(points_of(plots.residuals(fixed).lines[1])) == 54
    assert len(points_of(plots.quantiles(fixed).lines[1])) == 54


@pytest.mark.parametrize(("of", "name", "label"), [
    ("residuals", None, "scaled residual"),
    ("Subject", "Intercept", "Subject: conditional mode"),
    ("Subject:Days", "Days", "Subject:Days: conditional mode"),
])
def test_quantiles(sleep, of, name, label):
    values = sleep.ranef()["Subject"][name] if name else sleep.resid_scaled
    ax = plots.quantiles(sleep, of)
    z, y = ax.lines[1].get_data()
    assert_array_equal(y, np.sort(values))
    assert_allclose(ndtr(z), (np.arange(1, len(y) + 1) - 0.5) / len(y))
    (x0, x1), (y0, y1) = ax.lines[0].get_data()
    quartiles = np.interp([-QUARTILE, QUARTILE], [x0, x1], [y0, y1])
    assert_allclose(quartiles, np.quantile(values, [0.25, 0.75]))
    assert ax.get_ylabel() == label
