"""Which columns of Z each entry of psi relates, and what sums over these pairs the derivatives (6) and (7) are."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of columns of Z that share an entry of psi: (left, right), and (right, left) where they are of two blocks.

    So Z psi Z' is the sum over the pairs of psi[owner] z_left z_right'.
    """

    left: np.ndarray                # columns of R; a slice of all of them where each block is paired with itself alone
    right: np.ndarray
    owners: np.ndarray              # (number of pairs, q) 1 where a pair belongs to an entry of psi, 0 elsewhere

    def information(self, M, N, pulled, reml):
        """What `Dense.information` returns, from M = Z'WZ and N = Z'WU."""
        d, F = pulled(N)
        M_P = M - F.T @ F                                         # Z'PZ
        traced = M_P if reml else M
        return self.traces(traced), self.forms(d), self.double_forms(d, M_P) - 0.5 * self.squares(traced), False

    def traces(self, M):
        """tr(M Z_a), (q,), for M (p, p): the sums of M over the pairs of each entry of psi."""
        return self.owners.T @ (M.diagonal() if isinstance(self.left, slice) else M[self.left, self.right])

    def forms(self, d):
        """d_left d_right summed over the pairs of each entry of psi: (q,) or, of the columns of d, (q, m)."""
        return self.owners.T @ (d[self.left] * d[self.right])

    def squares(self, M):
        """tr(M Z_a M Z_b), (q, q), for M (p, p)."""
        crossed = M[self.left][:, self.right]
        return self.owners.T @ (crossed * crossed.T) @ self.owners

    def double_forms(self, d, M):
        """d' Z_a M Z_b d, (q, q), for d (p,) and M (p, p)."""
        left = d[self.left]
        return self.owners.T @ (left[:, None] * M[self.right][:, self.right] * left) @ self.owners


def make_pairs(block, entries):
    """The `Pairs` of the columns of R, `block` saying of which block each is, for the `entries` of psi, pairs of blocks."""
    if all(i == j for i, j in entries):
        return Pairs(slice(None), slice(None), np.equal.outer(block, [i for i, _ in entries]) * 1.0)
    columns = {j: np.flatnonzero(block == j) for entry in entries for j in entry}
    pairs = [(a, columns[i], columns[j]) for a, entry in enumerate(entries) for i, j in dict.fromkeys([entry, entry[::-1]])]
    owner = np.repeat([a for a, _, _ in pairs], [len(left) for _, left, _ in pairs])
    left, right = (np.concatenate(side) for side in list(zip(*pairs))[1:])
    return Pairs(left, right, np.equal.outer(owner, np.arange(len(entries))) * 1.0)
