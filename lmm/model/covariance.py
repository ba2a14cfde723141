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

LEAST = 1e-2            # of an effect's unit, the smallest length of a step
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

    @cached_property
    def below(self):
        """Which elements of theta are no logarithms, as a list."""
        return np.flatnonzero(~self.on_log).tolist()

    @cached_property
    def _flat(self):
        return self.rows * len(self.diagonal) + self.columns

    def root(self, theta):
        """T, (J, J), block-diagonal over the terms; J is the number of blocks."""
        values, J = np.array(theta[1:], float), len(self.diagonal)
        values[self.diagonal - 1] = [exp(theta[i]) for i in self.diagonal]
        T = np.zeros(J * J)
        T[self._flat] = values
        return T.reshape(J, J)

    def psi(self, theta):
        """T T', (J, J): the covariance of the random effects in one level of each term."""
        T = self.root(theta)
        return T @ T.T

    def root_of(self, psi):
        """The T with T T' = psi, (J, J)."""
        return np.sqrt(psi) if self.scalar else self.root(self.theta(0.0, psi))

    def phi(self, theta):
        """sigma^2, and the entries of psi: all that V depends on, linearly."""
        if self.scalar:
            return [exp(2 * t) for t in theta]
        return [exp(2 * theta[0]), *self.psi(theta).ravel()[self._flat].tolist()]

    def psi_of(self, phi):
        """The same from sigma^2 and its entries."""
        if self.scalar:
            return np.diag(phi[1:])
        psi = np.zeros((len(self.diagonal),) * 2)
        psi.ravel()[self._flat] = phi[1:]
        return psi + np.tril(psi, -1).T

    def log_sds(self, theta):
        """(J,): the log standard deviation of each block."""
        if self.scalar:
            return theta[1:]
        T = self.root(theta)
        with np.errstate(divide="ignore"):
            return 0.5 * np.log(np.einsum("ij,ij->i", T, T))

    def correlations(self, theta):
        """(J, J): psi over the standard deviations, nan where one is zero."""
        T = self.root(theta)
        sd = np.linalg.norm(T, axis=1)
        U = T / np.where(sd > 0, sd, np.nan)[:, None]
        return np.clip(U @ U.T, -1, 1)

    def theta(self, log_sigma, psi):
        """The theta of a positive semidefinite psi, (J, J), block-diagonal over the terms: Cholesky's factor, by columns."""
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

    def Lambda(self, theta, levels):
        """Lambda = T x I over the levels, (p, p) sparse, psi = Lambda Lambda': columns of Z in the order of the blocks."""
        return over_levels(self.root(theta), [b for b, _ in self.terms], levels)

    # -- steps: the T of terms with several effects is moved as it is, not on the log scale, so that an element of its
    # diagonal may pass through zero, where a column of T and its negative are the same

    def coordinates(self, theta):
        """theta for steps: the diagonals of T as they are, but log standard deviations of single effects."""
        if self.scalar:
            return theta
        x = theta.copy()
        x[self._moved_diagonal] = [exp(theta[i]) for i in self._moved_diagonal]
        return x

    def at(self, x):
        """The theta of such coordinates."""
        if self.scalar:
            return x
        theta, sign = x.copy(), np.ones(len(self.diagonal))
        sign[self._of_moved_diagonal] = np.sign(x[self._moved_diagonal])
        theta[self.below] *= sign[self.columns[np.array(self.below) - 1]]
        with np.errstate(divide="ignore"):
            theta[self._moved_diagonal] = np.log(np.abs(x[self._moved_diagonal]))
        return theta

    @cached_property
    def _moved_diagonal(self):
        return self.diagonal[self._of_moved_diagonal]

    @cached_property
    def _of_moved_diagonal(self):
        return self.moved_as_is[self.diagonal]

    def lengths(self, theta, unit):
        """What counts as a step of 1 in each coordinate: 1 for logs, for an element of T its effect's standard deviation.

        Where that is nearly zero, a small part of its `unit`, (J,).
        """
        if self.scalar:
            return np.ones(len(theta))
        T, lengths = self.root(theta), np.ones(len(theta))
        sd = np.sqrt(np.einsum("ij,ij->i", T, T) + (LEAST * unit) ** 2)
        lengths[self.moved_as_is] = sd[self.rows][self.moved_as_is[1:]]
        return lengths

    @cached_property
    def moved_as_is(self):
        """Which elements of theta belong to a term with several effects."""
        several = [np.full(b.stop - b.start, b.stop - b.start > 1) for b, _ in self.terms]
        return np.concatenate([[False], np.concatenate([[], *several]).astype(bool)[self.rows]])

    # -- derivatives

    def dphi_dtheta(self, theta):
        """d phi / d theta, (q, q), without log sigma; 0 in columns of T that are zero."""
        return self.jacobian(self.root(theta)) * self.free(theta)[1:] * self._stretched(theta, self.diagonal)[1:]

    def jacobian(self, T):
        """d phi / d T, without sigma's: d psi_ij / d T_kl = [i = k] T_jl + [j = k] T_il."""
        by_column = T[:, self.columns]
        return self._same_row * by_column[self.columns] + self._column_is_row * by_column[self.rows]

    @cached_property
    def _same_row(self):
        return self.rows[:, None] == self.rows

    @cached_property
    def _column_is_row(self):
        return self.columns[:, None] == self.rows

    @cached_property
    def _same_column(self):
        return 2.0 * (self.columns[:, None] == self.columns)

    def symmetric(self, g):
        """The derivatives g in the entries of psi as a symmetric matrix G, (J, J): nll changes by tr(G dpsi)."""
        G = np.zeros((len(self.diagonal),) * 2)
        G.ravel()[self._flat] = 0.5 * g
        return G + G.T

    def bend(self, g):
        """What the curvature of psi = T T' adds to the Hessian in T, where the gradient in phi is g (sigma's left out)."""
        return self._same_column * self.symmetric(g)[self.rows][:, self.rows]

    def forms_of_columns(self, T, t):
        """u'G u for each column u of T, (J,), G being `symmetric(t)`."""
        return np.sum(T * (self.symmetric(t) @ T), axis=0)

    def from_T(self, theta, gradient, hessian):
        """Derivatives in log sigma and T as those in theta, and those in `coordinates`: two pairs of gradient and Hessian."""
        found = []
        for logs in self._logs_of_T:
            lengths = self._stretched(theta, logs)
            g, H = gradient * lengths, hessian * lengths * lengths[:, None]
            H[logs, logs] += g[logs]
            found.append((g, H))
        return found

    def _stretched(self, theta, logs):
        """d T / d log T for the elements that are taken as logs, 1 for the others."""
        lengths = np.ones(len(theta))
        lengths[logs] = [exp(theta[i]) for i in logs]
        return lengths

    @cached_property
    def _logs_of_T(self):
        return self.diagonal, np.array([i for i in self.diagonal if not self.moved_as_is[i]], int)


def over_levels(T, terms, levels):
    """T x I over the levels, sparse, for the blocks of some terms, slices; `levels` is their number by block."""
    parts = [sparse.kron(T[b, b], sparse.identity(levels[b.start])) for b in terms]
    return sparse.csr_array(sparse.block_diag(parts) if parts else (0, 0))
