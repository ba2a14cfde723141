"""The covariance of the random effects: from theta to psi, and the chain rule back.

theta is log sigma and then the elements of each term's structure, which says what psi_t, the
covariance within a level, is made from:

    Independent         psi_t = diag(exp(2 t_j)): log standard deviations, one for each effect
    Unstructured        psi_t = T T', T lower triangular, column by column     (unstructured.py)
    CompoundSymmetry    one variance and one correlation              (compound_symmetry.py)

Engines see the entries of psi alone (psi.py). A structure is a class with the methods of these
three. It may be singular in some *directions*, each with an element of theta that is -inf there.
"""

from functools import cached_property
from math import exp, inf

import numpy as np

from ..errors import LMMError
from .psi import Entries, over_levels


class Variances:
    """psi_t = sum over k of exp(2 t_k) B_k: positive semidefinite matrices B_k that are fixed.

    V is linear in the variances exp(2 t_k) then. Steps are made in theta itself.

    Most methods of a structure take several t at once, (..., number of elements): see `Covariance`.
    """

    def __init__(self, c, pairs, basis):
        self.c = c
        self.pairs = tuple(pairs)
        self.basis = basis                                      # (number of B, c, c)
        self.logs = np.ones(len(basis), bool)
        self.directions = np.arange(len(basis))
        self.step_logs = self.logs
        rows = [i for i, _ in self.pairs]
        columns = [j for _, j in self.pairs]
        self.entries = basis[:, rows, columns].T                # those of psi by the variances

    def psi(self, t):
        """sum of exp(2 t_k) B_k."""
        return np.tensordot(np.exp(2 * t), self.basis, 1)

    def rescaled(self, t, shift):
        """The elements where all standard deviations are multiplied by exp(shift)."""
        return t + shift

    def beside_zero(self, t):
        """Which elements are not zero though their variance is: none, as each is a variance's."""
        return np.zeros(len(t), bool)

    def free(self, t):
        """Which elements are not zero for good."""
        return np.isfinite(t)

    def steps(self, t):
        return t

    def from_steps(self, x):
        return x

    def step_units(self, t, unit):
        return np.ones(np.shape(t))

    def simplex_units(self, t):
        return np.ones(np.shape(t))

    def stretch(self, t):
        return np.ones(np.shape(t))

    def jacobian(self, t):
        """d psi_a / d t_k = 2 exp(2 t_k) B_k."""
        return 2 * np.exp(2 * t)[..., None, :] * self.entries

    def bend(self, t, G):
        """4 exp(2 t_k) tr(G B_k) on the diagonal."""
        on_diagonal = 4 * np.exp(2 * t) * np.einsum("...ij,kji->...k", G, self.basis)
        return on_diagonal[..., None] * np.eye(len(self.basis))

    def df_used(self, t, M):
        """exp(2 t_k) tr(M B_k): the degrees of freedom that each variance makes use of."""
        return np.exp(2 * t) * np.einsum("...ij,kji->...k", M, self.basis)

    def without(self, t, k):
        """The elements where variance k is zero."""
        t = t.copy()
        t[..., k] = -inf
        return t

    def regrowth(self, k, G, unit):
        """B_k: how psi grows where variance k leaves zero."""
        return self.basis[k]

    def growths(self, t, G, unit, held, rounding):
        """(k, B_k, tr(G B_k)) for each variance at zero that is not held."""
        for k in np.flatnonzero((t == -inf) & ~held):
            yield k, self.basis[k], float(np.sum(G * self.basis[k]))


class Independent(Variances):
    """Independent effects: a standard deviation each. One effect alone is this too."""

    kind = "independent"

    def __init__(self, c):
        each = np.zeros((c, c, c))
        each[range(c), range(c), range(c)] = 1.0
        super().__init__(c, [(j, j) for j in range(c)], each)

    def labels(self, blocks):
        """The names of the blocks."""
        return [block.name for block in blocks]

    def direction_names(self, blocks, term_name):
        return self.labels(blocks)

    def root(self, t):
        return np.exp(t)[..., None, :] * np.eye(self.c)

    def theta(self, psi):
        """Half the logs of the variances."""
        with np.errstate(divide="ignore"):
            return 0.5 * np.log(psi.diagonal())

    def rank(self, t):
        return int(np.isfinite(t).sum())


class Covariance:
    """What theta means: the structures of the terms, one after the other.

    Parameters
    ----------
    structures : sequence
        One for each random-effect term.

    Attributes
    ----------
    entries : Entries
        What V is linear in.
    size : int
        The length of theta: 1 + the elements of all terms.
    logs : ndarray of bool, shape (size,)
        Which elements of theta are logarithms.
    directions : ndarray of int
        The elements of theta that are -inf where psi is singular in a direction.
    spans, shares : tuple of slice
        For each term its blocks, and its elements of theta.
    elementwise : bool
        Whether phi is exp(2 theta), element by element: no two effects are correlated.

    Notes
    -----
    What `fitting/many/` calls takes several theta at once, (..., size), and returns as many.
    """

    def __init__(self, structures):
        self.structures = tuple(structures)
        spans = []
        shares = []
        pairs = []
        logs = [np.ones(1, bool)]
        directions = []
        block = 0
        element = 1
        for one in self.structures:
            spans.append(slice(block, block + one.c))
            shares.append(slice(element, element + len(one.logs)))
            pairs += [(block + i, block + j) for i, j in one.pairs]
            logs.append(one.logs)
            directions += [element + int(k) for k in one.directions]
            block = spans[-1].stop
            element = shares[-1].stop
        self.spans = tuple(spans)
        self.shares = tuple(shares)
        self.size = element
        self.logs = np.concatenate(logs)
        self.directions = np.array(directions, int)
        self.entries = Entries(spans, pairs)
        self.elementwise = all(isinstance(one, Independent) for one in self.structures)

    @property
    def sizes(self):
        """How many effects each level of a term has."""
        return tuple(one.c for one in self.structures)

    def accepts(self, theta):
        """Whether these numbers are a theta: finite, or -inf for a logarithm but the first.

        What shares a zero has to be zero itself: see `Unstructured.beside_zero`.
        """
        if theta.shape != self.logs.shape or theta.dtype.kind not in "iuf" or not theta.max() < inf:
            return False                                        # nan is not less than inf
        if not theta[0] > -inf:
            return False
        if self.elementwise or theta.min() > -inf:
            return True
        return not self.out_of_place(theta).any()

    def out_of_place(self, theta):
        """Which elements are -inf and no logarithms, or beside a zero that they should share."""
        wrong = ~self.logs & (theta == -inf)
        for one, _, share, t in self._terms(theta):
            wrong[share] |= one.beside_zero(t)
        return wrong

    @cached_property
    def free_parts(self):
        """(1 + q, size): what V is linear in and free to vary.

        In terms of sigma^2 and the entries of psi.
        """
        if self.elementwise:
            return np.eye(self.size)
        parts = np.zeros((1 + self.entries.q, self.size))
        parts[0, 0] = 1.0
        entry = 1
        for one, share in zip(self.structures, self.shares):
            last = entry + len(one.pairs)
            parts[entry:last, share] = one.entries
            entry = last
        return parts

    def phi(self, theta):
        """sigma^2, and the entries of psi: all that V depends on, linearly."""
        if self.elementwise:
            return [exp(2 * t) for t in theta]
        entries = self.entries.of(self.psi(theta))
        if not np.isfinite(entries).all():
            raise OverflowError
        return [exp(2 * theta[0]), *entries.tolist()]

    def _terms(self, theta):
        """For each term its structure, its blocks, and its elements of theta.

        These twice: their slice, and an array.
        """
        theta = np.asarray(theta, float)
        for one, blocks, share in zip(self.structures, self.spans, self.shares):
            yield one, blocks, share, theta[..., share]

    def _over_terms(self, method, theta):
        """psi or its root, block-diagonal over the terms, (J, J)."""
        theta = np.asarray(theta)
        whole = np.zeros((*theta.shape[:-1], self.entries.J, self.entries.J))
        for one, blocks, _, t in self._terms(theta):
            whole[..., blocks, blocks] = getattr(one, method)(t)
        return whole

    def psi(self, theta):
        """The covariance of the random effects in one level of each term, (J, J)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._over_terms("psi", theta)

    def root(self, theta):
        """A T with T T' = psi, (J, J)."""
        return self._over_terms("root", theta)

    def Lambda(self, theta, levels):
        """T x I over the levels, (p, p) sparse; columns of Z in the order of the blocks."""
        return over_levels(self.root(theta), self.spans, levels)

    def theta(self, log_sigma, psi):
        """The theta of a psi, (J, J), the nearest that the structures allow."""
        shares = [one.theta(psi[b, b]) for one, b in zip(self.structures, self.spans)]
        return np.concatenate([[log_sigma], *shares])

    def log_sds(self, theta):
        """(J,): the log standard deviation of each block."""
        if self.elementwise:
            return theta[..., 1:]
        T = self.root(theta)
        with np.errstate(divide="ignore"):
            return 0.5 * np.log(np.einsum("...ij,...ij->...i", T, T))

    def correlations(self, theta):
        """(J, J): psi over the standard deviations, nan where one is zero."""
        T = self.root(theta)
        sd = np.linalg.norm(T, axis=-1)
        unit = T / np.where(sd > 0, sd, np.nan)[..., None]
        return np.clip(unit @ unit.swapaxes(-1, -2), -1, 1)

    def ranks(self, theta):
        """The rank of each term's psi."""
        return [one.rank(t) for one, _, _, t in self._terms(theta)]

    def _each(self, method, theta, *more):
        """A method of every structure on its elements; what it returns replaces them."""
        new = np.array(theta, float)
        for one, _, share, t in self._terms(theta):
            new[..., share] = getattr(one, method)(t, *more)
        return new

    def rescaled(self, theta, shift):
        """theta with sigma and all standard deviations multiplied by exp(shift).

        Of several theta the shift is (..., 1).
        """
        if self.elementwise:
            return theta + shift
        new = self._each("rescaled", theta, shift)
        new[..., :1] += shift
        return new

    def turned(self, theta, K):
        """theta of the effects K b, for b of this theta: K, (J, J), mixes the effects of terms.

        It is the identity for effects that are not correlated in any way.
        """
        new = np.array(theta, float)
        for one, blocks, share, t in self._terms(theta):
            if hasattr(one, "turned"):
                new[..., share] = one.turned(t, K[blocks, blocks])
        return new

    # -- steps, in coordinates where the criterion is best approximated by a parabola --------------

    def free(self, theta):
        """Which elements of theta are not zero for good, bool."""
        if self.elementwise:
            return np.isfinite(theta)
        free = np.ones(np.shape(theta), bool)
        for one, _, share, t in self._terms(theta):
            free[..., share] = one.free(t)
        return free

    def steps(self, theta):
        """theta in the coordinates for steps."""
        return theta if self.elementwise else self._each("steps", theta)

    def from_steps(self, x):
        """The theta of such coordinates."""
        return x if self.elementwise else self._each("from_steps", x)

    def step_units(self, theta, units):
        """What counts as a step of 1 in each coordinate.

        1 for logarithms; `units` as from `units`.
        """
        lengths = np.ones(np.shape(theta))
        if not self.elementwise:
            for one, blocks, share, t in self._terms(theta):
                lengths[..., share] = one.step_units(t, units[blocks])
        return lengths

    def simplex_units(self, theta):
        """What is to each element of theta what 1 is to a logarithm."""
        if self.elementwise:
            return np.ones(self.size)
        return self._each("simplex_units", np.concatenate([[1.0], theta[1:]]))

    # -- the chain rule ----------------------------------------------------------------------------

    def jacobian(self, theta):
        """d psi_a / d steps, (q, size - 1), 0 where an element is zero for good."""
        theta = np.asarray(theta)
        J = np.zeros((*theta.shape[:-1], self.entries.q, self.size - 1))
        entry = 0
        for one, _, share, t in self._terms(theta):
            last = entry + len(one.pairs)
            of_term = one.jacobian(t) * one.free(t)[..., None, :]
            J[..., entry:last, share.start - 1 : share.stop - 1] = of_term
            entry = last
        return J

    def bend(self, theta, g):
        """sum over the entries of g_a d^2 psi_a / d steps^2.

        It is what psi's curvature adds to the Hessian.
        """
        G = self.entries.gradient_matrix(g)
        bend = np.zeros((*G.shape[:-2], self.size - 1, self.size - 1))
        for one, blocks, share, t in self._terms(theta):
            free = one.free(t)
            place = slice(share.start - 1, share.stop - 1)
            of_term = one.bend(t, G[..., blocks, blocks])
            bend[..., place, place] = of_term * free[..., None, :] * free[..., :, None]
        return bend

    def df_used(self, theta, traces):
        """The degrees of freedom that each direction makes use of, from tr(W V_a)."""
        M = self.entries.gradient_matrix(traces)
        used = [one.df_used(own, M[..., b, b]) for one, b, _, own in self._terms(theta)]
        return np.concatenate([np.zeros((*M.shape[:-2], 0)), *used], axis=-1)

    def in_theta(self, theta, gradient, hessian):
        """Derivatives in the coordinates for steps as those in theta.

        The chain rule for each element.
        """
        stretch = np.ones(self.size)
        turned = np.zeros(self.size, bool)
        for one, _, share, t in self._terms(theta):
            stretch[share] = np.where(one.free(t), one.stretch(t), 0.0)
            turned[share] = one.logs & ~one.step_logs
        gradient = gradient * stretch
        hessian = hessian * stretch * stretch[:, None]
        hessian[turned, turned] += gradient[turned]
        return gradient, hessian

    def dphi_dtheta(self, theta):
        """d psi_a / d theta, (q, size - 1)."""
        stretch = self._each("stretch", np.concatenate([[0.0], theta[1:]]))[1:]
        return self.jacobian(theta) * np.where(self.free(theta)[1:], stretch, 0.0)

    # -- directions in which psi may be singular ---------------------------------------------------

    def is_zero(self, theta):
        """Which directions are zero, (number of directions,), bool."""
        return theta[..., self.directions] == -inf

    def _direction(self, d):
        """The term of direction number d, and its number k there."""
        for term, one in enumerate(self.structures):
            if d < len(one.directions):
                return term, d
            d -= len(one.directions)
        raise IndexError(d)

    def term_of_direction(self, d):
        """The number of the term that direction d belongs to."""
        return self._direction(d)[0]

    def without(self, theta, d):
        """theta with direction number d at zero: for a single effect, its standard deviation."""
        term, k = self._direction(d)
        share = self.shares[term]
        theta = theta.copy()
        theta[..., share] = self.structures[term].without(theta[..., share], k)
        return theta

    def regrowth(self, d, g, units):
        """A matrix (J, J) in which psi would best grow where direction d is zero.

        g is nll's gradient.
        """
        term, k = self._direction(d)
        blocks = self.spans[term]
        G = self.entries.gradient_matrix(g)
        whole = np.zeros(G.shape)
        of_term = self.structures[term].regrowth(k, G[..., blocks, blocks], units[blocks])
        whole[..., blocks, blocks] = of_term
        return whole

    def growths(self, theta, g, units, held=(), rounding=0.0):
        """How each singular psi_t would grow, by direction.

        (d, matrix (J, J), slope of nll along it).

        `held` are elements of theta that stay as they are; slopes within `rounding` of zero,
        relative to the largest, are zero.
        """
        if np.isfinite(theta).all():
            return
        G = self.entries.gradient_matrix(g)
        first = 0
        is_held = np.isin(np.arange(self.size), list(held))
        for one, blocks, share, t in self._terms(theta):
            own = one.growths(t, G[blocks, blocks], units[blocks], is_held[share], rounding)
            for k, matrix, slope in own:
                whole = np.zeros((self.entries.J, self.entries.J))
                whole[blocks, blocks] = matrix
                yield first + k, whole, slope
            first += len(one.directions)

    def with_psi_of_term(self, theta, term, psi):
        """theta with the covariance of one term from this psi, (J, J)."""
        share = self.shares[term]
        blocks = self.spans[term]
        theta = theta.copy()
        theta[share] = self.structures[term].theta(psi[blocks, blocks])
        return theta


def refused_theta(theta, labels, covariance):
    """The LMMError about a theta, an array, that is none: `labels` name its elements."""
    if theta.dtype.kind not in "iuf":
        return LMMError(
            f"theta holds {theta.dtype.name}, not numbers; "
            "it is a list or array of log standard deviations"
        )
    wanted = f"it takes {len(labels)} numbers: {', '.join(labels)}"
    if theta.shape != (len(labels),):
        return LMMError(f"theta has shape {theta.shape}; {wanted}")
    may_be_zero = covariance.logs & (np.arange(len(labels)) > 0)
    good = np.isfinite(theta) | ((theta == -inf) & may_be_zero)
    if good.all():
        i = int(np.argmax(covariance.out_of_place(theta)))
        return LMMError(
            f"theta[{i}] ({labels[i]}) is {float(theta[i])} in a column of T whose diagonal is "
            "zero, -inf; such a column is zero: give 0.0"
        )
    i = int(np.argmin(good))
    return LMMError(
        f"theta[{i}] ({labels[i]}) is {float(theta[i])}; {wanted}, all finite "
        "(or -inf for a block, a standard deviation of zero)"
    )
