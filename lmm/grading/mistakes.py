"""The likelihood with one mistake each, so that a wrong number can be told by what it is.

A submission's `LMMprof` is compared with these at fixed thetas; where it has none, its theta is
compared with their minima. All is n x n algebra written from the definition, for the small cases.

Equations as in the practical: V = Z psi Z' + sigma^2 I, and
    (1)  V^-1 = Q [ (R psi R' + sigma^2 I)^-1, 0 ; 0, sigma^-2 I ] Q'
    (2)  log|V| = log|R psi R' + sigma^2 I| + (n - p) log sigma^2
    (3)  beta(theta) = (X' V^-1 X)^-1 X' V^-1 y
    (4)  nll(theta) = 1/2 log|V| + 1/2 (y - X beta)' V^-1 (y - X beta)
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import linalg

SAME_NUMBER = 1e-7          # relative: two ways to compute the same number, whatever the algebra
NO_CHANGE = 1e-9            # of a criterion, in log-likelihood, ...
HARDLY_ANY_CHANGE = 1e-4    # ... and next to none
PARABOLA_STEP = 0.02        # in theta
LEAST_CURVATURE = 0.05      # of a criterion at its minimum, per unit of theta squared
TINY_SD = 1e-300            # whose log can be taken
LAST_THETAS = 16            # of which the parts of a criterion are kept
SCALES_OF_NLL = (1.0, 2.0, -1.0, -2.0)      # what a right criterion may be multiplied with


@dataclass(frozen=True, eq=False)
class Model:
    """y, X and the blocks of Z, dense."""

    y: np.ndarray
    X: np.ndarray
    blocks: tuple

    @classmethod
    def of(cls, design):
        blocks = tuple(block.matrix.toarray() for block in design.blocks)
        return cls(design.y, design.X, blocks)

    @property
    def n(self):
        return len(self.y)

    @property
    def p(self):
        return self.Z.shape[1]

    @cached_property
    def Z(self):
        return np.column_stack([np.empty((self.n, 0)), *self.blocks])

    @cached_property
    def decomposed(self):
        """Q'[X y] and R of Z = QR, r = min(n, p) rows of R."""
        Q, R = np.linalg.qr(self.Z, mode="complete")
        U = np.column_stack([self.X, self.y])
        r = min(self.Z.shape)
        return Q.T @ U, R[:r]

    @cached_property
    def ols(self):
        """beta of least squares."""
        return np.linalg.lstsq(self.X, self.y, rcond=None)[0]

    def variances(self, theta):
        """The diagonal of psi."""
        sizes = [Z.shape[1] for Z in self.blocks]
        return np.repeat(np.exp(2 * np.asarray(theta[1:])), sizes)

    def V(self, theta, psi=None):
        """V = Z psi Z' + sigma^2 I, psi being the diagonal, by default that of theta."""
        if psi is None:
            psi = self.variances(theta)
        sigma2 = np.exp(2 * theta[0])
        return sigma2 * np.eye(self.n) + (self.Z * psi) @ self.Z.T

    def parts(self, theta, psi=None, beta=None):
        """1/2 log|V|, the weighted sum of squares, and 1/2 log|X' V^-1 X|.

        The squares are those at the best beta, or at the one given.
        """
        L = np.linalg.cholesky(self.V(theta, psi))
        whitened = linalg.solve_triangular(L, np.column_stack([self.X, self.y]), lower=True)
        X, y = whitened[:, :-1], whitened[:, -1]
        Q, R = np.linalg.qr(X)
        e = y - Q @ (Q.T @ y) if beta is None else y - X @ beta
        half_logdet = np.sum(np.log(np.diag(L)))
        half_logdet_X = np.sum(np.log(np.abs(np.diag(R))))
        return half_logdet, e @ e, half_logdet_X

    def nll(self, theta, psi=None, beta=None):
        """(4)."""
        half_logdet, rss, _ = self.parts(theta, psi, beta)
        return half_logdet + rss / 2

    def nll_of_ols(self, theta):
        """(4) at the beta of least squares."""
        return self.nll(theta, beta=self.ols)


def mistakes(model):
    """(sentence, criterion) for each usual mistake: the criterion that it makes, of theta."""
    yield from _sums(model)
    if model.p:
        yield from _thetas(model)
        yield from _triangles(model)


# -- mistakes in adding up (4) -------------------------------------------------------------------

def _sums(model):
    """Mistakes in adding up the criterion d + q / 2.

    d is 1/2 log|V|, q the weighted sum of squares, and x, of REML, 1/2 log|X' V^-1 X|.
    """
    n, p = model.n, model.p
    parts = _remembered(model.parts)

    def of(combine):
        return lambda theta: combine(*parts(theta))

    yield (
        "REML, not ML: the criterion holds 1/2 log|X'WX|",
        of(lambda d, q, x: d + q / 2 + x),
    )
    yield (
        "log|V| is not halved",
        of(lambda d, q, x: 2 * d + q / 2),
    )
    yield (
        "the weighted sum of squares is not halved",
        of(lambda d, q, x: d + q),
    )
    yield (
        "the weighted sum of squares is not squared: it is its root",
        of(lambda d, q, x: d + np.sqrt(q) / 2),
    )
    yield (
        "log|V| is missing from the criterion",
        of(lambda d, q, x: q / 2),
    )
    yield (
        "log|V| has the wrong sign",
        of(lambda d, q, x: q / 2 - d),
    )
    if n > p > 0:
        yield from _sums_of_two(model, parts)


def _remembered(parts):
    """`parts`, each of the last thetas' computed once: a dozen mistakes ask for the same."""
    @lru_cache(LAST_THETAS)
    def of_elements(elements):
        return parts(np.array(elements))

    return lambda theta: of_elements(tuple(theta))


def _sums_of_two(model, parts):
    """Mistakes in (2), where 1/2 log|V| = a + b.

    a is the sum of the logs of the diagonal of the Cholesky triangle of R psi R' + sigma^2 I, and
    b is (n - p) log sigma.
    """
    n, p = model.n, model.p

    def of(combine):
        def criterion(theta):
            half_logdet, q, _ = parts(theta)
            b = (n - p) * theta[0]
            return combine(half_logdet - b, b) + q / 2

        return criterion

    diagonal = "the sum of the logs of the Cholesky factor's diagonal"
    yield (
        "log|V| lacks (n - p) log sigma^2",
        of(lambda a, b: a),
    )
    yield (
        "log|V| has n log sigma^2 where (n - p) log sigma^2 is due",
        of(lambda a, b: a + b * n / (n - p)),
    )
    yield (
        "log|V| has (n - p) log sigma where (n - p) log sigma^2 is due",
        of(lambda a, b: a + b / 2),
    )
    yield (
        "(n - p) log sigma^2 is not halved with the rest of log|V|",
        of(lambda a, b: a + 2 * b),
    )
    yield (
        f"1/2 log|R psi R' + sigma^2 I| is half of what it should be: it is {diagonal}",
        of(lambda a, b: a / 2 + b),
    )
    yield (
        f"1/2 log|R psi R' + sigma^2 I| is twice what it should be: it is {diagonal}",
        of(lambda a, b: 2 * a + b),
    )

    def sigma_in_place_of_its_square(theta):
        moved = np.append(theta[0] / 2, theta[1:])
        return model.nll(moved) + (n - p) * theta[0] / 2

    yield (
        "sigma is not squared in V = Z psi Z' + sigma^2 I",
        sigma_in_place_of_its_square,
    )


# -- mistakes in theta ---------------------------------------------------------------------------

def _thetas(model):
    """Mistakes in what the elements of theta are, and a theta that does not reach beta."""
    def moved(change):
        return lambda theta: model.nll(change(np.array(theta, float)))

    yield (
        "beta is that of OLS, whatever theta: theta does not reach its weights",
        model.nll_of_ols,
    )
    yield (
        "theta's standard deviations are not squared: psi and sigma^2 hold variances",
        moved(lambda t: t / 2),
    )
    yield (
        "the blocks' standard deviations are not squared: psi holds variances",
        moved(lambda t: np.append(t[0], t[1:] / 2)),
    )
    yield (
        "sigma is not squared anywhere: V = Z psi Z' + sigma^2 I",
        moved(lambda t: np.append(t[0] / 2, t[1:])),
    )
    yield (
        "theta is taken as standard deviations: its elements are their logs",
        moved(lambda t: np.log(np.maximum(np.abs(t), TINY_SD))),
    )
    yield (
        "the blocks' standard deviations are taken relative to sigma, as in lme4",
        moved(lambda t: np.append(t[0], t[1:] + t[0])),
    )
    for sentence, change in _thetas_of_blocks(len(model.blocks)):
        yield sentence, moved(change)
    yield (
        "log sigma is taken to be the last element of theta, where it is the first",
        moved(lambda t: np.roll(t, 1)),
    )


def _thetas_of_blocks(J):
    """(sentence, change of theta) for what several blocks can be mistaken for."""
    if J < 2:
        return
    yield (
        "all blocks share one variance, the first block's",
        lambda t: np.append(t[0], np.full(J, t[1])),
    )
    yield (
        "all blocks share one variance, the last block's",
        lambda t: np.append(t[0], np.full(J, t[-1])),
    )
    yield (
        "theta's blocks are in reverse order: they follow ref",
        lambda t: np.append(t[0], t[:0:-1]),
    )
    for j in range(1, J + 1):
        yield f"block {j} of {J} is missing from V", _without(j)


def _without(j):
    """A change of theta: the j-th block's standard deviation is zero."""
    def change(theta):
        theta[j] = -np.inf
        return theta

    return change


# -- mistakes in (1) -----------------------------------------------------------------------------

def _triangles(model):
    """Mistakes of the practical's own algebra: a wrong triangle, pivots, rows beyond the first p.

    Where Z is rank deficient they depend on rounding errors, and may not be recognised.
    """
    QtU, R = model.decomposed
    r = len(R)

    def criterion(solve, beyond=_divided):
        """(4) with A = R psi R' + sigma^2 I = L L', whose solves are `solve(A, L, U)`."""
        def value(theta):
            A = (R * model.variances(theta)) @ R.T + np.exp(2 * theta[0]) * np.eye(r)
            L = np.linalg.cholesky(A)
            first = solve(A, L, QtU[:r])
            W = np.vstack([first, beyond(QtU[r:], np.exp(theta[0]))])
            X, y = W[:, :-1], W[:, -1]
            e = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
            half_logdet = np.sum(np.log(np.diag(L))) + (model.n - r) * theta[0]
            return half_logdet + e @ e / 2

        return value

    triangle = "the wrong triangle of a Cholesky factor is solved with"
    yield f"{triangle}: zeros instead of the factor", criterion(_by_diagonal)
    yield f"{triangle}: L' for L", criterion(_backward)
    yield (
        f"{triangle}: scipy's cho_factor leaves the matrix itself there",
        criterion(_forward_with_A_below),
    )
    if model.n > r:
        rows = "the n - p rows of Q'y and Q'X beyond the first p"
        yield f"{rows} are left out", criterion(_forward, _zeros)
        yield f"{rows} are not divided by sigma", criterion(_forward, _as_they_are)
    pivots = linalg.qr(model.Z, mode="r", pivoting=True)[1]
    if not np.array_equal(pivots, np.arange(model.p)):
        unpermuted = np.argsort(pivots)
        yield (
            "QR with pivoting: psi must be permuted as the columns of Z are, or R back",
            lambda theta: model.nll(theta, model.variances(theta)[unpermuted]),
        )


def _forward(A, L, U):
    """L^-1 U, which is right."""
    return linalg.solve_triangular(L, U, lower=True)


def _by_diagonal(A, L, U):
    """The upper triangle of L is solved with, which is its diagonal above zeros."""
    return U / np.diag(L)[:, None]


def _backward(A, L, U):
    """L'^-1 U."""
    return linalg.solve_triangular(L.T, U)


def _forward_with_A_below(A, L, U):
    """The lower triangle of cho_factor's upper one, where A's elements are left below."""
    triangle = np.tril(A, -1) + np.diag(np.diag(L))
    return linalg.solve_triangular(triangle, U, lower=True)


def _divided(rows, sigma):
    return rows / sigma


def _zeros(rows, sigma):
    return 0 * rows


def _as_they_are(rows, sigma):
    return rows


# -- comparisons ---------------------------------------------------------------------------------

def matches(values, criterion, thetas):
    """(scale, constant) if values are scale * criterion + constant at all thetas, or None.

    The scale is 1, 2, -1 or -2. A criterion that hardly moves would match anything: None.
    """
    values = np.asarray(values)
    try:
        own = np.array([criterion(theta) for theta in thetas])
    except (np.linalg.LinAlgError, ValueError):
        return None
    if not np.isfinite(own).all() or not np.isfinite(values).all():
        return None
    size = max(1.0, np.abs(own).max(), np.abs(values).max())
    if np.ptp(own) < 1e3 * SAME_NUMBER * size:
        return None
    for scale in SCALES_OF_NLL:
        constants = values - scale * own
        if np.ptp(constants) <= SAME_NUMBER * size:
            return scale, float(np.mean(constants))
    return None


def is_minimum(criterion, theta, within):
    """Whether theta is a minimum of a criterion within so much, by a parabola in each direction.

    A strict one, but for elements that the criterion does not depend on there, such as the log of
    a tiny standard deviation. A parabola of slope s and curvature c is s^2 / (2 c) above its
    minimum.
    """
    if not np.isfinite(theta).all():
        return False
    h = PARABOLA_STEP
    strict = 0
    try:
        centre = criterion(theta)
        for step in h * np.eye(len(theta)):
            up = criterion(theta + step)
            down = criterion(theta - step)
            if max(abs(up - centre), abs(down - centre)) < NO_CHANGE:
                continue
            slope = (up - down) / (2 * h)
            curvature = (up + down - 2 * centre) / h**2
            if not curvature > LEAST_CURVATURE:             # nor if it is nan
                return False
            if not abs(slope) <= np.sqrt(2 * curvature * within):
                return False
            strict += 1
    except (np.linalg.LinAlgError, ValueError):
        return False
    return strict >= min(2, len(theta))


def is_flat(criterion, theta):
    """Whether an element of theta hardly matters there: a standard deviation next to 0."""
    centre = criterion(theta)

    def hardly_moves(step):
        return abs(criterion(theta + step) - centre) < HARDLY_ANY_CHANGE

    steps = PARABOLA_STEP * np.eye(len(theta))
    return any(hardly_moves(step) and hardly_moves(10 * step) for step in steps)
