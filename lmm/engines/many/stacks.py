"""Designs of several terms: one block is eliminated elementwise, the other columns go in stacks.

The eliminated block Z1 = Q1 diag(lengths) has one entry in each row, and no covariance with others;
lambda are its squared lengths and rho_1 its variance. Of the other columns, Z2, and U = [Q_X e],
what Q1 leaves is Z2_, U_. As in blocked/engine.py,

    D = 1 / (1 + rho_1 lambda),     S = Z2_'Z2_ + R12' D R12,       R12 = Q1'Z2,
    K = I + T'S T = L L',           G2 = T K^-1 T',     T T' = psi2 over sigma^2,

    log|V~| = - sum log D + log|K|,
    U'W~U = U_'U_ + U1'D U1 - s_U G2 s_U',     s_U = U_'Z2_ + U1'D R12,

and Z'W~Z is in its parts, with H = sqrt(lambda) D R12,

    Z1'W~Z1 = diag(lambda D) - H G2 H',     Z1'W~Z2 = H (I - G2 S),     Z2'W~Z2 = S - S G2 S.

Only matrices of p2 x p2 and m1 x p2 are made for each response. Arrays have the responses first; b
is 1, or the number of responses where each has rows of its own.
"""

from dataclasses import dataclass, replace

import numpy as np

from ...model import Entries, root_of
from .profile import Parts, Sums, inverse_roots


@dataclass(frozen=True, eq=False)
class Stacks:
    """The design.

    Attributes
    ----------
    reml, df, constant, log_root
        As in `ByLevel`.
    entries : Entries
        Which two blocks each entry of psi relates.
    first : int, or None
        The block that is eliminated.
    block_of : ndarray, shape (p2,)
        The block of each other column, the columns of a block in the order of its levels.
    lambda_ : ndarray, shape (b, m1)
    R12 : ndarray, shape (b, m1, p2)
    S : ndarray, shape (b, p2, p2)
        Z2_'Z2_.
    X1 : ndarray, shape (b, k, m1)
        Q_X'Q1.
    X2 : ndarray, shape (b, k, p2)
        Q_X_'Z2_.
    XX : ndarray, shape (b, k, k)
        Q_X_'Q_X_.
    """

    reml: bool
    df: np.ndarray
    constant: np.ndarray
    log_root: np.ndarray
    entries: Entries
    first: int | None
    block_of: np.ndarray
    lambda_: np.ndarray
    R12: np.ndarray
    S: np.ndarray
    X1: np.ndarray
    X2: np.ndarray
    XX: np.ndarray

    @property
    def numbers_each(self):
        """How many numbers a response needs at once, nearly."""
        _, m1, p2 = self.R12.shape
        k = self.XX.shape[1]
        q = len(self.entries.pairs)
        return (m1 + p2) * (p2 + (k + 1) * (q + 3)) * 2 + (4 + q) * p2 * p2 + 8 * k * k

    def chosen(self, rows):
        """The family of the responses `rows`, where each has a design of its own."""
        if len(self.XX) == 1:
            return self
        by_response = ("df", "constant", "log_root", "lambda_", "R12", "S", "X1", "X2", "XX")
        return replace(self, **{name: getattr(self, name)[rows] for name in by_response})

    def sums(self, rho, responses):
        """log|V~| and U'W~U at rho, (B, q) or (1, q)."""
        y1, y2, Xy, yy = responses
        rho_1 = 0.0 if self.first is None else rho[:, self._own][:, None]
        D = 1 / (1 + rho_1 * self.lambda_)
        D_R12 = D[:, :, None] * self.R12
        S = self.S + self.R12.swapaxes(1, 2) @ D_R12
        T = self._root(rho)
        K = T.swapaxes(1, 2) @ S @ T
        K[:, range(K.shape[1]), range(K.shape[1])] += 1.0
        inverse, half_logdet = inverse_roots(K)
        W = inverse @ T.swapaxes(1, 2)                          # W'W = G2
        logdet = 2 * half_logdet - np.log(D).sum(axis=1)

        s_X = self.X2 + self.X1 @ D_R12
        s_y = y2 + _rows_times(y1, D_R12)
        W_X = s_X @ W.swapaxes(1, 2)
        W_y = _rows_times(s_y, W.swapaxes(1, 2))
        X1_D = self.X1 * D[:, None]
        XX = self.XX + X1_D @ self.X1.swapaxes(1, 2) - W_X @ W_X.swapaxes(1, 2)
        Xy = Xy + _times(X1_D, y1) - _times(W_X, W_y)
        yy = yy + np.sum(D * y1 * y1, axis=1) - np.sum(W_y * W_y, axis=1)
        return Sums(logdet, XX, Xy, yy, (D, D_R12, S, W, s_X, s_y))

    def parts(self, at, responses, with_X):
        """What the derivatives need, where the criterion was looked at."""
        y1, *_ = responses
        D, D_R12, S, W, s_X, s_y = at.sums.state
        k = s_X.shape[1]
        q = len(self.entries.pairs)
        B = len(at.nll)
        G2 = W.swapaxes(1, 2) @ W
        lengths = np.sqrt(self.lambda_)
        H = lengths[:, :, None] * D_R12
        E = np.eye(S.shape[1]) - G2 @ S
        M22 = S @ E

        # -- rows [Phi ; r'] of the columns of Z, Phi = G_XX'^-1 Q_X' W~
        r1 = y1 - np.einsum("bkm,bk->bm", _spread(self.X1, B), at.gamma)
        r2 = s_y - np.einsum("bkp,bk->bp", _spread(s_X, B), at.gamma)
        U1 = np.concatenate([at.root @ self.X1, r1[:, None]], axis=1)
        U2 = np.concatenate([at.root @ s_X, r2[:, None]], axis=1)
        rows2 = U2 @ E
        rows1 = (U1 * (lengths * D)[:, None]) - (U2 @ G2) @ H.swapaxes(1, 2)

        # -- V_a times them, by part: of the eliminated block the first, of other columns the second
        of_second = [a for a in range(q) if a != self._own]
        V_rows = [self._related(a, rows2) for a in of_second]
        grams = np.empty((B, q, k + 1, k + 1))
        cross = np.empty((B, q, q, k + 1))              # the diagonals of rows V_a W~ V_b rows'
        traces = np.empty((B, q))
        squares = np.empty((B, q, q))
        M_Vs = [self._related(a, M22) for a in of_second]
        M_rows = [v @ M22 for v in V_rows]
        for place, a in enumerate(of_second):
            grams[:, a] = V_rows[place] @ rows2.swapaxes(1, 2)
            traces[:, a] = np.einsum("bii->b", M_Vs[place])
            for other, b in enumerate(of_second[: place + 1]):
                cross[:, a, b] = cross[:, b, a] = np.sum(M_rows[place] * V_rows[other], axis=2)
                value = np.einsum("bij,bji->b", M_Vs[place], M_Vs[other])
                squares[:, a, b] = squares[:, b, a] = value
        if self.first is not None:
            o = self._own
            h = self.lambda_ * D
            A1 = H.swapaxes(1, 2) @ H
            G2_A1 = G2 @ A1
            H_h = H * h[:, :, None]
            A2 = H.swapaxes(1, 2) @ H_h
            rows_H = rows1 @ H
            grams[:, o] = rows1 @ rows1.swapaxes(1, 2)
            traces[:, o] = h.sum(axis=1) - np.einsum("bii->b", G2_A1)
            squares[:, o, o] = (
                np.sum(h * h, axis=1)
                - 2 * np.einsum("bij,bji->b", G2, A2)
                + np.einsum("bij,bji->b", G2_A1, G2_A1)
            )
            W_rows = rows_H @ W.swapaxes(1, 2)
            cross[:, o, o] = np.sum(h[:, None] * rows1 * rows1, axis=2) - np.sum(W_rows**2, axis=2)
            E_A1_E = E.swapaxes(1, 2) @ A1 @ E
            rows_H_E = rows_H @ E
            for place, b in enumerate(of_second):
                cross[:, o, b] = cross[:, b, o] = np.sum(rows_H_E * V_rows[place], axis=2)
                value = np.einsum("bii->b", self._related(b, E_A1_E))
                squares[:, o, b] = squares[:, b, o] = value

        found = Parts(
            traces=traces,
            squares=squares,
            forms=grams[:, :, k, k],
            products=cross[:, :, :, k],
            mixed=grams[:, :, k, :k],
            X_forms=None,
            X_products=None,
        )
        if with_X:
            found = found._replace(
                X_forms=grams[:, :, :k, :k],
                X_products=cross[:, :, :, :k].sum(axis=3),
            )
        return found

    # -- the entries of psi

    @property
    def _own(self):
        """The entry that is the variance of the eliminated block; -1 where there is none."""
        return -1 if self.first is None else int(self.entries.variances[self.first])

    def _related(self, a, v):
        """v V_a in the columns of Z2, for the rows of v, (B, rows, p2)."""
        i, j = self.entries.pairs[a]
        of_i = self.block_of == i
        of_j = self.block_of == j
        found = np.zeros(v.shape)
        found[..., of_i] = v[..., of_j]
        found[..., of_j] = v[..., of_i]
        return found

    def _root(self, rho):
        """T of the columns of Z2, (B, p2, p2), from the entries of psi over sigma^2."""
        p2 = len(self.block_of)
        T = np.zeros((len(rho), p2, p2))
        columns = np.arange(p2)
        if len(self.entries.pairs) == self.entries.J:           # variances alone
            T[:, columns, columns] = np.sqrt(rho)[:, self.entries.variances[self.block_of]]
            return T
        psi = self.entries.matrix(rho)
        roots = root_of(psi)
        for span in self.entries.spans:
            for i in range(span.start, span.stop):
                for j in range(span.start, i + 1):
                    of_i = columns[self.block_of == i]
                    of_j = columns[self.block_of == j]
                    if len(of_i):                               # not the eliminated block
                        T[:, of_i, of_j] = roots[:, i, j, None]
        return T


def taken(responses, rows):
    """What stands for the responses `rows`, of a `Stacks` family."""
    return tuple(part[rows] for part in responses)


def _spread(A, B):
    """An array that is the same for all responses, for each of B."""
    return np.broadcast_to(A, (B, *A.shape[1:]))


def _times(A, v):
    """A v for each response, (B, k), for A (b, k, m) and v (B, m)."""
    if len(A) == 1:
        return v @ A[0].T
    return (A @ v[:, :, None])[:, :, 0]


def _rows_times(v, A):
    """v' A for each response, (B, p), for v (B, m) and A (b, m, p)."""
    if len(A) == 1:
        return v @ A[0]
    return (v[:, None] @ A)[:, 0]
