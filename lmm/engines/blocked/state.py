"""The blocked engine at one theta: the evaluation, derivatives, and Var[b | y], from its stages."""

from copy import copy
from functools import cached_property
from math import log, sqrt

import numpy as np
from scipy import sparse

from ...model import over_levels, root_of
from ..contract import Evaluation, Information, Moments, NotPositiveDefinite
from .exact import exact_traces
from .levels import times
from .stages import Stage

# of a column's sum of squares, below which rounding errors of its rows are a hundredth of it
NOISE = 1e4 * np.finfo(float).eps ** 2


class RelativePsi:
    """The covariance of the random effects in one level of each term, over sigma^2: psi, (J, J)."""

    def __init__(self, psi):
        self.psi = psi

    @cached_property
    def T(self):
        """(J, J) lower triangular, psi = T T'. Not needed where no columns are kept."""
        if np.count_nonzero(self.psi) == np.count_nonzero(self.psi.diagonal()):
            return np.sqrt(self.psi)
        return root_of(self.psi)


class State:
    """An engine at one phi. The stages know psi over sigma^2 alone, so that sigma is their unit."""

    def __init__(self, engine, phi):
        self.engine = engine
        self.sigma2 = phi[0]
        self.relative = engine.relative_psi(phi)

    @cached_property
    def stage(self):
        """The first `Stage`."""
        return Stage(self.engine.cross_products, self.relative)

    def evaluation(self):
        """log|V| and U' V^-1 U."""
        # (2): log|V| = log|R1 psi R1' + I| + log|K| + n log sigma^2, psi over sigma^2
        logdet, cross, cancels = self.logdet_and_cross()
        logdet = float(logdet + self.engine.n * log(self.sigma2))
        if cancels:
            A = self.root()
            return Evaluation(logdet, A.T @ A, None, self)
        return Evaluation(logdet, cross / self.sigma2, None, self)

    def logdet_and_cross(self):
        """log|V| without n log sigma^2, U' V^-1 U, times sigma^2, and whether that lost digits."""
        return self.stage.logdet, self.stage.cross, self.stage.cancels

    @property
    def rounding(self):
        """How far rounding may take log|V| from its value, to first order."""
        return self.stage.rounding

    def rescaled(self, sigma2):
        """The state where sigma^2 is another, and psi in proportion."""
        other = copy(self)
        other.sigma2 = sigma2
        return other

    def root(self):
        """A with A'A = U' V^-1 U, (n + p, r), where squares have lost digits. O(n J r).

        w = V^-1 U solves U = Z Lambda u + sigma^2 w with u = Lambda' Z'w, so that

            U' V^-1 U = w'V w = (U - Z Lambda u)'(U - Z Lambda u) / sigma^2 + u'u,

        a sum of squares, which is least at this u: errors of u count by their squares. One step of
        Newton's makes them small: the gradient is g = u - Lambda' Z'(U - Z Lambda u) / sigma^2, and
        H = Lambda' Z'Z Lambda / sigma^2 + I is solved by the triangles of the stages.
        """
        engine = self.engine
        sigma = sqrt(self.sigma2)
        levels = [Z.shape[1] for Z in engine.matrices]
        Lambda = over_levels(sigma * self.relative.T, engine.of_psi.spans, levels)
        u = Lambda.T @ engine.by_blocks(self.products_with_U())

        # -- g, and the step
        left = engine.without_effects(Lambda @ u)
        g = u - Lambda.T @ engine.of_columns(left) / self.sigma2
        step = self.stage.penalised(g[engine.columns_by_elimination])
        u = u - engine.by_blocks(step)

        A = np.vstack([engine.without_effects(Lambda @ u) / sigma, u])
        squares = np.sum(A * A, axis=0) * self.sigma2
        if (squares < NOISE * np.sum(engine.U * engine.U, axis=0)).any():
            raise NotPositiveDefinite                           # nothing but rounding is left
        return A

    # -- M = Z' V^-1 Z and N = Z' V^-1 U, columns in the order of elimination

    def products_with_U(self):
        """Z' V^-1 U, (p, r)."""
        of_Z = self.engine.cross_products
        N1, N2, _ = self.stage.solve(of_Z.R1U, of_Z.Z2U)
        N = of_Z.layout.joined(N1, N2)
        return N / self.sigma2

    def products_with_Z(self, v):
        """Z' V^-1 Z v, (p, s), for v (p, s)."""
        of_Z = self.engine.cross_products
        layout = of_Z.layout
        v1, v2 = layout.split(v)
        u1 = times(of_Z.R1, v1) + of_Z.coupling.times(v2)       # Q1'Z v
        z2u = layout.remaining.times(of_Z.Z2Z2, v2)             # Z2'(I - Q1 Q1') Z v
        M1, M2, _ = self.stage.solve(u1, z2u)
        return layout.joined(M1, M2) / self.sigma2

    # -- derivatives

    def information(self, pulled, reml, exact):
        """tr(W V_a), y'P V_a P y, and (7) or average information; see `Dense.information`.

        V_a = Z Z_a Z', Z_a for the matrix of an entry of psi, (p, p), and with F from `pulled`
        Z'PZ = M - F'F. All of it comes from products of Z_a with a few vectors: with d = Z'P y
        and the rows of F.
        """
        engine = self.engine
        d, F = pulled(self.products_with_U())

        # -- x, (p, s): d and, for REML, the rows of F; Z_a x, (p, s, q); the forms x_s' Z_a x_t
        x = d[:, None]
        if reml:
            x = np.column_stack([d, F.T])
        Z_x = engine.times_entries(x)
        x_Z_x = np.tensordot(x, Z_x, (0, 0))                    # (s, s, q)
        of_y = x_Z_x[0, 0]                                      # y'P V_a P y = d'Z_a d
        F_Z_x = x_Z_x[1:] if reml else np.tensordot(F, Z_x, (1, 0))     # (k, s, q)

        # -- tr(W V_a), and P for W with REML: tr(P V_a) = tr(W V_a) - tr(F Z_a F')
        if exact:
            traces, squares = self.exact_traces()
        else:
            traces = self.traces()
        if reml:
            F_Z_F = F_Z_x[:, 1:]                                # (k, k, q)
            traces = traces - np.einsum("ffa->a", F_Z_F)

        # -- y'P V_a P V_b P y = d'Z_a (M - F'F) Z_b d
        chosen = Z_x if exact else Z_x[:, :1]
        side_by_side = chosen.reshape(len(d), -1)
        M_Z_x = self.products_with_Z(side_by_side).reshape(chosen.shape)
        x_ZMZ_x = chosen.transpose(1, 2, 0) @ M_Z_x.transpose(1, 0, 2)          # (s, q, q)
        F_Z_d = F_Z_x[:, 0]
        double = x_ZMZ_x[0] - F_Z_d.T @ F_Z_d
        if not exact:
            return Information(traces, of_y, 0.5 * double, averaged=True)       # (8)

        # -- tr(W V_a W V_b), and P for W with REML: of M - F'F for M
        if reml:
            F_ZMZ_F = x_ZMZ_x[1:].sum(axis=0)
            squares = squares - 2 * F_ZMZ_F
            squares = squares + np.einsum("fga,fgb->ab", F_Z_F, F_Z_F)
        return Information(traces, of_y, double - 0.5 * squares, averaged=False)        # (7)

    def moments(self, pulled):
        """See `Dense.moments`."""
        F = pulled(self.products_with_U())
        Z_F = self.engine.times_entries(F.T)                    # (p, k, q)
        p, k, q = Z_F.shape
        forms = np.tensordot(F, Z_F, 1)                         # (k, k, q)
        side_by_side = Z_F.reshape(p, k * q)
        products = side_by_side.T @ self.products_with_Z(side_by_side)
        products = products.reshape(k, q, k, q)
        traces, squares = self.exact_traces()
        in_order = products.transpose(1, 3, 0, 2)
        return Moments(traces, squares, forms.transpose(2, 0, 1), in_order)

    def traces(self):
        """tr(W V_a), (q,): sums over levels of M, twice where a is a covariance."""
        engine = self.engine
        J = len(engine.matrices)
        summed = np.zeros((J, J))
        for blocks, M in self.stage.within_levels():
            summed[blocks, blocks] = M.sum(axis=2)
        i, j = engine.entries
        return engine.of_psi.counts * summed[i, j] / self.sigma2

    def exact_traces(self):
        """tr(W V_a), (q,), and tr(W V_a W V_b), (q, q)."""
        engine = self.engine
        traces, squares = exact_traces(
            self.stage,
            engine.own_entries,
            engine.kept_pairs,
        )
        place = engine.entry_places
        traces = traces[place]
        squares = squares[place][:, place]
        return traces / self.sigma2, squares / self.sigma2**2


class StatePosterior:
    """Var[b | y, beta], sigma^2 B."""

    def __init__(self, state):
        self.stage = state.stage
        self.sigma2 = state.sigma2
        self.engine = state.engine

    def sds(self):
        """The standard deviations, (p,), in the order of the blocks."""
        variances = self.engine.by_blocks(self.stage.diagonal())
        return np.sqrt(self.sigma2 * np.maximum(variances, 0.0))

    def quadratic_forms(self, Z):
        """z' Var z for each row of Z, sparse, in the order of the blocks: (n,)."""
        Z = sparse.csr_array(Z)
        in_order = Z[:, self.engine.columns_by_elimination]
        return self.sigma2 * self.stage.quadratic_forms(in_order)
