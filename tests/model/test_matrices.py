"""Models given by matrices: y, X and the blocks of Z."""

import pickle

import numpy as np
import pandas as pd
import pytest
from helpers import LINEAR_ALGEBRA, crossed, oracle, vector_oracle
from numpy.testing import assert_allclose
from scipy import sparse

from lmm import LMMError, LMMprof, LMMsetup, lmer, lmm, load_data
from lmm.model import codes_of

N = 50
LEVELS = np.repeat(np.arange(5), 2)


def ruby():
    """The example of the Ruby gem mixed_models: 50 rows, X = [1, 1..50], five groups of ten with an intercept and a slope each,
    their covariance [[1, 0.5], [0.5, 1]], all fixed effects and sigma 1.
    """
    rng = np.random.default_rng(2015)
    x = np.arange(1.0, N + 1)
    X, Z = np.column_stack([np.ones(N), x]), np.zeros((N, 10))
    for i in range(N):
        Z[i, 2 * (i // 10) : 2 * (i // 10) + 2] = 1, x[i]
    b = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=5).ravel()
    return X @ [1, 1] + Z @ b + rng.normal(size=N), X, Z


@pytest.mark.parametrize("reml", [False, True])
def test_the_ruby_example_both_ways(reml):
    y, X, Z = ruby()
    dat = pd.DataFrame({"y": y, "x": X[:, 1], "grp": np.repeat(np.arange(1, 6), 10)})
    by_formula = lmer("y ~ x + (x | grp)", dat, reml=reml)
    for given in (Z, sparse.csc_matrix(Z), sparse.coo_array(Z), pd.DataFrame(Z)):
        by_matrices = lmm(y, X, {"grp": (given, LEVELS, ["Intercept", "x"])}, reml=reml)
        assert abs(by_matrices.nll - by_formula.nll) < 1e-10
        assert_allclose(by_matrices.beta, by_formula.beta, rtol=1e-10)
        assert_allclose(by_matrices.setup.covariance.psi(by_matrices.theta),
                        by_formula.setup.covariance.psi(by_formula.theta), rtol=1e-10)
        assert_allclose(by_matrices.ranef(tidy=True)["estimate"], by_formula.ranef(tidy=True)["estimate"], rtol=1e-8)
    assert by_matrices.sd.index.tolist() == ["grp", "grp:x"] and by_matrices.optimum.certified


def test_columns_fall_into_levels_in_any_order():
    y, X, Z = ruby()
    first = lmm(y, X, {"grp": (Z, LEVELS)})
    order = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
    other = lmm(y, X, {"grp": (Z[:, order], np.array(list("abcdeabcde")))})
    assert abs(first.nll - other.nll) < 1e-10
    assert other.ranef()["grp"].index.tolist() == list("abcde") and other.ranef()["grp"].columns.tolist() == ["Intercept", "2"]


def test_a_block_alone_has_one_variance():
    machines = load_data("Machines")
    by_formula = lmm("score ~ Machine", machines, ["Worker", ["Worker", "Machine"]])
    design = by_formula.setup.design
    X = pd.DataFrame(design.X, columns=design.x_names)
    by_matrices = lmm(machines["score"], X, {block.name: block.matrix for block in design.blocks})
    assert_allclose(by_matrices.theta, by_formula.theta, rtol=1e-10)
    assert by_matrices.params.index.tolist() == by_formula.params.index.tolist()
    assert "Formula: score ~ Intercept + Machine[T.B] + Machine[T.C]" in str(by_matrices)
    assert_allclose(by_matrices.fittedvalues, by_formula.fittedvalues, rtol=1e-10)
    unnamed = lmm(machines["score"].to_numpy(), design.X, [block.matrix for block in design.blocks])
    assert unnamed.sd.index.tolist() == ["Z0", "Z1"]
    assert lmm(design.y, design.X).theta.shape == (1,)


def test_rows_with_several_entries():
    """Multiple membership: each row belongs to two of eight levels by halves, and a dense block of smooths."""
    rng = np.random.default_rng(3)
    members = np.zeros((40, 8))
    for row in members:
        row[rng.choice(8, 2, replace=False)] = 0.5
    smooth = rng.normal(size=(40, 4))
    X = np.column_stack([np.ones(40), rng.normal(size=40)])
    y = X @ [1, 2] + members @ rng.normal(size=8) * 2 + rng.normal(size=40)
    for blocks in ({"m": members}, {"m": members, "s": smooth}, {"s": smooth, "g": np.eye(4)[np.arange(40) % 4], "m": members}):
        setup = LMMsetup(y, X, blocks)
        for _ in range(5):
            theta = rng.normal(size=len(setup.labels))
            assert_allclose(LMMprof(theta, setup), oracle(theta, y, X, list(blocks.values()))[0], **LINEAR_ALGEBRA)
    fit = lmm(y, X, {"m": members, "s": smooth})
    Z = np.hstack([members, smooth])
    psi = np.diag(np.repeat(fit.sd.to_numpy() ** 2, [8, 4]))
    W = np.linalg.inv(Z @ psi @ Z.T + fit.sigma**2 * np.eye(40))
    assert_allclose(fit.ranef(tidy=True)["estimate"], psi @ Z.T @ W @ (y - X @ fit.beta), rtol=1e-7, atol=1e-9)
    P = W - W @ X @ np.linalg.solve(X.T @ W @ X, X.T @ W)
    assert_allclose(fit.leverage, 1 - fit.sigma**2 * np.diag(P), rtol=1e-8)
    assert fit.simulate(2, seed=1).shape == (40, 2) and fit.conf_int("profile").shape == (5, 2)
    assert_allclose(fit.refit(y + 1).beta - fit.beta, [1, 0], atol=1e-6)


def test_correlated_rows_with_several_entries():
    rng = np.random.default_rng(4)
    Z = sparse.random_array((30, 12), density=0.4, rng=rng) if hasattr(sparse, "random_array") else sparse.random(30, 12, 0.4)
    X = np.ones((30, 1))
    y = rng.normal(size=30)
    setup = LMMsetup(y, X, {"g": (Z, np.tile(np.arange(6), 2))})
    theta = np.array([0.1, 0.3, -0.4, 0.2])
    assert_allclose(LMMprof(theta, setup), vector_oracle(theta, setup)[0], **LINEAR_ALGEBRA)


def test_weights_offset_and_sparse_x():
    dat = crossed((4, 3, 2), 30, seed=1).assign(w=np.linspace(0.5, 2, 30))
    fit = lmm("y ~ x", dat, "a", weights="w", offset="x")
    design = fit.setup.design
    by_matrices = lmm(dat["y"], sparse.csr_matrix(design.X), {"a": design.blocks[0].matrix}, weights=dat["w"], offset=dat["x"])
    assert_allclose(by_matrices.nll, fit.nll, rtol=1e-12)


def test_what_needs_a_formula_says_so():
    y, X, Z = ruby()
    fit = lmm(y, X, {"grp": (Z, LEVELS)})
    with pytest.raises(LMMError, match="this is a fit of matrices, so new rows are predicted by their own"):
        fit.predict(pd.DataFrame({"x": [1.0]}))
    with pytest.raises(LMMError, match="this is a fit of matrices, which has no formula to update"):
        fit.update("y ~ 1")
    assert fit.update(reml=True).reml
    assert_allclose(fit.predict(), fit.fittedvalues)
    assert abs(pickle.loads(pickle.dumps(fit)).nll - fit.nll) == 0


BAD = [
    ((lambda y, X, Z: (y[:-1], X, Z)), "X has 50 rows for the 49 elements of y"),
    ((lambda y, X, Z: (y, X, Z[:-1])), "Z0' has 49 rows for the 50 elements of y"),
    ((lambda y, X, Z: (np.where(np.arange(N) == 3, np.nan, y), X, Z)), r"y\[3\] is nan; it takes finite numbers"),
    ((lambda y, X, Z: (y, np.where(X == 7, np.inf, X), Z)), r"X\[6, 1\] is inf"),
    ((lambda y, X, Z: (y, X, np.where(Z == 7, np.nan, Z))), "'Z0'.* is nan"),
    ((lambda y, X, Z: (["a"] * N, X, Z)), "y holds values that are no numbers"),
    ((lambda y, X, Z: (np.column_stack([y, y]), X, Z)), "y has shape"),
    ((lambda y, X, Z: (y, X, (Z, [1, 2]))), "block 'Z0' has 10 columns, and 2 levels; it takes one for each column"),
    ((lambda y, X, Z: (y, X, (Z, [1, 1, 1, *LEVELS[3:]]))), "every level has the same effects"),
    ((lambda y, X, Z: (y, X, (Z, LEVELS, ["a"]))), "block 'Z0' has 2 effects in each level, and the names 'a'"),
    ((lambda y, X, Z: (y, X, (Z,))), "block 'Z0' is a tuple of 1; the blocks of Z are a dict"),
    ((lambda y, X, Z: (y, X, Z * 0)), "block 'Z0' is zero in every row"),
    ((lambda y, X, Z: (y, X, (Z, np.zeros(10)))), "block 'Z0' has one level, so its covariance cannot be estimated"),
    ((lambda y, X, Z: (y, X, pd.Series(np.arange(N)))), r"block 'Z0' has one dimension; it is .* is pd.get_dummies\(g\)"),
    ((lambda y, X, Z: (y, X.astype(str), Z)), "X holds values that are no numbers"),
    ((lambda y, X, Z: (y, X * 1j, Z)), "X holds values that are no numbers"),
    ((lambda y, X, Z: (y, X, sparse.csr_matrix(Z * 1j))), "block 'Z0' is no matrix"),
    ((lambda y, X, Z: (y, X, Z[:, :0])), "block 'Z0' has no columns; leave it out"),
    ((lambda y, X, Z: (y, X, (Z, LEVELS[:, None]))), "block 'Z0' has 10 columns, and 0 levels"),
    ((lambda y, X, Z: (y, X, (Z, LEVELS, "ab"))), "has the names 'ab' of its effects; they are a list"),
    ((lambda y, X, Z: (pd.Series(y, range(1, 51)), pd.DataFrame(X), Z)), "the indices of y and X differ"),
    ((lambda y, X, Z: (y, X, np.eye(N))), "cannot be told apart, whatever the response"),
]


@pytest.mark.parametrize("change, words", BAD)
def test_bad_input(change, words):
    y, X, Z = change(*ruby())
    with pytest.raises(LMMError, match=words):
        lmm(y, X, [Z])


def test_more_bad_input():
    y, X, Z = ruby()
    with pytest.raises(LMMError, match="ref is of type ndarray where y and X are matrices; the blocks of Z are a dict"):
        lmm(y, X, Z)
    with pytest.raises(LMMError, match="weights is -1 in row 0"):
        lmm(y, X, {"g": Z}, weights=-np.ones(N))
    with pytest.raises(LMMError, match="cannot be told apart"):
        lmm(y, X, {"g": Z, "h": Z[:, ::-1]})
    with pytest.raises(LMMError, match="Z has two blocks of one name among 'g:2', 'g', 'g:2'; rename one of them"):
        lmm(y, X, {"g:2": Z[:, ::2], "g": (Z, LEVELS)})
    with pytest.raises(LMMError, match="X has two columns of the same name; rename all but one"):
        lmm(y, pd.DataFrame(X, columns=["x", "x"]), [Z])
    with pytest.raises(LMMError, match=r"block 'g' holds inf; it takes finite numbers"):
        lmm(y, X, {"g": sparse.csr_matrix(np.where(Z == 7, np.inf, Z))})
    with pytest.raises(LMMError, match=r"block 'g' (is no matrix|has 1 rows)"):        # scipy's vectors were rows once
        lmm(y, X, {"g": sparse.coo_array(np.ones(N))})


def test_vectors_may_be_columns():
    y, X, _ = ruby()
    expected = LMMsetup(y, X[:, 1:], {"g": np.kron(np.eye(5), np.ones((10, 1)))}).design
    design = LMMsetup(pd.DataFrame({"size": y}), X[:, 1], {"g": np.kron(np.eye(5), np.ones((10, 1)))}).design
    assert np.array_equal(design.X, expected.X) and np.array_equal(design.y, expected.y)
    assert design.response == "size" and expected.response == "y"


def test_the_level_of_each_row_is_one():
    """Smooths have no level by row; of several effects with the same levels each may lack some rows."""
    y, X, Z = ruby()
    whole = LMMsetup(y, X, {"g": (Z, LEVELS)}).design
    assert np.array_equal(codes_of(whole.blocks), np.repeat(np.arange(5), 10))
    smooth = LMMsetup(y, X, {"s": np.random.default_rng(1).normal(size=(N, 4))}).design
    with pytest.raises(LMMError, match="the rows of block 's' belong to no level, or to several, where one each is needed"):
        codes_of(smooth.blocks)


def test_pictures_of_a_fit_by_matrices():
    """Zeros of a matrix are not stored: days of 0 in the second block."""
    plots = pytest.importorskip("matplotlib") and pytest.importorskip("lmm").plots
    sleep = load_data("sleepstudy")
    one = np.kron(np.eye(18), np.ones((10, 1)))
    Z = np.hstack([one, one * sleep["Days"].to_numpy()[:, None]])
    X = pd.DataFrame({"Intercept": 1.0, "Days": sleep["Days"]})
    fit = lmm(sleep["Reaction"], X, {"Subject": (Z, [*range(18)] * 2, ["Intercept", "Days"])}, reml=True)
    same = lmer("Reaction ~ Days + (Days | Subject)", sleep)
    for draw in (plots.shrinkage, plots.pairs, plots.caterpillar, plots.residuals, plots.quantiles):
        drawn, expected = (np.ravel(draw(one))[0].lines[-1].get_xdata() for one in (fit, same))
        assert_allclose(np.sort(np.array(drawn, float)), np.sort(np.array(expected, float)), rtol=1e-6)
    assert np.size(plots.panels(fit)) >= 1                     # one panel: matrices say no covariate
    import matplotlib.pyplot as plt
    plt.close("all")


def test_the_matrices_are_not_changed():
    y, X, Z = ruby()
    copies = y.copy(), X.copy(), Z.copy()
    lmm(y, X, {"grp": (Z, LEVELS)})
    for one, other in zip((y, X, Z), copies, strict=True):
        assert np.array_equal(one, other) and one.flags.writeable
