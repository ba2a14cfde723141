"""Fits from chunks are those of one frame, whatever the chunks are; and what is wrong in one is named."""

import gzip
import sqlite3
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import crossed
from numpy.testing import assert_allclose

from lmm import (
    LMMError,
    LMMprof,
    LMMsetup,
    anova,
    combine,
    compare_table,
    drop1,
    lmer,
    lmm,
    load_data,
    models,
    ranova,
)
from lmm.chunks.sources import csv_parts, is_chunks, merged_in_pairs, source_of_chunks
from lmm.engines import cells_of, merged_cells
from lmm.engines.summary import Cells

MACHINES = "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)"
DAYS = "Reaction ~ Days + (Days | Subject)"


def chunked(dat, k, seed=None):
    """A function that gives the frame in k chunks, every k-th row each; in any order of chunks."""
    order = np.arange(k) if seed is None else np.random.default_rng(seed).permutation(k)
    return lambda: (dat.iloc[i::k] for i in order)


def same(fit, expected, rtol=1e-9):
    """That a fit has the numbers of another: the criterion to 1e-12, estimates to 1e-9."""
    assert abs(fit.nll - expected.nll) <= 1e-12 * max(1, abs(expected.nll))
    assert_allclose(fit.theta, expected.theta, rtol=rtol, atol=rtol)
    assert_allclose(fit.params, expected.params, rtol=rtol, atol=rtol * expected.sigma)
    assert_allclose(fit.bse, expected.bse, rtol=rtol)
    assert list(fit.params.index) == list(expected.params.index)
    assert fit.nobs == expected.nobs and fit.converged == expected.converged


# -- the same numbers -------------------------------------------------------------------------------------------

SHIPPED = [name for name in models().index if name != "InstEval"]        # that is in tests/benchmarks


@pytest.mark.requirement("chunks")
@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("reml", [False, True])
def test_shipped_data_in_any_chunks(name, reml):
    dat = load_data(name)
    form = models().loc[name, "lmer"]
    expected = lmer(form, dat, reml=reml)
    most = min(len(dat) // 3, 100) if reml else len(dat) // 3
    for k in (1, 2, 7, most):
        same(lmer(form, chunked(dat, k, seed=k), reml=reml), expected)


def test_the_practicals_own_call():
    dat = load_data("Machines")
    ref = ["Worker", ["Worker", "Machine"]]
    same(lmm("score ~ Machine", chunked(dat, 4), ref), lmm("score ~ Machine", dat, ref))
    setup = LMMsetup("score ~ Machine", chunked(dat, 4), ref)
    theta = [-0.039181011, 1.473499526, 1.222902944]
    assert_allclose(LMMprof(theta, setup), 63.01204267, rtol=1e-9)


def harder():
    """Rows that lack a value, weights, an offset, a factor in the formula, several effects of a level."""
    dat = crossed((9, 7, 3), 150, seed=6)
    rng = np.random.default_rng(5)
    dat = dat.assign(w=rng.uniform(0.2, 4, 150), o=rng.normal(size=150), f=rng.choice(list("uvw"), 150))
    dat.loc[[4, 77], "x"] = np.nan
    dat.loc[100, "f"] = np.nan
    return dat


FORMULAS = {
    "slopes": ("y ~ x + (x | a)", {}),
    "slopes and crossed": ("y ~ x + f + (x | a) + (1 | b)", {}),
    "independent": ("y ~ x * f + (x || a)", {}),
    "a factor's effects": ("y ~ x + (0 + f | a)", {}),
    "compound symmetry": ("y ~ x + cs(0 + f | a)", {}),
    "a slope alone": ("y ~ x + (0 + x | a) + (1 | b)", {}),
    "three": ("y ~ x + (1 | a) + (1 | b) + (1 | c)", {}),
    "weights and offset": ("y ~ x + (x | a)", {"weights": "w", "offset": "o"}),
    "an offset in the formula": ("y ~ x + offset(2 * o) + (1 | a)", {}),
    "functions": ("np.exp(y / 9) ~ np.log(x + 9) + I(x ** 2) + (1 | a)", {}),
    "no constant": ("y ~ 0 + f + (1 | a)", {}),
    "interactions as levels": ("y ~ x + (1 | a:f) + (1 | b)", {}),
    "columns that others make": ("y ~ x + I(2 * x) + (1 | a)", {}),
}


@pytest.mark.requirement("chunks")
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("model", FORMULAS)
def test_models_of_all_kinds(model, reml):
    form, given = FORMULAS[model]
    dat = harder()
    expected = lmer(form, dat, reml=reml, **given)
    for k in (2, 11):
        fit = lmer(form, chunked(dat, k, seed=k), reml=reml, **given)
        same(fit, expected, rtol=1e-7)
        assert fit.n_dropped == expected.n_dropped and fit.dropped == expected.dropped


@pytest.mark.parametrize("engine", ["dense", "blocked"])
def test_both_engines(engine):
    dat = load_data("Penicillin")
    form = "diameter ~ 1 + (1 | plate) + (1 | sample)"
    same(lmer(form, chunked(dat, 5), engine=engine), lmer(form, dat))


@pytest.mark.parametrize("shift", [1e6, -1e6])
def test_large_means_cost_no_digits(shift):
    """The criterion is as exact as that of one frame, whose y has the digits of 1e6 alone."""
    dat = harder().dropna()
    dat["y"] = dat["y"] + shift
    dat["x"] = dat["x"] + shift
    expected = lmer("y ~ x + (1 | a) + (1 | b)", dat)
    fit = lmer("y ~ x + (1 | a) + (1 | b)", chunked(dat, 6))
    assert abs(fit.nll - expected.nll) < 1e-11 * abs(expected.nll)
    assert_allclose(fit.params, expected.params, rtol=1e-7)
    assert_allclose(fit.theta, expected.theta, atol=1e-7)


def test_levels_are_those_of_one_frame():
    """Text and numbers are sorted, categories keep the order that all chunks have in common."""
    dat = load_data("Machines")
    dat["Worker"] = dat["Worker"].astype(int)
    fit = lmer(MACHINES, chunked(dat, 3, seed=1))
    assert list(fit.ranef()["Worker"].index) == [1, 2, 3, 4, 5, 6]
    dat["Machine"] = pd.Categorical(dat["Machine"], ["C", "A", "B", "Z"])
    expected = lmer(MACHINES, dat)
    assert list(lmer(MACHINES, chunked(dat, 3)).params.index) == list(expected.params.index)

    def of_their_own():
        for i in range(4):
            part = dat.iloc[i::4].copy()
            part["Machine"] = part["Machine"].astype(str).astype("category")
            part["Worker"] = pd.Categorical(part["Worker"])
            yield part

    text = lmer(MACHINES, dat.assign(Machine=dat["Machine"].astype(str)))
    same(lmer(MACHINES, of_their_own), text)


def test_chunks_without_rows_are_passed_over():
    dat = load_data("sleepstudy")

    def chunks():
        yield dat.iloc[:0]
        yield dat.iloc[:70]
        yield dat.iloc[70:80].assign(Reaction=np.nan)
        yield dat.iloc[80:]

    same(lmer(DAYS, chunks), lmer(DAYS, pd.concat([dat.iloc[:70], dat.iloc[80:]])))


# -- where chunks come from -------------------------------------------------------------------------------------

@pytest.fixture
def files(tmp_path):
    """sleepstudy in three files."""
    dat = load_data("sleepstudy")
    names = []
    for i in range(3):
        names.append(tmp_path / f"part{i}.csv")
        dat.iloc[60 * i : 60 * (i + 1)].to_csv(names[-1], index=False)
    return dat, names


def test_files(files, tmp_path):
    dat, names = files
    dat["Subject"] = dat["Subject"].astype(int)
    expected = lmer(DAYS, dat)
    same(lmer(DAYS, names), expected)
    same(lmer(DAYS, [str(name) for name in names[::-1]]), expected)
    same(lmer(DAYS, str(tmp_path / "part*.csv")), expected)
    with gzip.open(tmp_path / "all.csv.gz", "wt") as file:
        dat.to_csv(file, index=False)
    same(lmer(DAYS, [tmp_path / "all.csv.gz"]), expected)
    dat.to_csv(tmp_path / "all.tsv", sep="\t", index=False)
    same(lmer(DAYS, [tmp_path / "all.tsv"]), expected)


def test_a_file_is_read_in_parts(files, monkeypatch):
    _, names = files
    monkeypatch.setattr("lmm.chunks.sources.ROWS", 25)
    assert [len(part) for part in csv_parts(str(names[0]))] == [25, 25, 10]


def test_parquet(files, tmp_path):
    pytest.importorskip("pyarrow")
    dat, _ = files
    dat.to_parquet(tmp_path / "all.parquet", row_group_size=50)
    same(lmer(DAYS, [tmp_path / "all.parquet"]), lmer(DAYS, dat))


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "all.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LMMError, match=r"read by pyarrow; install it, pip install 'lmm\[distributed\]'"):
        lmer(DAYS, [tmp_path / "all.parquet"])


def test_a_query(files):
    dat, _ = files
    with sqlite3.connect(":memory:") as connection:
        dat.assign(Subject=dat["Subject"].astype(str)).to_sql("sleep", connection, index=False)

        def chunks():
            return pd.read_sql("select * from sleep", connection, chunksize=40)

        same(lmer(DAYS, chunks), lmer(DAYS, dat))
    connection.close()


def test_what_are_chunks_and_what_are_none():
    dat = load_data("sleepstudy")
    assert is_chunks(["a.csv", "b.csv.gz"]) and is_chunks("data/*.parquet") and is_chunks(lambda: [dat])
    for none in (dat, "a.csv", "Machines", [{"a": 1}], [1, 2], [], {"a": [1]}, dat.to_records(), None):
        assert not is_chunks(none)


def test_pairs_are_merged_as_a_tree():
    """A few are held at a time, and the order is kept."""
    assert merged_in_pairs(map(str, range(11)), lambda a, b: a + b) == "012345678910"
    assert merged_in_pairs([], max) is None


# -- the sums ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("c", [1, 2, 3])
def test_rows_that_stand_for_others_have_their_cross_products(c):
    """Z'Z, Z'U and U'U, Z having the effects' values in the columns of the cells, in any order of merging."""
    rng = np.random.default_rng(c)
    n, size, m = 200, 40, 4
    keys = rng.integers(0, size, n)
    E = [np.ones(n), rng.normal(size=n), rng.integers(0, 2, n) * 1.0][:c]
    U = rng.normal(size=(n, m))

    def products(E, U, place):
        Z = np.zeros((len(U), size * c))
        for j in range(c):
            Z[np.arange(len(U)), size * j + place] = E[:, j]
        both = np.column_stack([Z, U])
        return both.T @ both

    expected = products(np.column_stack(E), U, keys)
    for size_given in (size, 10**9):                        # a place for each cell, or keys
        parts = []
        for rows in np.array_split(rng.permutation(n), 7):
            parts.append(cells_of(keys[rows], size_given, [e[rows] for e in E], U[rows]))
        for order in (parts, parts[::-1]):
            cells = merged_in_pairs(order, merged_cells)
            assert isinstance(cells, Cells) and cells.n == n
            of_effects, of_U, place = cells.rows()
            assert_allclose(products(of_effects, of_U, cells.keys[place]), expected, rtol=1e-11, atol=1e-11)


# -- what is asked of the fit -----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def pair():
    """A fit of one frame, and of chunks."""
    rng = np.random.default_rng(0)
    dat = load_data("MachinesUnbalanced")
    dat = dat.assign(x=rng.normal(size=len(dat)))
    form = "score ~ Machine * x + (1 | Worker) + (1 | Worker:Machine)"
    return dat, lmer(form, dat), lmer(form, chunked(dat, 5))


def numbers(value):
    """All numbers of a table, a dict of them, or an array."""
    if isinstance(value, dict):
        return np.concatenate([numbers(one).ravel() for one in value.values()])
    value = getattr(value, "table", value)
    if isinstance(value, pd.DataFrame):
        value = value.select_dtypes("number")
    return np.asarray(value, float)


ASKED = {
    "df": lambda fit, dat: fit.df,
    "p-values": lambda fit, dat: fit.pvalues,
    "errors of sds": lambda fit, dat: fit.sd_se,
    "icc": lambda fit, dat: fit.icc(),
    "ranef": lambda fit, dat: fit.ranef(),
    "coef": lambda fit, dat: fit.coef(),
    "intervals": lambda fit, dat: fit.conf_int(),
    "profile": lambda fit, dat: fit.profile().conf_int() if hasattr(fit.profile(), "conf_int") else fit.profile(),
    "type 1": lambda fit, dat: anova(fit, type=1),
    "type 2": lambda fit, dat: anova(fit, type=2),
    "type 3": lambda fit, dat: anova(fit, type=3),
    "kr": lambda fit, dat: anova(fit, df="kr"),
    "drop1": lambda fit, dat: drop1(fit),
    "ranova": lambda fit, dat: ranova(fit),
    "means": lambda fit, dat: fit.means("Machine"),
    "pairs": lambda fit, dat: fit.means("Machine").pairs(),
    "slopes": lambda fit, dat: fit.slopes("x", "Machine"),
    "contrast": lambda fit, dat: fit.contrast("x"),
    "predictions": lambda fit, dat: fit.predict(dat.iloc[:9]),
    "their intervals": lambda fit, dat: fit.predict(dat.iloc[:9], interval="prediction"),
    "another criterion": lambda fit, dat: fit.update(reml=False).llf,
    "less fixed": lambda fit, dat: fit.update(". ~ . - Machine:x").params,
    "less random": lambda fit, dat: fit.update(". ~ . - (1 | Worker:Machine)").theta,
    "two models": lambda fit, dat: anova(fit, fit.update(". ~ . - Machine:x")),
    "theta's errors": lambda fit, dat: fit.cov_theta(),
    "glance": lambda fit, dat: fit.glance(),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_is_asked_of_a_fit(pair, what):
    dat, whole, fit = pair
    expected = numbers(ASKED[what](whole, dat))
    assert_allclose(numbers(ASKED[what](fit, dat)), expected, rtol=1e-6, atol=1e-9)


def test_means_that_count_rows():
    """By the rows of each combination of levels, which the survey has counted."""
    dat = harder().dropna()
    form = "y ~ f + b + x + (1 | a)"
    whole, fit = lmer(form, dat), lmer(form, chunked(dat, 4))
    for weights in ("equal", "proportional", "cells"):
        expected = numbers(whole.means("f", weights=weights))
        assert_allclose(numbers(fit.means("f", weights=weights)), expected, rtol=1e-8)
    assert not np.allclose(numbers(whole.means("f", weights="cells")), numbers(whole.means("f")))


def test_a_term_that_dwarfs_sigma():
    """Without a constant a term has the mean, and the model is set up again around its optimum."""
    dat = harder().dropna()
    dat["y"] = dat["y"] + 1e3
    for form in ("y ~ 0 + (1 | a) + (1 | b)", "y ~ 0 + x + (x | a)"):
        expected = lmer(form, dat)
        fit = lmer(form, chunked(dat, 5))
        assert abs(fit.nll - expected.nll) < 1e-9 * abs(expected.nll)
        assert_allclose(fit.theta, expected.theta, rtol=1e-5, atol=1e-6)


def test_new_rows_where_columns_are_left_out(tmp_path):
    """x is a function of f in the data, so its column is left out; rows that are made up do not know it."""
    dat = harder().dropna()
    dat["x"] = pd.factorize(dat["f"], sort=True)[0].astype(float)
    whole, fit = lmer("y ~ f + x + (1 | a)", dat), lmer("y ~ f + x + (1 | a)", chunked(dat, 4))
    fit.setup.save(tmp_path / "sums.npz")
    for one in (fit, combine([tmp_path / "sums.npz"])):
        assert one.dropped == ("x",)
        assert_allclose(one.predict(dat.iloc[:7]), whole.predict(dat.iloc[:7]), rtol=1e-8)
        with pytest.raises(LMMError, match="cannot be estimated"):
            one.predict(dat.iloc[:3].assign(x=7.0))


def test_no_random_effects():
    dat = load_data("Machines")
    same(lmm("score ~ Machine", chunked(dat, 3)), lmm("score ~ Machine", dat))


def test_what_is_printed(pair):
    _, whole, fit = pair
    assert str(fit) == str(whole)
    assert "Scaled residuals" not in str(fit.summary()) and "Scaled residuals" in str(whole.summary())
    assert "x" in str(compare_table(fit))


@pytest.mark.parametrize("what", [
    lambda fit: fit.fittedvalues, lambda fit: fit.resid, lambda fit: fit.resid_scaled, lambda fit: fit.leverage,
    lambda fit: fit.cooks_distance, lambda fit: fit.predict(), lambda fit: fit.simulate(2), lambda fit: fit.r2(),
    lambda fit: fit.bootstrap(3), lambda fit: fit.refit(np.ones(44)), lambda fit: fit.refit(np.ones((44, 2))),
    lambda fit: fit.influence("Worker"), lambda fit: fit.robust_cov("Worker"), lambda fit: fit.augment(),
    lambda fit: fit.align(np.ones(44)), lambda fit: fit.model_matrix(),
])
def test_what_needs_rows_says_so(pair, what):
    *_, fit = pair
    with pytest.raises(LMMError, match="was made from chunks, whose rows are not kept"):
        what(fit)


def test_a_proof_is_open(pair):
    *_, fit = pair
    assert "the rows are not kept" in fit.prove().reason


def test_smaller_models_are_of_the_same_rows(pair):
    dat, _, fit = pair
    less = fit.update(". ~ . - Machine:x")
    assert less.setup.design.source is fit.setup.design.source
    other = lmer("score ~ Machine + x + (1 | Worker)", chunked(dat, 3))
    with pytest.raises(LMMError, match=r"made from chunks, by passes of their own"):
        anova(other, fit)
    same(fit.update("score ~ Machine + (1 | Worker)", dat=chunked(dat, 2)), lmer("score ~ Machine + (1 | Worker)", dat))
    for form, words in (
        (". ~ . + I(x ** 2)", r"the column of X 'I\(x \*\* 2\)' is none of those that are known"),
        (". ~ . + (1 | Machine)", None),
        (". ~ . + (x | Worker)", "the random effect 'x' of"),
        ("x ~ . ", "'x' is not known, a response"),
    ):
        if words is None:
            fit.update(". ~ Machine + (1 | Machine:Worker)")
        else:
            with pytest.raises(LMMError, match=words):
                fit.update(form)


def test_residuals_go_over_chunks_again(pair):
    dat, whole, fit = pair
    missing = dat.copy()
    missing.loc[missing.index[3], "x"] = np.nan
    parts = list(fit.residuals(chunked(missing, 4)))
    found = pd.concat(parts)
    assert len(parts) == 4 and len(found) == len(dat) - 1
    assert_allclose(found, whole.resid[found.index], atol=1e-9)
    assert whole.residuals().equals(whole.resid)
    with pytest.raises(LMMError, match="rows are not kept"):
        fit.residuals()


# -- what is wrong in a chunk -----------------------------------------------------------------------------------

def spoiled(number, change, passes=None):
    """sleepstudy in four chunks, of which one is changed; in some passes alone."""
    dat = load_data("sleepstudy")
    count = iter(range(100))

    def chunks():
        now = next(count)
        for i in range(4):
            part = dat.iloc[i::4]
            yield change(part.copy()) if i == number and (passes is None or now in passes) else part

    return chunks


def of_another_level(part):
    part["Subject"] = part["Subject"].astype(object)
    part.iloc[0, part.columns.get_loc("Subject")] = "new"
    return part


WRONG = {
    "a column that is missing": (spoiled(2, lambda part: part.drop(columns="Days")), "in chunk 2: .*no column 'Days'"),
    "text for numbers": (
        spoiled(1, lambda part: part.assign(Days=part["Days"].astype(str))), "column 'Days' holds .* in one chunk"),
    "an infinite value": (spoiled(3, lambda part: part.assign(Days=np.inf)), "in chunk 3: column 'Days' is inf"),
    "a level in a later pass": (
        spoiled(2, of_another_level, {2}), "in chunk 2: column 'Subject' has a level that was not there before, 'new'"),
    "rows in a later pass": (
        spoiled(0, lambda part: part.iloc[1:], {2}), "had 180 rows in the first pass and 179 in another"),
    "no frame": (spoiled(1, lambda part: 3), "in chunk 1: the chunk is of type int"),
    "an iterator": (iter([load_data("sleepstudy")]), "dat is an iterator, which can be passed over once"),
    "no rows": (lambda: [load_data("sleepstudy").iloc[:0]], "dat has no chunk with rows"),
    "nothing but missing": (
        lambda: [load_data("sleepstudy").assign(Reaction=np.nan)], "no chunk has a row without a missing value"),
    "a constant": (lambda: [load_data("sleepstudy").assign(Reaction=2.0)], "is constant"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case):
    chunks, words = WRONG[case]
    with pytest.raises(LMMError, match=words):
        lmer(DAYS, chunks)


def test_an_iterator_that_was_used_up():
    once = iter([load_data("sleepstudy")])
    with pytest.raises(LMMError, match="the same iterator again"):
        lmer(DAYS, lambda: once)
    used = [load_data("sleepstudy").iloc[i::2] for i in range(2)]

    def left():
        while used:
            yield used.pop()

    with pytest.raises(LMMError, match=r"no chunk has a row|had .* rows in the first pass and|no chunk with rows"):
        lmer(DAYS, left)


@pytest.mark.parametrize("form", ["Reaction ~ center(Days) + (1 | Subject)", "Reaction ~ poly(Days, 2) + (1 | Subject)",
                                  "Reaction ~ Days + (scale(Days) | Subject)", "Reaction ~ bs(Days) + (1 | Subject)",
                                  "Reaction ~ I(Days - np.mean(Days)) + (1 | Subject)"])
def test_functions_of_all_rows_are_refused(form):
    with pytest.raises(LMMError, match="values depend on all rows"):
        lmer(form, chunked(load_data("sleepstudy"), 3))


@pytest.mark.parametrize("call, words", [
    (lambda: lmer(DAYS, ["nowhere.csv"]), "there is no file 'nowhere.csv'"),
    (lambda: lmer(DAYS, "nowhere/*.csv"), "no file is called 'nowhere"),
    (lambda: lmer(DAYS, chunked(load_data("sleepstudy"), 2), weights=np.ones(180)), "of chunks it is the name of a col"),
    (lambda: lmer("Reaction ~ Days + (1 | Nobody)", chunked(load_data("sleepstudy"), 2)), "'Nobody', which is not a col"),
    (lambda: lmer("Reaction ~ Days", chunked(load_data("sleepstudy"), 2)), "no random effects"),
    (lambda: lmm("Reaction ~ Days", chunked(load_data("sleepstudy"), 2), ["Reaction"]), "is the response"),
])
def test_bad_arguments(call, words):
    with pytest.raises(LMMError, match=words):
        call()


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "a.csv").write_text("Reaction,Days,Subject\n1,2\n3,4,5,6,7\n")
    with pytest.raises(LMMError, match="cannot be read"):
        lmer(DAYS, [tmp_path / "a.csv"])


def test_too_many_cells_are_refused_before_the_second_pass(monkeypatch):
    monkeypatch.setattr("lmm.chunks.passes.memory", lambda: 1e-6)
    passes = []
    dat = load_data("sleepstudy")

    def chunks():
        passes.append(1)
        yield dat

    with pytest.raises(LMMError, match="combinations of levels may be met, which need"):
        lmer(DAYS, chunks)
    assert len(passes) == 2                             # a first look, and the survey


def test_ctrl_c_leaves_nothing_behind():
    dat = load_data("sleepstudy")
    closed = []

    def chunks():
        try:
            yield dat.iloc[:90]
            raise KeyboardInterrupt
        finally:
            closed.append(1)

    with pytest.raises(KeyboardInterrupt):
        lmer(DAYS, chunks)
    assert closed


def test_the_callers_frames_are_left_as_they_are():
    dat = load_data("sleepstudy")
    before = dat.copy()
    lmer(DAYS, lambda: [dat])
    pd.testing.assert_frame_equal(dat, before)


def test_three_passes_and_a_first_look():
    passes = []
    dat = load_data("sleepstudy")

    def chunks():
        passes.append(1)
        yield dat

    lmer(DAYS, chunks)
    assert len(passes) == 4
    assert source_of_chunks(chunks).first() is dat
