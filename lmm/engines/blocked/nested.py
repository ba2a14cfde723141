"""Scalar terms of which each is nested in the next one: everything in closed form.

Pupils in classes in schools are a tree, and the terms are eliminated from the leaves up, each
elementwise. sigma is the unit, rho_t the variance of term t over sigma^2, and for each level of it

    g       1'A^-1 1        how much its rows weigh, A being V with the terms before it alone
    M       (r,)            the mean of U over its rows, 1'A^-1 U / g
    v       1 / (1 + rho g)
    h       g v             what they weigh with this term too

A level weighs in the next term what its own levels do together, and its mean is that of theirs:

    g_up = sum of h,    M_up = sum of h M / g_up

    (2)  log|V| = sum over terms and levels of log(1 + rho g)
    (1)  U' V^-1 U = the sum of squares within the leaves
                   + sum over terms and levels of h (M - M_up)(M - M_up)',     M_up = 0 at the top:

sums of squares alone, so that nothing cancels, however large a term is. From the top down, what the
terms above explain of a level's mean being a, zero at the top,

    Z'V^-1 U = h (M - a),    b = rho h (M - a),    a_down = a + b

Two leaves 0 and 1 in branch 0, one in branch 1, in tree order:

    leaf        0   1   2
    parent      0   0   1           starts 0 2: where the children of each branch begin

Source: (1) and (2) of engine.py, term by term, each for scalars. Second derivatives of log|V| are
those of this recursion, by the chain rule.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .state import State


@dataclass(frozen=True, eq=False)
class Nesting:
    """The tree of the levels of all terms, free of theta: the finest term is the first."""

    blocks: tuple                               # the block of each term
    orders: tuple = field(repr=False)           # (m,) the number of each level in tree order, ...
    parents: tuple = field(repr=False)          # ... the place of its parent in the next term, ...
    starts: tuple = field(repr=False)           # ... and where the children of each parent begin

    def up(self, t, v):
        """The sums of v, (..., m), over the children of each level of the term after t."""
        return np.add.reduceat(v, self.starts[t], axis=-1)

    def down(self, t, v):
        """v of the term after t, (..., m_up), for each level of t."""
        return v[..., self.parents[t]]


def nesting_of(groupings, matrices):
    """The `Nesting` of these terms, or None if they are not nested scalar ones."""
    if any(grouping.c > 1 for grouping in groupings):
        return None
    terms = sorted(groupings, key=lambda grouping: -grouping.m)
    blocks = tuple(grouping.blocks.start for grouping in terms)
    finest, *others = (matrices[j] for j in blocks)

    # -- the level of each other term that each leaf is in
    ancestors = []
    for Z in others:
        if not np.array_equal(Z.data, finest.data):
            return None
        of_leaf = np.empty(finest.shape[1], Z.indices.dtype)
        of_leaf[finest.indices] = Z.indices
        if not np.array_equal(of_leaf[finest.indices], Z.indices):
            return None
        ancestors.append(of_leaf)

    # -- the leaves in tree order; from it which levels each term has, one after the other
    leaves = np.arange(finest.shape[1])
    order = np.lexsort(ancestors) if ancestors else leaves
    orders, parents, starts = [order], [], []
    first = leaves                              # the first leaf of each level, in tree order
    for of_leaf in ancestors:
        of_level = of_leaf[order][first]
        begins = np.append(True, of_level[1:] != of_level[:-1])
        if np.count_nonzero(begins) != len(np.unique(of_level)):
            return None                         # a level with parts in several of the next term
        starts.append(np.flatnonzero(begins))
        parents.append(np.cumsum(begins) - 1)
        orders.append(of_level[begins])
        first = first[begins]
    return Nesting(blocks, tuple(orders), tuple(parents), tuple(starts))


@dataclass(frozen=True, eq=False)
class Leaves:
    """The leaves in tree order, free of theta."""

    g: np.ndarray           # (m,) how much their rows weigh
    M: np.ndarray           # (r, m) means of U


def leaves_of(nesting, cross_products):
    """The `Leaves`, from R1'R1 and Q1'U."""
    R1 = cross_products.R1[0, 0]
    order = nesting.orders[0]
    M = cross_products.R1U[0] / not_zero(R1)
    return Leaves((R1 * R1)[order], M[:, order])


def not_zero(weights):
    """The weights to divide by, 1 where one is zero, as of a slope in a level where x is: M = 0."""
    return np.where(weights > 0, weights, 1.0)


class NestedState(State):
    """What a `State` is, of nested terms."""

    def __init__(self, engine, phi):
        super().__init__(engine, phi)
        self.nesting = engine.nesting
        self.rho = [self.relative.psi[j, j] for j in self.nesting.blocks]
        leaves = engine.leaves
        self.g, self.v, self.h = [], [], []
        g = leaves.g
        for t, rho in enumerate(self.rho):
            v = 1 / (1 + rho * g)
            h = g * v
            self.g.append(g)
            self.v.append(v)
            self.h.append(h)
            if t < self.top:
                g = self.nesting.up(t, h)

    @property
    def top(self):
        """The number of the last term."""
        return len(self.rho) - 1

    # -- (1) and (2)

    def logdet_and_cross(self):
        """log|V| without n log sigma^2, and U' V^-1 U, times sigma^2; digits are never lost."""
        cross = self.engine.cross_products.UU.copy()
        for t, (h, M) in enumerate(zip(self.h, self.means)):
            within = M
            if t < self.top:
                within = M - self.nesting.down(t, self.means[t + 1])
            cross += (within * h) @ within.T
        logdet = -sum(np.add.reduce(np.log(v)) for v in self.v)
        return logdet, cross, False

    @cached_property
    def means(self):
        """M of U, (r, m), for each term."""
        return self.means_of(self.engine.leaves.M)

    def means_of(self, M):
        """M for each term, from that of the leaves."""
        means = [M]
        for t in range(self.top):
            M = self.nesting.up(t, self.h[t] * M) / not_zero(self.g[t + 1])
            means.append(M)
        return means

    @property
    def rounding(self):
        """Of log|V|: a sum of logarithms of sums."""
        return 0.0

    # -- Z' V^-1 U and Z' V^-1 Z, columns in the order of elimination

    def products_with_U(self):
        """Z' V^-1 U, (p, r)."""
        return self.products_of(self.means) / self.sigma2

    def products_with_Z(self, v):
        """Z' V^-1 Z v, (p, s), for v (p, s)."""
        slices = self.engine.block_slices
        above = 0.0
        for t in reversed(range(self.top + 1)):
            of_term = v[slices[self.nesting.blocks[t]]]
            above = above + of_term[self.nesting.orders[t]].T
            if t:
                above = self.nesting.down(t - 1, above)
        return self.products_of(self.means_of(above)) / self.sigma2

    def products_of(self, means):
        """sigma^2 Z' V^-1 u, (p, r), of the means of u."""
        slices = self.engine.block_slices
        products = np.empty((self.engine.p, len(means[0])))
        explained = np.zeros((len(means[0]), 1))
        for t in reversed(range(self.top + 1)):
            N = self.h[t] * (means[t] - explained)
            of_term = products[slices[self.nesting.blocks[t]]]
            of_term[self.nesting.orders[t]] = N.T
            explained = explained + self.rho[t] * N
            if t:
                explained = self.nesting.down(t - 1, explained)
        return products

    # -- tr(W V_a) and -tr(W V_a W V_b): the derivatives of log|V| in the variances

    def exact_traces(self):
        """tr(W V_a), (q,), and tr(W V_a W V_b), (q, q).

        With f = log(1 + rho g) and h, both functions of rho and g, and d for derivatives in the
        variances of the terms below, of which g is a function too:

            f_rho = h           f_g = rho v             h_rho = -h^2        h_g = v^2
            f_rho,rho = -h^2    f_rho,g = v^2           f_g,g = -(rho v)^2
            h_rho,rho = 2 h^3   h_rho,g = -2 h v^2      h_g,g = -2 rho v^3
        """
        T = self.top + 1
        first = np.zeros(T)
        second = np.zeros((T, T))
        dg = {}                                 # by the term below, and ...
        ddg = {}                                # ... by two of them, the lower one first
        for t, (rho, v, h) in enumerate(zip(self.rho, self.v, self.h)):
            v2 = v * v
            h2 = h * h
            rho_v = rho * v
            # -- of this term's own variance
            first[t] += np.add.reduce(h)
            second[t, t] -= np.add.reduce(h2)
            dh = {t: -h2}
            ddh = {(t, t): 2 * h * h2}
            # -- of those below it
            for a in range(t):
                first[a] += rho_v @ dg[a]
                second[a, t] += v2 @ dg[a]
                dh[a] = v2 * dg[a]
                ddh[a, t] = -2 * h * dh[a]
                for b in range(a, t):
                    both = dg[a] * dg[b]
                    second[a, b] += rho_v @ ddg[a, b] - (rho_v * rho_v) @ both
                    ddh[a, b] = v2 * (ddg[a, b] - 2 * rho_v * both)
            if t < self.top:
                dg = {a: self.nesting.up(t, of_a) for a, of_a in dh.items()}
                ddg = {pair: self.nesting.up(t, of_pair) for pair, of_pair in ddh.items()}
        upper = np.triu(second, 1)
        second = second + upper.T
        # -- by the entries of psi
        place = [self.nesting.blocks.index(i) for i in self.engine.entries[0]]
        squares = -second[np.ix_(place, place)]
        return first[place] / self.sigma2, squares / self.sigma2**2
