"""The blocked engine at one theta: the evaluation, derivatives, and the variance of b given y, from its `Stage`s."""

from copy import copy
from math import inf, log

import numpy as np
from scipy import sparse

from ...model import root_of
from ..contract import Evaluation
from .stages import Point, Stage


class State:
    """An engine at one phi. The stages know psi over sigma^2 alone."""

    def __init__(self, engine, phi):
        self.engine, self.sigma2 = engine, phi[0]
        if not (0 < phi[0] < inf and np.isfinite(phi).all()):
            raise OverflowError
        psi = engine.covariance.psi_of(phi) / phi[0]
        self.stage = Stage(engine.gram, Point(psi, root_of(psi)))

    def evaluation(self):
        """log|V| and U' V^-1 U."""
        logdet = float(self.stage.logdet + self.engine.n * log(self.sigma2))         # (2)
        if not logdet < inf:
            raise OverflowError
        return Evaluation(logdet, self.stage.cross / self.sigma2, None, self)

    def rescaled(self, sigma2):
        """The state where sigma^2 is another, and psi in proportion."""
        other = copy(self)
        other.sigma2 = sigma2
        return other

    def products_with_U(self):
        """Z' V^-1 U, (p, r), in the order of elimination."""
        gram = self.engine.gram
        N1, N2, _ = self.stage.solve(gram.R1U, gram.Z2U)
        return gram.layout.joined(N1, N2) / self.sigma2

    def products_with_Z(self, v):
        """Z' V^-1 Z v, (p, q), for v (p, q), both in the order of elimination."""
        gram = self.engine.gram
        v1, v2 = gram.layout.split(v)
        u1 = gram.R1 @ v1 + gram.over_levels(v2)
        N1, N2, _ = self.stage.solve(u1, gram.layout.inner.times(gram.rest, v2))
        return gram.layout.joined(N1, N2) / self.sigma2

    def information(self, pulled, reml):
        """tr(W V_a), y'P V_a P y, and (7) or average information; see `Dense.information`.

        With Z_a for the matrix of an entry of psi, V_a = Z Z_a Z', and Z'PZ = Z'WZ - F'F.
        """
        engine = self.engine
        d, F = pulled(self.products_with_U())
        t, squares = self.exact_traces() if engine.exact else (self.traces(), None)
        x = np.column_stack([d, F.T]) if reml else d[:, None]               # (p, r) d and the rows of F
        Z_x = engine.arranged(x)                                            # (p, r, q) Z_a x
        x_Z_x = np.tensordot(x, Z_x, (0, 0))                                # (r, r, q)
        F_Z_x = x_Z_x[1:] if reml else np.tensordot(F, Z_x, (1, 0))
        if reml:
            t = t - np.einsum("rrq->q", x_Z_x[1:, 1:])
        chosen = Z_x if engine.exact else Z_x[:, :1]
        ZMZ = np.einsum("prq,prs->rqs", chosen, self.products_with_Z(chosen.reshape(len(d), -1)).reshape(chosen.shape))
        double = ZMZ[0] - F_Z_x[:, 0].T @ F_Z_x[:, 0]                       # y'P V_a P V_b P y
        if squares is None:
            return t, x_Z_x[0, 0], 0.5 * double, True
        if reml:                                                            # tr(P V_a P V_b)
            squares = squares - 2 * ZMZ[1:].sum(axis=0) + np.einsum("fra,frb->ab", F_Z_x[:, 1:], F_Z_x[:, 1:])
        return t, x_Z_x[0, 0], double - 0.5 * squares, False

    def traces(self):
        """tr(W V_a), (q,)."""
        covariance, traces = self.engine.covariance, np.zeros((len(self.engine.matrices),) * 2)
        for b, M in self.stage.levels():
            traces[b, b] = M.sum(axis=0) / self.sigma2
        return covariance.counts * traces[covariance.rows, covariance.columns]

    def exact_traces(self):
        """tr(W V_a), (q,), and tr(W V_a W V_b), (q, q)."""
        own, order = self.engine.own_entries, self.engine.entries_by_elimination
        traces, squares = self.stage.traces(own, self.engine.rest_pairs)
        t, S = np.empty(len(traces)), np.empty(squares.shape)
        t[order], S[np.ix_(order, order)] = traces / self.sigma2, squares / self.sigma2**2
        return t, S


class StatePosterior:
    """Var[b | y, beta], sigma^2 B."""

    def __init__(self, state):
        self.stage, self.sigma2, self.engine = state.stage, state.sigma2, state.engine

    def sds(self):
        """The standard deviations, (p,), in the order of the blocks."""
        return np.sqrt(self.sigma2 * np.maximum(self.engine.by_blocks(self.stage.diagonal()), 0.0))

    def quadratic_forms(self, Z):
        """z' Var z for each row of Z, sparse, in the order of the blocks: (n,)."""
        ends = self.engine.ends
        columns = np.concatenate([np.arange(ends[j], ends[j + 1]) for j in self.engine.order])
        return self.sigma2 * self.stage.quadratic_forms(sparse.csr_array(Z)[:, columns])
