"""h and q of a set-up as functions of the points of a chart, by the stacks of engines/many/."""

from functools import cached_property

import numpy as np

from ...engines import ByLevel, Unsuitable, family_of, look, slopes, triangles_or_nan
from ...model import Unstructured, Variances
from .bounds import ALLOWED, NO_RESIDUAL, PROJECTED, TINY, Bounded
from .cells import Boxes, Sectors


class Problem(Bounded):
    """The criterion of a set-up as h and q of the variances, or of a covariance, of a chart.

    Unsuitable where there is no chart, or the design is none for stacks.
    """

    def __init__(self, setup):
        self.setup = setup
        self.family = family_of(setup)
        self.design = self.family.design
        y = setup.design.y[:, None]
        self.responses, _, whole, self.lost = self.family.respond(y)
        self.whole = float(whole[0])                            # e'e
        self.df = float(self.design.df[0])
        self.constant = float(self.design.constant[0]) + 0.5 * self.df * (1 - np.log(self.df))
        if setup.reml:
            self.constant += float(self.design.log_root[0])
        self.chart = self._chart()
        self.evaluations = 0

    reference = 0                                               # what the variances are relative to

    @property
    def numbers_of_a_point(self):
        """How many numbers an evaluation needs, nearly."""
        return self.design.numbers_each

    def theta_of(self, point):
        """theta at a point of the chart, sigma being profiled out."""
        covariance = self.setup.covariance
        psi = covariance.entries.matrix(self.rho(point[None])[0])
        _, q, *_ = self.at(point[None])
        theta = covariance.turned(covariance.theta(0.0, psi), self.family.rows.turn)
        return covariance.rescaled(theta, 0.5 * np.log(q[0] / self.df))

    def _chart(self):
        """`Boxes` where all structures are linear in variances; `Sectors` of one 2 x 2 term."""
        setup = self.setup
        covariance = setup.covariance
        structures = covariance.structures
        squares = np.exp(-2 * self.family.rows.units)
        if all(isinstance(one, Variances) for one in structures):
            units = []
            for one, span in zip(structures, covariance.spans):
                shares = np.array([B.diagonal() / B.trace() for B in one.basis])
                units += (shares @ squares[span]).tolist()
            return Boxes(np.array(units), covariance.free_parts[1:, 1:])
        one = structures[0]
        if len(structures) == 1 and type(one) is Unstructured and one.c == 2:
            return self._sectors()
        raise Unsuitable(
            "its terms are neither independent effects, as of (1 | g), (x || g) or cs(0 + f | g), "
            "nor one term of two correlated ones, (x | g)"
        )

    def _sectors(self):
        """The chart of one term with two effects, scaled so that the mean of Z_i'Z_i is I."""
        R = self.design.R[:, :, 0]                              # (2, 2, pieces)
        counts = self.design.counts[0]
        G = np.einsum("aim,ajm->mij", R, R)                     # Z_i'Z_i
        mean = np.einsum("m,mij->ij", counts, G) / counts.sum()
        C = np.linalg.cholesky(mean)
        inverse = np.linalg.inv(C)
        scaled = inverse @ G @ inverse.T
        columns = []
        for one in ([[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]):
            psi = inverse.T @ np.array(one) @ inverse           # psi = C'^-1 (chart's) C^-1
            columns.append(psi[[0, 1, 1], [0, 0, 1]])
        return Sectors(float(np.linalg.eigvalsh(scaled)[:, -1].max()), np.array(columns).T)

    # -- h and q

    def rho(self, points):
        """The entries of psi over sigma^2 at points of the chart, (N, s)."""
        return points @ self.chart.to_rho.T

    def at(self, points, with_gradient=False):
        """h and q, (N,) each, nan where V is not positive definite, and how far they may be off.

        With q's gradient, (N, s), if it is wanted.
        """
        self.evaluations += len(points)
        rho = self.rho(points)
        found = look(self.design, rho, self.responses)
        with np.errstate(invalid="ignore", divide="ignore"):
            bad = ~np.isfinite(found.nll)
            q = np.where(bad, np.nan, found.quadratic)
            h = 2 * (found.nll - self.constant) - self.df * np.log(q)
        h = np.where(bad, np.nan, h)
        off = self._allowances(rho, q, found)
        if not with_gradient:
            return h, q, *off
        of_rho = slopes(self.design, found, self.responses)
        forms = of_rho.forms * (found.quadratic / self.df)[:, None]     # -dq / d rho
        return h, q, *off, -forms @ self.chart.to_rho

    def _allowances(self, rho, q, found):
        """How far h and q may be off, (N,) each, by rounding errors.

        h is a sum of as many logarithms as Z and X have columns; a pivot is off by eps times what
        it is a difference of, at most 1 + the size of V's parts, and it is at least 1. q is a
        difference from e'e, of what such pivots have divided.

        By level, pivots are of A, (c, c): off by eps times its condition, tr(A) tr(A^-1), and so is
        y'A^-1 y, by that times y'y. Where V is diagonal in a basis, A is a number, a sum of what is
        not negative, and so is e'We. Of X'WX what counts is its condition once its diagonal is 1.
        """
        eps = ALLOWED * np.finfo(float).eps * self._mixing
        columns = self.setup.design.p + len(self.setup.beta_0) + 1
        if not isinstance(self.design, ByLevel):
            size = 1 + np.abs(rho) @ self._sizes
            return eps * columns * size, eps * columns * size * self.whole
        of_inverse = np.sum(found.root**2, axis=1)
        of_X = np.sum(np.einsum("njj->nj", found.sums.XX) * of_inverse, axis=1)
        if len(self.design.X1) == 1:
            of_h = self._spread + (of_X if self.setup.reml else 0.0 * of_X)
            return eps * columns * of_h, eps * columns * (1 + of_X) * found.sums.yy
        D, *_ = found.sums.state                                # A^-1, (c, c, N, pieces)
        traces = np.einsum("aiibm->am", self.design.A[:, :, :, :1])
        condition = (len(D) + rho @ traces) * np.einsum("iinm->nm", D)
        of_h = columns + condition @ self.design.counts[0] + of_X * condition.max(axis=1)
        return eps * of_h, eps * (columns + of_X + condition.max(axis=1)) * self.whole

    @cached_property
    def _mixing(self):
        """How much longer the parts are that effects are mixed of than what they make: 1 if not."""
        K = self.family.rows.turn
        blocks = [self.setup.design.weighted(one.matrix) for one in self.setup.design.blocks]
        parts = [np.sqrt(np.sum(Z.data**2)) for Z in blocks]
        made = [np.sqrt(np.sum(Z.data**2)) for Z in self.family.rows.blocks]
        return float(np.max(parts @ np.abs(K) / np.maximum(made, TINY), initial=1.0))

    @cached_property
    def _spread(self):
        """Of eigenvalues the largest over the smallest that is not zero: these are off by more."""
        found = 1.0
        if self.design.R is None:
            for of_entry in self.design.A.reshape(len(self.design.A), -1):
                some = of_entry[of_entry > 0]
                if len(some):
                    found = max(found, float(some.max() / some.min()))
        return found

    @cached_property
    def _sizes(self):
        """(q,): the largest squared length of a column of Z of the blocks of each entry."""
        largest = [float(np.max(_squares(Z), initial=0.0)) for Z in self.family.rows.blocks]
        entries = self.setup.covariance.entries
        return np.array([np.sqrt(largest[i] * largest[j]) for i, j in entries.pairs])

    # -- terms at infinity

    def q_at_infinity(self, infinite, points):
        """q, (N,), where the variances `infinite`, (s,) bool, are so, and others as in points.

        And how far rounding may take it; exactly 0 where X and these terms reproduce y.
        """
        known = self._projected.get(tuple(infinite))
        if known is None:
            known = self._projected[tuple(infinite)] = self._project(infinite)
        A, b, yy, owner = known
        off = ALLOWED * np.finfo(float).eps * (1 + len(self._columns[2])) * self.whole
        if not len(owner) or yy == 0.0:
            return np.full(len(points), yy), off
        self.evaluations += len(points)
        roots = np.sqrt(np.maximum(points, 0.0))[:, owner]
        K = A * roots[:, :, None] * roots[:, None, :]
        K[:, range(len(A)), range(len(A))] += 1.0
        L = triangles_or_nan(K)
        bad = np.isnan(L[:, 0, 0])
        L = np.where(bad[:, None, None], np.eye(len(A)), L)
        half = np.linalg.solve(L, (roots * b)[:, :, None])[:, :, 0]
        q = np.where(bad, TINY, yy - np.sum(half**2, axis=1))
        return np.maximum(q, TINY), off

    @cached_property
    def _projected(self):
        return {}

    @cached_property
    def _columns(self):
        """M [Z y], M = I - Q_X Q_X', and the variance of the chart that each column belongs to."""
        rows = self.family.rows
        Z, y, owner = self.dense
        both = np.column_stack([Z, y])
        for _ in range(2):
            both = both - rows.X @ (rows.X.T @ both)
        return both[:, :-1], both[:, -1], owner

    @cached_property
    def dense(self):
        """Z, (n, p), y less its offset, and the variance that each column of Z belongs to."""
        rows = self.family.rows
        design = self.setup.design
        y = design.weighted(design.y - design.offset)
        covariance = self.setup.covariance
        parts = []
        owner = []
        number = 0
        if isinstance(self.chart, Sectors):
            parts = [block.toarray() for block in rows.blocks]
            owner = np.zeros(sum(part.shape[1] for part in parts), int)
        else:
            for one, span in zip(covariance.structures, covariance.spans):
                blocks = [block.toarray() for block in rows.blocks[span]]
                for B in one.basis:
                    values, vectors = np.linalg.eigh(B)
                    for value, vector in zip(values, vectors.T):
                        if value > PROJECTED:
                            mixed = sum(v * block for v, block in zip(vector, blocks))
                            parts.append(np.sqrt(value) * mixed)
                            owner += [number] * mixed.shape[1]
                    number += 1
        return np.hstack([np.zeros((rows.n, 0)), *parts]), y, np.asarray(owner, int)

    def _project(self, infinite):
        """Z'PZ, Z'Py, y'Py of the finite terms, P the projection beside X and the infinite ones."""
        Z, y, owner = self._columns
        away = infinite[owner]
        lengths = np.linalg.norm(Z[:, away], axis=0)
        scaled = Z[:, away] / np.where(lengths > 0, lengths, 1.0)       # whatever their units are
        U, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
        U = U[:, sizes > PROJECTED * sizes.max(initial=0.0)]
        kept = Z[:, ~away]
        both = np.column_stack([kept, y])
        for _ in range(2):
            both = both - U @ (U.T @ both)
        kept = both[:, :-1]
        left = both[:, -1]
        yy = left @ left
        if yy < NO_RESIDUAL * (y @ y):
            yy = 0.0
        return kept.T @ kept, kept.T @ left, yy, owner[~away]


def _squares(Z):
    """The squared lengths of the columns of a sparse matrix."""
    return np.bincount(Z.indices, Z.data**2, Z.shape[1])
