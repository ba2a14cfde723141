"""The covariance of the random effects: from theta to psi, and the chain rule back.

A term with c random effects in each level has the covariance matrix T T', T (c, c) lower triangular, and psi is made of these
blocks, psi = T T' x I over the levels. The term's share of theta is T column by column, its diagonal on the log scale: for
c = 1 the log standard deviation. V is linear in

    phi = (sigma^2, the variances and covariances of all terms),

each of which stands where theta has the element of T in the same place. A column of T whose diagonal is zero, -inf in theta,
is zero: so every positive semidefinite matrix has one T.
"""

from dataclasses import dataclass
from functools import cached_property
from math import exp

import numpy as np
from scipy import sparse

LARGEST_Z = 20.0        # Fisher's z of a correlation of 1: its tanh is 1
NOTHING = 1e-15         # of a variance, that the effects before leave of it, below which it is zero


@dataclass(frozen=True)
class Covariance:
    """The shape of psi: how many random effects per level, c, each term has. A random effect is a block of Z."""

    sizes: tuple

    @cached_property
    def scalar(self):
        """Whether every term has one random effect, so that theta holds nothing but log standard deviations."""
        return all(c == 1 for c in self.sizes)

    @cached_property
    def terms(self):
        """For each term the slice of its blocks, and the slice of its elements of theta."""
        slices, block, element = [], 0, 1
        for c in self.sizes:
            slices.append((slice(block, block + c), slice(element, element + c * (c + 1) // 2)))
            block, element = block + c, slices[-1][1].stop
        return slices

    def term_of(self, j):
        """The slices of block j's term."""
        return next(term for term in self.terms if term[0].start <= j < term[0].stop)

    def holds_correlation(self, elements, held):
        """Whether something that is no logarithm is held among the elements of a term: then its columns cannot be zero."""
        return any(elements.start <= i < elements.stop and not self.on_log[i] for i in held)

    @cached_property
    def _places(self):
        pairs = [(b.start + i, b.start + j) for b, _ in self.terms for j in range(b.stop - b.start)
                 for i in range(j, b.stop - b.start)]
        return np.reshape(np.array(pairs, int), (-1, 2)).T

    @property
    def rows(self):
        """For each element of theta but log sigma its row of T, ..."""
        return self._places[0]

    @property
    def columns(self):
        """... and its column: numbers of blocks."""
        return self._places[1]

    @cached_property
    def diagonal(self):
        """Where each block's T_jj stands in theta."""
        return 1 + np.flatnonzero(self.rows == self.columns)

    @cached_property
    def on_log(self):
        """Which elements of theta are logarithms."""
        return np.concatenate([[True], self.rows == self.columns])

    def free(self, theta):
        """Which elements of theta are not zero for good: those of columns of T with a diagonal above zero."""
        if self.scalar:
            return np.isfinite(theta)
        return np.concatenate([[True], np.isfinite(theta[self.diagonal])[self.columns]])

    def root(self, theta):
        """T, (J, J), block-diagonal over the terms; J is the number of blocks."""
        T = np.zeros((len(self.diagonal),) * 2)
        with np.errstate(over="raise"):
            T[self.rows, self.columns] = np.where(self.on_log, np.exp(np.where(self.on_log, theta, 0.0)), theta)[1:]
        return T

    def psi(self, theta):
        """T T', (J, J): the covariance of the random effects in one level of each term."""
        T = self.root(np.asarray(theta))
        return T @ T.T

    def phi(self, theta):
        """sigma^2, and the entries of psi: all that V depends on, linearly."""
        if self.scalar:
            return [exp(2 * t) for t in theta]
        return [exp(2 * theta[0]), *self.psi(theta)[self.rows, self.columns].tolist()]

    def log_sds(self, theta):
        """(J,): the log standard deviation of each block."""
        if self.scalar:
            return theta[1:]
        with np.errstate(divide="ignore"):
            return np.log(np.linalg.norm(self.root(theta), axis=1))

    def correlations(self, theta):
        """(J, J): psi over the standard deviations, nan where one is zero."""
        T = self.root(theta)
        sd = np.linalg.norm(T, axis=1)
        U = T / np.where(sd > 0, sd, np.nan)[:, None]
        return np.clip(U @ U.T, -1, 1)

    def theta(self, log_sigma, psi):
        """The theta of a positive semidefinite psi, (J, J), block-diagonal over the terms: Cholesky's factor, column by column."""
        T, left = np.zeros(psi.shape), np.array(psi, float)
        for j, variance in enumerate(psi.diagonal()):
            if left[j, j] > NOTHING * variance:
                T[j:, j] = left[j:, j] / np.sqrt(left[j, j])
                left -= np.outer(T[:, j], T[:, j])
        with np.errstate(divide="ignore", invalid="ignore"):
            values = T[self.rows, self.columns]
            return np.concatenate([[log_sigma], np.where(self.on_log[1:], np.log(values), values)])

    def rescaled(self, theta, shift):
        """theta with sigma and all standard deviations multiplied by exp(shift)."""
        return theta + shift if self.scalar else np.where(self.on_log, theta + shift, theta * np.exp(shift))

    def factor(self, theta, levels):
        """Lambda = T x I over the levels, (p, p) sparse, psi = Lambda Lambda': columns of Z in the order of the blocks."""
        T = self.root(theta)
        parts = [sparse.kron(T[b, b], sparse.identity(levels[b.start])) for b, _ in self.terms]
        return sparse.csr_array(sparse.block_diag(parts) if parts else (0, 0))

    # -- steps: the T of terms with several effects is moved as it is, not on the log scale, so that an element of its
    # diagonal may pass through zero, where a column of T and its negative are the same

    def coordinates(self, theta):
        """theta for steps: the diagonals of T as they are, but log standard deviations of single effects."""
        logs = self.moved_as_is & self.on_log
        return theta if self.scalar else np.where(logs, np.exp(np.where(logs, theta, 0.0)), theta)

    def at(self, x):
        """The theta of such coordinates."""
        if self.scalar:
            return x
        sign = np.concatenate([[1.0], np.where(self.moved_as_is, np.sign(x), 1.0)[self.diagonal][self.columns]])
        with np.errstate(divide="ignore"):
            return np.where(self.moved_as_is, np.where(self.on_log, np.log(np.abs(x)), x * sign), x)

    def lengths(self, theta, unit):
        """What counts as a step of 1 in each coordinate: 1 for logs, for an element of T its effect's sd, or its `unit`, (J,)."""
        if self.scalar:
            return np.ones(len(theta))
        sd = np.exp(self.log_sds(theta))
        return np.where(self.moved_as_is, np.concatenate([[1.0], np.where(sd > 0, sd, unit)[self.rows]]), 1.0)

    @cached_property
    def moved_as_is(self):
        """Which elements of theta belong to a term with several effects."""
        several = [np.full(b.stop - b.start, b.stop - b.start > 1) for b, _ in self.terms]
        return np.concatenate([[False], np.concatenate([[], *several]).astype(bool)[self.rows]])

    # -- derivatives

    def jacobian(self, theta):
        """d phi / d T, without sigma's: d psi_ij / d T_kl = [i = k] T_jl + [j = k] T_il."""
        T, i, j = self.root(theta), self.rows[:, None], self.columns[:, None]
        k, m = self.rows, self.columns
        return (i == k) * T[j, m] + (j == k) * T[i, m]

    def symmetric(self, g):
        """The derivatives g in the entries of psi as a symmetric matrix, (J, J), whose product with a change of psi is nll's."""
        G = np.zeros((len(self.diagonal),) * 2)
        G[self.rows, self.columns] = 0.5 * g
        return G + G.T

    def bend(self, g):
        """What the curvature of psi = T T' adds to the Hessian in T, where the gradient in phi is g (sigma's left out)."""
        return (self.columns[:, None] == self.columns) * 2 * self.symmetric(g)[self.rows[:, None], self.rows]

    def forms_of_columns(self, theta, t):
        """u'G u for each column u of T, (J,), G being `symmetric(t)`."""
        T = self.root(theta)
        return np.sum(T * (self.symmetric(t) @ T), axis=0)

    def from_T(self, theta, gradient, hessian):
        """Derivatives in log sigma and T as those in theta, and as those in `coordinates`: two pairs of gradient and Hessian."""
        return [_stretched(gradient, hessian, np.diag(np.where(logs, np.exp(np.where(logs, theta, 0.0)), 1.0)), logs)
                for logs in (self.on_log & ~_is_sigma(len(theta)), self.on_log & ~self.moved_as_is & ~_is_sigma(len(theta)))]


def _stretched(gradient, hessian, M, logs):
    """Derivatives in T as those in x, where dT/dx = M, and T is the exponential of what the `logs` say."""
    gradient = M.T @ gradient
    return gradient, M.T @ hessian @ M + np.diag(gradient * logs)


def _is_sigma(n):
    """The place of log sigma in theta."""
    return np.arange(n) == 0


@dataclass(frozen=True)
class WithCorrelation(Covariance):
    """The same with another theta for one term: in place of T_21 Fisher's z of the correlation of its first two effects, and in
    place of log T_22 the log standard deviation of the second. For profiles, which hold the correlation.
    """

    first: int              # the first of the two blocks

    @cached_property
    def _at(self):
        """The places in theta of the correlation and of the second standard deviation."""
        return int(1 + np.flatnonzero((self.rows == self.first + 1) & (self.columns == self.first))[0]), self.diagonal[self.first + 1]

    @property
    def correlation_at(self):
        """The place in theta of Fisher's z."""
        return self._at[0]

    def root(self, theta):
        z, log_sd = self._at
        T = super().root(theta)
        sd = np.exp(theta[log_sd])
        T[self.first + 1, self.first : self.first + 2] = np.tanh(theta[z]) * sd, sd / np.cosh(theta[z])
        return T

    def theta(self, log_sigma, psi):
        z, log_sd = self._at
        theta, sd = super().theta(log_sigma, psi), np.sqrt(psi[self.first + 1, self.first + 1])
        rho = theta[z] / sd if sd > 0 else 0.0
        theta[z], theta[log_sd] = np.clip(np.arctanh(np.clip(rho, -1 + 1e-16, 1 - 1e-16)), -LARGEST_Z, LARGEST_Z), np.log(sd)
        return theta

    def rescaled(self, theta, shift):
        z = self._at[0]
        scaled = super().rescaled(theta, shift)
        scaled[z] = theta[z]
        return scaled

    @cached_property
    def moved_as_is(self):
        """The elements below the diagonal but for the correlation; all others are logs."""
        return ~self.on_log & (np.arange(len(self.on_log)) != self._at[0])

    def from_T(self, theta, gradient, hessian):
        """As above, but for second derivatives in the correlation, which is held."""
        z, log_sd = self._at
        logs = self.on_log & ~_is_sigma(len(theta))
        M = np.diag(np.where(logs, np.exp(np.where(logs, theta, 0.0)), 1.0))
        T = self.root(theta)[self.first + 1, self.first : self.first + 2]
        M[[z, log_sd], log_sd] = T
        M[[z, log_sd], z] = T[1] * np.array([1 / np.cosh(theta[z]), -np.tanh(theta[z])])
        return [_stretched(gradient, hessian, M, logs)] * 2
