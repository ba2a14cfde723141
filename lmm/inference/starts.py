"""Thetas all over, from which the minimum over the parameters that are not held is looked for."""

import numpy as np

SMALLEST, GREATEST = -4.0, 3.0      # of the log sds of a term's directions, over sigma
LEAST_SIGMA_PART, MOST_SIGMA_PART = -4.0, 1.0       # of log sigma, over the fit's
NO_LENGTH = 1e-8  # of an effect's length, which the effects before it leave: it is nothing new


def samples(setup, log_sigma, number, seed):
    """(number, size): thetas at random around sigma, from small to large variances in any
    direction."""
    rng = np.random.default_rng(seed)
    roots = [root_of_effects(setup, blocks) for blocks in setup.covariance.spans]
    return [sample(setup, roots, log_sigma, rng) for _ in range(number)]


def sample(setup, roots, log_sigma, rng):
    """One of them: psi_t = A A', A = L'^-1 Q diag(s), Q a random rotation, log s uniform.

    With L'L the mean of the products of a term's effects over the rows, z = L'w with w of length 1
    on average: s are standard deviations of what the term adds to a row, along random directions of
    w. So it does not matter where covariates have their zero, nor what their units are.
    """
    covariance = setup.covariance
    psi = np.zeros((covariance.entries.J, covariance.entries.J))
    for blocks, L in zip(covariance.spans, roots):
        c = len(L)
        Q = np.linalg.qr(rng.normal(size=(c, c)))[0]
        s = np.exp(log_sigma + rng.uniform(SMALLEST, GREATEST, c))
        A = np.linalg.solve(L, Q * s)
        psi[blocks, blocks] = A @ A.T
    return covariance.theta(log_sigma + rng.uniform(LEAST_SIGMA_PART, MOST_SIGMA_PART), psi)


def root_of_effects(setup, blocks):
    """The upper triangular L, (c, c), with L'L the mean over the rows of z z', z the effects of a
    term there."""
    matrices = [block.matrix for block in setup.design.blocks[blocks]]
    z = np.column_stack([np.asarray(matrix.sum(axis=1)).ravel() for matrix in matrices])
    L = np.linalg.qr(z)[1] / np.sqrt(len(z))
    lengths = np.sqrt(np.mean(z**2, axis=0))
    short = np.abs(L.diagonal()) < NO_LENGTH * lengths
    L[short, short] = lengths[short]
    return L
