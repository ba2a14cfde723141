"""Correlated effects: any covariance matrix, by its root T."""

import numpy as np

from .psi import root_of

LEAST_STEP = 1e-2       # of an effect's unit, the least that counts as a step of 1


class Unstructured:
    """One term's psi = T T', T (c, c) lower triangular.

    theta holds T column by column, its diagonal on the log scale. A column whose diagonal is zero,
    -inf in theta, is zero. Steps are made in T as it is, so that an element of its diagonal may
    pass through zero, where a column of T and its negative are the same.
    """

    kind = ""

    def __init__(self, c):
        self.c = c
        self.pairs = tuple((i, j) for j in range(c) for i in range(j, c))
        self.i = np.array([i for i, _ in self.pairs])           # of each element its row of T ...
        self.j = np.array([j for _, j in self.pairs])           # ... and its column
        self.logs = self.i == self.j
        self.directions = np.flatnonzero(self.logs)  # T_jj, which says whether column j is zero
        self.step_logs = np.zeros(len(self.pairs), bool)
        self.entries = np.eye(len(self.pairs))                  # each of them is free

    def labels(self, blocks):
        """``"T[Subject: Days, Intercept]"``: the names of theta's elements."""
        return [
            f"T[{blocks[i].group}: {blocks[i].effect}, {blocks[j].effect}]" for i, j in self.pairs
        ]

    def direction_names(self, blocks, term_name):
        """What is said of a column of T: the name of the term, for its order is arbitrary."""
        return [term_name] * self.c

    def root(self, t):
        """T."""
        T = np.zeros((*t.shape[:-1], self.c, self.c))
        T[..., self.i, self.j] = self.steps(t)
        return T

    def psi(self, t):
        """T T'."""
        T = self.root(t)
        return T @ T.swapaxes(-1, -2)

    def theta(self, psi):
        """The elements of theta for this psi."""
        values = root_of(psi)[self.i, self.j]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.logs, np.log(values), values)

    def rescaled(self, t, shift):
        """Theirs where all standard deviations are multiplied by exp(shift)."""
        return np.where(self.logs, t + shift, t * np.exp(shift))

    def rank(self, t):
        """The rank of psi: how many columns of T are not zero."""
        return int(np.isfinite(t[self.logs]).sum())

    def beside_zero(self, t):
        """Which elements of T are not zero though the diagonal of their column is.

        psi has one T only if there are none: such a column is zero where those before it
        leave nothing.
        """
        return ~self.logs & ~self.free(t) & (t != 0)

    def free(self, t):
        """Which elements are not zero for good: those of columns of T that are not."""
        return np.isfinite(t[..., self.logs])[..., self.j]

    # -- steps -------------------------------------------------------------------------------------

    def steps(self, t):
        """The coordinates in which steps are made: T's elements."""
        x = np.array(t, float)
        x[..., self.logs] = np.exp(x[..., self.logs])
        return x

    def from_steps(self, x):
        """The elements of theta of such coordinates.

        A column with a negative diagonal is turned.
        """
        sign = np.sign(x[..., self.logs])[..., self.j]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.logs, np.log(np.abs(x)), x * sign)

    def step_units(self, t, unit):
        """What counts as a step of 1: the effect's standard deviation, or a part of its `unit`."""
        T = self.root(t)
        sd = np.sqrt(np.einsum("...ij,...ij->...i", T, T) + (LEAST_STEP * unit) ** 2)
        return sd[..., self.i]

    def simplex_units(self, t):
        """What is to a non-logarithm what 1 is to a logarithm: its effect's standard deviation."""
        sd = np.linalg.norm(self.root(t), axis=1)
        return np.where(self.logs, 1.0, sd[self.i])

    def stretch(self, t):
        """d steps / d theta, element by element."""
        return np.where(self.logs, self.steps(t), 1.0)

    def jacobian(self, t):
        """d psi_ij / d T_kl = [i = k] T_jl + [j = k] T_il, entries by elements."""
        by_column = self.root(t)[..., self.j]                   # [., kl] is T_.l
        of_i = (self.i[:, None] == self.i) * by_column[..., self.j, :]
        of_j = (self.j[:, None] == self.i) * by_column[..., self.i, :]
        return of_i + of_j

    def bend(self, t, G):
        """sum over the entries of g_a d^2 psi_a / dT_kl dT_mn = 2 [l = n] G_km.

        G has g_a / 2 twice.
        """
        same_column = self.j[:, None] == self.j
        return 2.0 * same_column * G[..., self.i[:, None], self.i]

    def turned(self, t, K):
        """The elements of the covariance of K b, for b of these: T anew from (K T)' = Q R.

        What is zero stays so: zero columns of T are the last ones, nearly always.
        """
        products = K @ self.root(t)
        T = np.linalg.qr(products.swapaxes(-1, -2))[1].swapaxes(-1, -2)
        return self.from_steps(T[..., self.i, self.j])

    # -- directions in which psi may be singular ---------------------------------------------------

    def df_used(self, t, M):
        """u'M u for each column u of T: the degrees of freedom it makes use of.

        M is tr(W V_a).
        """
        T = self.root(t)
        return np.sum(T * (M @ T), axis=-2)

    def without(self, t, k):
        """The elements where column k of T is zero."""
        t = np.where(self.j == k, 0.0, t)
        t[..., self.directions[k]] = -np.inf
        return t

    def regrowth(self, k, G, unit):
        """v v' for the best direction v among the effects k, k + 1, ...

        It is where a column k would grow.

        That is the v with the least v'G v, of those with |v / unit| = 1.
        """
        scaled = (G * unit * unit[:, None])[..., k:, k:]
        v = np.zeros(G.shape[:-1])
        v[..., k:] = unit[k:] * np.linalg.eigh(scaled)[1][..., 0]
        return v[..., :, None] * v[..., None, :]

    def growths(self, t, G, unit, held, rounding):
        """(k, v v', v'G v) for the v in which a singular psi + w v v' best grows.

        |v / unit| = 1.

        Only effects that are not held count. Directions in the range of psi are left out where T
        says all about them, its zero columns being the last: there the derivative is 0.
        """
        zero = t[self.logs] == -np.inf
        chosen = ~held[self.logs]
        if not (zero & chosen).any():
            return
        rank = int(np.sum(~zero))
        unit = unit * chosen
        basis = np.eye(self.c)[:, chosen]
        if not zero[:rank].any() and chosen.all():
            in_range = self.root(t)[:, :rank] / unit[:, None]
            basis = np.linalg.qr(in_range, mode="complete")[0][:, rank:]
        scaled = G * unit * unit[:, None]
        eigenvalues, vectors = np.linalg.eigh(basis.T @ scaled @ basis)
        v = unit * (basis @ vectors[:, 0])
        slope = eigenvalues[0]
        if len(basis.T) > self.c - rank and slope > -rounding * np.abs(eigenvalues).max():
            slope = 0.0
        yield int(np.flatnonzero(zero)[0]), np.outer(v, v), slope
