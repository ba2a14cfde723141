"""tr(V_a V_b) by sparse algebra, against the n x n matrices it never forms."""

import numpy as np
import pandas as pd
import pytest
from helpers import LINEAR_ALGEBRA
from numpy.testing import assert_allclose

from lmm.model import linear_parts, make_design, trace_product, trace_products

N = 40
IDENTITY = (None, None)


@pytest.fixture(params=[None, "w"])
def design(request):
    rng = np.random.default_rng(7)
    dat = pd.DataFrame({"y": rng.normal(size=N), "x": rng.normal(size=N), "w": rng.uniform(0.5, 2, N),
                        "g": rng.choice(list("abcde"), N), "h": rng.choice(list("uvw"), N)})
    return make_design("y ~ x + (x + I(x**2) | g) + (1 | h)", dat, weights=request.param, bars=True)


def matrix(part):
    """V_a as it is defined, (n, n)."""
    if part[0] is None:
        return np.eye(N)
    Z_i, Z_j = (Z.toarray() for Z in part)
    return Z_i @ Z_j.T + (Z_j @ Z_i.T if part[0] is not part[1] else 0)


def test_traces_of_products(design):
    parts = [IDENTITY, *linear_parts(design)]
    assert len(parts) == 1 + 6 + 1
    V = [matrix(part) for part in parts]
    expected = [[np.trace(V_a @ V_b) for V_b in V] for V_a in V]
    assert_allclose(trace_products(parts, parts, N), expected, **LINEAR_ALGEBRA)
    assert trace_product(IDENTITY, IDENTITY, N) == N
    assert trace_products(parts, [], N).shape == (8, 0)


def test_effects_of_a_term_are_orthonormal(design):
    """tr(Z_i'Z_j) = [i = j] within a term, and the span of the V_ij is as it was."""
    parts = linear_parts(design)
    Z = [part[0] for part in parts if part[0] is part[1]]
    products = [[(A.T @ B).trace() for B in Z[:3]] for A in Z[:3]]
    assert_allclose(products, np.eye(3), atol=1e-14)

    given = [design.weighted(block.matrix) for block in design.blocks[:3]]
    V = np.array([matrix((given[i], given[j])).ravel() for i in range(3) for j in range(i + 1)])
    basis = np.array([matrix(part).ravel() for part in parts[:6]])
    left = np.linalg.lstsq(basis.T, V.T, rcond=None)[0]
    assert_allclose(basis.T @ left, V.T, atol=1e-11)


def test_projected_traces_of_products(design):
    """P = I - QQ' for X's basis Q, by n x n algebra."""
    from lmm.model import projected_trace_products
    parts = [IDENTITY, *linear_parts(design)]
    Q = np.linalg.qr(design.weighted(design.X))[0]
    P = np.eye(N) - Q @ Q.T
    V = [P @ matrix(part) @ P for part in parts]
    expected = [[np.trace(V_a @ V_b) for V_b in V] for V_a in V]
    assert_allclose(projected_trace_products(parts, Q, N), expected, rtol=1e-9, atol=1e-9 * np.max(expected))
