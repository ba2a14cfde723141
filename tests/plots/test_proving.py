"""A proof as it is drawn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from plots.reading import points_of

from lmm import LMMError, plots


def test_boxes_contours_and_the_optimum(machines):
    proof = machines.prove(keep=True)
    ax = plots.proof(proof)
    star = points_of(ax.lines[-1])[0]
    assert_allclose(np.sqrt(np.expm1(star) / np.exp(-2 * machines.setup.units)), machines.sd / machines.sigma)
    boxes = ax.collections[0]
    assert 100 < len(boxes.get_paths()) <= len(proof.cells)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("sd of Worker / sigma", "sd of Worker:Machine / sigma")
    corners = np.array([path.vertices for path in boxes.get_paths()])
    low, up = corners.min(axis=1), corners.max(axis=1)
    assert ((star >= low) & (star <= up)).all(axis=1).any()


@pytest.mark.parametrize("found, words", [
    (lambda machines, zero: 3, "found is of type int; it is what fit.prove"),
    (lambda machines, zero: machines.prove(), "it has no cells; these are kept by fit.prove"),
    (lambda machines, zero: zero.prove(keep=True), "for two independent effects alone"),
])
def test_bad_input(machines, zero, found, words):
    with pytest.raises(LMMError, match=words):
        plots.proof(found(machines, zero))
