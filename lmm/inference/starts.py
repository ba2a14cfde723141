"""Thetas all over, from which the minimum over the parameters that are not held is looked for."""

import numpy as np

SMALLEST_PART = -5.0        # of the log sds of a term's directions, over sigma ...
GREATEST_PART = 4.0
LEAST_SIGMA_PART = -5.0     # ... and of log sigma, over the fit's
MOST_SIGMA_PART = 1.0
MOST_LINES_KEPT = 8               # lower branches of a fit that are kept for its other profiles ...
LIKE = 0.3                  # ... differences of psi, relative, and of log sigma, that make no other
NO_LENGTH = 1e-8            # of an effect's length, left by those before it: nothing new


def samples(setup, log_sigma, number, seed):
    """So many thetas at random: variances from small to large in any direction."""
    rng = np.random.default_rng(seed)
    spans = setup.covariance.spans
    roots = [root_of_effects(setup, blocks) for blocks in spans]
    return [sample(setup, roots, log_sigma, rng) for _ in range(number)]


def sample(setup, roots, log_sigma, rng):
    """One of them: psi_t = A A', A = L^-1 Q diag(s), Q a random rotation, log s uniform.

    With L'L the mean of z z' over the rows, z the effects of a term there, w = L'^-1 z has the mean
    square 1 in each direction: s are the standard deviations of what the term adds to a row, along
    random directions of w. So neither the zeros nor the units of the covariates matter.
    """
    covariance = setup.covariance
    J = covariance.entries.J
    psi = np.zeros((J, J))
    for blocks, L in zip(covariance.spans, roots):
        c = len(L)
        Q = np.linalg.qr(rng.normal(size=(c, c)))[0]
        s = np.exp(log_sigma + rng.uniform(SMALLEST_PART, GREATEST_PART, c))
        A = np.linalg.solve(L, Q * s)
        psi[blocks, blocks] = A @ A.T
    own_log_sigma = log_sigma + rng.uniform(LEAST_SIGMA_PART, MOST_SIGMA_PART)
    return covariance.theta(own_log_sigma, psi)


def root_of_effects(setup, blocks):
    """The upper triangular L, (c, c), with L'L the mean over the rows of z z'."""
    effects = []
    for block in setup.design.blocks[blocks]:
        by_row = block.matrix.sum(axis=1)                       # one level of it in each row
        effects.append(np.asarray(by_row).ravel())
    z = np.column_stack(effects)
    L = np.linalg.qr(z)[1] / np.sqrt(len(z))
    sizes = np.sqrt(np.mean(z**2, axis=0))
    nothing_new = np.abs(L.diagonal()) < NO_LENGTH * sizes
    L[nothing_new, nothing_new] = sizes[nothing_new]
    return L


class Branches:
    """Thetas of a fit that were lower somewhere than what was followed: starts for its profiles.

    They are of the fit's own parametrisation, with all sds in the open, and differ from each other.
    """

    def __init__(self, covariance):
        self.covariance = covariance
        self.thetas = []

    def __len__(self):
        return len(self.thetas)

    def add(self, theta):
        """Keep a theta unless it is like another one, or there are many."""
        is_new = all(self._differs(theta, other) for other in self.thetas)
        if is_new and len(self) < MOST_LINES_KEPT and np.isfinite(theta).all():
            self.thetas.append(theta)

    def _differs(self, one, two):
        """Whether log sigma, or psi relative to its larger variances, is another."""
        psi = self.covariance.psi(one)
        other = self.covariance.psi(two)
        sds = np.sqrt(np.maximum(psi.diagonal(), other.diagonal()))
        difference = np.abs(psi - other) / np.outer(sds, sds)
        return abs(one[0] - two[0]) > LIKE or difference.max(initial=0.0) > LIKE
