"""The likelihood with one mistake each, so that a wrong number can be told by what it is.

A submission's `LMMprof` is compared with these at fixed thetas; where it has none, its theta is compared with their minima.
All is n x n algebra written from the definition, for the small cases.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg

SAME = 1e-7         # relative: two ways to compute the same number, whatever the algebra
FLAT = 1e-9         # change of a criterion that is none, ...
NEARLY = 1e-4       # ... and next to none
STEP = 0.02         # in theta, for a parabola


@dataclass(frozen=True, eq=False)
class Model:
    """y, X and the blocks of Z, dense."""

    y: np.ndarray
    X: np.ndarray
    blocks: tuple

    @classmethod
    def of(cls, design):
        return cls(design.y, design.X, tuple(block.matrix.toarray() for block in design.blocks))

    @cached_property
    def Z(self):
        return np.column_stack([np.empty((len(self.y), 0)), *self.blocks])

    @cached_property
    def factored(self):
        """Q'[X y] and R of Z = QR, r = min(n, p) rows of R."""
        Q, R = np.linalg.qr(self.Z, mode="complete")
        r = min(self.Z.shape)
        return Q.T @ np.column_stack([self.X, self.y]), R[:r]

    @property
    def n(self):
        return len(self.y)

    @property
    def p(self):
        return self.Z.shape[1]

    def variances(self, theta):
        """The diagonal of psi."""
        return np.repeat(np.exp(2 * np.asarray(theta[1:])), [Z.shape[1] for Z in self.blocks])

    def V(self, theta, psi=None):
        psi = self.variances(theta) if psi is None else psi
        return np.exp(2 * theta[0]) * np.eye(self.n) + (self.Z * psi) @ self.Z.T

    @cached_property
    def ols(self):
        return np.linalg.lstsq(self.X, self.y, rcond=None)[0]

    def parts(self, theta, psi=None, beta=None):
        """1/2 log|V|, the weighted sum of squares at the best beta (or the one given), and 1/2 log|X'WX|."""
        L = np.linalg.cholesky(self.V(theta, psi))
        A = linalg.solve_triangular(L, np.column_stack([self.X, self.y]), lower=True)
        X, y = A[:, :-1], A[:, -1]
        Q, R = np.linalg.qr(X)
        e = y - Q @ (Q.T @ y) if beta is None else y - X @ beta
        return np.sum(np.log(np.diag(L))), e @ e, np.sum(np.log(np.abs(np.diag(R))))

    def nll(self, theta, psi=None, beta=None):
        half_logdet, rss, _ = self.parts(theta, psi, beta)
        return half_logdet + rss / 2

    def nll_of_ols(self, theta):
        return self.nll(theta, beta=self.ols)


def mistakes(model):
    """(sentence, criterion) for each usual mistake: what the criterion is then, as a function of theta."""
    yield from _sums(model)
    if model.p:
        yield from _thetas(model)
        yield from _factors(model)


def _sums(model):
    """Mistakes in adding up the criterion d + q / 2: d is 1/2 log|V|, q the weighted sum of squares, x 1/2 log|X'WX|.

    rest is (n - p) log sigma, d - rest the sum of the logs of the Cholesky factor's diagonal.
    """
    n, p = model.n, model.p

    def of(combine):
        return lambda theta: combine(*model.parts(theta), (n - p) * theta[0])

    diagonal = "the sum of the logs of the Cholesky factor's diagonal"
    yield "REML, not ML: the criterion holds 1/2 log|X'WX|", of(lambda d, q, x, rest: d + q / 2 + x)
    yield "log|V| is not halved", of(lambda d, q, x, rest: 2 * d + q / 2)
    yield "the weighted sum of squares is not halved", of(lambda d, q, x, rest: d + q)
    yield "the weighted sum of squares is not squared: it is its root", of(lambda d, q, x, rest: d + np.sqrt(q) / 2)
    yield "log|V| is missing from the criterion", of(lambda d, q, x, rest: q / 2)
    yield "log|V| has the wrong sign", of(lambda d, q, x, rest: q / 2 - d)
    if n > p > 0:
        yield "log|V| lacks (n - p) log sigma^2", of(lambda d, q, x, rest: d - rest + q / 2)
        yield ("log|V| has n log sigma^2 where (n - p) log sigma^2 is due",
               of(lambda d, q, x, rest: d + rest * p / (n - p) + q / 2))
        yield "log|V| has (n - p) log sigma where (n - p) log sigma^2 is due", of(lambda d, q, x, rest: d - rest / 2 + q / 2)
        yield "(n - p) log sigma^2 is not halved with the rest of log|V|", of(lambda d, q, x, rest: d + rest + q / 2)
        yield (f"1/2 log|R psi R' + sigma^2 I| is half of what it should be: it is {diagonal}",
               of(lambda d, q, x, rest: (d - rest) / 2 + rest + q / 2))
        yield (f"1/2 log|R psi R' + sigma^2 I| is twice what it should be: it is {diagonal}",
               of(lambda d, q, x, rest: 2 * (d - rest) + rest + q / 2))
        yield ("sigma is not squared in V = Z psi Z' + sigma^2 I",
               lambda theta: model.nll(np.append(theta[0] / 2, theta[1:])) + (n - p) * theta[0] / 2)


def _thetas(model):
    """Mistakes in what the elements of theta are, and a theta that does not reach beta."""
    J = len(model.blocks)

    def moved(change):
        return lambda theta: model.nll(change(np.array(theta, float)))

    yield "beta is that of OLS, whatever theta: theta does not reach its weights", model.nll_of_ols
    yield "theta's standard deviations are not squared: psi and sigma^2 hold variances", moved(lambda t: t / 2)
    yield "the blocks' standard deviations are not squared: psi holds variances", moved(lambda t: np.append(t[0], t[1:] / 2))
    yield "sigma is not squared anywhere: V = Z psi Z' + sigma^2 I", moved(lambda t: np.append(t[0] / 2, t[1:]))
    yield ("theta is taken as standard deviations: its elements are their logs",
           moved(lambda t: np.log(np.maximum(np.abs(t), 1e-300))))
    yield ("the blocks' standard deviations are taken relative to sigma, as in lme4",
           moved(lambda t: np.append(t[0], t[1:] + t[0])))
    if J > 1:
        yield "all blocks share one variance, the first block's", moved(lambda t: np.append(t[0], np.full(J, t[1])))
        yield "all blocks share one variance, the last block's", moved(lambda t: np.append(t[0], np.full(J, t[-1])))
        yield "theta's blocks are in reverse order: they follow ref", moved(lambda t: np.append(t[0], t[:0:-1]))
        for j in range(J):
            yield (f"block {j + 1} of {J} is missing from V",
                   moved(lambda t, j=j: np.where(np.arange(J + 1) == j + 1, -np.inf, t)))
    yield "log sigma is taken to be the last element of theta, where it is the first", moved(lambda t: np.roll(t, 1))


def _factors(model):
    """Mistakes of the practical's own algebra: a factor's wrong triangle, pivots, and rows beyond the first p.

    Where Z is rank deficient they depend on rounding errors, and may not be recognised.
    """
    QtU, R = model.factored
    r = len(R)

    def criterion(solve, beyond=lambda rows, sigma: rows / sigma):
        def value(theta):
            A = (R * model.variances(theta)) @ R.T + np.exp(2 * theta[0]) * np.eye(r)
            L = np.linalg.cholesky(A)
            W = np.vstack([solve(A, L, QtU[:r]), beyond(QtU[r:], np.exp(theta[0]))])
            e = W[:, -1] - W[:, :-1] @ np.linalg.lstsq(W[:, :-1], W[:, -1], rcond=None)[0]
            return np.sum(np.log(np.diag(L))) + (model.n - r) * theta[0] + e @ e / 2
        return value

    def forward(A, L, U):
        return linalg.solve_triangular(L, U, lower=True)

    triangle = "the wrong triangle of a Cholesky factor is solved with"
    yield f"{triangle}: zeros instead of the factor", criterion(lambda A, L, U: U / np.diag(L)[:, None])
    yield f"{triangle}: L' for L", criterion(lambda A, L, U: linalg.solve_triangular(L.T, U))
    yield (f"{triangle}: scipy's cho_factor leaves the matrix itself there",
           criterion(lambda A, L, U: forward(A, np.tril(A, -1) + np.diag(np.diag(L)), U)))
    if model.n > r:
        rows = "the n - p rows of Q'y and Q'X beyond the first p"
        yield f"{rows} are left out", criterion(forward, lambda rows, sigma: 0 * rows)
        yield f"{rows} are not divided by sigma", criterion(forward, lambda rows, sigma: rows)
    pivots = linalg.qr(model.Z, mode="r", pivoting=True)[1]
    if not np.array_equal(pivots, np.arange(model.p)):
        unpermuted = np.argsort(pivots)
        yield ("QR with pivoting: psi must be permuted as the columns of Z are, or R back",
               lambda theta: model.nll(theta, model.variances(theta)[unpermuted]))


def matches(values, criterion, thetas):
    """(scale, constant) if values are scale * criterion + constant at all thetas, the scale being 1, 2, -1 or -2; or None."""
    try:
        own = np.array([criterion(theta) for theta in thetas])
    except (np.linalg.LinAlgError, ValueError):
        return None
    if not np.isfinite(own).all() or not np.isfinite(values).all():
        return None
    size = max(1.0, np.abs(own).max(), np.abs(values).max())
    if np.ptp(own) < 1e3 * SAME * size:
        return None                                         # it hardly moves: anything would match
    for scale in (1.0, 2.0, -1.0, -2.0):
        rest = np.asarray(values) - scale * own
        if np.ptp(rest) <= SAME * size:
            return scale, float(np.mean(rest))
    return None


def is_minimum(criterion, theta, within):
    """Whether theta is a minimum of a criterion within so much, by a parabola in each direction.

    A strict one, but for elements that the criterion does not depend on there, such as the log of a tiny standard deviation.
    """
    h, strict = STEP, 0
    if not np.isfinite(theta).all():
        return False
    try:
        centre = criterion(theta)
        for step in h * np.eye(len(theta)):
            up, down = criterion(theta + step), criterion(theta - step)
            if max(abs(up - centre), abs(down - centre)) < FLAT:
                continue
            slope, curvature = (up - down) / (2 * h), (up + down - 2 * centre) / h**2
            if not curvature > 0.05 or not abs(slope) <= np.sqrt(2 * curvature * within):
                return False
            strict += 1
    except (np.linalg.LinAlgError, ValueError):
        return False
    return strict >= min(2, len(theta))


def is_flat(criterion, theta):
    """Whether an element of theta hardly matters there: a standard deviation next to 0."""
    centre, steps = criterion(theta), STEP * np.eye(len(theta))
    return any(abs(criterion(theta + step) - centre) < NEARLY and abs(criterion(theta + 10 * step) - centre) < NEARLY
               for step in steps)
