"""What V is linear in: sigma^2 and the entries of psi. Nothing here knows theta.

Each level of a term with c random effects has the covariance matrix psi_t, (c, c), the same for all
levels, and psi is made of these matrices. A random effect of a term is a block of Z, so

    V = sigma^2 I + sum over the entries a of psi_a V_a,

    V_a = Z_i Z_i'                 where psi_a is the variance of effect i,
    V_a = Z_i Z_j' + Z_j Z_i'      where it is the covariance of the effects i and j of one term,

and phi = (sigma^2, psi_1, ..., psi_q) is all that an engine is told. What is zero whatever theta
is, as the covariances of independent effects are, is no entry.
"""

from functools import cached_property

import numpy as np
from scipy import sparse

NO_VARIANCE = 1e-15     # of a variance, what the effects before leave of it: below this it is zero


class Entries:
    """The entries of psi, in the order of phi.

    Parameters
    ----------
    spans : sequence of slice
        For each term the numbers of its blocks.
    pairs : sequence of (int, int)
        For each entry the blocks that it relates, (i, j) with i >= j.

    Attributes
    ----------
    J, q : int
        How many blocks, and how many entries.
    rows, columns : ndarray of int, shape (q,)
        The two blocks of each entry, so that psi_a = psi[rows[a], columns[a]].
    """

    def __init__(self, spans, pairs):
        self.spans = tuple(spans)
        self.pairs = tuple(pairs)
        self.J = self.spans[-1].stop if self.spans else 0
        self.q = len(self.pairs)
        self.rows = np.array([i for i, _ in self.pairs], int)
        self.columns = np.array([j for _, j in self.pairs], int)

    @cached_property
    def variances(self):
        """(J,): which entry is the variance of each block."""
        return np.flatnonzero(self.rows == self.columns)

    @cached_property
    def counts(self):
        """(q,): how often each entry stands in psi: once for a variance, twice for a covariance."""
        return np.where(self.rows == self.columns, 1.0, 2.0)

    def psi_of(self, phi):
        """psi in one level of each term, (J, J), from sigma^2 and its entries."""
        return self.matrix(np.asarray(phi)[1:])

    def matrix(self, values):
        """The symmetric (J, J) with these entries, (q,); of several, (..., q), several."""
        psi = np.zeros((*values.shape[:-1], self.J, self.J))
        psi[..., self.rows, self.columns] = values
        psi[..., self.columns, self.rows] = values
        return psi

    def of(self, psi):
        """The entries, (q,), of a psi, (J, J)."""
        return psi[..., self.rows, self.columns]

    def gradient_matrix(self, g):
        """g, derivatives in the entries, as a symmetric G: tr(G dpsi) = sum g_a dpsi_a."""
        g = np.asarray(g)
        G = np.zeros((*g.shape[:-1], self.J, self.J))
        G[..., self.rows, self.columns] = 0.5 * g
        return G + G.swapaxes(-1, -2)


def root_of(psi):
    """A lower triangular T, (J, J), with T T' = psi, positive semidefinite: Cholesky's, by columns.

    Where the effects before leave nothing of a variance the column is zero, so that every such psi
    has one T. Of several psi, (..., J, J), several T.
    """
    left = np.array(psi, float)
    T = np.zeros(left.shape)
    for j in range(left.shape[-1]):
        is_some = left[..., j, j] > NO_VARIANCE * psi[..., j, j]
        pivot = np.where(is_some, left[..., j, j], np.inf)
        T[..., j:, j] = left[..., j:, j] / np.sqrt(pivot)[..., None]
        left -= T[..., :, None, j] * T[..., None, :, j]
    return T


def over_levels(T, spans, levels):
    """T x I over the levels, sparse: Lambda, with psi = Lambda Lambda', for T with psi_t = T T'.

    `spans` are the blocks of the terms, slices, and `levels` says how many levels each block has.
    """
    parts = [sparse.kron(T[b, b], sparse.identity(levels[b.start])) for b in spans]
    return sparse.csr_array(sparse.block_diag(parts) if parts else (0, 0))
