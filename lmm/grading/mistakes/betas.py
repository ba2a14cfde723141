"""What a wrong beta is, beside a right theta."""

import numpy as np
from scipy import linalg

from ...conventions import codings
from ...practical import LMMprof


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
    yield from _in_other_codings(case, beta)


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


def _in_other_codings(case, beta):
    """The same fitted values by other columns of X."""
    for words, T, _ in codings(case.fit):
        yield f"X has another coding: {words}", T @ beta
