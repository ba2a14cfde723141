"""One effect over many responses, as it is drawn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from plots.reading import labels, points_of

from lmm import LMMError, lmer_many, load_data, plots


@pytest.fixture(scope="module")
def fits():
    dat = load_data("sleepstudy")
    noise = np.random.default_rng(1).normal(scale=30, size=(180, 6))
    Y = 250 + noise + np.outer(dat["Days"], [0.0, 0.0, 0.0, 0.0, 5.0, 10.0])
    Y[:, 3] = 1.0                                               # fails
    return lmer_many("~ Days + (1 | Subject)", dat, Y)


def test_a_point_for_each_response_and_colour_for_what_is_found(fits):
    ax = plots.volcano(fits, "Days", names=1)
    others, found = ax.lines[1:]
    chosen = fits.qvalues["Days"] < 0.05
    assert chosen.tolist() == [False, False, False, False, True, True]
    height = -np.log10(fits.pvalues["Days"])
    assert_allclose(points_of(found), np.column_stack([fits.params["Days"], height])[chosen])
    assert_allclose(points_of(others)[:3], np.column_stack([fits.params["Days"], height])[:3])
    assert found.get_label() == "q < 0.05: 2 of 5"
    assert [text.get_text() for text in ax.texts] == ["5"]
    assert labels(ax) == ("Days", "-log10 p")


@pytest.mark.parametrize("call, words", [
    (lambda fits: plots.volcano(3, "Days"), "fits is of type int; it is what lmm_many"),
    (lambda fits: plots.volcano(fits, "days"), "there is no fixed effect 'days'.*did you mean 'Days'"),
    (lambda fits: plots.volcano(fits, "Days", rate=5), "rate is 5; it is a share between 0 and 1"),
])
def test_bad_input(fits, call, words):
    with pytest.raises(LMMError, match=words):
        call(fits)
