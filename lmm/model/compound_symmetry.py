"""Compound symmetry: effects with one variance, any two with one correlation, which may be
negative.

    psi_t = v ((1 - rho) I + rho 11')  =  a 11'/c + b (I - 11'/c),

    a = v (1 + (c - 1) rho),    b = v (1 - rho).

a is the variance of the sum of the effects over sqrt(c), b that of any contrast of length 1. Both
are free of each other, and zero at the ends of rho's range, -1 / (c - 1) and 1: so theta holds
their logs, and nothing else need be known here. Source: the covariance of a split plot, Scheffe
(1959), section 8.1.
"""

import numpy as np

from .covariance import Variances

# of a's share of the variance, from which b, or a, is nothing beside the other
LARGEST_LOGIT = 36.0


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
        """a = 1'psi 1 / c, and b from what the trace has beside it; the mean over effects, if they
        differ."""
        a = psi.sum() / self.c
        b = (psi.trace() - a) / (self.c - 1)
        with np.errstate(divide="ignore"):
            return 0.5 * np.log(np.maximum([a, b], 0.0))

    def rank(self, t):
        a, b = np.isfinite(t)
        return int(a) + (self.c - 1) * int(b)
