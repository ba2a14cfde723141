"""How digits are counted, and the references: the definition in sixty digits, and closed forms."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from helpers import SD, crossed, lmer_setup
from numpy.testing import assert_allclose
from sixty_digits import criterion
from sixty_digits import optimum as sixty_digits

from lmm import lmer, load_data
from lmm.validation import digits_of, row_of_digits, row_of_truth
from lmm.validation.closed_forms import one_way, split_plot, sums_of
from lmm.validation.definition import Definition, differences, in_sixty_digits
from lmm.validation.exact import Hard, hard_data


@pytest.mark.parametrize("found, right, digits", [
    (3.1416, "3.14159265358979323846", 5.6),
    (1.0, 1, 16.0),
    (1.0, "1.00000000000000000001", 16.0),          # more than a double can tell
    (1 / 3, Fraction(1, 3), 16.0),
    (2.0, 1.0, 0.0),
    (-5.0, 1.0, 0.0),                               # never fewer than none
    (1e-9, 0, 9.0),
    (1 + 2e-9, 1, 8.6),                             # 8.69, downwards
    (float("nan"), 1.0, 0.0),
    (1.0, float("nan"), 0.0),
    (float("-inf"), float("-inf"), 16.0),
    (float("inf"), 1.0, 0.0),
    (Decimal("1.5"), "1.5", 16.0),
])
def test_digits(found, right, digits):
    assert digits_of(found, right) == digits


def test_a_row_has_the_fewest_digits_and_names_the_number():
    row = row_of_digits("S", "r", "t", "ref", 8.0, [("a", 1.0, 1.0), ("b", 1.001, 1.0)])
    assert (row.digits, row.passed, row.detail) == (3.0, False, "fewest of 2 numbers: b")
    assert row_of_digits("S", "r", "t", "ref", 2.9, [("b", 1.001, 1.0)]).passed


def test_a_row_that_compares_nothing_or_raises_is_not_passed():
    def raising():
        yield "a", 1.0, 1.0
        raise ZeroDivisionError("by\nzero")

    assert not row_of_digits("S", "r", "t", "ref", 0.0, []).passed
    row = row_of_digits("S", "r", "t", "ref", 0.0, raising())
    assert not row.passed and row.detail == "ZeroDivisionError: by zero"
    row = row_of_truth("S", "r", "t", "ref", lambda: 1 / 0)
    assert not row.passed and row.detail.startswith("ZeroDivisionError")
    assert row_of_truth("S", "r", "t", "ref", lambda: (True, "d", "m")).measured == "m"


# -- the definition ----------------------------------------------------------------------------------


def test_the_definition_is_that_of_another_program():
    """mpmath's n x n algebra in 60 digits, of tests/sixty_digits.py."""
    setup = lmer_setup("y ~ x + (1 | a) + (1 | b)", crossed((4, 3, 2), 20, 1))
    theta = (0.25, -0.5, 0.75)
    exact = criterion(theta, setup.design.y, setup.design.X, [block.matrix.toarray() for block in setup.design.blocks])
    assert float(Definition.of(setup)([Decimal(t) for t in theta])[0]) == exact


@pytest.mark.parametrize("reml", [False, True])
def test_the_optimum_of_the_definition_is_that_of_another_program(reml):
    """Golden section in 60 digits, of tests/sixty_digits.py."""
    dat = hard_data(Hard("nothing hard", "y ~ x", 0.0)).iloc[:30]
    fit = lmer("y ~ x + (1 | g)", dat, reml=reml)
    theta, nll, beta = Definition.of(fit.setup).optimum(fit.theta + 0.05)
    right = sixty_digits(fit.setup.design.y, fit.setup.design.X, list(dat["g"]), reml)
    assert_allclose([float(nll), *map(float, theta)], right[:3], rtol=1e-14)
    assert_allclose([float(b) for b in beta], right[3], rtol=1e-14)


@in_sixty_digits
def test_differences_have_twenty_digits():
    """Of exp(x + 2 y) at 0: gradient (1, 2), Hessian (1, 2; 2, 4)."""
    gradient, hessian = differences(lambda at: (at[0] + 2 * at[1]).exp(), [Decimal(0), Decimal(0)])
    for found, right in zip((*gradient, *hessian[0], *hessian[1]), (1, 2, 1, 2, 2, 4)):
        assert abs(found - right) < Decimal("1e-20")


def test_there_is_no_optimum_where_newton_does_not_end():
    fit = lmer("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff2"))
    with pytest.raises(ArithmeticError):
        Definition.of(fit.setup).optimum([1.0, 0.0])


# -- closed forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reml", [False, True])
def test_the_closed_form_of_one_way_is_the_definitions_optimum(reml):
    dat = load_data("Dyestuff")
    fit = lmer("Yield ~ 1 + (1 | Batch)", dat, reml=reml)
    exact = one_way(sums_of([list(map(float, of)) for _, of in dat.groupby("Batch", observed=True)["Yield"]]), reml)
    theta, nll, beta = Definition.of(fit.setup).optimum(fit.theta)
    assert abs(nll - exact.nll) < Decimal("1e-20") and abs(beta[0] - Decimal(int(exact.mean * 2)) / 2) < Decimal("1e-20")
    assert_allclose(np.exp(2 * np.array(theta, float)), [float(exact.residual), float(exact.group)], rtol=1e-14)


def test_the_closed_form_of_one_way_pools_where_the_variance_would_be_negative():
    """Two groups of two with the same mean: SSB = 0, SSW = 4; ML 4/4, REML 4/3."""
    sums = sums_of([[0, 2], [0, 2]])
    assert [(one_way(sums, reml).residual, one_way(sums, reml).group) for reml in (False, True)] == [(1, 0), (Fraction(4, 3), 0)]


def test_the_closed_form_of_a_split_plot_is_oats():
    """Pinheiro and Bates (2000), page 47 and 52: F 1.49, 37.69, 0.30 on 2 and 10, 3 and 45, 6 and 45; sds 14.65, 10.30, 13.31."""
    oats = load_data("Oats").sort_values(["Block", "Variety", "nitro"])
    found = split_plot(oats["Yield"].to_numpy().reshape(6, 3, 4).tolist(), True)
    assert {term: round(float(F), 2) for term, F in found.F.items()} == {"whole": 1.49, "sub": 37.69, "both": 0.30}
    assert found.df == {"whole": (2, 10), "sub": (3, 45), "both": (6, 45)}
    sds = [round(float(variance) ** 0.5, 2) for variance in (found.block, found.plot, found.residual)]
    assert sds == [14.65, 10.30, 13.31]


def test_a_split_plot_without_variance_of_plots_is_refused():
    with pytest.raises(ArithmeticError):
        split_plot([[[1, 2], [3, 4]], [[1, 3], [3, 4]]], True)


def test_tolerances_of_the_dossier_are_no_looser_than_the_designs():
    """DESIGN section 7: 1e-7 for standard deviations, but where average information drives, or numbers are hard."""
    from lmm.validation import exact
    assert 10**-exact.OF_STORED < SD
