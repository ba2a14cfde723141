"""The rows L of the hypotheses L beta = 0 of types I, II and III, one set for each term.

All from the columns of X, whatever V is, as lmerTest has them; X = QR gives Doolittle's L' of
X'X = L D L', whose rows are those of R over its diagonal: what each column adds to those before it.

    I       the term after all before it, by degree and as written;
    II      the term after all that do not contain it;
    III     from the columns B of all indicators, X A = B: what A says of the term's coefficients,
            orthogonal to what it says of those of the terms that contain it. So each cell has the
            same weight, however X is coded.

A term alone has the rows of type I in all three.

A term contains another, as SAS has it, if it has all its factors and the same covariates. lmerTest
differs where a term is there and one of its margins is not: of f and f:g without g, or of x and f:x
without f, it tests f, or x, at the reference level of the other, so that the answer depends on
which level that is; and for type II it takes polynomials and splines for factors.
"""

import numpy as np
from scipy import linalg

from ..errors import LMMError
from ..model import Matrices, full_rank

ROUNDING = 1e-9         # of the largest element, below which one is zero
TYPES = (1, 2, 3)


def coding_of(fit):
    """The `Coding` of the fixed effects; an LMMError if the fit has no formula."""
    design = fit.setup.design
    if isinstance(design.formula, Matrices):
        raise LMMError(
            "this is a fit of matrices, whose columns belong to no terms; "
            "test them by fit.contrast(L, joint=True)"
        )
    return design.formula.coding(design.data)


def rows_of_terms(fit, type):
    """``[(term, L), ...]``: each `FixedTerm` and its rows, (r, k), of which r may be 0."""
    design = fit.setup.design
    coding = coding_of(fit)
    if not coding.terms:
        return []
    X = design.x_of_data if type == 3 else design.root_of_X
    places = [kept_columns(term, design.left_out, X.shape[1]) for term in coding.terms]
    if type == 1 or len(coding.terms) < 2:
        rows = _sequential(X, places)
    elif type == 2:
        rows = _after_others(X, coding.terms, places)
    else:
        rows = _of_equal_cells(X, coding)
    return list(zip(coding.terms, rows))


def kept_columns(term, left_out, k):
    """Which columns of X, (n, k), are a term's: those that are not left out."""
    if not left_out.names:
        return term.columns
    place = np.full(k + len(left_out.names), -1)
    place[left_out.kept] = np.arange(k)
    found = place[term.columns]
    return found[found >= 0]


def _added(X, order):
    """(k, k): what each column of X adds to those before it in this order, as rows of L."""
    R = linalg.qr(X[:, order], mode="r")[0][: X.shape[1]]
    L = np.zeros_like(R)
    L[np.ix_(order, order)] = R / R.diagonal()[:, None]
    return L


def _sequential(X, places):
    """Type I."""
    of_terms = np.concatenate([np.zeros(0, int), *places])
    constant = np.setdiff1d(np.arange(X.shape[1]), of_terms)
    L = _added(X, np.concatenate([constant, of_terms]))
    return [cleaned(L[columns]) for columns in places]


def _after_others(X, terms, places):
    """Type II."""
    k = X.shape[1]
    found = []
    for term, columns in zip(terms, places):
        containing = [
            place for other, place in zip(terms, places) if term.is_contained_in(other)
        ]
        if not containing:
            found.append(np.eye(k)[columns])
            continue
        last = np.concatenate([columns, *containing])
        first = np.setdiff1d(np.arange(k), last)
        found.append(cleaned(_added(X, np.concatenate([first, last]))[columns]))
    return found


def _of_equal_cells(X, coding):
    """Type III: in treatment coding, T, and from there in X's."""
    terms = coding.terms
    of_terms = np.concatenate([term.columns for term in terms])
    constant = np.setdiff1d(np.arange(coding.treatment.shape[1]), of_terms)
    order = np.concatenate([constant, of_terms])
    T, kept, _ = full_rank(coding.treatment[:, order], order)
    place = {column: j for j, column in enumerate(kept)}
    places = [np.array([place[c] for c in term.columns if c in place], int) for term in terms]

    # -- A with T A = B: what the coefficients of T are in those of all indicators
    A = linalg.lstsq(T, coding.indicators)[0]
    said = A.T.copy()

    # -- those of the highest degree first: orthogonal to what contains them
    for term, columns in reversed(list(zip(terms, places))):
        containing = [
            place for other, place in zip(terms, places) if term.is_contained_in(other)
        ]
        if containing and len(columns):
            others = said[:, np.concatenate(containing)]
            along = linalg.lstsq(others, said[:, columns])[0]
            said[:, columns] -= others @ along

    # -- back to the coefficients of T, m'A = l', and from them to those of X, T M = X
    L = linalg.lstsq(A.T, said)[0].T
    M = linalg.lstsq(T, X)[0]
    return [cleaned(cleaned(L[columns]) @ M) for columns in places]


def cleaned(L):
    """L with what is rounding set to zero, without the rows that are zero then."""
    largest = np.abs(L).max(initial=0.0)
    L = np.where(np.abs(L) > ROUNDING * max(largest, 1.0), L, 0.0)
    return L[np.abs(L).any(axis=1)]
