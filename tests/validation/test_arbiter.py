"""The arbiter: digits as they were printed, the convention that explains a number, whose deviance is lower; never by chance."""

import json
import pickle
from decimal import Decimal
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
from helpers import fit_at, oracle_of
from scipy.stats import norm, t

import lmm
from lmm import LMMError, lmer, load_data
from lmm.__main__ import main
from lmm.fitting import Plan
from lmm.practical import fit_of
from lmm.validation import compare
from lmm.validation.arbiter import read
from lmm.validation.claims import read_claims
from lmm.validation.explaining import explained
from lmm.validation.freedoms import counted

MACHINES = "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)"
HEIGHTS = pd.DataFrame({
    "Family": pd.Categorical(list("111112222223344444")), "Gender": list("FFFMMFFFMMMFMFFMMM"),
    "Height": [67, 66, 64, 71, 72, 63, 63, 67, 69, 68, 70, 63, 64, 67, 66, 67, 67, 69],
})


@pytest.fixture(scope="module")
def machines():
    """The unbalanced Machines by REML, and by ML."""
    fit = lmer(MACHINES, load_data("MachinesUnbalanced"))
    return fit, fit.update(reml=False)


@pytest.fixture(scope="module")
def sleepstudy():
    return lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))


@pytest.fixture(scope="module")
def heights():
    return lmer("Height ~ Gender + (1 | Family) + (1 | Family:Gender)", HEIGHTS)


def texts(values, digits=8):
    return [f"{value:.{digits}g}" for value in np.atleast_1d(values)]


def psi_of(fit):
    """The covariance of the only term."""
    (psi,) = fit.psi().values()
    return psi.to_numpy()


def said(found):
    """What is said of the first quantity that differs."""
    return str(found.explanations[0])


# -- digits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, agrees", [
    ("37.26", True), ("37.260", True), ("37.2603", True), ("37.27", False), ("37.25", False), ("37.2604", False), ("3.726e1", True),
    (Decimal("37.260"), True), (37.26, True), (37, True), (37.0, False), (38, False), ("<38", True), ("<37", False),
    (np.float64(37.2603), True), ("37.26034500000", False), (37.26034, True),
])
def test_a_number_is_held_to_the_digits_that_were_printed(text, agrees):
    """The exact standard deviation is 37.260344..."""
    fit = lmm.lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
    assert round(fit.sd["Batch"], 6) == 37.260345
    found = compare(fit, {"sd": {"Batch": text}})
    expected = agrees or text == "37.26034500000"      # six digits are enough: two searches end no nearer
    assert found.agrees == expected, found


def test_a_wrong_last_digit_is_found_in_every_number(sleepstudy):
    claimed = {
        "beta": texts(sleepstudy.beta, 5), "se": texts(sleepstudy.bse, 5), "df": texts(sleepstudy.df, 5), "sd": texts(sleepstudy.sd, 5),
        "corr": texts(sleepstudy.corr, 4), "sigma": f"{sleepstudy.sigma:.5g}", "llf": f"{sleepstudy.llf:.6g}",
        "deviance": f"{sleepstudy.deviance:.6g}", "aic": f"{sleepstudy.aic:.6g}", "bic": f"{sleepstudy.bic:.6g}", "nobs": 180,
    }
    assert compare(sleepstudy, claimed).agrees
    for quantity, given in claimed.items():
        last = str(given[0] if isinstance(given, list) else given)
        moved = Decimal(last) + Decimal((0, (2,), Decimal(last).as_tuple().exponent))
        wrong = [str(moved), *given[1:]] if isinstance(given, list) else str(moved)
        found = compare(sleepstudy, {**claimed, quantity: wrong})
        assert found.table.loc[~found.table["agrees"], "quantity"].tolist() == [quantity], quantity


def test_names_of_r_are_known(machines, sleepstudy):
    fit, _ = machines
    table = compare(fit, {"beta": {"MachineB": "7.9624", "(Intercept)": "52.354"}, "sd": {"Machine:Worker": "3.7728"}}).table
    assert table["term"].tolist() == ["Machine[T.B]", "Intercept", "Worker:Machine"] and table["agrees"].all()
    assert compare(sleepstudy, {"sd": {"Subject:Days": "5.9221", "Residual": "25.592"}}).agrees


def test_names_that_differ_in_little_are_not_mixed_up():
    """x and X, levels 1 and -1, a_b and ab: as they are, or as R writes them; else it is asked which."""
    rng = np.random.default_rng(0)
    dat = pd.DataFrame(rng.normal(size=(60, 5)), columns=["x", "X", "a_b", "ab", "y"])
    dat = dat.assign(g=[f"g{i % 8}" for i in range(60)], f=pd.Categorical([["0", "1", "-1"][i % 3] for i in range(60)], ["0", "1", "-1"]))
    fit = lmer("y ~ x + X + a_b + ab + f + (1 | g)", dat)
    assert compare(fit, {"beta": dict(fit.params), "se": dict(fit.bse[::-1])}).agrees
    in_r = {name.replace("[T.", "").replace("]", ""): value for name, value in fit.params.items()}
    assert "f-1" in in_r and compare(fit, {"beta": in_r}).agrees
    for name in ("A_B", "f_1"):
        with pytest.raises(LMMError, match=f"coefficient of beta '{name}' may be any of '.*', '.*'; write one of these"):
            compare(fit, {"beta": {name: 1}})
    other = compare(fit, {"beta": {"f1": f"{-fit.params['f[T.1]']:.8g}", "f0": f"{-fit.params['f[T.1]']:.8g}"}})
    assert not other.explained                      # f0 is of another coding, in which there is no f1


# -- conventions -----------------------------------------------------------------------------------


def log_x_x(fit):
    return np.linalg.slogdet(fit.setup.design.X.T @ fit.setup.design.X)[1]


# words that have to be said, and the claim, from the REML fit f and the ML fit m of 44 rows
CONVENTIONS = [
    ("maximum likelihood, where this fit is by REML", lambda f, m: {"sd": texts(m.sd)}),
    ("maximum likelihood, where this fit is by REML", lambda f, m: {"se": texts(m.bse)}),
    ("variances in place of sds", lambda f, m: {"sd": texts(f.sd**2)}),
    ("variances in place of sds", lambda f, m: {"sd": dict(zip(["Worker", "Residual"], texts([f.sd["Worker"]**2, f.sigma**2])))}),
    ("sds in place of variances", lambda f, m: {"var": texts(f.sd)}),
    ("log variances in place of sds", lambda f, m: {"sd": texts(2 * np.log(f.sd))}),
    ("relative sds in place of sds", lambda f, m: {"sd": texts(f.sd / f.sigma)}),
    ("relative variances in place of variances", lambda f, m: {"var": texts(f.sd**2 / f.sigma**2)}),
    ("maximum likelihood, where this fit is by REML; variances in place of sds", lambda f, m: {"sd": texts(m.sd**2)}),
    ("log sds in place of sds", lambda f, m: {"sd": texts(np.log(f.sd))}),
    ("log sds in place of variances", lambda f, m: {"var": texts(np.log([*f.sd, f.sigma]))}),
    ("another order: 'Residual', 'Worker', 'Worker:Machine'", lambda f, m: {"sd": texts([f.sigma, *f.sd])}),
    ("another order: 'Worker:Machine', 'Worker', 'Residual'", lambda f, m: {"var": texts([*f.sd[::-1]**2, f.sigma**2])}),
    ("variances in place of sds; another order: 'Residual', 'Worker', 'Worker:Machine'", lambda f, m: {"sd": texts([f.sigma**2, *f.sd**2])}),
    ("by REML; another order: 'Worker:Machine', 'Worker'", lambda f, m: {"sd": texts(m.sd[::-1])}),
    ("the residual variance in place of sigma", lambda f, m: {"sigma": texts(f.sigma**2)[0]}),
    ("log sigma in place of sigma", lambda f, m: {"sigma": texts(np.log(f.sigma))[0]}),
    ("sigma with n in place of n - k", lambda f, m: {"sigma": texts(f.sigma * np.sqrt(41 / 44))[0]}),
    ("lme4's theta, relative and without sigma", lambda f, m: {"theta": texts(f.sd / f.sigma)}),
    ("terms with most levels first", lambda f, m: {"theta": texts(f.sd[::-1] / f.sigma)}),
    ("variances", lambda f, m: {"theta": texts([f.sigma**2, *f.sd**2])}),
    ("log sigma is last", lambda f, m: {"theta": texts([*f.theta[1:], f.theta[0]])}),
    ("without the constant (n - k) log 2 pi", lambda f, m: {"deviance": texts(2 * f.nll)[0]}),
    ("REML's constant with n log 2 pi", lambda f, m: {"deviance": texts(f.deviance + 3 * np.log(2 * np.pi))[0]}),
    ("log |X'X| taken off", lambda f, m: {"llf": texts(f.llf + log_x_x(f) / 2)[0]}),
    ("-2 log L, where log L is meant", lambda f, m: {"llf": texts(f.deviance)[0]}),
    ("-log L, where log L is meant", lambda f, m: {"llf": texts(-f.llf)[0]}),
    ("log L, where -2 log L is meant", lambda f, m: {"deviance": texts(f.llf)[0]}),
    ("maximum likelihood, where this fit is by REML", lambda f, m: {"deviance": texts(m.deviance)[0]}),
    ("the variance parameters alone counted", lambda f, m: {"aic": texts(f.deviance + 2 * 3)[0]}),
    ("sigma not counted", lambda f, m: {"aic": texts(f.deviance + 2 * 5)[0]}),
    ("the log of the 6 levels of Worker in BIC", lambda f, m: {"bic": texts(f.deviance + 6 * np.log(6))[0]}),
    ("log(n - k) in BIC", lambda f, m: {"bic": texts(f.deviance + 6 * np.log(41))[0]}),
    ("the reference level of Machine, C",
     lambda f, m: {"beta": texts([f.beta[0] + f.beta[2], -f.beta[2], f.beta[1] - f.beta[2]])}),
    ("the reference level of Machine, B", lambda f, m: {"beta": {"MachineA": texts(-f.beta[1])[0]}}),
    ("contrasts that sum to zero of Machine",
     lambda f, m: {"beta": texts([f.beta[0] + f.beta[1:].sum() / 3, -f.beta[1:].sum() / 3, f.beta[1] - f.beta[1:].sum() / 3])}),
    ("Helmert's contrasts of Machine", lambda f, m: {"beta": {"Machine1": texts(f.beta[1] / 2)[0]}}),
    ("another order: 'Intercept', 'Machine[T.C]', 'Machine[T.B]'", lambda f, m: {"beta": texts(f.beta[[0, 2, 1]])}),
    ("the unit of the response, 10 of the data's", lambda f, m: {"beta": texts(f.beta / 10)}),
    ("the unit of the response, 10 of the data's", lambda f, m: {"var": texts(f.sd**2 / 100)}),
    ("least squares, without random effects",
     lambda f, m: {"beta": texts(np.linalg.lstsq(f.setup.design.X, f.setup.design.y, rcond=None)[0])}),
    ("Kenward and Roger's degrees of freedom", lambda f, m: {"df": texts(f.contrast(np.eye(3), df="kr")["df"])}),
    ("Kenward and Roger's standard errors", lambda f, m: {"se": texts(f.contrast(np.eye(3), df="kr")["se"])}),
    ("degrees of freedom n - k", lambda f, m: {"df": ["41.000"] * 3}),
    ("the normal distribution", lambda f, m: {"df": ["Inf"] * 3}),
    ("the normal distribution", lambda f, m: {"pvalue": texts(2 * norm.sf(f.tvalues))}),
    ("one-sided", lambda f, m: {"pvalue": texts(t.sf(f.tvalues, f.df))}),
    ("degrees of freedom n - k; one-sided", lambda f, m: {"pvalue": texts(t.sf(f.tvalues, 41))}),
]


@pytest.mark.parametrize("case", range(len(CONVENTIONS)))
def test_a_convention_is_recognised(machines, case):
    words, claimed = CONVENTIONS[case]
    fit, ml = machines
    found = compare(fit, claimed(fit, ml))
    assert words in said(found) and found.explained and not found.agrees, found


def test_conventions_of_ml_fits_and_of_covariates(sleepstudy):
    ml = sleepstudy.update(reml=False)
    b = ml.beta
    for words, claimed in (
        ("REML, where this fit is by maximum likelihood", {"sd": texts(sleepstudy.sd)}),
        ("sigma with n - k in place of n", {"sigma": texts(ml.sigma * np.sqrt(180 / 178))[0]}),
        ("as nlme's by maximum likelihood", {"se": texts(ml.bse * np.sqrt(180 / 178))}),
        ("without the constant n log 2 pi", {"llf": texts(-ml.nll)[0]}),
        ("the unit of Days, 7 of the data's", {"beta": texts([b[0], 7 * b[1]])}),
        ("Days counted from its mean", {"beta": texts([b[0] + 4.5 * b[1], b[1]])}),
        ("Days standardised", {"beta": {"Days": texts(b[1] * np.std(sleepstudy.setup.design.X[:, 1], ddof=1))[0]}}),
        ("covariances in place of correlations", {"corr": texts(psi_of(ml)[0, 1])}),
        ("the opposite sign", {"corr": texts(-ml.corr)}),
        ("lme4's theta", {"theta": texts(np.linalg.cholesky(psi_of(ml))[[0, 1, 1], [0, 0, 1]] / ml.sigma)}),
    ):
        found = compare(ml, claimed)
        assert words in said(found) and found.explained, found


@pytest.mark.parametrize("words, days", [
    ("the unit of Days, 7 of the data's", lambda x: x / 7),
    ("Days counted from its mean", lambda x: x - x.mean()),
    ("Days standardised", lambda x: (x - x.mean()) / x.std()),
])
def test_slopes_of_a_covariate_in_another_unit_or_centre(sleepstudy, words, days):
    """All of them are of that fit; the likelihood there is the same."""
    dat = load_data("sleepstudy")
    for reml in (True, False):
        source = lmer("Reaction ~ Days + (Days | Subject)", dat.assign(Days=days(dat["Days"])), reml=reml)
        for numbers in ({"sd": texts(source.sd)}, {"var": texts(source.sd**2)}):
            found = compare(sleepstudy, {**numbers, "sigma": texts(source.sigma)[0], "corr": texts(source.corr)})
            assert all(words in str(one) for one in found.explanations if one.quantity != "corr" or "unit" not in words), found
            assert found.explained and found.verdict.lower == "neither", found
    if "unit" not in words:
        mixed = compare(sleepstudy, {"sd": texts(source.sd), "sigma": texts(source.sigma)[0], "corr": texts(source.update(reml=True).corr / 2)})
        assert "is with " + words in str(mixed.verdict) and not mixed.explained
    apart = lmer("Reaction ~ Days + (Days || Subject)", dat)
    assert compare(apart, {"sd": texts(apart.sd * [1, 7]), "sigma": texts(apart.sigma)[0]}).verdict.lower == "neither"


def test_lme4s_theta_is_compared_by_the_likelihood_too(sleepstudy):
    T = np.linalg.cholesky(psi_of(sleepstudy))[[0, 1, 1], [0, 0, 1]] / sleepstudy.sigma
    assert compare(sleepstudy, {"theta": texts(T)}).verdict.lower == "neither"
    assert compare(sleepstudy, {"theta": texts(T * 1.1)}).verdict.lower == "fit"


def test_theta_by_name_is_in_any_order_and_whole(machines):
    fit, _ = machines
    labels = list(fit.setup.design.labels)
    for form, agrees in ((np.copy, True), (lambda theta: np.exp(2 * theta), False)):
        named = dict(zip(labels, texts(form(fit.theta))))
        for order in (labels, labels[::-1]):
            found = compare(fit, {"theta": {name: named[name] for name in order}})
            assert found.agrees == agrees and found.explained and found.verdict.lower == "neither", found
    T = dict(zip(labels[1:], texts(fit.sd / fit.sigma)))
    found = compare(fit, {"theta": T})
    assert not found.explained and str(found.verdict) == f"it cannot be compared, for theta of {labels[0]!r} is not claimed"


def test_a_grouping_called_residual_is_no_sigma(sleepstudy):
    """A block's own name comes first; sigma then has its other name, or stands last in a list."""
    dat = load_data("sleepstudy").rename(columns={"Subject": "Residual"})
    fit = lmer("Reaction ~ Days + (1 | Residual)", dat)
    sd, sigma = fit.sd["Residual"], fit.sigma
    for claimed in ({"Residual": f"{sd:.8g}", "sigma": f"{sigma:.8g}"}, texts([sd, sigma])):
        found = compare(fit, {"sd": claimed})
        assert found.agrees and found.verdict.lower == "neither", found
    assert "variances in place of sds" in said(compare(fit, {"sd": texts([sd**2, sigma**2])}))


def test_what_is_whole_is_compared(machines):
    """Of standard deviations in part beside all variances, these."""
    fit, _ = machines
    found = compare(fit, {"sd": {"Worker": texts(fit.sd)[0]}, "var": texts(fit.sd**2), "sigma": texts(fit.sigma)[0]})
    assert found.agrees and found.verdict.lower == "neither"


def test_where_several_explain_it_says_so(heights):
    """Three of these degrees of freedom are 3 for Gender."""
    p = 2 * t.sf(heights.tvalues["Gender[T.M]"], 3)
    found = compare(heights, {"pvalue": {"Gender[T.M]": f"{p:.7f}"}})
    assert "any of 4 conventions" in said(found) or "any of 3 conventions" in said(found)
    assert "containment, SAS's default" in said(found) and "as nlme's" in said(found)


def test_digits_of_two_quantities_count_together(heights):
    """nlme 3.1-162 prints df 10 and 3, and p = 0.0667: three digits each, but one convention explains both."""
    alone = compare(heights, {"df": ["10", "3"]})
    assert not alone.explained and said(alone).startswith("perhaps, for few digits were printed, ")
    both = compare(heights, {"df": ["10", "3"], "pvalue": ["<.0001", "0.0667"]})
    assert both.explained and [str(one) for one in both.explanations] == ["degrees of freedom by inner and outer groups, as nlme's"] * 2


def test_digits_that_tell_nothing_do_not_count(heights, machines):
    """Equal numbers are one, and what is the fit's as well speaks for no other convention."""
    three = compare(machines[0], {"df": ["41"] * 3})
    assert not three.explained and three.explanations[0].printed == 2 and said(three).startswith("perhaps, for few digits")
    own = compare(heights, {"df": ["10", f"{heights.df.iloc[1]:.8g}"]})
    assert own.explanations[0].printed == 2 and not own.explained
    fit, ml = machines
    assert compare(fit, {"sd": texts(ml.sd, 3)}).explanations[0].printed == 6


def test_random_wrong_numbers_are_explained_by_nothing(machines):
    """1,000 lists and numbers of eight digits, as near as those of wrong fits are."""
    rng = np.random.default_rng(3)
    fit, _ = machines
    own = {
        "beta": fit.beta, "se": fit.bse, "df": fit.df, "pvalue": fit.pvalues, "sd": fit.sd, "var": fit.sd**2, "theta": fit.theta,
        "sigma": fit.sigma, "llf": fit.llf, "deviance": fit.deviance, "aic": fit.aic, "bic": fit.bic,
    }
    facts, _, own_number = read(fit, {"beta": fit.beta})
    names = {quantity: [str(i) for i in range(np.size(values))] for quantity, values in own.items()}
    names |= {"sd": list(fit.sd.index), "var": list(fit.sd.index), "beta": list(fit.params.index), "theta": list(fit.setup.design.labels), "other": []}
    for i in range(1000):
        quantity = list(own)[i % len(own)]
        values = np.atleast_1d(np.asarray(own[quantity], float))
        wrong = texts(values * np.exp(rng.normal(0, 0.3, len(values))), 8)
        claims = read_claims({quantity: wrong if len(wrong) > 1 else wrong[0]}, names)
        explanation, _ = explained(claims.of(quantity), facts, own_number)
        assert not explanation.conventions, (quantity, wrong, explanation)


# -- the verdict -----------------------------------------------------------------------------------


def test_the_deviance_is_that_of_the_definition(machines):
    fit, _ = machines
    claimed = {"sd": ["4.1", "3.3"], "sigma": "0.97"}
    verdict = compare(fit, claimed).verdict
    nll, _ = oracle_of(np.log([0.97, 4.1, 3.3]), fit.setup)
    assert abs(verdict.claim - (2 * nll + 41 * np.log(2 * np.pi))) < 1e-8 and verdict.lower == "fit"
    assert abs(verdict.fit - fit.deviance) < 1e-12 and verdict.excess > 0.1
    assert "the claimed point is no optimum" in str(verdict)


def test_variances_are_compared_in_the_scale_that_explains_them(machines):
    fit, ml = machines
    for claimed in ({"var": texts(fit.sd**2), "sigma": texts(fit.sigma)[0]}, {"sd": texts([*fit.sd**2, fit.sigma**2])},
                    {"theta": texts([fit.sigma**2, *fit.sd**2])}):
        verdict = compare(fit, claimed).verdict
        assert verdict.lower == "neither" and abs(verdict.excess) < 1e-9, claimed
    by_ml = compare(fit, {"sd": texts([*ml.sd, ml.sigma])}).verdict
    assert by_ml.lower == "neither" and str(by_ml).startswith("maximum likelihood's, by which the claim is")
    short = compare(fit, {"sd": texts([*ml.sd * 1.0001, ml.sigma])}).verdict
    assert "above the optimum of maximum likelihood, where this fit is by REML" in str(short)


# what stands in place of standard deviations s beside sigma r, of sigma, of a correlation
OF_SDS = {
    "sd": lambda s, r: s, "variance": lambda s, r: s**2, "log sd": lambda s, r: np.log(s), "log variance": lambda s, r: 2 * np.log(s),
    "relative sd": lambda s, r: s / r, "relative variance": lambda s, r: s**2 / r**2, "log relative sd": lambda s, r: np.log(s / r),
    "unit": lambda s, r: s / 10, "unit of variances": lambda s, r: s**2 / 100,
}
OF_SIGMA = {
    "sigma": lambda r: r, "variance": lambda r: r**2, "log": np.log, "log variance": lambda r: 2 * np.log(r), "precision": lambda r: r**-2, "unit": lambda r: r / 10,
}
OF_SIGMA_BY_REML = {"n": lambda r, n, k: r * np.sqrt((n - k) / n), "variance by n": lambda r, n, k: r**2 * (n - k) / n}
OF_SIGMA_BY_ML = {"n - k": lambda r, n, k: r * np.sqrt(n / (n - k)), "log with n - k": lambda r, n, k: np.log(r * np.sqrt(n / (n - k)))}
OF_CORR = {"corr": lambda c, s: c, "sign": lambda c, s: -c, "z": lambda c, s: np.arctanh(c), "covariance": lambda c, s: c * s[:1] * s[1:]}


def claims_by_conventions(fit):
    """Claims of the variances of a fit in all of these, some by chance together, none twice."""
    rng = np.random.default_rng(5)
    s, r, c = fit.sd.to_numpy(), fit.sigma, fit.corr.to_numpy()
    for shifted in (OF_SIGMA_BY_REML if fit.reml else OF_SIGMA_BY_ML).values():
        yield {"sd": texts(s), "sigma": texts(shifted(r, fit.nobs, len(fit.beta)))[0]} | ({"corr": texts(c)} if len(c) else {})
    alone = [(name, "sigma", "corr") for name in OF_SDS] + [("sd", name, "corr") for name in OF_SIGMA] + [("sd", "sigma", name) for name in OF_CORR]
    together = [tuple(rng.choice(list(names)) for names in (OF_SDS, OF_SIGMA, OF_CORR)) for _ in range(8)]
    for of_sds, of_sigma, of_corr in dict.fromkeys(alone + together):
        for quantity in ("sd", "var"):
            claimed = {quantity: texts(OF_SDS[of_sds](s, r)), "sigma": texts(OF_SIGMA[of_sigma](r))[0]}
            yield claimed | ({"corr": texts(OF_CORR[of_corr](c, s))} if len(c) else {})
        yield {"sd": texts(OF_SDS[of_sds](np.append(s, r), r))} | ({"corr": texts(c)} if len(c) else {})
    for order in ([2, 0, 1], [2, 1, 0], [1, 0, 2]):
        for numbers in (np.append(s, r), np.append(s, r)**2):
            yield {"sd": texts(numbers[order])} | ({"corr": texts(c)} if len(c) else {})
    yield {"var": texts(s[::-1]**2), "sigma": texts(r)[0]} | ({"corr": texts(c)} if len(c) else {})
    T = np.linalg.cholesky(psi_of(fit))[np.tril_indices(2)] / r if len(c) else s / r
    yield from ({"theta": texts(T, 10)}, {"theta": texts(T, 10), "sigma": texts(r)[0]}, {"theta": texts(T[[0, 1, 2]] if len(c) else T[::-1], 10)})


@pytest.mark.parametrize("reml", [True, False])
def test_what_conventions_explain_is_no_lower_and_no_higher(machines, sleepstudy, reml):
    """Where the numbers of a fit, by either criterion, are explained surely, they are an optimum by the likelihood too."""
    for by_reml in (machines[0], sleepstudy):
        fit = by_reml if reml else by_reml.update(reml=False)
        explained = 0
        for source in (fit, fit.update(reml=not reml)):
            for claimed in claims_by_conventions(source):
                found = compare(fit, claimed)
                explained += found.explained
                assert not found.explained or found.verdict.lower == "neither", (claimed, str(found))
        assert explained > 50


def test_variances_by_both_criteria_are_no_point_of_either(machines):
    fit, ml = machines
    verdict = compare(fit, {"sd": texts(fit.sd), "sigma": texts(ml.sigma**2)[0]}).verdict
    assert verdict.lower == "" and str(verdict) == "it cannot be compared, for sd is by REML, and sigma by maximum likelihood"
    of_rows = compare(fit, {"sd": texts(fit.sd), "sigma": texts(read(fit, {"sigma": 1})[0].least_squares[2])[0]}).verdict
    assert str(of_rows) == "it cannot be compared, for sigma is that of least squares, without random effects"


def test_rounding_is_no_fault(machines):
    fit, _ = machines
    rounded = compare(fit, {"sd": ["4.7", "3.8", "0.93"]}).verdict
    assert rounded.lower == "neither" and "no more than the rounding of the claim" in str(rounded)
    assert 0 < rounded.excess < rounded.rounding
    precise = compare(fit, {"sd": ["4.70000", "3.80000", "0.93000"]}).verdict
    assert precise.lower == "fit" and "stopped short" in str(precise) and abs(precise.excess - rounded.excess) < 1e-12


def test_a_claim_that_is_better_is_said_to_be():
    dat = pd.DataFrame({"y": [3, 2, 1, 2, 0, 2, 1.0], "x": [1.9, -0.7, -0.1, 1.6, 0.4, 0.5, -0.9], "a": ["a1"] * 4 + ["a0"] + ["a1"] * 2})
    best = lmer("y ~ 1 + (0 + x | a)", dat, reml=False)
    other = fit_of(best.setup, Plan(elsewhere=False), np.zeros(2))
    verdict = compare(other, {"sd": texts(best.sd, 12), "sigma": texts(best.sigma, 12)[0]}).verdict
    assert verdict.lower == "claim" and "so the fit is not the best" in str(verdict)
    worse = compare(best, {"sd": texts(other.sd, 12), "sigma": texts(other.sigma, 12)[0]}).verdict
    assert worse.lower == "fit" and "another optimum, the best near by" in str(worse)


@pytest.mark.parametrize("claimed, words", [
    ({"beta": [1, 2]}, "no variance parameters are claimed"),
    ({"sd": {"Subject": "24.7"}, "sigma": "25.6"}, "sd of 'Subject:Days' is not claimed"),
    ({"sd": ["24.7", "5.9"]}, "sigma is not claimed"),
    ({"sd": ["24.7", "5.9", "25.6"]}, "corr of 'Subject (Intercept, Days)' is not claimed"),
    ({"sd": ["24.7", "5.9", "25.6"], "corr": ["1.2"]}, "corr holds a number beyond 1"),
    ({"sd": ["24.7", "-5.9", "25.6"], "corr": ["0.1"]}, "sd holds a number that no standard deviation can be"),
    ({"sd": [0, 0, 0]}, "it cannot be compared, for sigma is 0, where the likelihood has no value"),
    ({"sd": ["1e300"] * 3, "corr": ["0"]}, "it cannot be compared, for a standard deviation is so small or large"),
    ({"sd": ["1e300", "1", "1"], "corr": ["0"]}, "it cannot be compared, for a standard deviation is so small or large"),
    ({"theta": ["1e300"] * 3}, "it cannot be compared, for the claimed theta holds a number so large"),
    ({"theta": ["1", "1", "1e300", "1"]}, "it cannot be compared, for the claimed theta holds a number so large"),
    ({"theta": ["1", "300", "1", "1"]}, "it cannot be compared, for a standard deviation is so small or large"),
    ({"sd": ["24.7", "<5.9", "25.6"], "corr": ["0.1"]}, "it cannot be compared, for sd is claimed as a bound"),
])
def test_what_is_missing_of_a_deviance(sleepstudy, claimed, words):
    assert words in str(compare(sleepstudy, claimed).verdict)


# -- rules of degrees of freedom -------------------------------------------------------------------


def test_counted_degrees_of_freedom(heights, sleepstudy, machines):
    """nlme 3.1-162 prints 10 and 3, 26 and 10 (R here); containment is SAS's rule by its manual."""
    rules = {words: values.tolist() for words, values in counted(heights)}
    assert rules["degrees of freedom by inner and outer groups, as nlme's"] == [10, 3]
    assert rules["degrees of freedom by containment, SAS's default"] == [3, 3]
    assert rules["degrees of freedom n - k"] == [16, 16]
    assert dict(counted(machines[0]))["degrees of freedom by inner and outer groups, as nlme's"].tolist() == [26, 10, 10]
    assert dict(counted(sleepstudy))["degrees of freedom by containment, SAS's default"].tolist() == [17, 17]
    crossed = lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", load_data("Penicillin"))
    assert not any("nlme" in words for words, _ in counted(crossed))       # its groups are not nested


# -- what cannot be read ---------------------------------------------------------------------------


@pytest.mark.parametrize("claimed, words", [
    ([1.0], "claimed is of type list; it is a dict by quantity"),
    ({}, "claimed is empty"),
    ({"sds": [1]}, "there is no quantity 'sds'; there are 'beta', "),
    ({"beta": [1.0]}, "beta has 1 numbers; it takes 3: 'Intercept', 'Machine[T.B]', 'Machine[T.C]'"),
    ({"sd": [1.0, 2.0, 3.0, 4.0]}, "sd has 4 numbers; it takes 2 or 3"),
    ({"beta": {"MachineD": 1.0}}, "there is no coefficient of beta 'MachineD'"),
    ({"sd": {"Wroker": 1.0}}, "there is no term of sd 'Wroker'; there are 'Worker', 'Worker:Machine'; did you mean 'Worker'?"),
    ({"sigma": float("nan")}, "sigma is nan; leave out what was not printed"),
    ({"beta": [1.0, "nan", 2.0]}, "beta[1] is nan"),
    ({"sigma": "a lot"}, "sigma is 'a lot', which is no number"),
    ({"sigma": ""}, "sigma is '', which is no number"),
    ({"sigma": True}, "sigma is True; it is a number"),
    ({"sigma": None}, "sigma is None; it is a number"),
    ({"sigma": [0.9]}, "sigma is of type list; it is a number"),
    ({"sd": {"Worker": [1, 2]}}, "sd['Worker'] is of type list"),
    ({"beta": object()}, "beta is of type object; it is a list or a dict by name"),
    ({"sigma": 1.0, "sd": {"Residual": 1.0}}, "sigma is claimed twice"),
    ({"beta": {"Intercept": 1, "(Intercept)": 2}}, "beta of 'Intercept' is claimed twice, as 'Intercept' and as '(Intercept)'"),
    ({"sd": {"Residual": 1, "sigma": 2}}, "sd of 'Residual' is claimed twice, as 'Residual' and as 'sigma'"),
    ({"beta": pd.Series([1, 2], ["Intercept", "Intercept"])}, "'Intercept' is claimed twice in a Series"),
    ({"sigma": "1e400"}, "sigma is '1e400', beyond 1e307"),
    ({"sigma": "1e5000"}, "sigma is '1e5000', beyond 1e307"),
    ({"sigma": "1e99999999999999999999"}, "sigma is '1e99999999999999999999', beyond 1e307"),
    ({"beta": [1, 10**5000, 1]}, "beta[1] is an integer beyond 1e307"),
    ({"beta": {}}, "claimed holds no number: beta is empty"),
    ({"corr": []}, "claimed holds no number: corr is empty"),
    ({"sigma": np.array([1.0, 2.0])}, "sigma is of type ndarray; it is a number"),
    ({"sigma": b"123"}, "sigma is of type bytes; it is a number"),
    ({"beta": b"123"}, "beta is of type bytes; it is a list or a dict by name"),
    ({"beta": {1.0, 2.0, 3.0}}, "beta is of type set; it is a list or a dict by name"),
    ({"sigma": "<<1"}, "sigma is '<<1', which is no number"),
    ({"sigma": "1_000"}, "sigma is '1_000', which is no number"),
    ({"sigma": "\u0663"}, "sigma is '\u0663', which is no number"),
    ({"sigma": "x" * 6000}, f"sigma is '{'x' * 40}...', which is no number"),
    ({"x" * 6000: 1}, f"there is no quantity '{'x' * 40}...'; there are"),
    ({"beta": {"x" * 6000: 1}}, f"there is no coefficient of beta '{'x' * 40}...'; there are"),
])
def test_what_cannot_be_read(machines, claimed, words):
    with pytest.raises(LMMError) as error:
        compare(machines[0], claimed)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_any_mapping_and_any_number_of_numpy_can_be_read(machines):
    fit, _ = machines
    claimed = MappingProxyType({"sd": MappingProxyType({"Worker": f"{fit.sd['Worker']:.6f}"}), "sigma": np.float32(fit.sigma), "nobs": np.int64(44)})
    assert compare(fit, claimed).agrees and compare(fit, {"beta": fit.params, "se": fit.bse.to_numpy(), "df": tuple(fit.df)}).agrees


def test_other_arguments(machines):
    with pytest.raises(LMMError, match="fit is of type dict; it is what lmm or lmer returns"):
        compare({"beta": 1}, {"sigma": 1})
    with pytest.raises(LMMError, match="program is 3"):
        compare(machines[0], {"sigma": 1}, 3)


# -- what is shown ---------------------------------------------------------------------------------


def test_what_is_printed():
    fit = fit_at(np.log([2.0, 3.0, 1.0]), reasons=())
    text = str(compare(fit, {"sigma": "2.00", "sd": {"Worker": "9.00000"}}, "SAS <9.4>"))
    assert text.splitlines()[:5] == [
        "Claimed by SAS <9.4>, beside the fit by maximum likelihood:",
        "                claimed  exact  digits  printed  agrees",
        " sd     Worker  9.00000      3     0.0        6  no",
        " sigma             2.00      2    16.0        3  yes",
        "What explains the numbers that differ:",
    ]
    assert "- sd: variances in place of sds" in text
    html = compare(fit, {"sigma": "2.00"}, "SAS <9.4>")._repr_html_()
    assert "SAS &lt;9.4&gt;" in html and "<9.4>" not in html
    assert "All claimed numbers are the fit&#x27;s, to the digits claimed or to six." in html


def test_as_plain_python(machines):
    fit, _ = machines
    found = compare(fit, {"df": ["Inf"] * 3, "sd": ["4.7", "3.8", "0.93"], "pvalue": {"Intercept": "<.0001"}}, "a program")
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["program"] == "a program" and plain["deviance"]["lower"] == "neither"
    assert plain["explanations"][0] == {
        "quantity": "df", "conventions": [["the normal distribution, infinite degrees of freedom"]], "sure": True,
    }
    assert [row["claimed"] for row in plain["numbers"]][:3] == ["Inf"] * 3 and plain["numbers"][-1]["agrees"] in (True, False)


def test_nothing_is_changed(machines):
    """Neither the claim, nor the data, nor that the fit can be pickled."""
    fit, _ = machines
    claimed = {"sd": {"Worker": "4.7"}, "beta": ["1", "2", "3"]}
    before, dat = json.dumps(claimed), fit.setup.design.dat.copy()
    compare(fit, claimed)
    assert json.dumps(claimed) == before
    pd.testing.assert_frame_equal(fit.setup.design.dat, dat)
    again = pickle.loads(pickle.dumps(fit))
    assert str(compare(again, claimed)) == str(compare(fit, claimed))


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    data, claims = tmp_path / "heights.csv", tmp_path / "claims.json"
    HEIGHTS.to_csv(data, index=False)

    def write(text):
        claims.write_text(text)
        return [str(data), str(claims)]

    return write


MODEL = '"form": "Height ~ Gender + (1 | Family) + (1 | Family:Gender)", "reml": true, "factors": ["Family"], "program": "nlme 3.1-162"'


def test_the_command(files, capsys, tmp_path):
    both = files(f'{{{MODEL}, "claimed": {{"beta": [64.84929, 3.36210], "df": [10, 3], "pvalue": ["<.0001", 0.0667]}}}}')
    assert main(["compare", *both, "--html", str(tmp_path / "out.html")]) == 0
    text = capsys.readouterr().out
    assert "Claimed by nlme 3.1-162" in text and "3.36210" in text             # with the zero that was printed
    assert "df, pvalue: degrees of freedom by inner and outer groups, as nlme's" in text
    assert "Claimed by nlme" in (tmp_path / "out.html").read_text()
    assert main(["compare", *both, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["explained"] is True
    assert main(["compare", *files(f'{{{MODEL}, "claimed": {{"sigma": 9.87654}}}}')]) == 1
    assert "no convention that is known here" in capsys.readouterr().out


@pytest.mark.parametrize("text, words", [
    ("[1]", "holds no object with the keys form, ref, reml"),
    ("{", "is no JSON: "),
    ('{"form": "Height ~ Gender"}', "has no 'claimed'"),
    ('{"claimed": {}}', "has no 'form'"),
    ('{"form": 3, "claimed": {}}', "is 3; it is a formula, as text"),
    ('{"frm": 3}', "'frm'; there are 'form', 'ref', 'reml', 'factors', 'program'"),
    ('{"form": "Height ~ Gender", "reml": 1, "claimed": {"sigma": 1}}', "is 1; it is True or False"),
    ('{"form": "Height ~ Gender", "factors": "Family", "claimed": {"sigma": 1}}', "is 'Family'; it is a list of names of columns"),
    ('{"form": "Height ~ Gender", "factors": ["Famly"], "claimed": {"sigma": 1}}', "factors names 'Famly', which is not a column of "),
    ('{"form": "Height ~ Gender", "claimed": {"sigma": 1, "sigma": 2}}', "has the key 'sigma' twice in one object"),
    ('{"form": "Height ~ Gender", "claimed": {"sigma": 1' + "0" * 5000 + "}}", "is no JSON: "),
    ('{"form": "Height ~ Gender", "claimed": {"sigma": NaN}}', "sigma is nan; leave out what was not printed"),
])
def test_what_the_command_cannot_read(files, capsys, text, words):
    assert main(["compare", *files(text)]) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("lmm: ") and error.count("\n") == 1


# -- other kinds of fits ---------------------------------------------------------------------------


def days(**more):
    return load_data("sleepstudy").assign(**more)


def by_matrices(dat):
    Z = pd.get_dummies(dat["Subject"]).to_numpy(float)
    return lmm.lmm(dat["Reaction"].to_numpy(), np.column_stack([np.ones(180), dat["Days"]]), {"Subject": Z})


OTHER_FITS = {
    "chunks": lambda: lmer("Reaction ~ Days + (1 | Subject)", lambda: iter([days().iloc[::2], days().iloc[1::2]])),
    "matrices": lambda: by_matrices(days()),
    "weights": lambda: lmer("Reaction ~ Days + (1 | Subject)", days(), weights=np.linspace(1, 2, 180)),
    "no random effects": lambda: lmm.lmm("Reaction ~ Days", days()),
    "no fixed effects": lambda: lmer("Reaction ~ 0 + (1 | Subject)", days()),
    "a column left out": lambda: lmer("Reaction ~ Days + twice + (1 | Subject)", days(twice=2.0 * days()["Days"])),
    "singular": lambda: lmer("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff2")),
}


@pytest.mark.parametrize("name", OTHER_FITS)
def test_other_kinds_of_fits(name):
    """All that is wrong is looked at, nothing fails, nothing is explained; the fit's own numbers agree."""
    fit = OTHER_FITS[name]()
    k = len(fit.beta)
    wrong = {"beta": ["1.234567"] * k, "se": ["9.876543"] * k, "df": ["7.654321"] * k, "pvalue": ["0.1234567"] * k, "sigma": "3.123456",
             "sd": ["3.412345"] * len(fit.sd), "aic": "12.34567", "bic": "22.22222", "llf": "1.234567", "deviance": "7.654321"}
    found = compare(fit, {quantity: given for quantity, given in wrong.items() if len(given)})
    assert not found.table["agrees"].any() and found.verdict.lower == "fit", found
    assert not any(one.conventions for one in found.explanations), found
    own = {"beta": texts(fit.beta), "se": texts(fit.bse), "sigma": texts(fit.sigma)[0], "sd": texts(fit.sd), "llf": texts(fit.llf)[0]}
    assert compare(fit, {quantity: given for quantity, given in own.items() if len(given)}).agrees
