"""Designs that fall apart into small independent pieces: all is elementwise over them.

    one grouping        a level with its c effects is a piece; Z1 = Q1 R as in blocked/levels.py
    terms that commute  V_a V_b = V_b V_a, as where terms are nested or crossed in balance: a common
                        orthonormal basis Q1 of the columns of Z makes each V_a diagonal, and a
                        basis vector is a piece with c = 1

In the coordinates of Q1 a piece has the matrix, (c, c), and what V_a is there,

    D = (I + sum over a of rho_a A_a)^-1,      A_a = R E_a R', or one eigenvalue of V_a,

and beside Q1 there is the identity, so that

    log|V~| = - sum of log|D|,      U'W~U = sum of U1' D U1 + what Q1 leaves of U'U.

E_a holds ones where the entry a stands in psi. Where pieces are alike, a few stand for all of them:
see `alike.py`. Arrays have the effects first, then responses, then pieces: (c, B, pieces).
"""

from dataclasses import dataclass, replace

import numpy as np

from .profile import Parts, Sums, inverse_roots


@dataclass(frozen=True, eq=False)
class ByLevel:
    """The design; b is 1, or the number of responses where each has rows of its own.

    Attributes
    ----------
    reml : bool
    df : ndarray, shape (b,)
        n, for REML n - k.
    constant, log_root : ndarray, shape (b,)
        What is the same at every rho: of the weights, and log|R_X| for REML.
    A : ndarray, shape (q, c, c, b, pieces)
        What V_a is in each piece.
    R : ndarray, shape (c, c, b, pieces), or None
        Of one grouping; V_a is R E_a R' then.
    relations : tuple, one for each entry
        Where E_a has ones, as triples (i, j, weight); the weight is 1, or V_a's eigenvalues.
    counts : ndarray, shape (b, pieces)
        For how many pieces each stands in traces.
    X1 : ndarray, shape (c, b, k, pieces)
        Q1'Q_X.
    XX : ndarray, shape (b, k, k)
        What Q1 leaves of Q_X'Q_X.
    """

    reml: bool
    df: np.ndarray
    constant: np.ndarray
    log_root: np.ndarray
    A: np.ndarray
    R: np.ndarray | None
    relations: tuple
    counts: np.ndarray
    X1: np.ndarray
    XX: np.ndarray

    @property
    def numbers_each(self):
        """How many numbers a response needs at once, nearly."""
        c, _, k, pieces = self.X1.shape
        return pieces * c * (4 * k + 12 * c * c + 10) + 8 * k * k

    def chosen(self, rows):
        """The family of the responses `rows`, where each has a design of its own."""
        if len(self.XX) == 1:
            return self
        relations = []
        for triples in self.relations:
            of_entry = [(i, j, w if np.isscalar(w) else w[rows]) for i, j, w in triples]
            relations.append(tuple(of_entry))
        return replace(
            self,
            df=self.df[rows],
            constant=self.constant[rows],
            log_root=self.log_root[rows],
            A=self.A[..., rows, :],
            R=None if self.R is None else self.R[..., rows, :],
            relations=tuple(relations),
            counts=self.counts[rows],
            X1=self.X1[:, rows],
            XX=self.XX[rows],
        )

    def sums(self, rho, responses):
        """log|V~| and U'W~U at rho, (B, q) or (1, q)."""
        y1, Xy, yy = responses
        c, b, _, pieces = self.X1.shape
        B = len(rho)
        A = np.zeros((c, c, max(B, b), pieces))
        for i in range(c):
            A[i, i] = 1.0
        for a in range(rho.shape[1]):
            A += rho[:, a, None] * self.A[a]
        D, log_pivots = inverted(A)
        logdet = np.einsum("bm,bm->b", log_pivots, np.broadcast_to(self.counts, log_pivots.shape))

        D_X = [sum(D[i, j][:, None] * self.X1[j] for j in range(c)) for i in range(c)]
        D_y = [sum(D[i, j] * y1[j] for j in range(c)) for i in range(c)]
        XX = self.XX
        for i in range(c):
            XX = XX + D_X[i] @ self.X1[i].swapaxes(1, 2)
            Xy = Xy + _along(self.X1[i], D_y[i])
            yy = yy + np.einsum("bm,bm->b", D_y[i], y1[i])
        return Sums(logdet, XX, Xy, yy, (D, D_X, D_y))

    def around(self, rhos, responses):
        """C at each of several rhos, (G, q), the same for all responses: as `Sums`, but of these.

        logdet (G,), XX (G, k, k), and with G'G = XX the forms that are left of yy, (G, B): all
        responses at once, by two products of matrices. For b = 1.
        """
        y1, Xy, yy = responses
        c, _, k, pieces = self.X1.shape
        B = len(yy)
        at = self.sums(rhos, (np.zeros((c, 1, pieces)), np.zeros((1, k)), np.zeros(1)))
        D, D_X, _ = at.state
        root, half_logdet = inverse_roots(at.XX)

        # -- y1' D y1
        squares = [y1[i] * y1[j] for i in range(c) for j in range(c)]
        weights = [D[i, j] for i in range(c) for j in range(c)]
        forms = np.concatenate(weights, axis=1) @ np.concatenate(squares, axis=1).T + yy

        # -- less |G'^-1 (Xy + X1 D y1)|^2
        numbers = np.concatenate([Xy, *y1], axis=1)             # (B, k + c pieces)
        to_X = np.concatenate([np.broadcast_to(np.eye(k), (len(rhos), k, k)), *D_X], axis=2)
        along = (root @ to_X).reshape(len(rhos) * k, k + c * pieces) @ numbers.T
        forms -= np.sum(along.reshape(len(rhos), k, B) ** 2, axis=1)
        return at.logdet, half_logdet, forms

    def parts(self, at, responses, with_X):
        """What the derivatives need, where the criterion was looked at."""
        D, D_X, D_y = at.sums.state
        c = len(D)
        q = len(self.relations)
        B = len(at.nll)

        # -- M = R'DR, and r = R' D (y1 - X1 gamma), N = R' D X1: Z'W~Z and so on
        r = [D_y[i] - np.einsum("bkm,bk->bm", D_X[i], at.gamma) for i in range(c)]
        M, r, N = self._in_Z(D, r, D_X)

        # -- E_a r, and its products
        traces = np.empty((B, q))
        squares = np.empty((B, q, q))
        forms = np.empty((B, q))
        products = np.empty((B, q, q))
        mixed = np.empty((B, q, N[0].shape[1]))
        related = []
        for a, triples in enumerate(self.relations):
            E_r = _related(triples, r)
            related.append(E_r)
            forms[:, a] = sum(_dot(r[i], v) for i, v in E_r.items())
            along_r = sum(_along(N[i], v) for i, v in E_r.items())
            mixed[:, a] = (at.root @ along_r[:, :, None])[:, :, 0]
            traces[:, a] = sum(_dot(w * self.counts, M[j, i]) for i, j, w in triples)
        for a in range(q):
            for b in range(a + 1):
                pairs = [
                    _dot(v * M[i, j], u)
                    for i, v in related[a].items()
                    for j, u in related[b].items()
                ]
                products[:, a, b] = products[:, b, a] = sum(pairs)
                pairs = [
                    _dot(w * u * self.counts, M[j, s] * M[t, i])
                    for i, j, w in self.relations[a]
                    for s, t, u in self.relations[b]
                ]
                squares[:, a, b] = squares[:, b, a] = sum(pairs)
        found = Parts(traces, squares, forms, products, mixed, None, None)
        if not with_X:
            return found
        return found._replace(**self._of_X(at.root, N, M))

    def _in_Z(self, D, r, D_X):
        """M, r and N from the coordinates of Q1 to those of Z, where there is one grouping."""
        if self.R is None:
            return D, r, D_X
        R = self.R
        c = len(R)
        upper = [(i, j) for j in range(c) for i in range(j + 1)]        # R is upper triangular
        M = np.zeros_like(D)
        D_R = np.zeros_like(D)
        for i, j in upper:
            for s in range(c):
                D_R[s, j] += D[s, i] * R[i, j]
        for i, j in upper:
            for s in range(c):
                M[j, s] += R[i, j] * D_R[i, s]
        in_Z = [sum(R[i, j] * r[i] for i in range(j + 1)) for j in range(c)]
        N = [sum(R[i, j][:, None] * D_X[i] for i in range(j + 1)) for j in range(c)]
        return M, in_Z, N

    def _of_X(self, root, N, M):
        """X_forms and X_products."""
        q = len(self.relations)
        Phi = [root @ of_effect for of_effect in N]
        B, k, _ = Phi[0].shape
        X_forms = np.empty((B, q, k, k))
        X_products = np.empty((B, q, q))
        related = [_related(triples, Phi) for triples in self.relations]
        for a in range(q):
            X_forms[:, a] = sum(Phi[i] @ v.swapaxes(1, 2) for i, v in related[a].items())
            for b in range(a + 1):
                pairs = [
                    np.einsum("bkm,bm,bkm->b", v, M[i, j], u)
                    for i, v in related[a].items()
                    for j, u in related[b].items()
                ]
                X_products[:, a, b] = X_products[:, b, a] = sum(pairs)
        return {"X_forms": X_forms, "X_products": X_products}


def taken(responses, rows):
    """What stands for the responses `rows`, of a `ByLevel` family."""
    y1, Xy, yy = responses
    return y1[:, rows], Xy[rows], yy[rows]


def _related(triples, v):
    """E_a v by effect: a dict, for v a list by effect."""
    found = {}
    for i, j, w in triples:
        if not np.isscalar(w):
            w = w[:, None] if v[j].ndim == 3 else w
        one = v[j] if np.isscalar(w) else w * v[j]
        found[i] = found[i] + one if i in found else one
    return found


def _dot(u, v):
    """u'v for each response, (B,), for u and v (B, pieces)."""
    if len(u) != len(v):
        return np.einsum("xm,bm->b", u, v) if len(u) == 1 else np.einsum("bm,xm->b", u, v)
    return np.einsum("bm,bm->b", u, v)


def _along(X, v):
    """X v for each response, (B, k), for X (b, k, pieces) and v (B, pieces)."""
    if len(X) == 1:
        return v @ X[0].T
    return np.einsum("bkm,bm->bk", X, v)


def inverted(A):
    """A^-1, (c, c, B, pieces), and log|A|, (B, pieces), of positive definite A.

    By sweeping its rows one after the other; A is used up. nan where a pivot is not positive.

    Source: Goodnight (1979), "A tutorial on the SWEEP operator".
    """
    c = len(A)
    logs = np.log(A[0, 0])
    if c == 1:
        return 1 / A, logs
    for j in range(c):
        if j:
            logs = logs + np.log(A[j, j])
        inverse = 1 / A[j, j]
        row = A[j] * inverse
        column = A[:, j].copy()
        for i in range(c):
            if i != j:
                A[i] -= column[i] * row
                A[i, j] = -column[i] * inverse
        A[j] = row
        A[j, j] = inverse
    return A, logs
