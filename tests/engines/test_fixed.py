"""X = Q_X R_X where columns nearly are combinations of others: against fifty digits."""

import mpmath
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from lmm import LMMprof, LMMsetup, lmm, load_data
from lmm.engines import covariance_of_beta
from lmm.engines.fixed import decompose_X

N = 24


def nearly(share, seed=0):
    rng = np.random.default_rng(seed)
    x, other, third = rng.normal(size=(3, N))
    return pd.DataFrame({"x": x, "z": x + share * other, "y": rng.normal(size=N), "g": [f"g{i % 6}" for i in range(N)],
                         "w": rng.uniform(0.3, 3, N), "far": third + 1 / share})


def exact(theta, setup, w):
    """nll, beta and its errors from the definition, in fifty digits."""
    design = setup.design
    mp = mpmath.mp
    with mp.workdps(50):
        s2, t2 = (mp.exp(2 * mp.mpf(t)) for t in theta)
        Z = design.blocks[0].matrix.toarray() @ design.blocks[0].matrix.toarray().T
        V = mp.matrix(N, N)
        for i in range(N):
            for j in range(N):
                V[i, j] = t2 * float(Z[i, j]) + (s2 / mp.mpf(float(w[i])) if i == j else 0)
        L = mp.cholesky(V)
        A, b = _solve(mp, L, design.X), _solve(mp, L, design.y[:, None])
        C = A.T * A
        beta = mp.lu_solve(C, A.T * b)
        e = b - A * beta
        nll = mp.fsum(mp.log(L[i, i]) for i in range(N)) + (e.T * e)[0] / 2
        if setup.reml:
            nll += mp.log(mp.det(C)) / 2
        errors = [float(mp.sqrt((C**-1)[i, i])) for i in range(C.rows)]
        return float(nll), [float(value) for value in beta], errors


def _solve(mp, L, columns):
    found = mp.matrix(columns.tolist())
    for c in range(found.cols):
        for i in range(N):
            found[i, c] = (found[i, c] - mp.fsum(L[i, k] * found[k, c] for k in range(i))) / L[i, i]
    return found


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("form", ["y ~ x + z", "y ~ far", "y ~ far + x + z"])
@pytest.mark.parametrize("share", [1e-3, 1e-6, 1e-8])
def test_nll_and_beta_keep_their_digits(share, form, weights, reml):
    dat = nearly(share)
    setup = LMMsetup(form, dat, "g", reml, weights)
    assert setup.design.left_out.names == ()
    theta = [0.1, -0.3]
    value = LMMprof(theta, setup)
    nll, beta, errors = exact(theta, setup, np.ones(N) if weights is None else dat["w"].to_numpy())
    assert_allclose(value, nll, rtol=1e-10)
    assert np.max(np.abs(value.beta - beta) / errors) < 1e-8
    assert_allclose(np.sqrt(np.diag(covariance_of_beta(value.triangle, setup))), errors, rtol=1e-8)


def test_it_is_a_decomposition():
    design = LMMsetup("y ~ x + z + far", nearly(1e-7), "g", weights="w").design
    Q, R = decompose_X(design)
    assert_allclose(Q.T @ Q, np.eye(4), atol=1e-13)
    assert_allclose(Q @ R, design.weighted(design.X), rtol=1e-13)
    assert_allclose(R, np.triu(R))
    plain = LMMsetup("score ~ Machine", load_data("Machines")).design
    for found, numpys in zip(decompose_X(plain), np.linalg.qr(plain.X)):
        assert np.array_equal(found, numpys)


def test_a_year_is_as_good_as_the_years_since():
    rng = np.random.default_rng(1)
    dat = pd.DataFrame({"year": np.tile(np.arange(2000, 2012), 8), "g": np.repeat(list("abcdefgh"), 12)})
    dat["y"] = np.sin(dat["year"]) + rng.normal(size=96)
    dat["t"] = dat["year"] - 2000
    far, near = (lmm(f"y ~ {x} + I({x}**2) + I({x}**3)", dat, "g") for x in ("year", "t"))
    assert far.dropped == ()
    assert_allclose(far.llf, near.llf, atol=1e-9)
    assert_allclose(far.params.iloc[-1], near.params.iloc[-1], rtol=1e-7)


@pytest.mark.parametrize("near", [0.0, 1e-3, 1e-5, 1e-9])
@pytest.mark.parametrize("scale", [1.0, 1e120, 1e-120])
def test_many_columns_are_decomposed_as_well(near, scale):
    """By Cholesky's triangles where X allows it, by reflections where it does not, X'X overflows or vanishes."""
    from types import SimpleNamespace
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 14))
    if near:
        X[:, 7] = X[:, :7].sum(axis=1) + near * X[:, 7]
    X *= scale * np.geomspace(1, 1e3, 14)
    Q, R = decompose_X(SimpleNamespace(X=X, weighted=lambda rows: rows))
    assert_allclose(Q.T @ Q, np.eye(14), atol=1e-14)
    assert_allclose(Q @ R, X, rtol=1e-13, atol=1e-14 * np.abs(X).max())
    assert_allclose(np.tril(R, -1), 0, atol=1e-15 * np.abs(R).max())
