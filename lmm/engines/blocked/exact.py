"""The traces of exact second derivatives, (7): one term is eliminated, and few columns are kept.

M = Z' V^-1 Z is block-diagonal but for a part of rank q2, so that no matrix wider than q2 is
needed. With M22 and B from the `LastStage`, and for the effects i, j of the eliminated term

    X_i = (Z1' A^-1 Z2)_i                   (m, q2)
    M_ij = diag(own_ij) - X_i B X_j'        (m, m)      A's part, and what the kept columns take
    M_i2 = X_i (I - psi2 M22)               (m, q2)

An entry a of psi has the matrix Z_a: for one of the eliminated term's effects i and j it is the sum
of E_ij and E_ji, or E_ii for a variance, E_ij being ones where the columns of effects i and j of
one level meet. So

    (a)  tr(M E_ij) = tr M_ji
    (b)  tr(M E_ij M E_kh) = tr(M_hi M_jk)
    (c)  tr(M E_ij M Z_b) = tr(M_2i M_j2 Z_b)           Z_b one of the kept columns

where E_ji in place of E_ij gives the same, (b) summed over both orders of k and h: all matrices but
E_ij are symmetric then. Two symbols more, so that tr(M_hi M_jk) is a sum over levels and one over
kept columns:

    low_ij = diag(X_i B X_j')               (m,)
    G_ij = X_i'X_j                          (q2, q2)

O(q2^3 + pairs).
"""

import numpy as np

from ..algebra import full
from ..dense import orders
from .levels import times, transposed


def exact_traces(stage, own_entries, kept_pairs):
    """tr(M Z_a), (q,), and tr(M Z_a M Z_b), (q, q), sigma being the unit.

    Parameters
    ----------
    stage : Stage
        One after which there is a `LastStage`.
    own_entries : sequence of (int, int)
        The entries of psi of the eliminated term, which come first: pairs of its effects.
    kept_pairs : ColumnPairs
        Of the kept columns, for the other entries.
    """
    M = PartsOfM(stage)
    own = len(own_entries)
    q = own + kept_pairs.owners.shape[1]
    traces = np.empty(q)
    squares = np.empty((q, q))

    # -- the kept columns among themselves
    traces[own:] = kept_pairs.traces(M.M22)
    squares[own:, own:] = kept_pairs.squares(M.M22)

    for a, (i, j) in enumerate(own_entries):
        count = 1 if i == j else 2             # E_ij, and E_ji
        # -- (a)
        traces[a] = count * M.trace(j, i)
        # -- (b): with this entry and those after it
        for b in range(a, own):
            both = orders(own_entries[b])
            of_both = [M.trace_of_product(h, i, j, k) for k, h in both]
            squares[a, b] = count * sum(of_both)
            squares[b, a] = squares[a, b]
        # -- (c)
        if own < q:
            with_kept = count * kept_pairs.traces(M.through(i, j))
            squares[a, own:] = with_kept
            squares[own:, a] = with_kept
    return traces, squares


class PartsOfM:
    """M = Z' V^-1 Z in the parts above; sigma is the unit."""

    def __init__(self, stage):
        of_Z = stage.cross_products
        B, shrunk, M22 = stage.next.in_full()
        self.shrunk = shrunk                    # I - psi2 M22
        self.M22 = M22

        # -- Z1' A^-1 Z1 = R1' D R1 and X = Z1' A^-1 Z2 = R1' D R12
        W = times(transposed(of_Z.R1), stage.D)
        X = stage.coupling.times_R12(W)
        packed = np.triu(B).ravel()
        R12_B_R12 = stage.coupling.within_levels(packed)
        self.own = times(W, of_Z.R1)                            # (c, c, m)
        self.low = times(times(W, R12_B_R12), transposed(W))    # (c, c, m)
        self.summed = np.sum(self.own - self.low, axis=2)       # (c, c)

        # -- G_ij and B G_ij
        self.G = {}
        self.BG = {}
        for i, j in np.ndindex(self.summed.shape):
            G = full(X[i].T @ X[j])
            self.G[i, j] = G
            self.BG[i, j] = B @ G

    def trace(self, j, i):
        """tr M_ji."""
        return self.summed[j, i]

    def trace_of_product(self, h, i, j, k):
        """tr(M_hi M_jk), the product of two matrices of which each is a diagonal less X B X'.

        own_hi . (own_jk - low_jk) - low_hi . own_jk + tr(B G_ij B G_kh)
        """
        own_hi = self.own[h, i]
        own_jk = self.own[j, k]
        low_hi = self.low[h, i]
        low_jk = self.low[j, k]
        of_levels = own_hi @ (own_jk - low_jk) - low_hi @ own_jk
        BG_ij = self.BG[i, j]
        BG_kh = self.BG[k, h]
        of_kept = np.sum(BG_ij * BG_kh.T)
        return of_levels + of_kept

    def through(self, i, j):
        """M_2i M_j2 = (I - psi2 M22)' G_ij (I - psi2 M22), (q2, q2)."""
        G = self.G[i, j]
        return self.shrunk.T @ G @ self.shrunk
