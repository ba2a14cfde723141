"""Compound symmetry: effects with one variance, any two with one correlation, maybe a negative one.

    psi_t = v ((1 - rho) I + rho 11')  =  a 11'/c + b (I - 11'/c),

    a = v (1 + (c - 1) rho),    b = v (1 - rho).

a is the variance of the sum of the effects over sqrt(c), b that of any contrast of length 1. Both
are free of each other, and zero at the ends of rho's range, -1 / (c - 1) and 1: so theta holds
their logs, and nothing else need be known here. Source: the covariance of a split plot, Scheffe
(1959), section 8.1.
"""

import numpy as np

from .covariance import Variances
from .psi import NO_VARIANCE

LARGEST_LOGIT = 36.0    # of a's share of the variance, where b, or a, is nothing beside the other


class CompoundSymmetry(Variances):
    """Effects of one term with one variance and one correlation."""

    kind = "compound symmetry"

    def __init__(self, c):
        mean = np.full((c, c), 1 / c)
        pairs = [(i, j) for j in range(c) for i in range(j, c)]
        super().__init__(c, pairs, np.array([mean, np.eye(c) - mean]))

    def labels(self, blocks):
        """``"Worker: common"``, what the effects share, and ``"Worker: contrasts"``."""
        return [f"{blocks[0].group}: {part}" for part in ("common", "contrasts")]

    def direction_names(self, blocks, term_name):
        return self.labels(blocks)

    def root(self, t):
        """sqrt(a) 11'/c + sqrt(b) (I - 11'/c)."""
        return np.tensordot(np.exp(t), self.basis, 1)

    def theta(self, psi):
        """a = 1'psi 1 / c, and b from the rest of the trace: means, if the effects differ.

        What is zero but for rounding is zero, so that it does not leave it beside the other one.
        """
        a = psi.sum() / self.c
        b = (psi.trace() - a) / (self.c - 1)
        variances = np.array([a, b])
        variances[variances < NO_VARIANCE * psi.trace()] = 0.0
        with np.errstate(divide="ignore"):
            return 0.5 * np.log(variances)

    def rank(self, t):
        a, b = np.isfinite(t)
        return int(a) + (self.c - 1) * int(b)


class ByCommonCorrelation(CompoundSymmetry):
    """The same psi by its log sd, s, and by z, which stands for the correlation: for profiles.

        v = exp(2 s),    z = 1/2 log(a / ((c - 1) b)),    w = 1 / (1 + exp(-2 z)),

        a = c v w,    b = c v (1 - w) / (c - 1),    rho = (c w - 1) / (c - 1),

    so that z goes from -inf to inf as rho goes from -1 / (c - 1) to 1; for c = 2 it is Fisher's z.
    w is a's share of the trace of psi. Only where s = -inf are a and b zero, both. Steps are made
    in theta itself.
    """

    s = 0                                                       # the places of the two elements
    z = 1

    def __init__(self, c):
        super().__init__(c)
        self.logs = np.array([True, False])
        self.directions = np.zeros(0, int)
        self.step_logs = self.logs

    def labels(self, blocks):
        return [blocks[0].name, f"z of {blocks[0].group}"]

    def direction_names(self, blocks, term_name):
        return []

    def _shares(self, t):
        """w and 1 - w, neither as a difference."""
        z = t[self.z]
        w = 1 / (1 + np.exp(-2 * z))
        left = 1 / (1 + np.exp(2 * z))
        return w, left

    def _variances(self, t):
        """(2,): a and b."""
        w, left = self._shares(t)
        trace = self.c * np.exp(2 * t[self.s])
        return trace * np.array([w, left / (self.c - 1)])

    def _d_variances(self, t):
        """(2, 2): d (a, b) / d (s, z); a has 2 a and 2 a (1 - w), b has 2 b and -2 b w."""
        w, left = self._shares(t)
        a, b = self._variances(t)
        in_s = [2 * a, 2 * b]
        in_z = [2 * a * left, -2 * b * w]
        return np.column_stack([in_s, in_z])

    def psi(self, t):
        return np.tensordot(self._variances(t), self.basis, 1)

    def root(self, t):
        return np.tensordot(np.sqrt(self._variances(t)), self.basis, 1)

    def theta(self, psi):
        """s and z from a and b; z is bounded where one of them is nothing beside the other."""
        if psi.trace() == 0:
            return np.array([-np.inf, 0.0])
        half_log_a, half_log_b = super().theta(psi)
        s = 0.5 * np.log(psi.trace() / self.c)
        z = half_log_a - half_log_b - 0.5 * np.log(self.c - 1)
        largest = LARGEST_LOGIT / 2
        return np.array([s, np.clip(z, -largest, largest)])

    def correlation(self, z):
        """rho of z, exactly -1 / (c - 1) or 1 at the ends."""
        largest = LARGEST_LOGIT / 2
        if abs(z) >= largest:
            return 1.0 if z > 0 else -1 / (self.c - 1)
        w, _ = self._shares([0.0, z])
        return (self.c * w - 1) / (self.c - 1)

    def per_fisher(self, z):
        """dz / d arctanh(rho) = (1 - rho^2) (c - 1) / (2 c w (1 - w))."""
        w, left = self._shares([0.0, z])
        others = self.c - 1
        rho = (self.c * w - 1) / others
        per_z = 2 * self.c * w * left / others                  # d rho / dz
        return (1 - rho**2) / per_z

    def rescaled(self, t, shift):
        return t + np.array([shift, 0.0])

    def free(self, t):
        return np.full(2, t[self.s] > -np.inf)

    def jacobian(self, t):
        """d psi_a / d (s, z), by the chain rule through a and b."""
        return self.entries @ self._d_variances(t)

    def bend(self, t, G):
        """tr(G M) d^2 a + tr(G (I - M)) d^2 b, M = 11'/c.

        Of a: 4 a in s, 4 a (1 - w) mixed, 4 a (1 - w) (1 - 2 w) in z; of b: 4 b, -4 b w,
        -4 b w (1 - 2 w).
        """
        w, left = self._shares(t)
        a, b = self._variances(t)
        in_a, in_b = np.einsum("ij,kji->k", G, self.basis)
        in_s = 4 * (in_a * a + in_b * b)
        mixed = 4 * (in_a * a * left - in_b * b * w)
        in_z = mixed * (left - w)
        return np.array([[in_s, mixed], [mixed, in_z]])

    def df_used(self, t, M):
        return np.zeros(0)

    def growths(self, t, G, unit, held, rounding):
        return iter(())

    def rank(self, t):
        return self.c if t[self.s] > -np.inf else 0
