"""Every number of lmerTest, pbkrtest and emmeans at polished optima: see references.json.

From R 4.2.2 with lmerTest 3.1-3, pbkrtest 0.5.2, emmeans 1.8.4 and car 3.1-1, at optima of lme4
1.1-31 that Newton steps made exact. What R has otherwise, and why:

* R's ptukey is off by up to 2.5e-7, so p-values by Tukey's method are compared to 1e-6;
* emmeans' Dunnett is an approximation: the unadjusted numbers are compared;
* lmerTest's Satterthwaite differentiates numerically, which is good for some 4e-7 of df;
* joint_tests has a rule of its own for degrees of freedom, and car's type II tests by V^-1: neither
  is what is wanted here.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import REFERENCES, reference_fit
from numpy.testing import assert_allclose

from lmm import anova, drop1, lmer, ranova

HERE = Path(__file__).parent
METHODS = {"satterthwaite": "Satterthwaite", "kr": "Kenward-Roger"}
OF_EMMEANS = {"satterthwaite": "satterthwaite", "kr": "kenward-roger", "normal": "asymptotic"}
ADJUSTMENTS = ["none", "tukey", "bonferroni", "holm", "sidak", "fdr"]
RELATIVE = 1e-7
OF_DF = {"satterthwaite": 1e-6, "kr": 1e-7, "normal": 0}


FITS = {}


@pytest.fixture(params=REFERENCES)
def case(request):
    """A case, its fit, and where its coefficients are among ours."""
    found = REFERENCES[request.param]
    if request.param not in FITS:
        FITS[request.param] = reference_fit(found)
    fit = FITS[request.param]
    names = list(fit.params.index)
    return found, fit, [names.index(name) for name in found["coefficients"]["name"]]


def rows(L, order):
    """R's rows of L in the order of our coefficients."""
    L = np.atleast_2d(np.array(L, float))
    found = np.zeros_like(L)
    found[:, order] = L
    return found


def test_covariances_and_t(case):
    case, fit, order = case
    pick = np.ix_(order, order)
    largest = np.abs(case["vcov"]).max()
    assert_allclose(fit.cov_params().to_numpy()[pick], case["vcov"], atol=RELATIVE * largest)
    adjusted = fit.cov_params(adjusted=True).to_numpy()[pick]
    assert_allclose(adjusted, case["kr"]["vcov_adj"], atol=RELATIVE * largest)
    for df, name in METHODS.items():
        wanted = case["t"][name]
        found = fit.contrast(np.eye(len(order)), df=df).iloc[order]
        for ours, theirs in {"estimate": "estimate", "se": "se", "t": "t"}.items():
            assert_allclose(found[ours], wanted[theirs], rtol=RELATIVE)
        assert_allclose(found["df"], wanted["df"], rtol=OF_DF[df])
        assert_allclose(found["pvalue"], wanted["p"], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("df", METHODS)
@pytest.mark.parametrize("type", [1, 2, 3])
def test_tests_of_terms(case, type, df):
    case, fit, _ = case
    wanted = case["anova"]["I" * type][METHODS[df]]
    table = anova(fit, type=type, df=df).table
    in_ours = [(case["in_lmm"] or {}).get(name, name) for name in wanted["term"]]
    assert len(table) == len(in_ours)
    for column, theirs in {"F": "F", "sum_sq": "SS", "mean_sq": "MS", "num_df": "NumDF"}.items():
        assert_allclose(table[column], wanted[theirs], rtol=RELATIVE)
    assert_allclose(table["den_df"], wanted["DenDF"], rtol=OF_DF[df])
    assert_allclose(table["pvalue"], wanted["p"], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("df", METHODS)
def test_terms_that_may_go(case, df):
    case, fit, _ = case
    wanted = case["drop1"][METHODS[df]]
    table = drop1(fit, df=df).table
    assert len(table) == len(wanted["term"])
    assert_allclose(table["F"], wanted["F"], rtol=RELATIVE)
    assert_allclose(table["den_df"], wanted["DenDF"], rtol=OF_DF[df])


@pytest.mark.parametrize("reduce", [True, False])
def test_random_terms(case, reduce):
    case, fit, _ = case
    wanted = case["ranova" if reduce else "ranova_whole_terms"]
    table = ranova(fit, reduce=reduce).table
    assert table["npar"].tolist() == wanted["npar"]
    assert_allclose(table["llf"], wanted["logLik"], rtol=1e-10)
    assert_allclose(table["chisq"][1:], wanted["LRT"][1:], rtol=1e-6)
    assert table["df"][1:].tolist() == wanted["Df"][1:]
    assert_allclose(table["pvalue"][1:], wanted["p"][1:], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("df", METHODS)
def test_contrasts(case, df):
    case, fit, order = case
    for one in case["contrasts"]:
        L = rows(one["L"], order)
        rhs = one["rhs"]
        together = fit.contrast(L, rhs, df=df, joint=True).iloc[0]
        wanted = one[f"{METHODS[df]} F"]
        assert_allclose(together["F"], wanted["F"], rtol=RELATIVE)
        assert_allclose(together["den_df"], wanted["DenDF"], rtol=OF_DF[df])
        if METHODS[df] in one:
            wanted = one[METHODS[df]]
            found = fit.contrast(L, rhs, df=df).iloc[0]
            for name in ("estimate", "se", "t", "lower", "upper"):
                assert_allclose(found[name], wanted[name], rtol=1e-6)
            assert_allclose(found["df"], wanted["df"], rtol=OF_DF[df])


def asked(one, case):
    """The arguments of `means` or `slopes` for R's call, and R's names of the variables."""
    of, _, by = one["specs"].lstrip("~ ").partition("|")
    of = [name.strip() for name in of.split("*")]
    by = [name.strip() for name in by.split("*") if name.strip()]
    ours = {name: name.removesuffix("_f") for name in [*of, *by]}
    return [ours[name] for name in of], [ours[name] for name in by], ours


def keyed(frame, names):
    """The rows of a table by the texts of these levels of its index."""
    levels = frame.index.to_frame(index=False)[names]
    keys = [tuple(f"{value}".removesuffix(".0") for value in row) for row in levels.to_numpy()]
    return frame.set_axis(pd.Index(keys, tupleize_cols=False))


@pytest.mark.parametrize("df", OF_EMMEANS)
def test_means_and_slopes(case, df):
    case, fit, _ = case
    for one in case["emmeans"]:
        of, by, ours = asked(one, case)
        options = {"at": one["at"], "weights": one["weights"], "df": df}
        if one["trend"]:
            found = fit.slopes(one["trend"], by=of, **options)
            estimate = "slope"
        else:
            found = fit.means(of, by or None, **options)
            estimate = "mean"
        wanted = one[OF_EMMEANS[df]]
        names = [*by, *of]
        grid = {ours[name]: values for name, values in wanted["grid"].items() if name in ours}
        keys = [tuple(f"{v}".removesuffix(".0") for v in row) for row in zip(*(grid[n] for n in names))]
        table = keyed(found.table, names).loc[keys]
        assert_allclose(table[estimate], wanted["estimate"], rtol=RELATIVE)
        assert_allclose(table["se"], wanted["SE"], rtol=RELATIVE)
        if df != "normal":
            assert_allclose(table["df"], wanted["df"], rtol=OF_DF[df])
        assert_allclose(table["lower"], wanted["lower"], rtol=1e-6, atol=1e-6)
        assert_allclose(table["upper"], wanted["upper"], rtol=1e-6, atol=1e-6)
        if "pairs" in wanted:
            compare_pairs(found, wanted["pairs"], df)
        if "trt.vs.ctrl1" in wanted:
            theirs = wanted["trt.vs.ctrl1"]
            contrasts = found.contrast("trt.vs.ctrl").table
            assert_allclose(contrasts["estimate"], theirs["estimate"], rtol=RELATIVE)
            assert_allclose(contrasts["se"], theirs["SE"], rtol=RELATIVE)


def compare_pairs(found, wanted, df):
    """All pairwise differences by all adjustments."""
    for adjust in ADJUSTMENTS:
        table = found.pairs(adjust).table
        assert_allclose(table["estimate"], wanted["estimate"], rtol=1e-6, atol=1e-12)
        assert_allclose(table["se"], wanted["SE"], rtol=RELATIVE)
        if df != "normal":
            assert_allclose(table["df"], wanted["df"], rtol=OF_DF[df])
        assert_allclose(table["t"], wanted["ratio"], rtol=1e-6, atol=1e-12)
        theirs = wanted.get(f"p_{adjust}", wanted["p_none"] if len(table) == 1 else None)
        if theirs is not None:
            assert_allclose(table["pvalue"], theirs, rtol=1e-5, atol=1e-6)
        if f"lower_{adjust}" in wanted:
            assert_allclose(table["lower"], wanted[f"lower_{adjust}"], rtol=1e-5, atol=1e-5)
            assert_allclose(table["upper"], wanted[f"upper_{adjust}"], rtol=1e-5, atol=1e-5)


# -- sixteen formulas with and without weights, as lmerTest tests them: types_in_r.json ------------

IN_R = json.loads((HERE / "types_in_r.json").read_text())
# Where a margin of a term is not in the model lmerTest tests at a reference level, which we do not;
# and for type II it takes the columns of poly for a factor: see lmm/inference/term_rows.py.
OTHERWISE = {("A+A:B", 2), ("A+A:B", 3), ("x+A:x", 2), ("x+A:x", 3), ("A*poly(x,2)", 2), ("A*B-A", 2),
             ("A*B-A", 3)}


@pytest.mark.parametrize("form", dict.fromkeys(one["form"] for one in IN_R))
def test_rows_of_types_in_other_formulas(form):
    """To the tolerance of lme4's optimum, which nobody polished here."""
    dat = pd.read_csv(HERE / "types_in_r.csv")
    for weighted in (False, True):
        fit = lmer(f"y ~ {form} + (1 | g)", dat, weights="w" if weighted else None)
        for one in IN_R:
            if (one["form"], one["weighted"]) != (form, weighted):
                continue
            table = anova(fit, type=one["type"]).table
            assert table["num_df"].tolist() == np.atleast_1d(one["num_df"]).tolist()
            if (form, one["type"]) in OTHERWISE:
                continue
            assert_allclose(table["F"], np.atleast_1d(one["F"]), rtol=2e-3)
            assert_allclose(table["den_df"], np.atleast_1d(one["den_df"]), rtol=5e-3)
