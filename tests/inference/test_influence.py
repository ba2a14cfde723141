"""Refits without a level, against lme4's; robust covariances against n x n algebra."""

import numpy as np
import pandas as pd
import pytest
from helpers import REFERENCES, reference_fit
from numpy.testing import assert_allclose

from lmm import LMMError, LMMWarning, lmer, lmm, load_data

WITH_INFLUENCE = [(name, by) for name, case in REFERENCES.items() for by in case.get("influence") or ()]


@pytest.mark.parametrize("name, by", WITH_INFLUENCE)
def test_influence_is_lme4s(name, by):
    """lme4's refits stop where bobyqa does, some 1e-5 from the optimum: so do these agree."""
    case = REFERENCES[name]
    fit = reference_fit(case)
    wanted = case["influence"][by]
    found = fit.influence(by).loc[wanted["level"]]
    assert found["converged"].all()
    assert_allclose(found["cooks_distance"], wanted["cooks_distance_over_k"], rtol=3e-5)
    names = case["coefficients"]["name"]
    dfbetas = found[[f"dfbetas[{one}]" for one in names]]
    assert_allclose(dfbetas, wanted["dfbetas"], rtol=1e-4, atol=3e-5)
    residual = [row[0] for row in wanted["var_cov"]]
    assert wanted["var_cov_names"][0] == "sigma^2"
    assert_allclose(found["change[sigma]"] + fit.sigma, np.sqrt(residual), rtol=1e-4)


def test_influence_is_what_a_fit_without_the_level_says():
    dat = load_data("sleepstudy").assign(w=np.linspace(1, 2, 180), o=np.linspace(0, 9, 180))
    fit = lmer("Reaction ~ Days + (Days | Subject)", dat, weights="w", offset=dat["o"].to_numpy())
    without = dat[dat["Subject"] != "335"]
    less = lmer(
        "Reaction ~ Days + (Days | Subject)", without, weights="w", offset=without["o"].to_numpy()
    )
    found = fit.influence("Subject").loc["335"]
    d = less.beta - fit.beta
    assert_allclose(found["cooks_distance"], d @ np.linalg.inv(fit.cov_params()) @ d / 2, rtol=1e-6)
    assert_allclose(found["dfbetas[Days]"], d[1] / less.bse["Days"], rtol=1e-6)
    assert_allclose(found["change[Subject:Days]"], less.sd["Subject:Days"] - fit.sd["Subject:Days"], rtol=1e-5)


def test_levels_that_the_model_needs_are_nan():
    dat = load_data("Oats").assign(rare=lambda d: np.where(d["Block"] == "I", "yes", "no"))
    fit = lmer("Yield ~ rare + (1 | Block)", dat)
    with pytest.warns(LMMWarning, match="cannot be fitted without 'I', which is nan"):
        found = fit.influence()
    assert found.loc["I", "cooks_distance":"change[Block]"].isna().all()
    assert not found.loc["I", "converged"]
    assert found.drop("I").notna().all(axis=None)


@pytest.mark.parametrize("ask, words", [
    (lambda fit: fit.influence(), "several groupings or none: 'Block', 'Block:Variety'; name one"),
    (lambda fit: fit.influence("Plot"), "by is 'Plot', which is no grouping of the fit, 'Block'"),
    (lambda fit: fit.influence(3), "by is 3; it is the name"),
    (lambda fit: fit.robust_cov("Plot"), "by is 'Plot', which is no grouping"),
    (lambda fit: fit.robust_cov("Block", kind="HC3"), "kind is 'HC3'; it is 'CR0' or 'CR2'"),
    (lambda fit: fit.robust_cov("nitro"), "a level of 'Block' is in several clusters"),
    (lambda fit: fit.robust_cov("Block:Variety"), "a level of 'Block' is in several clusters"),
    (lambda fit: fit.robust_cov([1, 2]), r"by has shape \(2,\); it is a name, or one label"),
])
def test_what_is_refused(ask, words):
    fit = lmer("Yield ~ nitro + (1 | Block/Variety)", load_data("Oats"))
    with pytest.raises(LMMError, match=words):
        ask(fit)


def test_matrices_have_no_rows_to_leave_out():
    dat = load_data("sleepstudy")
    X = np.column_stack([np.ones(180), dat["Days"]])
    Z = pd.get_dummies(dat["Subject"]).to_numpy(float)
    fit = lmm(dat["Reaction"].to_numpy(), X, {"g": (Z, None)})
    with pytest.raises(LMMError, match="fit of matrices"):
        fit.influence()
    assert fit.robust_cov(dat["Subject"]).shape == (2, 2)


# -- robust covariances ----------------------------------------------------------------------------


def sandwich_n_by_n(fit, codes, kind):
    """The sandwich by its definition, with matrices of all rows."""
    design = fit.setup.design
    levels = [len(block.levels) for block in design.blocks]
    weights = np.ones(fit.nobs) if design.root_weights is None else design.root_weights**2
    V = fit.sigma**2 * np.diag(1 / weights)
    if design.blocks:
        Z = np.hstack([block.matrix.toarray() for block in design.blocks])
        Lambda = fit.setup.covariance.Lambda(fit.theta, levels).toarray()
        V = V + Z @ Lambda @ Lambda.T @ Z.T
    W = np.linalg.inv(V)
    X = design.X
    Phi = np.linalg.inv(X.T @ W @ X)
    H = X @ Phi @ X.T @ W
    e = design.y - design.offset - X @ fit.beta
    identity = np.eye(fit.nobs)
    meat = np.zeros_like(Phi)
    for code in np.unique(codes):
        i = np.flatnonzero(codes == code)
        A = np.eye(len(i))
        if kind == "CR2":
            D = np.linalg.cholesky(V[np.ix_(i, i)]).T
            of_residuals = (identity - H)[i] @ V @ (identity - H)[i].T
            values, vectors = np.linalg.eigh(D @ of_residuals @ D.T)
            values = np.where(values > 1e-9 * values.max(), values, np.inf)
            A = D.T @ (vectors / np.sqrt(values)) @ vectors.T @ D
        score = X[i].T @ np.linalg.inv(V[np.ix_(i, i)]) @ A @ e[i]
        meat += np.outer(score, score)
    return Phi @ meat @ Phi


FORMS = ["y ~ x + f + (x | g)", "y ~ x + (1 | g) + (1 | g:f)", "y ~ f + (1 | g)"]


@pytest.mark.parametrize("kind", ["CR0", "CR2"])
@pytest.mark.parametrize("seed", range(6))
def test_robust_covariances_against_n_by_n_algebra(seed, kind):
    rng = np.random.default_rng(seed)
    n = 70
    g = rng.integers(0, 9, n)
    dat = pd.DataFrame({
        "x": rng.normal(size=n),
        "f": np.array(list("abc"))[rng.integers(0, 3, n)],
        "g": [f"g{i}" for i in g],
        "w": rng.uniform(0.5, 2, n),
        "y": rng.normal(size=9)[g] * 2 + rng.normal(size=n),
    })
    dat["region"] = g % 4
    fit = lmer(FORMS[seed % 3], dat, weights="w" if seed % 2 else None)
    for by in ("g", "region"):
        codes = pd.factorize(dat[by])[0]
        wanted = sandwich_n_by_n(fit, codes, kind)
        assert_allclose(fit.robust_cov(by, kind), wanted, rtol=1e-10, atol=1e-10 * np.abs(wanted).max())
        assert_allclose(fit.robust_cov(dat[by], kind), fit.robust_cov(by, kind))
    found = fit.contrast("Intercept", cov=fit.robust_cov("g", kind), df=8).iloc[0]
    assert_allclose(found["se"], np.sqrt(fit.robust_cov("g", kind).loc["Intercept", "Intercept"]))


def test_without_random_effects_they_are_the_classical_ones():
    """Each row a cluster: White's HC0, and HC2, where each residual is over sqrt(1 - h)."""
    dat = load_data("sleepstudy")
    fit = lmm("Reaction ~ Days", dat)
    X = fit.setup.design.X
    bread = np.linalg.inv(X.T @ X)
    e = fit.resid.to_numpy()
    h = np.sum(X @ bread * X, axis=1)
    rows = np.arange(180)
    HC0 = bread @ (X.T * e**2) @ X @ bread
    HC2 = bread @ (X.T * (e**2 / (1 - h))) @ X @ bread
    assert_allclose(fit.robust_cov(rows, "CR0"), HC0, rtol=1e-10)
    assert_allclose(fit.robust_cov(rows, "CR2"), HC2, rtol=1e-10)
