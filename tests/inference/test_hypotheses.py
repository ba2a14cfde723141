"""Hypotheses about the fixed effects against n x n algebra; what is refused; what is shown."""

import itertools

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from lmm import (
    LMMError,
    LMMWarning,
    anova,
    drop1,
    lmer,
    lmm,
    load_data,
    ranova,
)


def random_data(seed):
    """An unbalanced design with two groupings, a factor, a covariate and weights."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(40, 90))
    g = rng.integers(0, rng.integers(5, 9), n)
    h = rng.integers(0, rng.integers(4, 7), n)
    x = rng.normal(size=n)
    f = rng.integers(0, 3, n)
    y = 3 + x * rng.normal(size=9)[g] + 2 * rng.normal(size=9)[g] + rng.normal(size=7)[h]
    return pd.DataFrame({
        "y": y + f + rng.normal(size=n) * rng.choice([0.3, 1, 3]),
        "x": x,
        "f": pd.Categorical(np.array(list("abc"))[f]),
        "g": pd.Categorical(g),
        "h": pd.Categorical(h),
        "w": rng.uniform(0.5, 3, n),
    })


FORMULAS = [
    "y ~ f + x + (1 | g)",
    "y ~ f * x + (1 | g) + (1 | h)",
    "y ~ f + x + (x | g)",
    "y ~ f + x + (x | g) + (1 | h)",
    "y ~ x + cs(0 + f | g)",
    "y ~ f + (x || g)",
]


def kenward_roger_n_by_n(fit):
    """Phi, Phi_A, P_a and the covariance of phi, as Kenward and Roger have them, with I first."""
    design, covariance = fit.setup.design, fit.setup.covariance
    X = design.weighted(design.X)
    Z = [design.weighted(block.matrix).toarray() for block in design.blocks]
    G = [np.eye(len(X))]
    for i, j in covariance.entries.pairs:
        G.append(Z[i] @ Z[i].T if i == j else Z[i] @ Z[j].T + Z[j] @ Z[i].T)
    phi = covariance.phi(fit.theta)
    W = np.linalg.inv(sum(value * part for value, part in zip(phi, G)))
    G = [sum(c * part for c, part in zip(column, G)) for column in covariance.free_parts.T]
    Phi = np.linalg.inv(X.T @ W @ X)
    WX = W @ X
    projector = W - WX @ Phi @ WX.T
    P = np.array([-WX.T @ part @ WX for part in G])
    q = len(G)
    information = np.empty((q, q))
    added = np.zeros_like(Phi)
    for a, b in itertools.product(range(q), repeat=2):
        information[a, b] = 0.5 * np.trace(projector @ G[a] @ projector @ G[b])
    A = np.linalg.pinv(information, rcond=1e-12)
    for a, b in itertools.product(range(q), repeat=2):
        Q = WX.T @ G[a] @ W @ G[b] @ WX
        added += A[a, b] * (Q - P[a] @ Phi @ P[b])
    return Phi, Phi + 2 * Phi @ added @ Phi, P, A


def kr_f(L, d, Phi, Phi_A, P, A):
    """F and its df by the traces of Theta Phi P_a Phi, Theta = L'(L Phi L')^-1 L."""
    r = len(L)
    Theta = L.T @ np.linalg.inv(L @ Phi @ L.T) @ L
    parts = [Theta @ Phi @ one @ Phi for one in P]
    A1 = sum(A[a, b] * np.trace(u) * np.trace(v)
             for (a, u), (b, v) in itertools.product(enumerate(parts), repeat=2))
    A2 = sum(A[a, b] * np.trace(u @ v)
             for (a, u), (b, v) in itertools.product(enumerate(parts), repeat=2))
    B = (A1 + 6 * A2) / (2 * r)
    g = ((r + 1) * A1 - (r + 4) * A2) / ((r + 2) * A2)
    c = np.array([g, r - g, r + 2 - g]) / (3 * r + 2 * (1 - g))
    mean = 1 / (1 - A2 / r)
    variance = 2 / r * (1 + c[0] * B) / ((1 - c[1] * B) ** 2 * (1 - c[2] * B))
    rho = variance / (2 * mean**2)
    df = 4 + (r + 2) / (r * rho - 1)
    scale = df / (mean * (df - 2))
    return scale * d @ np.linalg.solve(L @ Phi_A @ L.T, d) / r, df


@pytest.mark.requirement("kenward-roger")
@pytest.mark.parametrize("engine", ["dense", "blocked"])
@pytest.mark.parametrize("seed", range(12))
def test_kenward_and_roger_against_n_by_n_algebra(seed, engine):
    form = FORMULAS[seed % len(FORMULAS)]
    weights = "w" if seed % 4 == 1 else None
    fit = lmer(form, random_data(seed), weights=weights, engine=engine)
    assert fit.converged
    Phi, Phi_A, P, A = kenward_roger_n_by_n(fit)
    size = np.abs(Phi_A).max()
    assert_allclose(fit.cov_params(adjusted=True), Phi_A, rtol=1e-10, atol=1e-10 * size)
    k = len(fit.beta)
    for L in (np.eye(k)[1:], np.eye(k)[:2], np.eye(k)[-1:]):
        found = fit.contrast(L, 0.1, df="kr", joint=True).iloc[0]
        F, df = kr_f(L, L @ fit.beta - 0.1, Phi, Phi_A, P, A)
        assert_allclose([found["F"], found["den_df"]], [F, df], rtol=1e-9)


def test_kenward_and_roger_without_random_effects_are_students():
    """df = n - k, nothing is adjusted, and F is the usual one."""
    fit = lmm("y ~ f + x", random_data(1), reml=True)
    found = fit.contrast("x", df="kr").iloc[0]
    assert_allclose(found["df"], fit.nobs - 4, rtol=1e-12)
    assert_allclose(fit.cov_params(adjusted=True), fit.cov_params(), rtol=1e-12)
    table = anova(fit, df="kr").table
    assert_allclose(table["den_df"], fit.nobs - 4, rtol=1e-9)


def test_a_singular_fit_has_kenward_and_rogers_df():
    """All its parameters are free there, those at zero too."""
    dat = random_data(3)
    rng = np.random.default_rng(5)
    dat["y"] = dat["x"] + rng.normal(size=len(dat))
    fit = lmer("y ~ x + (x | g)", dat)
    assert fit.singular
    _, Phi_A, _, _ = kenward_roger_n_by_n(fit)
    assert_allclose(fit.cov_params(adjusted=True), Phi_A, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
@pytest.mark.parametrize("df", ["satterthwaite", "kr"])
def test_tests_do_not_depend_on_units(df, unit):
    dat = random_data(2)
    one = anova(lmer("y ~ f * x + (x | g)", dat), df=df).table
    scaled = dat.assign(y=unit * dat["y"], x=1e3 * dat["x"])
    other = anova(lmer("y ~ f * x + (x | g)", scaled), df=df).table
    assert_allclose(other[["den_df", "F"]], one[["den_df", "F"]], rtol=1e-5)


@pytest.mark.parametrize("type", [1, 2, 3])
def test_tests_of_terms_do_not_depend_on_coding(type):
    dat = random_data(4).rename(columns={"f": "a"}).assign(b=lambda d: d["h"].astype(int) % 2)
    dat["b"] = dat["b"].map({0: "u", 1: "v"})
    plain = anova(lmer("y ~ a * b * x + (1 | g)", dat), type=type, df="kr").table
    codings = ["C(a, Sum) * C(b, Sum)", "C(a, Helmert) * b", "C(a, Treatment('c')) * C(b, Sum)",
               "C(a, [[1.0, 0.3], [0.0, 2.0], [0.5, -1.0]]) * b"]
    for coding in codings:
        fit = lmer(f"y ~ {coding} * x + (1 | g)", dat)
        other = anova(fit, type=type, df="kr").table
        assert_allclose(other["F"], plain["F"], rtol=1e-6)
        assert_allclose(other["den_df"], plain["den_df"], rtol=1e-6)


def test_type_three_gives_each_cell_the_same_weight():
    """The rows of a main effect are differences of means over the cells, whatever the counts."""
    dat = random_data(6).assign(b=lambda d: np.where(d["h"].astype(int) % 2, "u", "v"))
    fit = lmer("y ~ f * b + (1 | g)", dat)
    means = fit.means("f")
    difference = means.rows[:-1] - means.rows[1:]
    wanted = fit.contrast(difference, df="kr", joint=True).iloc[0]
    found = anova(fit, df="kr").table.loc["f"]
    assert_allclose([found["F"], found["den_df"]], [wanted["F"], wanted["den_df"]], rtol=1e-8)


def test_hypotheses_in_each_form_are_the_same():
    fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
    row = [0.0, 1.0, -1.0]
    forms = [
        row,
        np.array([row]),
        "Machine[T.B] - Machine[T.C]",
        "Machine[T.B] = Machine[T.C]",
        {"Machine[T.B]": 1, "Machine[T.C]": -1},
        {"B - C": "Machine[T.B] - Machine[T.C]"},
        pd.Series({"Machine[T.C]": -1.0, "Machine[T.B]": 1.0}),
        pd.DataFrame({"Machine[T.B]": [1], "Machine[T.C]": [-1]}, index=["B - C"]),
    ]
    tables = [fit.contrast(form) for form in forms]
    for table in tables[1:]:
        assert_allclose(table.to_numpy(), tables[0].to_numpy())
    assert [table.index[0] for table in tables] == [
        "Machine[T.B] - Machine[T.C]", "Machine[T.B] - Machine[T.C]",
        "Machine[T.B] - Machine[T.C]", "Machine[T.B] = Machine[T.C]",
        "Machine[T.B] - Machine[T.C]", "B - C", "0", "B - C",
    ]
    both = fit.contrast("Machine[T.B], Machine[T.C] = 10")
    assert both.shape == (2, 7)
    assert_allclose(both["t"].iloc[1], (fit.beta[2] - 10) / fit.bse.iloc[2])
    joint = fit.contrast("Machine[T.B], Machine[T.C], Machine[T.B] - Machine[T.C]", joint=True)
    assert joint["num_df"].tolist() == [2]
    assert_allclose(joint["F"], anova(fit).table["F"].to_numpy())


def test_names_with_commas_and_functions():
    dat = load_data("sleepstudy")
    fit = lmer("Reaction ~ poly(Days, 2) + I(Days > 5) + (1 | Subject)", dat)
    name = next(one for one in fit.params.index if "," in one)
    found = fit.contrast(f"{name} - 2 * I(Days > 5)[T.True], Intercept")
    assert len(found) == 2
    difference = fit.params[name] - 2 * fit.params["I(Days > 5)[T.True]"]
    assert_allclose(found["estimate"].iloc[0], difference)


def test_a_given_covariance_and_given_degrees_of_freedom():
    fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    doubled = 4 * fit.cov_params()
    found = fit.contrast("Days", cov=doubled, df=17).iloc[0]
    assert_allclose(found["se"], 2 * fit.bse["Days"])
    assert found["df"] == 17
    assert np.isinf(fit.contrast("Days", cov=doubled).iloc[0]["df"])
    reordered = doubled.iloc[::-1, ::-1]
    assert_allclose(fit.contrast("Days", cov=reordered).iloc[0]["se"], 2 * fit.bse["Days"])


def test_a_fit_by_maximum_likelihood_is_refitted_and_says_so():
    dat = load_data("sleepstudy")
    by_ml = lmer("Reaction ~ Days + (Days | Subject)", dat, reml=False)
    by_reml = lmer("Reaction ~ Days + (Days | Subject)", dat)
    with pytest.warns(LMMWarning, match="refitted by REML, whose estimates these are"):
        found = by_ml.contrast("Days", df="kr")
    assert_allclose(found, by_reml.contrast("Days", df="kr"), rtol=1e-6)
    with pytest.warns(LMMWarning, match="adjusted covariance of its refit by REML"):
        by_ml.cov_params(adjusted=True)
    assert "refitted by REML" in str(anova(by_ml, df="kr"))
    assert "refitted by REML" in str(by_ml.means("Days", at={"Days": 3}, df="kr"))


def empty_cell():
    """Oats without any row of one cell of the interaction."""
    dat = load_data("Oats")
    return dat[~((dat["Variety"] == "Victory") & (dat["nitro"] == 0.6))]


def test_what_cannot_be_estimated_is_nan_with_a_word():
    fit = lmer("Yield ~ Variety * C(nitro) + (1 | Block)", empty_cell())
    assert len(fit.dropped) == 1
    with pytest.warns(LMMWarning, match="cannot be estimated.*Variety"):
        found = fit.contrast(f"{fit.dropped[0]}, Variety[T.Victory]")
    assert found.iloc[0].isna().all() and found.iloc[1].notna().all()
    means = fit.means("Variety")
    assert means.table["mean"].isna().tolist() == [False, False, True]
    assert "cannot be estimated from the data of the fit: 'Victory'" in str(means)
    pairs = means.pairs().table
    assert pairs["pvalue"].isna().tolist() == [False, True, True]
    assert means.letters().tolist()[2] == ""
    table = anova(fit).table
    assert table["num_df"].tolist() == [2, 3, 5]
    cells = fit.means("Variety", weights="cells")
    assert cells.table["mean"].notna().all()


def machines():
    return lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])


@pytest.mark.parametrize("ask, words", [
    (lambda fit: fit.contrast([1.0, 2.0]), r"L has shape \(2,\); it takes rows of 3 numbers"),
    (lambda fit: fit.contrast("Machine[T.D]"), r"cannot be read: 'Machine\[T.D\]' is no coefficient; it is a sum .*whose names"),
    (lambda fit: fit.contrast("Machine[T.B] -"), "the hypothesis 'Machine.* cannot be read"),
    (lambda fit: fit.contrast("Machine[T.B],"), "a hypothesis is empty; it is a sum"),
    (lambda fit: fit.contrast({"B": 1}), "L names 'B', which is no coefficient; these are"),
    (lambda fit: fit.contrast({}), "L is empty"),
    (lambda fit: fit.contrast(None), "L holds values of type|L has shape"),
    (lambda fit: fit.contrast([0, 0, 0]), "row 0 of L, counted from 0, is zero"),
    (lambda fit: fit.contrast([0, np.nan, 0]), "L holds values that are no finite numbers"),
    (lambda fit: fit.contrast([0, 1, 0], [1, 2]), r"rhs has shape \(2,\); it is one number"),
    (lambda fit: fit.contrast("Machine[T.B] = 1", 2), "rhs is given both in the text"),
    (lambda fit: fit.contrast([0, 1, 0], df="welch"), "df is 'welch'; it is 'satterthwaite', 'kr'"),
    (lambda fit: fit.contrast([0, 1, 0], df=-1), "df is -1; it is"),
    (lambda fit: fit.contrast([0, 1, 0], level=2), "level is 2"),
    (lambda fit: fit.contrast([0, 1, 0], cov=np.eye(2)), r"cov has shape \(2, 2\); it takes \(3, 3\)"),
    (lambda fit: fit.contrast([0, 1, 0], cov=np.eye(3), df="kr"), "df is 'kr', which has a covariance"),
    (lambda fit: fit.contrast([[0, 1, 0], [0, 2, 0]], [0, 1], joint=True), "contradict each other"),
    (lambda fit: anova(fit, type=4), "type is 4; it is 1, 2 or 3"),
    (lambda fit: anova(fit, type="III"), "type is 'III'; it is 1, 2 or 3"),
    (lambda fit: anova(fit, df="pb"), "df is 'pb'; it is"),
    (lambda fit: anova(fit, fit.update("score ~ 1"), df="kr"), "type and df belong to the tests"),
    (lambda fit: anova(), "anova tests the terms of one fit, or compares several; give a fit"),
    (lambda fit: drop1(fit, test="LRT"), "test is 'LRT'; it is 'F' or 'chisq'"),
    (lambda fit: drop1("fit"), "drop1 takes what lmm or lmer returns, not a str"),
    (lambda fit: ranova(fit, 3), "reduce is 3; it is True or False"),
    (lambda fit: ranova(3), "ranova takes what lmm or lmer returns, not a int"),
    (lambda fit: ranova(lmm("score ~ 1", load_data("Machines"))), "no random effects to test"),
    (lambda fit: fit.summary(df="normal"), "df is 'normal'; it is 'satterthwaite' or 'kr'"),
    (lambda fit: fit.conf_int("wald", df="kr"), "df belongs to method='t'"),
    (lambda fit: fit.means("Operator"), "of holds 'Operator', which is no variable of the fit; its"),
    (lambda fit: fit.means("Worker"), "'Worker' is in no fixed effect of 'score ~ Machine'; its"),
    (lambda fit: fit.means("Machine", by="Machine"), "hold 'Machine' twice"),
    (lambda fit: fit.means([]), r"of is \[\]; it is a variable's name, or a list of names"),
    (lambda fit: fit.means("Machine:x"), "for several variables give a list of names"),
    (lambda fit: fit.means("Machine", at={"Machine": "D"}), "'D', which is no level of 'Machine'"),
    (lambda fit: fit.means("Machine", at=3), "at is 3; it is a dict"),
    (lambda fit: fit.means("Machine", at={"Worker": "1"}), "'Worker' is in no fixed effect"),
    (lambda fit: fit.means("Machine", weights="flat"), "weights is 'flat'; it is one of 'equal'"),
    (lambda fit: fit.means("Machine").pairs("hsd"), "adjust is 'hsd'; it is one of 'tukey'"),
    (lambda fit: fit.means("Machine").contrast("eff"), "method is 'eff'; it is 'trt.vs.ctrl'"),
    (lambda fit: fit.means("Machine").contrast(ref="D"), "ref is 'D'; the levels are 'A', 'B', 'C'"),
    (lambda fit: fit.means("Machine").contrast("poly", ref="A"), "ref belongs to 'trt.vs.ctrl'"),
    (lambda fit: fit.means("Machine").contrast({"one": [1, 2]}), "they are 3 numbers"),
    (lambda fit: fit.means("Machine").contrast(adjust="tukey"), "is for all pairwise differences"),
    (lambda fit: fit.means("Machine").on_original_scale(), "not on a scale with a known way back"),
    (lambda fit: fit.slopes("Machine"), "'Machine' has levels, not a slope"),
    (lambda fit: fit.slopes("Worker"), "'Worker' is in no fixed effect"),
])
def test_what_is_refused(ask, words):
    with pytest.raises(LMMError, match=words):
        ask(machines())


def test_a_mean_of_a_number_is_a_slope_or_at_values():
    fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    with pytest.raises(LMMError, match=r"'Days' is numeric, so it has a slope, fit.slopes\('Days'\)"):
        fit.means("Days")
    with pytest.raises(LMMError, match="one mean in each family"):
        fit.means("Days", at={"Days": 3}).pairs()
    with pytest.raises(LMMError, match=r"at holds .* for 'Days', which is numeric"):
        fit.means("Days", at={"Days": "three"})
    table = fit.means("Days", at={"Days": [0, 9]}).table
    assert_allclose(table["mean"], fit.beta[0] + np.array([0, 9]) * fit.beta[1])


def test_matrices_have_no_terms():
    dat = load_data("sleepstudy")
    X = np.column_stack([np.ones(len(dat)), dat["Days"]])
    fit = lmm(dat["Reaction"].to_numpy(), X, {"g": (pd.get_dummies(dat["Subject"]).to_numpy(float), None)})
    for ask in (anova, drop1, lambda fit: fit.means("x"), lambda fit: fit.slopes("x"), ranova):
        with pytest.raises(LMMError, match="fit of matrices"):
            ask(fit)
    assert len(fit.contrast([0.0, 1.0])) == 1


def test_average_information_is_refused_with_an_offer(monkeypatch):
    fit = lmer("y ~ x + (1 | g) + (1 | h)", random_data(1), engine="blocked")
    monkeypatch.setattr(type(fit.setup.engine), "exact", False)
    with pytest.raises(LMMError, match=r"needs expected information.*ask for df='satterthwaite'"):
        anova(fit, df="kr")


def test_terms_tested_where_a_covariate_is_zero_say_so():
    dat = random_data(7).assign(x=lambda d: d["x"] + 5)
    fit = lmer("y ~ f * x + (1 | g)", dat)
    for type in (2, 3):
        [note] = anova(fit, type=type).notes
        assert note == "f is tested where x is 0; centre it, as in center(x), to test at its mean"
    assert anova(fit, type=1).notes == ()
    assert anova(lmer("y ~ f * center(x) + (1 | g)", dat)).notes == ()
    assert anova(lmer("y ~ f * x + (1 | g)", dat.assign(x=dat["x"] - dat["x"].mean()))).notes == ()
    assert anova(lmer("y ~ f + x + (1 | g)", dat)).notes == ()


def test_what_is_printed():
    shown = str(anova(machines(), df="kr"))
    assert shown.splitlines()[:3] == [
        "Type III analysis of variance table, by Kenward and Roger's method",
        "          Sum Sq  Mean Sq  NumDF   DenDF  F value  Pr(>F)",
        " Machine  38.051   19.025      2  10.000  20.5761  0.0003",
    ]
    means = machines().means("Machine")
    assert str(means).splitlines()[:3] == [
        "Marginal means of score by Machine:",
        " Machine    Mean  Std. Error     df   Lower   Upper",
        " A        52.356      2.2692  10.23  47.314  57.397",
    ]
    assert "<table>" in means.pairs()._repr_html_()


def test_letters_tell_apart_what_differs():
    fit = lmer("Yield ~ C(nitro) + (1 | Block/Variety)", load_data("Oats"))
    means = fit.means("nitro")
    p = means.pairs().table["pvalue"].to_numpy()
    letters = means.letters().tolist()
    for number, (i, j) in enumerate(itertools.combinations(range(4), 2)):
        assert bool(set(letters[i]) & set(letters[j])) == (p[number] >= 0.05)
    assert "a" in letters[3]


def test_contrasts_of_means():
    fit = lmer("Yield ~ C(nitro) * Variety + (1 | Block/Variety)", load_data("Oats"))
    means = fit.means("nitro", by="Variety")
    assert means.table.shape == (12, 5) and list(means.table.index.names) == ["Variety", "nitro"]
    poly = means.contrast("poly").table
    assert poly.index.get_level_values("contrast").unique().tolist() == ["linear", "quadratic", "cubic"]
    m = means.table["mean"].to_numpy()[:4]
    assert_allclose(poly["estimate"].iloc[:3], [m @ [-3, -1, 1, 3], m @ [1, -1, -1, 1], m @ [-1, 3, -3, 1]])
    consec = means.contrast("consec").table["estimate"].to_numpy()
    assert_allclose(consec[:3], np.diff(m))
    assert_allclose(means.pairs(reverse=True).table["estimate"], -means.pairs().table["estimate"])
    own = means.contrast({"last - mean of others": [-1 / 3, -1 / 3, -1 / 3, 1]}).table
    assert_allclose(own["estimate"].iloc[0], m[3] - m[:3].mean())


def test_a_log_response_comes_back():
    dat = load_data("sleepstudy")
    fit = lmer("np.log(Reaction) ~ Days + (1 | Subject)", dat)
    means = fit.means("Days", at={"Days": [0, 9]})
    assert "on the scale of np.log(Reaction); .on_original_scale() transforms back" in str(means)
    back = means.on_original_scale().table
    assert_allclose(back["mean"], np.exp(means.table["mean"]))
    assert_allclose(back["upper"], np.exp(means.table["upper"]))
    assert_allclose(back["se"], means.table["se"] * back["mean"])
    with pytest.raises(LMMError, match="slopes have no original scale"):
        fit.slopes("Days").on_original_scale()


def test_offsets_weights_and_bases_go_through_the_grid():
    dat = random_data(8).assign(o=lambda d: 2 + d["w"])
    plain = lmer("y ~ f + x + (1 | g)", dat).means("f").table
    known = lmer("z ~ f + x + offset(o) + (1 | g)", dat.assign(z=dat["y"] + dat["o"])).means("f").table
    given = lmer("z ~ f + x + (1 | g)", dat.assign(z=dat["y"] + dat["o"]), offset="o").means("f").table
    array = lmer("z ~ f + x + (1 | g)", dat.assign(z=dat["y"] + dat["o"]), offset=dat["o"].to_numpy())
    for table in (known, given, array.means("f").table):
        assert_allclose(table["mean"] - dat["o"].mean(), plain["mean"], rtol=1e-6)
        assert_allclose(table["lower"] - dat["o"].mean(), plain["lower"], rtol=1e-6)
    for basis in ("poly(x, 3)", "bs(x, df=5)", "x + I(x**2) + I(x**3)"):
        fit = lmer(f"y ~ f * ({basis}) + (1 | g)", dat)
        at = float(dat["x"].median())
        found = fit.means("f", at={"x": at}).table["mean"]
        new = pd.DataFrame({"f": ["a", "b", "c"], "x": at})
        assert_allclose(found, fit.predict(new, random=False), rtol=1e-9)
        slopes = fit.slopes("x", by="f", at={"x": at}).table["slope"]
        h = 1e-4
        up = fit.predict(new.assign(x=at + h), random=False).to_numpy()
        down = fit.predict(new.assign(x=at - h), random=False).to_numpy()
        assert_allclose(slopes, (up - down) / (2 * h), rtol=1e-5)


@pytest.mark.parametrize("n_means, df, q", [(3, 45, 3.5), (2, 1.05, 3), (10, 5, 4.2), (6, 1, 10), (50, 30.3, 5)])
def test_the_studentized_range_is_scipys(n_means, df, q):
    from scipy.stats import studentized_range as of_scipy

    from lmm.inference.adjustments import studentized_range
    assert_allclose(studentized_range(q, n_means, df), of_scipy.sf(q, n_means, df), atol=1e-11)


def test_summaries_and_intervals_by_kenward_and_roger():
    dat = random_data(1)
    fit = lmer("y ~ f + x + (1 | g)", dat)
    wanted = fit.contrast(np.eye(4), df="kr")
    assert "Fixed effects (df and p by Kenward and Roger's method):" in str(fit.summary(df="kr"))
    assert f"{wanted['df'].iloc[0]:.2f}" in str(fit.summary(df="kr"))
    found = fit.conf_int("t", df="kr")
    assert_allclose(found.loc["beta"], wanted[["lower", "upper"]])
    assert_allclose(found.loc["sd"], fit.conf_int("t").loc["sd"])


def test_a_model_of_the_constant_has_nothing_to_test():
    fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
    assert anova(fit).table.empty and drop1(fit).table.empty
    assert "the fixed effects have no term to test but the constant" in str(anova(fit))


def test_notes_of_means():
    fit = lmer("Yield ~ C(nitro) * Variety + (1 | Block/Variety)", load_data("Oats"))
    shown = str(fit.means("Variety"))
    assert "Note: averaged over the levels of nitro" in shown
    assert "the formula has interactions with nitro" in shown
    assert "interactions" not in str(fit.means(["Variety", "nitro"]))
    assert str(fit.means("Variety", by="nitro")).startswith("Marginal means of Yield by Variety within nitro:")
    with pytest.raises(LMMError, match=r"of holds 'C\(nitro\)'; give the variable, 'nitro'"):
        fit.means("C(nitro)")


def test_proportional_weights_count_rows():
    """As emmeans does for lmer: the fit's weights are precisions, not counts."""
    dat = random_data(9).assign(b=lambda d: np.where(d["h"].astype(int) % 2, "u", "v"))
    for weights in (None, "w"):
        fit = lmer("y ~ f * b + (1 | g)", dat, weights=weights)
        cells = fit.means(["f", "b"]).table["mean"].unstack("b")
        counts = dat["b"].value_counts(normalize=True)
        found = fit.means("f", weights="proportional").table["mean"]
        assert_allclose(found, (cells * counts[cells.columns]).sum(axis=1))
        within = dat.groupby(["f", "b"], observed=True).size().unstack("b")
        found = fit.means("f", weights="cells").table["mean"]
        assert_allclose(found, (cells * within).sum(axis=1) / within.sum(axis=1))


def test_small_p_values_of_tukeys_method_have_digits():
    """Of two means it is t's: to the last digits, where a difference from 1 would have none."""
    from lmm.inference.adjustments import studentized_range
    from lmm.inference.satterthwaite import p_of_t
    for t, df in [(3.0, 7.3), (9.9, 45.0), (8.0, 300.0), (7.5, np.inf), (0.0, 5.0)]:
        wanted = p_of_t(t, df) if np.isfinite(df) else p_of_t(t, 1e12)
        assert_allclose(studentized_range(np.sqrt(2) * t, 2, df), wanted, rtol=1e-6)


@pytest.mark.parametrize("method", ["tukey", "bonferroni", "holm", "sidak", "fdr", "none"])
def test_an_estimate_of_zero_has_p_of_one(method):
    """Sidak's method used to warn of a logarithm of zero."""
    from lmm.inference.adjustments import adjusted
    p = adjusted(np.array([0.0, 2.0, np.nan]), np.array([10.0, 10.0, 10.0]), method, 3)
    assert abs(p[0] - 1) < 1e-13 and 0 < p[1] < 1 and np.isnan(p[2])


# -- what a new user met --------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def arms():
    """A response that is a logarithm, arms whose levels are not in the order of their names, a bool."""
    rng = np.random.default_rng(5)
    dat = pd.DataFrame({"arm": pd.Categorical(np.repeat(["placebo", "low", "high"], 40), ["high", "low", "placebo"]),
                        "g": np.tile([f"g{i}" for i in range(10)], 12), "old": rng.random(120) < 0.5,
                        "a, b": rng.normal(size=120), "50%": rng.normal(size=120)})
    log_y = 0.4 * (dat["arm"] == "low") + 0.8 * (dat["arm"] == "high") + 0.2 * rng.normal(size=10)[np.tile(np.arange(10), 12)]
    return dat.assign(y=np.exp(5 + log_y + 0.3 * rng.normal(size=120)))


@pytest.fixture(scope="module")
def logged(arms):
    return lmer("log(y) ~ arm + old + `a, b` + `50%` + (1 | g)", arms)


def test_weights_by_level(logged):
    """A Series used to go by position, so that labels in another order gave another sign."""
    means = logged.means("arm")
    expected = means.contrast({"p - h": [-1, 0, 1]}).table
    for weights in (pd.Series({"placebo": 1, "high": -1}), pd.Series([0, -1, 1], index=["low", "high", "placebo"]),
                    {"placebo": 1, "high": -1}):
        assert_allclose(means.contrast({"p - h": weights}).table, expected)
    with pytest.raises(LMMError, match="'medium'"):
        means.contrast({"c": {"medium": 1, "low": -1}})
    with pytest.raises(LMMError, match="the weights of 'c' are no numbers"):
        means.contrast({"c": {"high": "1", "low": -1}})
    with pytest.raises(LMMError, match="the weights of 'c' are all zero"):
        means.contrast({"c": [0, 0, 0]})
    with pytest.raises(LMMError, match="method is of type DataFrame"):
        means.contrast(pd.DataFrame([[1, -1, 0]]))


def test_a_family_counts_what_cannot_be_estimated_too():
    """As emmeans does; it used to be said in the note, and not done: 0.0343, 0.1028 and 0.0794 are R's for such a family."""
    from lmm.inference.adjustments import adjusted
    rng = np.random.default_rng(0)
    dat = pd.DataFrame({"A": np.repeat(["a", "b", "c"], 40), "N": np.tile(["no", "yes"], 60), "g": np.arange(120) % 10})
    dat = dat[~((dat["A"] == "c") & (dat["N"] == "yes"))].astype({"g": "category"})
    dat["y"] = rng.normal(size=len(dat)) + 0.4 * (dat["A"] == "b") + rng.normal(size=10)[dat["g"].cat.codes]
    means = lmer("y ~ A * N + (1 | g)", dat).means("A")
    plain = means.pairs("none").table
    assert np.isfinite(plain["pvalue"]).sum() == 1
    for adjust in ("tukey", "bonferroni", "holm", "sidak", "fdr"):
        found = means.pairs(adjust)
        assert found.notes[-1].endswith("for a family of 3")
        p, t, df = (plain[name].iloc[0] for name in ("pvalue", "t", "df"))
        expected = adjusted(np.array([t, 0.0, 0.0]), np.array([df] * 3), adjust, 3)[0]
        assert_allclose(found.table["pvalue"].iloc[0], expected, rtol=1e-12)
        assert expected > 1.5 * p
    assert_allclose(means.pairs("bonferroni").table["pvalue"].iloc[0], min(1, 3 * plain["pvalue"].iloc[0]))


def test_back_from_a_logarithm_the_title_and_the_notes_say_so(logged, arms):
    means = logged.means("arm").on_original_scale()
    assert means.title == "Marginal means of y by arm" and means.response == "y"
    assert not any("transforms back" in note for note in means.notes)
    shifted = lmer("log(y + 10) ~ arm + (1 | g)", arms).means("arm").on_original_scale()
    assert shifted.title == "Marginal means of y + 10 by arm"                # what was inside, not y
    roots = lmer("sqrt(y) ~ arm + (1 | g)", arms).means("arm")
    with pytest.raises(LMMError, match="no logarithm"):
        roots.pairs().on_original_scale()
    with pytest.raises(LMMError, match="no logarithm"):
        logged.slopes("50%", by="arm").pairs().on_original_scale()


@pytest.mark.parametrize("written, base", [("log(y)", np.e), ("log2(y)", 2.0), ("np.log10(y)", 10.0)])
def test_differences_of_logarithms_are_ratios(arms, written, base):
    fit = lmer(f"{written} ~ arm + (1 | g)", arms)
    pairs = fit.means("arm").pairs()
    ratios = pairs.on_original_scale()
    means = fit.means("arm").on_original_scale().table["mean"]
    assert_allclose(ratios.table["ratio"], [means.iloc[0] / means.iloc[1], means.iloc[0] / means.iloc[2],
                                            means.iloc[1] / means.iloc[2]], rtol=1e-12)
    assert_allclose(ratios.table[["lower", "upper"]], base ** pairs.table[["lower", "upper"]])
    assert_allclose(ratios.table["se"], np.log(base) * ratios.table["ratio"] * pairs.table["se"])
    assert_allclose(ratios.table["pvalue"], pairs.table["pvalue"])
    assert "Ratio" in str(ratios) and ratios.on_original_scale() is ratios
    assert fit.means("arm").on_original_scale().pairs().title == pairs.title


def test_a_covariance_that_is_none(logged):
    k = len(logged.params)
    for cov, words in (("CR2", r"cov is 'CR2', no matrix; it is a covariance of beta, \(6, 6\), such as fit.robust_cov"),
                       (-np.eye(k), "negative eigenvalue"), (np.arange(k * k).reshape(k, k), "not symmetric")):
        with pytest.raises(LMMError, match=words):
            logged.contrast("old[T.True]", cov=cov)


def test_names_with_commas_backticks_and_bools(logged):
    assert list(logged.contrast(list(logged.params.index)).index) == list(logged.params.index)
    assert logged.contrast("a, b")["estimate"].iloc[0] == logged.params["a, b"]
    assert_allclose(logged.slopes("`50%`").table, logged.slopes("50%").table)
    assert_allclose(logged.means("`arm`").table, logged.means("arm").table)
    assert_allclose(logged.means("arm", at={"old": 1}).table, logged.means("arm", at={"old": True}).table)


@pytest.mark.parametrize("text, words", [("old[T.True] == 0", "one = is an equality"), ("old[T.True] > 0", "it is an equality, =;"),
                                         ("armlow - armplacebo", "'armlow' is no coefficient")])
def test_what_may_be_wrong_with_a_hypothesis(logged, text, words):
    with pytest.raises(LMMError, match=words):
        logged.contrast(text)


def test_other_words_for_what_means_have(logged):
    means = logged.means("arm")
    for name, words in (("cld", r"write \.letters\(\)"), ("conf_int", "lower and upper"), ("plot", r"plots\.means"), ("foo", "it has ")):
        with pytest.raises(AttributeError, match=words):
            getattr(means, name)
    with pytest.raises(AttributeError, match="Comparisons has no attribute 'cld'"):
        means.pairs().cld()
    with pytest.raises(TypeError, match="pairs has no argument 'by'; it takes adjust, reverse"):
        means.pairs(by="old")
    for call in (lambda: means.pairs(reverse="yes"), lambda: logged.cov_params(adjusted="yes"), lambda: logged.contrast("old[T.True]", joint=1)):
        with pytest.raises(LMMError, match="it is True or False"):
            call()
    for of in (None, "arm | old", "~ arm"):
        with pytest.raises(LMMError, match="of is "):
            logged.means(of)
    with pytest.raises(LMMError) as error:
        logged.means(pd.Series(["arm"]))
    assert str(error.value) == "of is of type Series; it is a variable's name, or a list of names"
    assert logged.slopes("50%").table.index.name == "rows"
    with pytest.raises(TypeError, match="cov_params has no argument 'df'; write adjusted=True"):
        logged.cov_params(df="kr")
    with pytest.raises(TypeError, match=r"predict has no argument 'df'; (?!write lmer)"):
        logged.predict(df="kr")


def test_clusters_of_the_whole_frame_go_by_its_index(arms):
    dat = arms.assign(cluster=arms["g"].str[1:].astype(int)).set_index(np.arange(120) * 3)
    dat.loc[[0, 30], "y"] = np.nan
    fit = lmer("y ~ arm + (1 | g)", dat)
    assert_allclose(fit.robust_cov(dat["cluster"]), fit.robust_cov("cluster"))
    assert_allclose(fit.robust_cov(dat["cluster"].sample(frac=1, random_state=1)), fit.robust_cov("cluster"))
