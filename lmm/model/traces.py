"""Traces of products of the matrices that V is linear in, by sparse algebra: never n x n.

V = sigma^2 I + the sum of psi_ij V_ij over the entries of psi, where for effects i, j of one term

    V_ij = Z_i Z_j' + Z_j Z_i'  (i != j),    V_ii = Z_i Z_i'.

A part of it is written (Z_i, Z_j), and the identity, sigma^2's, (None, None).
"""

import itertools

import numpy as np
from scipy import sparse

from .unstructured import Unstructured


def linear_parts(design):
    """(Z_i, Z_j), weighted, for each entry of psi; effects with any covariance made orthonormal.

    What an unstructured covariance can be does not depend on the basis of its effects; of the
    other structures it does.
    """
    covariance = design.covariance
    Z = []
    for span, structure in zip(covariance.spans, covariance.structures):
        of_term = [design.weighted(block.matrix) for block in design.blocks[span]]
        Z.extend(orthonormal(of_term) if isinstance(structure, Unstructured) else of_term)
    return [(Z[i], Z[j]) for i, j in covariance.entries.pairs]


def orthonormal(matrices):
    """Sparse matrices of one shape, made orthonormal one after the other by tr(A'B)."""
    done = []
    for Z in matrices:
        for _ in range(2):                      # what rounding leaves once is gone when done twice
            for other in done:
                Z = _sum_of(Z, other, -_sum_of_products(other, Z))
        length = np.sqrt(_sum_of_products(Z, Z))
        done.append(_with_data(Z, Z.data / length))
    return done


def trace_products(some, others, n, products=None):
    """tr(V_a V_b) for each a and b of two lists, see `trace_product`."""
    products = products or Products()
    traces = np.empty((len(some), len(others)))
    for i, a in enumerate(some):
        for j, b in enumerate(others):
            traces[i, j] = trace_product(a, b, n, products)
    return traces


def trace_product(a, b, n, products=None):
    """tr(V_a V_b) of two parts of V, (n, n), see above; `products` are those that are known.

    V_b is symmetric, so of V_a with two summands both give the same: with w = 2, else w = 1,

        tr(V_a V_b) = w tr(Z_i Z_j' V_b),    a = (Z_i, Z_j),

    where V_b is I, or the sum of Z_k Z_m' over its summands, b = (Z_k, Z_m):

        tr(Z_i Z_j') = sum of Z_i o Z_j,
        tr(Z_i Z_j' Z_k Z_m') = sum of (Z_j' Z_k) o (Z_i' Z_m),

    o being the product element by element.
    """
    products = products or Products()
    if a[0] is None:
        a, b = b, a                             # tr(V_a V_b) = tr(V_b V_a)
    if a[0] is None:
        return float(n)                         # tr(I I)
    Z_i, Z_j = a
    w = 1 if Z_i is Z_j else 2
    if b[0] is None:
        return w * _sum_of_products(Z_i, Z_j)
    total = 0.0
    for Z_k, Z_m in _summands(b):
        total += _sum_of_products(products.of(Z_j, Z_k), products.of(Z_i, Z_m))
    return w * total


def _summands(part):
    """The (Z_k, Z_m) whose Z_k Z_m' add up to a part of V: both orders, of one matrix the one."""
    Z_k, Z_m = part
    if Z_k is Z_m:
        return [(Z_k, Z_m)]
    return [(Z_k, Z_m), (Z_m, Z_k)]


def projected_trace_products(parts, Q, n):
    """tr(P V_a P V_b), P = I - QQ', Q (n, k) orthonormal, for each a and b of the parts of V.

    = tr(V_a V_b) - 2 tr((V_a Q)'(V_b Q)) + tr(Q'V_a Q Q'V_b Q)

    As V_a is the sum of Z_i Z_j' over its summands, with A_j = Z_j'Q, (levels, k),

        tr((V_a Q)'(V_b Q)) = sum of A_j o (Z_i'Z_k A_m),    Q'V_a Q = sum of A_i'A_j.
    """
    products = Products()
    traces = trace_products(parts, parts, n, products)
    of_Q = {}
    for Z in (Z for part in parts if part[0] is not None for Z in part):
        if id(Z) not in of_Q:
            of_Q[id(Z)] = Z.T @ Q
    within = [_within(part, of_Q, Q.shape[1]) for part in parts]
    for a, b in itertools.product(range(len(parts)), repeat=2):
        both = _sum_within(parts[a], parts[b], of_Q, products, within[b])
        traces[a, b] += np.sum(within[a] * within[b]) - 2 * both
    return traces


def _within(part, of_Q, k):
    """Q'V_a Q, (k, k)."""
    if part[0] is None:
        return np.eye(k)
    return sum(of_Q[id(Z_i)].T @ of_Q[id(Z_j)] for Z_i, Z_j in _summands(part))


def _sum_within(a, b, of_Q, products, within):
    """tr((V_a Q)'(V_b Q)), `within` being Q'V_b Q."""
    if a[0] is None:
        return np.trace(within)
    if b[0] is None:
        return np.trace(_within(a, of_Q, len(within)))
    total = 0.0
    for Z_i, Z_j in _summands(a):
        for Z_k, Z_m in _summands(b):
            product = products.of(Z_i, Z_k)
            A_m = of_Q[id(Z_m)]
            times = product[:, None] * A_m if product.ndim == 1 else product @ A_m
            total += np.sum(of_Q[id(Z_j)] * times)
    return total


class Products:
    """Z_j'Z_k of sparse matrices, each found once.

    Of two effects of one term it is diagonal, and its diagonal is held, (levels,).
    """

    def __init__(self):
        self.found = {}
        self.matrices = []                      # kept, so that no other one gets an id of theirs

    def of(self, Z_j, Z_k):
        """Z_j'Z_k."""
        key = id(Z_j), id(Z_k)
        if key not in self.found:
            self.matrices += [Z_j, Z_k]
            self.found[key] = _product(Z_j, Z_k)
        return self.found[key]


def _product(Z_j, Z_k):
    """Z_j'Z_k, or its diagonal where rows are of one level each, the same in both."""
    entries_by_row = np.diff(Z_j.indptr)
    if entries_by_row.max(initial=0) > 1 or not _have_same_places(Z_j, Z_k):
        return Z_j.T @ Z_k
    return np.bincount(Z_j.indices, Z_j.data * Z_k.data, Z_j.shape[1])


# -- sparse matrices of one shape, often with entries in the same places


def _have_same_places(A, B):
    """Whether two matrices, sparse by rows, have their entries in the same places."""
    if A.shape != B.shape:
        return False
    if A.indices is B.indices and A.indptr is B.indptr:
        return True
    return np.array_equal(A.indices, B.indices) and np.array_equal(A.indptr, B.indptr)


def _with_data(A, data):
    """A matrix with these entries where A, sparse by rows, has its own."""
    return sparse.csr_array((data, A.indices, A.indptr), A.shape)


def _sum_of(A, B, factor):
    """A + factor B."""
    if _have_same_places(A, B):
        return _with_data(A, A.data + factor * B.data)
    return A + factor * B


def _sum_of_products(A, B):
    """tr(A'B) = the sum of A o B, of matrices of one shape, or of their diagonals."""
    if isinstance(A, np.ndarray):
        return float(A @ B)
    if A.format == B.format == "csr" and _have_same_places(A, B):
        return float(A.data @ B.data)
    return float(A.multiply(B).sum())
