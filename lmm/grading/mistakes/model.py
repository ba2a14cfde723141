"""The model of a case as dense arrays, and a mistake in its likelihood.

Equations as in the practical: V = Z psi Z' + sigma^2 I, and
    (1)  V^-1 = Q [ (R psi R' + sigma^2 I)^-1, 0 ; 0, sigma^-2 I ] Q'
    (2)  log|V| = log|R psi R' + sigma^2 I| + (n - p) log sigma^2
    (3)  beta(theta) = (X' V^-1 X)^-1 X' V^-1 y
    (4)  nll(theta) = 1/2 log|V| + 1/2 (y - X beta)' V^-1 (y - X beta)
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from scipy import linalg

LAST_THETAS = 16            # of which the parts of a criterion are kept


class Parts(NamedTuple):
    """What (4) is added up from, and (3)."""

    half_logdet: float      # 1/2 log|V|
    rss: float              # the weighted sum of squares
    half_logdet_of_x: float # 1/2 log|X' V^-1 X|
    beta: np.ndarray


@dataclass(frozen=True, eq=False)
class Mistake:
    """A criterion with a mistake.

    Attributes
    ----------
    sentence : str
        What is wrong.
    evaluate : function
        (value, beta) at a theta.
    n : int
        How many rows it uses, by which its constant is known.
    exact : bool
        Whether its numbers are the same however they are computed; where Z has dependent columns,
        rounding errors decide some of those of a wrong triangle, which may not be recognised.
    """

    sentence: str
    evaluate: Callable
    n: int
    exact: bool = True

    def nll(self, theta):
        return self.evaluate(theta)[0]

    def beta(self, theta):
        return self.evaluate(theta)[1]


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
        """The `Parts` at theta; the squares are those at the best beta, or at the one given."""
        L = np.linalg.cholesky(self.V(theta, psi))
        whitened = linalg.solve_triangular(L, np.column_stack([self.X, self.y]), lower=True)
        X, y = whitened[:, :-1], whitened[:, -1]
        Q, R = np.linalg.qr(X)
        if beta is None:
            beta = linalg.solve_triangular(R, Q.T @ y)
        e = y - X @ beta
        half_logdet = np.sum(np.log(np.diag(L)))
        half_logdet_of_x = np.sum(np.log(np.abs(np.diag(R))))
        return Parts(half_logdet, e @ e, half_logdet_of_x, beta)

    @cached_property
    def remembered_parts(self):
        """`parts` of theta, each of the last thetas' computed once: many mistakes ask for them."""
        @lru_cache(LAST_THETAS)
        def of_elements(elements):
            return self.parts(np.array(elements))

        return lambda theta: of_elements(tuple(theta))

    def evaluate(self, theta, psi=None, beta=None):
        """(4) and (3); nan and no beta where theta is none."""
        if np.isnan(theta).any():
            return np.nan, np.full(self.X.shape[1], np.nan)
        parts = self.parts(theta, psi, beta)
        return parts.half_logdet + parts.rss / 2, parts.beta

    def nll(self, theta):
        """(4)."""
        return self.evaluate(theta)[0]
