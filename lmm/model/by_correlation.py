"""Correlated effects by the correlation of the first two: the parameters of its profile."""

import numpy as np

from .unstructured import Unstructured

EDGE = 1e-9             # of 1 - |correlation|, below which it is +-1 but for rounding
LARGEST_Z = 20.0        # Fisher's z of a correlation of 1: its tanh is 1


class ByCorrelation(Unstructured):
    """The same psi with Fisher's z of a correlation as an element of theta.

    It may then be held.

    In place of T_21 stands the z of the correlation of the first two effects, and in place of log
    T_22 the log standard deviation of the second:

        T_21 = tanh(z) s,    T_22 = s / cosh(z),    s = exp(theta of the second).

    No column of T can be zero here. Steps are made in theta itself.
    """

    def __init__(self, c):
        super().__init__(c)
        self.z = 1  # T_21 stands second, column by column
        self.s = c                                              # T_22 after the first column
        self.directions = np.zeros(0, int)
        self.step_logs = self.logs

    def _T(self, t):
        """T's elements, in the order of theta's."""
        x = super().steps(t)
        sd = np.exp(t[self.s])
        x[self.z] = np.tanh(t[self.z]) * sd
        x[self.s] = sd / np.cosh(t[self.z])
        return x

    def root(self, t):
        T = np.zeros((self.c, self.c))
        T[self.i, self.j] = self._T(t)
        return T

    def theta(self, psi):
        t = super().theta(psi)
        sd = np.sqrt(psi[1, 1])
        rho = t[self.z] / sd  # both standard deviations are positive
        t[self.z] = np.arctanh(rho) if abs(rho) < 1 - EDGE else np.sign(rho) * LARGEST_Z
        t[self.s] = np.log(sd)
        return t

    def rescaled(self, t, shift):
        scaled = super().rescaled(t, shift)
        scaled[self.z] = t[self.z]
        return scaled

    def free(self, t):
        return np.ones(len(t), bool)

    def steps(self, t):
        return t

    def from_steps(self, x):
        return x

    def step_units(self, t, unit):
        moved_as_is = ~self.logs
        moved_as_is[self.z] = False
        return np.where(moved_as_is, super().step_units(t, unit), 1.0)

    def stretch(self, t):
        return np.ones(len(t))

    def _dT(self, t):
        """d T / d theta, element by element but for the two that stand for T_21 and T_22."""
        T = self._T(t)
        D = np.diag(np.where(self.logs, T, 1.0))
        tanh = np.tanh(t[self.z])
        sech = 1 / np.cosh(t[self.z])
        D[self.z, self.s] = T[self.z]
        D[self.s, self.s] = T[self.s]
        D[self.z, self.z] = T[self.s] * sech
        D[self.s, self.z] = -T[self.s] * tanh
        return D

    def jacobian(self, t):
        return super().jacobian(t) @ self._dT(t)

    def bend(self, t, G):
        """The chain rule: T's own bend, and the gradient in T times d^2 T / d theta^2."""
        D = self._dT(t)
        T = self._T(t)
        gradient = 2 * (G @ self.root(t))[self.i, self.j]       # in T
        bend = D.T @ super().bend(t, G) @ D
        tanh = np.tanh(t[self.z])
        sech = 1 / np.cosh(t[self.z])
        logs = np.flatnonzero(self.logs)
        logs = logs[logs != self.s]
        bend[logs, logs] += gradient[logs] * T[logs]
        g_21 = gradient[self.z]
        g_22 = gradient[self.s]
        bend[self.s, self.s] += g_21 * T[self.z] + g_22 * T[self.s]
        mixed = g_21 * T[self.s] * sech - g_22 * T[self.s] * tanh
        bend[self.s, self.z] += mixed
        bend[self.z, self.s] += mixed
        bend[self.z, self.z] += -2 * g_21 * T[self.s] * sech * tanh
        bend[self.z, self.z] += g_22 * T[self.s] * (tanh**2 - sech**2)
        return bend

    def df_used(self, t, M):
        return np.zeros(0)

    def growths(self, t, G, unit, held, rounding):
        return iter(())
