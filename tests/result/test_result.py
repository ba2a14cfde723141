"""The result: a mapping of the practical's keys, views in natural units, and tables that are exactly so."""

import pickle
from collections.abc import Mapping

import numpy as np
import pytest
from helpers import fit_at
from numpy.testing import assert_allclose, assert_array_equal

from lmm import LMMprof, load_data
from lmm.result import tables


@pytest.fixture(scope="module")
def fit():
    return fit_at(np.log([1.0, 4.0, 3.0]))


@pytest.mark.requirement("practical")
def test_it_is_a_mapping_with_the_keys_of_the_practical(fit):
    assert isinstance(fit, Mapping) and list(fit) == ["beta", "theta"] and len(fit) == 2
    assert fit["beta"] is fit.beta and fit["theta"] is fit.theta
    assert isinstance(fit.beta, np.ndarray) and isinstance(fit.theta, np.ndarray)
    with pytest.raises(KeyError, match="the keys are 'beta' and 'theta'"):
        fit["sigma"]
    assert "sigma" not in fit and fit == fit and fit != fit_at(np.log([1.0, 4.0, 3.0])) and hash(fit)


def test_views(fit):
    assert fit.sigma == 1.0
    assert_allclose(fit.sd[["Worker", "Worker:Machine"]], [4.0, 3.0])
    assert list(fit.params.index) == ["Intercept", "Machine[T.B]", "Machine[T.C]"]
    assert_array_equal(fit.params, fit.beta)
    assert_allclose(fit.llf, -fit.nll - 27 * np.log(2 * np.pi))
    assert (fit.nobs, fit.npar, fit.df_resid, fit.n_dropped) == (54, 6, 48, 0)
    assert_allclose([fit.deviance, fit.aic, fit.bic], [-2 * fit.llf, -2 * fit.llf + 12, -2 * fit.llf + 6 * np.log(54)])
    assert_allclose(fit.tvalues, fit.beta / fit.bse)


def test_standard_errors_are_those_of_generalised_least_squares(fit):
    X = fit.setup.design.X
    V = np.eye(54) + sum(s**2 * b.matrix.toarray() @ b.matrix.toarray().T for s, b in zip([4.0, 3.0], fit.setup.design.blocks))
    assert_allclose(fit.cov_params(), np.linalg.inv(X.T @ np.linalg.solve(V, X)), rtol=1e-11)
    assert list(fit.cov_params().columns) == list(fit.params.index)


def test_the_engine_says_what_it_is(fit):
    assert fit.engine == "dense: QR of the 24 columns of Z" and fit.converged and fit.nfev == 1
    assert list(fit.trace.columns) == ["phase", "nll", "log sigma", "log Worker", "log Worker:Machine",
                                       "sigma", "Worker", "Worker:Machine"]
    assert_allclose(fit.trace.loc[0, "sigma":].astype(float), [1.0, 4.0, 3.0])


def test_it_can_be_pickled(fit):
    again = pickle.loads(pickle.dumps(fit))
    assert str(again) == str(fit) and LMMprof(again.theta, again.setup) == fit.nll


def test_it_cannot_be_changed(fit):
    with pytest.raises(AttributeError):
        fit.nll = 0.0


def test_repr_is_one_line(fit):
    assert repr(fit) == ("LMMResult('score ~ Machine', sigma 1, sd: Worker 4, Worker:Machine 3; logLik -112.9285, 54 obs)")


TEXT = """\
Linear mixed model fit by maximum likelihood
Formula: score ~ Machine
Random effects: Worker, Worker:Machine

    AIC     BIC   logLik  deviance  df.resid
 237.86  249.79  -112.93    225.86        48

Random effects:
 Groups          Name       Variance  Std.Dev.
 Worker          Intercept   16.0000    4.0000
 Worker:Machine  Intercept    9.0000    3.0000
 Residual                     1.0000    1.0000
Number of obs: 54; groups: Worker 6, Worker:Machine 18

Fixed effects:
               Estimate  Std. Error  t value
 Intercept      52.3556      2.0548    25.48
 Machine[T.B]    7.9667      1.7638     4.52
 Machine[T.C]   13.9167      1.7638     7.89

Optimum: certified (gradient zero, curvature positive)"""


def test_str_is_the_table_an_lme4_user_expects(fit):
    assert str(fit) == TEXT


@pytest.mark.requirement("tables")
def test_html_has_the_same_cells(fit):
    html = fit._repr_html_()
    assert html.startswith("<div><p>Linear mixed model fit by maximum likelihood</p><p>Formula: score ~ Machine</p>")
    for table in tables.of_fit(fit):
        for row in table.rows:
            assert "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" in html
    assert not any(word in html for word in ("id=", "style", "class", "script"))


@pytest.mark.requirement("tables")
def test_labels_are_escaped_in_html():
    dat = load_data("Machines").rename(columns={"Worker": "<b>W&"})
    html = fit_at(np.log([1.0, 4.0]), ref=["<b>W&"], dat=dat)._repr_html_()
    assert "&lt;b&gt;W&amp;" in html and "<b>" not in html


def test_slopes_are_shown_as_slopes_and_their_groups_once():
    text = str(fit_at([3.0, 3.0, 1.0], "Reaction ~ Days", ["Subject", ["Subject", "Days"]], load_data("sleepstudy")))
    assert " Subject   Intercept " in text and " Subject   Days " in text
    assert "Number of obs: 180; groups: Subject 18\n" in text


def test_a_block_at_zero_is_named():
    fit = fit_at([0.5, -np.inf, 1.0])
    assert fit.singular == ("Worker",) and not fit_at([0.5, 0.1, 1.0]).singular
    assert str(fit).endswith("\nSingular: standard deviation 0 for Worker")
    assert fit.sd["Worker"] == 0.0 and np.isnan(fit.sd_se["Worker"]) and np.isfinite(fit.sd_se["sigma"])


def test_no_fixed_effects():
    assert "Fixed effects" not in str(fit_at([1.0, 1.0], "score ~ 0", ["Worker"]))


def test_no_random_effects_dropped_rows_and_failure_are_shown():
    dat = load_data("Machines")
    dat.loc[3, "score"] = np.nan
    text = str(fit_at([0.5], ref=(), dat=dat, reasons=("the gradient is 3",)))
    assert "Linear model fit by maximum likelihood" in text and "Random effects: none" in text
    assert "Number of obs: 53 (1 dropped with missing values)\n" in text
    assert text.endswith("\n\nOptimum: NOT certified: the gradient is 3")


@pytest.mark.parametrize("values, cells", [
    ([19.0487, 0.92463], ["19.04870", "0.92463"]), ([1763.7, 2451.3], ["1763.7", "2451.3"]), ([0.0, 13.806], ["0.000", "13.806"]),
    ([0.0], ["0"]), ([1e-7, 3.0], ["1.0000e-07", "3.0000"]), ([1e12], ["1.0000e+12"]), ([np.nan, 2.0], ["nan", "2.0000"]),
    ([123456.7, 99999.0], ["123457", "99999"]), ([], []), ([251.4051, -0.00012345], ["251.41", "-1.2345e-04"]),
    ([251.4051, 0.0123456], ["251.40510", "0.01235"]), ([0.0021, 0.0035], ["0.0021000", "0.0035000"]),
    ([1e-7, 2e-7, 0.0], ["1.0000e-07", "2.0000e-07", "0"]), ([52.3556, 7.9667, 1e-5, np.nan], ["52.3556", "7.9667", "1.0000e-05", "nan"])])
def test_a_column_of_numbers(values, cells):
    assert tables.numbers(values) == cells
