"""The blocked engine at one theta: the evaluation, derivatives, and the variance of b given y, from its `Stage`s."""

from copy import copy
from math import inf, log

import numpy as np
from scipy import sparse

from .dense import Evaluation
from .stages import Point, Rest, Stage


class State:
    """An engine at one phi. The stages know psi over sigma^2 alone."""

    def __init__(self, engine, phi):
        self.engine, self.sigma2 = engine, phi[0]
        if not (0 < phi[0] < inf and np.isfinite(phi).all()):
            raise OverflowError
        psi = engine.covariance.psi_of(phi) / phi[0]
        self.stage = Stage(engine.coordinates, Point(psi, engine.covariance.root_of(psi)))
        logdet = self.stage.logdet + engine.n * log(phi[0])                 # (2)
        if not logdet < inf:
            raise OverflowError
        self.evaluation = Evaluation(float(logdet), self.stage.cross / phi[0], None)

    def at(self, sigma2):
        """The state where sigma^2 is another, and psi in proportion."""
        other = copy(self)
        other.sigma2 = sigma2
        return other

    def products_with_U(self):
        """Z' V^-1 U, (p, r), in the order of elimination."""
        known = self.engine.coordinates
        N1, N2, _ = self.stage.solve(known.R1U, known.Z2U)
        return known.layout.joined(N1, N2) / self.sigma2

    def products_with_Z(self, v):
        """Z' V^-1 Z v, (p, q), for v (p, q), both in the order of elimination."""
        known = self.engine.coordinates
        v1, v2 = known.layout.split(v)
        u1 = known.R1 @ v1 + known.over_levels(v2)
        N1, N2, _ = self.stage.solve(u1, known.layout.inner.times(known.rest, v2))
        return known.layout.joined(N1, N2) / self.sigma2

    def exact_information(self, pulled, reml):
        """As `Dense.information`, from Z'WZ whole."""
        stage = self.stage
        M = stage.whole() / self.sigma2 if isinstance(stage.inner, Rest) else self.products_with_Z(np.eye(self.engine.p))
        return self.engine.pairs.information(M, self.products_with_U(), pulled, reml)

    def average_information(self, pulled, reml):
        """tr(W V_a), y'P V_a P y and y'P V_a P V_b P y / 2 for the entries a of psi; see `Dense.information`."""
        engine, covariance = self.engine, self.engine.covariance
        d, F = pulled(self.products_with_U())
        traces = np.zeros((len(engine.matrices),) * 2)
        for b, M in self.stage.levels():
            traces[b, b] = M.sum(axis=0) / self.sigma2
        sizes = [engine.matrices[j].shape[1] for j in engine.order]
        start = dict(zip(engine.order, np.cumsum([0, *sizes])))
        at = [slice(start[j], start[j] + Z.shape[1]) for j, Z in enumerate(engine.matrices)]      # by block
        rows, columns = covariance.rows, covariance.columns
        t = traces[rows, columns]
        if reml:
            t = t - [np.sum(F[:, at[i]] * F[:, at[j]]) for i, j in zip(rows, columns)]
        twice = np.where(rows == columns, 1.0, 2.0)
        y_t = [d[at[i]] @ d[at[j]] for i, j in zip(rows, columns)]
        v = np.zeros((len(d), len(rows)))                                   # V_a P y = Z v_a
        for a, (i, j) in enumerate(zip(rows, columns)):
            v[at[i], a], v[at[j], a] = d[at[j]], d[at[i]]
        return twice * t, twice * y_t, 0.5 * (v.T @ self.products_with_Z(v) - (F @ v).T @ (F @ v)), True


class StatePosterior:
    """Var[b | y, beta], sigma^2 B."""

    def __init__(self, state):
        self.stage, self.sigma2, self.engine = state.stage, state.sigma2, state.engine

    def sds(self):
        """The standard deviations, (p,), in the order of the blocks."""
        return np.sqrt(self.sigma2 * np.maximum(self.engine.by_blocks(self.stage.diagonal()), 0.0))

    def forms(self, Z):
        """z' Var z for each row of Z, sparse, in the order of the blocks: (n,)."""
        ends = self.engine.ends
        columns = np.concatenate([np.arange(ends[j], ends[j + 1]) for j in self.engine.order])
        return self.sigma2 * self.stage.forms(sparse.csr_array(Z)[:, columns])
