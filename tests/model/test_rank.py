"""X of deficient rank: which columns are left out, and that the fit is that of the pseudo-inverse; what can be estimated."""

import importlib
import json
import pickle

import numpy as np
import pandas as pd
import patsy
import pytest
from helpers import BETA, CRITERION
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from lmm import LMMError, LMMprof, LMMsetup, anova, lmer, lmm, plots
from lmm.__main__ import main
from lmm.model.rank import full_rank


def cells(missing=("Cv",), seed=5):
    """Two factors, a covariate and a grouping; some cells are empty."""
    rng = np.random.default_rng(seed)
    rows = [(a, b, f"g{g}") for a in "ABC" for b in "uv" for g in range(8) for _ in range(2) if a + b not in missing]
    dat = pd.DataFrame(rows, columns=["a", "b", "g"])
    dat["x"] = rng.normal(size=len(dat))
    dat["y"] = rng.normal(size=len(dat)) + dat["g"].str[1:].astype(int) * 0.3 + (dat["a"] == "B")
    return dat.assign(z=3 * dat["x"] - 1, zero=0.0, two=2.0, cell=dat["a"] + dat["b"])


# R 4.2.2, lme4 1.1-31, of cells(): fixef(m) and logLik(m) of lmer(y ~ a * b + (1 | g), d)
LME4 = {"Intercept": 0.955599303635, "a[T.B]": 0.596294230740, "a[T.C]": -0.004733662517,
        "b[T.v]": -0.296821773173, "a[T.B]:b[T.v]": 1.036070435078}


def lme4s_rows():
    """The data of that fit, whose numbers were drawn in another order."""
    rng = np.random.default_rng(5)
    rows = [(a, b, f"g{g}") for a in "ABC" for b in "uv" for g in range(8) for _ in range(2) if a + b != "Cv"]
    dat = pd.DataFrame(rows, columns=["a", "b", "g"])
    dat["y"] = rng.normal(size=len(dat)) + dat["g"].str[1:].astype(int) * 0.3 + (dat["a"] == "B") * 1.0
    return dat


def test_an_empty_cell_is_fitted_as_lme4_does():
    fit = lmer("y ~ a * b + (1 | g)", lme4s_rows())
    assert fit.dropped == ("a[T.C]:b[T.v]",) and fit.converged
    assert list(fit.params.index) == list(LME4)
    assert_allclose(fit.params, list(LME4.values()), rtol=1e-5)
    assert_allclose(fit.llf, -110.4136738, atol=1e-6)
    assert fit.npar == 7 and np.isfinite(fit.bse).all() and np.isfinite(fit.pvalues).all()


@pytest.mark.requirement("rank")
@pytest.mark.parametrize("form, dropped, zero", [
    ("y ~ a * b", ["a[T.C]:b[T.v]"], 1), ("y ~ 0 + a:b", ["a[C]:b[v]"], 1), ("y ~ x + z", ["z"], 0), ("y ~ z + x", ["x"], 0),
    ("y ~ zero + x", ["zero"], 1), ("y ~ x + two", ["two"], 0), ("y ~ two + x + zero + z", ["two", "zero", "z"], 1),
    ("y ~ 0 + zero", ["zero"], 1), ("y ~ x + I(x * (1 + 1e-10 * x))", ["I(x * (1 + 1e-10 * x))"], 0),
    ("y ~ a + cell", ["cell[T.Bv]", "cell[T.Cu]"], 0), ("y ~ x + I(1e150 * x)", ["I(1e150 * x)"], 0),
    ("y ~ x + I(1e-150 * x)", ["I(1e-150 * x)"], 0), ("y ~ a / b", ["a[C]:b[T.v]"], 1)])
def test_later_columns_are_left_out_and_named(form, dropped, zero):
    dat = cells()
    design = LMMsetup(form, dat, "g").design
    assert list(design.left_out.names) == dropped and len(design.left_out.zero) == zero
    whole = patsy.dmatrix(form.split("~")[1], dat)
    assert design.X.shape[1] == np.linalg.matrix_rank(np.asarray(whole) / np.abs(whole).max(axis=0).clip(1e-300), tol=1e-7)
    assert_allclose(design.left_out.whole(design.X), whole, rtol=1e-8, atol=1e-8)
    assert design.x_names == tuple(name for name in whole.design_info.column_names if name not in dropped)
    shuffled = LMMsetup(form, dat.sample(frac=1, random_state=1), "g").design
    assert shuffled.x_names == design.x_names and shuffled.left_out.names == design.left_out.names


@pytest.mark.requirement("rank")
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("form", ["y ~ a * b * x", "y ~ x + z + a:b", "y ~ cell + a * b"])
def test_the_fit_is_that_of_the_pseudo_inverse(form, reml, weights):
    """X beta, nll and the errors of what can be estimated, by n x n algebra on all columns."""
    dat = cells(("Cv", "Bu")).assign(w=lambda d: 1 + np.arange(len(d)) % 3)
    setup = LMMsetup(form, dat, "g", reml, weights)
    theta = [0.2, -0.1]
    value = LMMprof(theta, setup)
    X = np.asarray(patsy.dmatrix(form.split("~")[1], dat))
    Z = setup.design.blocks[0].matrix.toarray()
    w = np.ones(len(dat)) if weights is None else dat["w"]
    V = np.exp(0.4) * np.diag(1 / w) + np.exp(-0.2) * Z @ Z.T
    W = np.linalg.inv(V)
    beta = np.linalg.pinv(X.T @ W @ X, rcond=1e-12) @ X.T @ W @ dat["y"].to_numpy()
    e = dat["y"].to_numpy() - X @ beta
    kept = setup.design.X
    penalty = 0.5 * np.linalg.slogdet(kept.T @ W @ kept)[1] if reml else 0.0
    assert_allclose(value, 0.5 * np.linalg.slogdet(V)[1] + 0.5 * e @ W @ e + penalty, rtol=1e-10)
    assert_allclose(kept @ value.beta, X @ beta, atol=1e-9)


def test_everything_after_the_fit_is_that_of_the_model_without_the_column(tmp_path, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    dat = cells()
    fit, other = lmer("y ~ a * b + (1 | g)", dat), lmer("y ~ 0 + cell + (1 | g)", dat)
    assert_allclose(fit.llf, other.llf, atol=CRITERION) and other.dropped == ()
    assert_allclose(fit.fittedvalues, other.fittedvalues, rtol=1e-7)
    assert_allclose(fit.conf_int().loc["sd"], other.conf_int().loc["sd"], rtol=1e-5)
    assert fit.conf_int("wald").notna().all(axis=None) and fit.conf_int("t").notna().all(axis=None)
    assert fit.refit(dat["y"][::-1]).dropped == fit.update(reml=False).dropped == fit.dropped
    assert fit.update(". ~ . + x").dropped == fit.dropped and fit.update("y ~ a + b + (1 | g)").dropped == ()
    table = anova(fit.update("y ~ a + b + (1 | g)"), fit).table
    assert table.loc["m1", "df"] == 1 and table["pvalue"].notna().sum() == 1
    assert fit.bootstrap(3, seed=1).replicates.notna().all(axis=None)
    assert fit.simulate(2, seed=1).shape == (80, 2) and fit.leverage.sum() > 5
    again = pickle.loads(pickle.dumps(fit))
    assert again.dropped == fit.dropped
    assert_allclose(again.predict(dat), fit.fittedvalues, rtol=1e-10)
    for draw in plots.panels, plots.shrinkage, plots.caterpillar, plots.residuals:
        draw(fit)
    importlib.import_module("matplotlib.pyplot").close("all")
    dat.to_csv(tmp_path / "d.csv", index=False)
    assert main(["fit", "y ~ a * b + (1 | g)", str(tmp_path / "d.csv"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["dropped"] == ["a[T.C]:b[T.v]"] and "a[T.C]:b[T.v]" not in printed["beta"]


def test_what_is_left_out_is_printed_under_the_table():
    fit = lmm("y ~ a * b + x + z", cells(), "g")
    lines = ["Left out, zero in every row: a[T.C]:b[T.v]", "Left out, a combination of columns before it: z"]
    for shown in (fit, fit.summary()):
        text = str(shown)
        assert "\n".join(lines) in text and text.index(lines[0]) > text.index(" a[T.B]:b[T.v] ")
        assert all(f"<p>{line}</p>" in shown._repr_html_() for line in lines)
    assert "Left out" not in str(lmm("y ~ a + b", cells(), "g"))
    only = lmm("y ~ 0 + zero", cells(), "g")
    assert "Left out, zero in every row: zero" in str(only) and len(only.params) == 0


@pytest.mark.parametrize("form", ["y ~ a * b", "y ~ a / b", "y ~ 0 + a:b", "y ~ cell + a * b", "y ~ a * b * x"])
def test_what_the_data_cannot_tell_is_an_error_of_predict(form):
    dat = cells()
    fit = lmm(form, dat, "g")
    new = dat.iloc[[0, 20, 40, 70]]
    assert_allclose(fit.predict(new), fit.fittedvalues[new.index], rtol=1e-9)
    empty = new.assign(a="C", b=["u", "u", "v", "u"], cell=["Cu", "Cu", "Cu", "Cu"])
    for options in ({}, {"random": False}, {"interval": "confidence"}, {"interval": "prediction", "random": False}):
        with pytest.raises(LMMError, match=r"the mean of row 2 of newdata, counted from 0, cannot be estimated: '.*' was left out of X"):
            fit.predict(empty, **options)
    assert fit.predict(empty.drop(index=new.index[2])).notna().all()
    assert fit.predict(empty.assign(a=["C", "C", None, "C"])).isna().tolist() == [False, False, True, False]


def test_a_multiple_can_be_predicted_where_it_stays_one():
    dat = cells()
    fit, right = lmm("y ~ x + z", dat, "g"), lmm("y ~ x", dat, "g")
    new = dat.head(3).assign(x=[10.0, -4.0, 0.0]).assign(z=lambda d: 3 * d["x"] - 1)
    assert_allclose(fit.predict(new), right.predict(new), rtol=1e-9)
    with pytest.raises(LMMError, match="the mean of row 1 of newdata, counted from 0, cannot be estimated: 'z' was left out of X"):
        fit.predict(new.assign(z=[29.0, 5.0, -1.0]))
    flat = lmm("y ~ x + zero", dat, "g")
    assert_allclose(flat.predict(new), right.predict(new), rtol=1e-9)
    with pytest.raises(LMMError, match="'zero' was left out"):
        flat.predict(new.assign(zero=1.0))


@pytest.mark.parametrize("seed", range(40))
def test_estimability_is_that_of_the_row_space(seed):
    rng = np.random.default_rng(seed)
    n, K = rng.integers(6, 30), rng.integers(2, 9)
    X = rng.integers(-1, 2, (n, K)) * rng.choice([1.0, 1e-3, 1e4], K)
    names = [f"x{j}" for j in range(K)]
    if np.linalg.matrix_rank(X) >= n:
        with pytest.raises(LMMError, match=r"for .* observations; it takes more observations than fixed effects"):
            full_rank(X, names)
        return
    reduced, kept, left_out = full_rank(X, names)
    scale = np.abs(X).max(axis=0)
    scale[scale == 0] = 1
    rank = np.linalg.matrix_rank(X / scale)
    assert reduced.shape[1] == rank == len(kept) and len(left_out.names) == K - rank
    ranks = [0, *(np.linalg.matrix_rank(X[:, : j + 1] / scale[: j + 1]) for j in range(K))]
    assert kept == tuple(names[j] for j in range(K) if ranks[j + 1] > ranks[j])
    assert_allclose(left_out.whole(reduced), X, atol=1e-12 * np.abs(X).max())
    new = np.vstack([rng.integers(-1, 2, (20, K)) * scale, rng.normal(size=(20, n)) @ X])
    rows = np.linalg.svd(X / scale)[2][:rank]
    outside = np.linalg.norm(new / scale - new / scale @ rows.T @ rows, axis=1)
    assert_array_equal(left_out.not_estimable(new).any(axis=1), outside > 1e-8)


def test_rank_not_the_number_of_columns_is_held_against_the_rows():
    dat = cells().iloc[::8].assign(row=lambda d: [f"r{i}" for i in range(len(d))])
    assert len(dat) == 10
    many = "y ~ a * b + x + z + zero + two + I(2 * x) + I(3 * x)"             # 12 columns, of rank 6
    assert LMMsetup(many, dat).design.X.shape == (10, 6)
    with pytest.raises(LMMError, match="X has 11 columns, 10 of them independent, for 10 observations; it takes more observations"):
        LMMsetup("y ~ row + x", dat)


def test_matrices():
    dat = cells()
    X = np.column_stack([np.ones(80), dat["x"], dat["z"], np.zeros(80)])
    Z = pd.get_dummies(dat["g"])
    right = lmm(dat["y"], X[:, :2], {"g": Z})
    for given, names in ((X, ("x2", "x3")), (sparse.csr_array(X), ("x2", "x3")), (pd.DataFrame(X, columns=list("abcd")), ("c", "d"))):
        fit = lmm(dat["y"], given, {"g": Z})
        assert fit.dropped == names and fit.setup.design.left_out.zero == names[1:]
        assert_allclose(fit.beta, right.beta, rtol=BETA)
        assert_allclose(fit.nll, right.nll, rtol=1e-12)


def test_the_engine_for_many_levels():
    rng = np.random.default_rng(3)
    dat = pd.DataFrame({"g": rng.integers(0, 150, 600).astype(str), "a": rng.choice(list("ABC"), 600), "b": rng.choice(list("uv"), 600)})
    dat["g"] = "g" + dat["g"]
    dat["y"] = rng.normal(size=600) + dat["g"].str[1:].astype(int) / 50
    dat = dat[dat["a"] + dat["b"] != "Bu"]
    fit, other = lmer("y ~ a * b + (1 | g)", dat), lmer("y ~ 0 + a:b + (1 | g)", dat)
    assert fit.setup.engine.name == "blocked" and fit.dropped == ("a[T.B]:b[T.v]",)
    assert_allclose(fit.llf - other.llf, 0.5 * np.linalg.slogdet(fit.cov_params())[1] - 0.5 * np.linalg.slogdet(other.cov_params())[1],
                    atol=1e-6)
    assert_allclose(fit.sd, other.sd, rtol=1e-6)
