"""Traces of products of the matrices that V is linear in, by sparse algebra."""

import numpy as np

from .unstructured import Unstructured


def orthonormal(matrices):
    """Sparse matrices of one shape, made orthonormal one after the other by tr(A'B)."""
    done = []
    for Z in matrices:
        for _ in range(2):                                          # twice is enough
            for other in done:
                Z = Z - other * float(other.multiply(Z).sum())
        done.append(Z / np.sqrt(float(Z.multiply(Z).sum())))
    return done


def linear_parts(design):
    """(Z_i, Z_j), weighted, for each entry of psi; effects with any covariance made orthonormal.

    What an unstructured covariance can be does not depend on the basis of its effects; of the others it does.
    """
    covariance = design.covariance
    Z = []
    for one, span in zip(covariance.structures, covariance.spans):
        matrices = [design.weighted(block.matrix) for block in design.blocks[span]]
        Z += orthonormal(matrices) if isinstance(one, Unstructured) else matrices
    return [(Z[i], Z[j]) for i, j in covariance.entries.pairs]


def trace_products(some, others, n):
    """tr(V_a V_b) for each a and b of two lists, see `trace_product`."""
    return np.array([[trace_product(a, b, n) for b in others] for a in some]).reshape(len(some), len(others))


def trace_product(a, b, n):
    """tr(V_a V_b), V_a being Z_i Z_j' + Z_j Z_i' for a = (Z_i, Z_j), Z_i Z_i' for equal ones, and I, (n, n), for Nones."""
    if b[0] is None:
        a, b = b, a
    if a[0] is None:
        return float(n) if b[0] is None else (1 if b[0] is b[1] else 2) * float(b[0].multiply(b[1]).sum())
    total = 0.0
    for i, j in {(0, 1), (1, 0)} if a[0] is not a[1] else {(0, 1)}:
        for k, m in {(0, 1), (1, 0)} if b[0] is not b[1] else {(0, 1)}:
            total += float((a[i].T @ b[k]).multiply(a[j].T @ b[m]).sum())
    return total
