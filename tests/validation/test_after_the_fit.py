"""The rows of what is computed after a fit: each fails if its formula is another."""

import numpy as np
import pytest

from lmm.inference import comparison, hypotheses
from lmm.result import result
from lmm.validation import after_the_fit, errors_and_df


def failing():
    return {row.requirement for row in after_the_fit.rows("Errors", errors_and_df.OF_ERRORS) if not row.passed}


P_VALUES = "p-values and intervals where degrees of freedom are two"
PREDICTIONS = "errors of predictions, and their intervals"
COUNTED = "how many parameters, and degrees of freedom of the residual"


@pytest.mark.requirement("it can fail")
@pytest.mark.parametrize("module, name, wrong, fails", [
    (comparison, "chdtrc", lambda right: lambda df, x: right(df + 1, x), {P_VALUES}),
    (hypotheses, "fdtrc", lambda right: lambda r, m, F: right(r, m - 1e-6, F), {P_VALUES}),
    (hypotheses, "stdtrit", lambda right: lambda df, p: right(df + 1e-6, p), {P_VALUES}),
    (result.LMMResult, "predict", lambda right: lambda fit, se=False, interval=None: right(fit, se=se, interval=interval and "confidence"),
     {PREDICTIONS}),
    (result.LMMResult, "df_resid", lambda right: property(lambda fit: fit.nobs - fit.npar - 1), {COUNTED}),
])
def test_another_formula_is_seen(monkeypatch, module, name, wrong, fails):
    monkeypatch.setattr(module, name, wrong(getattr(module, name)))
    assert failing() == fails


def test_all_is_met_and_each_value_is_that_of_its_distribution():
    assert failing() == set()
    assert float(after_the_fit.p_of_f(3.0, 10)) == pytest.approx(1.6 ** -5)
    assert float(after_the_fit.p_of_t(-4.302652729911275)) == pytest.approx(0.05)
    assert float(after_the_fit.half_of_t()) == pytest.approx(4.302652729911275)
    assert float(after_the_fit.p_of_chi_squared(2.0)) == pytest.approx(np.exp(-1))
