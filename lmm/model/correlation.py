"""A covariance by the correlation of two effects: the parameters of its profile."""

from dataclasses import dataclass
from functools import cached_property
from math import exp

import numpy as np

from .covariance import Covariance

EDGE = 1e-9             # of 1 - |correlation|, below which it is +-1 but for rounding
LARGEST_Z = 20.0        # Fisher's z of a correlation of 1: its tanh is 1


@dataclass(frozen=True)
class WithCorrelation(Covariance):
    """The same with another theta for one term: in place of T_21 Fisher's z of the correlation of its first two effects, and in
    place of log T_22 the log standard deviation of the second. For profiles, which hold the correlation.
    """

    first: int              # the first of the two blocks

    @cached_property
    def _at(self):
        """The places in theta of the correlation and of the second standard deviation."""
        below = (self.rows == self.first + 1) & (self.columns == self.first)
        return int(1 + np.flatnonzero(below)[0]), self.diagonal[self.first + 1]

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
        rho = theta[z] / sd                                             # both standard deviations are positive
        theta[z] = np.arctanh(rho) if abs(rho) < 1 - EDGE else np.sign(rho) * LARGEST_Z
        theta[log_sd] = np.log(sd)
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
        M = np.eye(len(theta))                                          # d (log sigma, T) / d theta
        M[self.diagonal, self.diagonal] = [exp(theta[i]) for i in self.diagonal]
        T = self.root(theta)[self.first + 1, self.first : self.first + 2]
        M[[z, log_sd], log_sd] = T
        M[[z, log_sd], z] = T[1] * np.array([1 / np.cosh(theta[z]), -np.tanh(theta[z])])
        gradient, hessian = M.T @ gradient, M.T @ hessian @ M
        hessian[self.diagonal, self.diagonal] += gradient[self.diagonal]
        return [(gradient, hessian)] * 2
