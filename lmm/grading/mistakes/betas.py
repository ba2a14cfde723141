"""What a wrong beta is, beside a right theta."""

import re
import warnings

import numpy as np
from scipy import linalg

from ...errors import LMMError
from ...model import is_factor
from ...practical import LMMprof, LMMsetup

CONTRASTS = (               # of a factor's columns of X, as the formula writes them
    ("sum contrasts", "C({name}, Sum)"),
    ("Helmert contrasts", "C({name}, Helmert)"),
    ("the last level as its reference", "C({name}, Treatment({last!r}))"),
)


def wrong_beta(case, model, theta, is_same):
    """The sentence on a beta that is not that of theta, or "".

    Parameters
    ----------
    case : Case
    model : Model
    theta : ndarray
    is_same : function
        Whether a vector is the beta to be explained.
    """
    for sentence, other in _others(case, model, theta):
        if len(other) == model.X.shape[1] and is_same(other):
            return sentence
    return ""


def _others(case, model, theta):
    """(sentence, beta) of each mistake."""
    beta = LMMprof(theta, case.setup).beta
    yield "its sign is the wrong one", -beta
    if model.p:
        equal = np.zeros_like(theta)
        yield (
            "it is that of a theta whose elements are all equal, as at a start of the search; "
            "beta is to be taken at the optimum",
            LMMprof(equal, case.setup).beta,
        )
    yield from _by_wrong_triangles(model, theta)
    yield from _in_other_contrasts(case, model, beta)


def _by_wrong_triangles(model, theta):
    """beta solved for with the wrong triangle of the Cholesky factor of X'WX."""
    weighted = np.linalg.solve(model.V(theta), np.column_stack([model.X, model.y]))
    G = model.X.T @ weighted
    L = np.linalg.cholesky(G[:, :-1])
    z = linalg.solve_triangular(L, G[:, -1], lower=True)
    triangle = "it is solved for with the wrong triangle of the Cholesky factor of X'WX"
    yield f"{triangle}: L for L'", linalg.solve_triangular(L, z, lower=True)
    yield f"{triangle}: its diagonal above zeros", z / np.diag(L)
    yield "it is L^-1 X'Wy, where X'WX = L L': the second solve is missing", z


def _in_other_contrasts(case, model, beta):
    """The same fitted values by other columns of X."""
    response, _, fixed = case.form.partition("~")
    for name, column in case.dat.items():
        if not is_factor(column) or not re.search(rf"\b{re.escape(str(name))}\b", fixed):
            continue
        last = column.cat.categories[-1] if hasattr(column, "cat") else sorted(set(column))[-1]
        for words, written in CONTRASTS:
            other = _recoded(fixed, name, written.format(name=name, last=last))
            X = _X_of(f"{response} ~ {other}", case)
            if X is not None and X.shape == model.X.shape:
                coefficients = np.linalg.lstsq(X, model.X @ beta, rcond=None)[0]
                yield f"{name} has {words} in X", coefficients
        X = _X_of(f"{response} ~ 0 + {fixed}", case)
        if X is not None and X.shape == model.X.shape:
            coefficients = np.linalg.lstsq(X, model.X @ beta, rcond=None)[0]
            yield f"X has a column for each level of {name} in place of an intercept", coefficients


def _recoded(fixed, name, other):
    return re.sub(rf"\b{re.escape(str(name))}\b", lambda _: other, fixed)


def _X_of(form, case):
    """X by another formula, or None if there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return LMMsetup(form, case.dat, []).design.X
        except LMMError:
            return None
