"""The grading kit judges well: right submissions pass, whatever their form, and each mistake is named."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from lmm import LMMprof, lmm
from lmm.grading import Grading, built_in_cases
from lmm.grading.diagnosis import UNKNOWN, Judge, Likelihood
from lmm.machine import few_threads

HERE = Path(__file__).parent / "submissions"
RIGHT = (HERE / "correct" / "practical.py").read_text()
M, U = "Machines", "MachinesUnbalanced"

# One mistake each, as a change of tests/grading/submissions/correct/practical.py: name, the case asked, old text, new text, words
# of the cause that is to be named.
MISTAKES = [
    ("REML", U, "return half_logdet + rss / 2", "return half_logdet + rss / 2 + np.log(np.diag(G)[:k]).sum()", "REML, not ML"),
    ("(n - p) log sigma^2 forgotten", U, " + (n - r) * theta[0]", "", "log|V| lacks (n - p) log sigma^2"),
    ("n log sigma^2", U, "(n - r) * theta[0]", "n * theta[0]", "log|V| has n log sigma^2"),
    ("(n - p) log sigma", U, "(n - r) * theta[0]", "(n - r) * theta[0] / 2", "(n - p) log sigma where (n - p) log sigma^2 is due"),
    ("log|V| not halved", U, "half_logdet + rss / 2", "2 * half_logdet + rss / 2", "log|V| is not halved"),
    ("half missing on one term", U, "np.sum(np.log(np.diag(L)))", "2 * np.sum(np.log(np.diag(L)))", "is twice what it should be: it is the sum of the logs"),
    ("squares not halved", U, "half_logdet + rss / 2", "half_logdet + rss", "the weighted sum of squares is not halved"),
    ("no log|V|", U, "return half_logdet + rss / 2", "return rss / 2", "log|V| is missing"),
    ("wrong triangle", "a numeric interaction", "solve_triangular(L, QtU, lower=True)", "solve_triangular(L, QtU)", "the wrong triangle"),
    ("L' for L", "a numeric interaction", "solve_triangular(L, QtU, lower=True)", "solve_triangular(L.T, QtU)", "the wrong triangle"),
    ("pivoted QR", "three crossed blocks", 'Q, R = np.linalg.qr(Z)', 'Q, R, _ = linalg.qr(Z, mode="economic", pivoting=True)',
     "QR with pivoting: psi must be permuted"),
    ("log(det)", "other units", "np.sum(np.log(np.diag(L)))", "np.log(np.linalg.det(A)) / 2", "log(det()) overflows"),
    ("one variance", U, "np.repeat(np.exp(2 * theta[1:]), sizes)", "np.full(sum(sizes), np.exp(2 * theta[1]))",
     "all blocks share one variance"),
    ("assumes n > p", "more columns than rows", "np.eye(r)", "np.eye(sum(sizes))",
     "raises ValueError at line 27 of practical.py, in LMMprof"),
    ("no random effects", "no random effects", "np.hstack([np.empty((len(y), 0)), *blocks])", "np.hstack(blocks)",
     "raises ValueError"),
    ("sigma with n - k", "no random effects", '"theta": found.x}',
     '"theta": found.x + np.log(54 / 51) / 2 * (not ref)}', "sqrt(RSS / (n - k)), as by REML; by maximum likelihood"),
    ("theta as sds", M, '"theta": found.x}', '"theta": np.exp(found.x)}', "sd = 4.36 where log sd = 1.47 was asked"),
    ("theta as variances", M, '"theta": found.x}', '"theta": np.exp(2 * found.x)}', "variance = 19 where log sd = 1.47 was asked"),
    ("theta relative", M, '"theta": found.x}', '"theta": np.append(found.x[0], np.exp(found.x[1:] - found.x[0]))}',
     "relative to sigma, as in lme4"),
    ("theta reversed", U, '"theta": found.x}', '"theta": found.x[::-1]}', "theta is right but for its order: it is in reverse order"),
    ("start at zero", "other units", "np.full(1 + len(ref), np.log(y_sd) - 0.5)", "np.zeros(1 + len(ref))", "the search stopped short"),
    ("dat is changed", M, "    setup = LMMsetup(form, dat, ref)\n    y_sd", "    dat['one'] = 1.0\n    setup = LMMsetup(form, dat, ref)\n    y_sd",
     "lmm changed its arguments: dat has other columns (one added)"),
    ("missing rows in X only", "missing values", "dat.loc[y.index]", "dat[:len(y)]", "the rows of Z are not those of y and X"),
    ("missing rows crash", "missing values", "dat.loc[y.index]", "dat", "raises ValueError"),
    ("integers", "categories that are integers", "used = dat.loc[y.index]", "used = dat.loc[y.index].assign(a=lambda d: d.a.astype(int))",
     "a factor with integer levels, is taken as a number"),
    ("a number as a factor", "a numeric interaction", "used = dat.loc[y.index]",
     "used = dat.loc[y.index].astype({'x': 'category'})", "x is taken as a factor in the block g:x"),
    ("a number ignored", "a numeric interaction", '":".join(names)', 'names[0]', "x is ignored in the block g:x"),
    ("OLS", U, '"beta": LMMprof(found.x, setup)[1]', '"beta": np.linalg.lstsq(*(lambda y, X: (X, y.ravel()))(*map(np.asarray, dmatrices(form, dat))), rcond=None)[0]',
     "this is the OLS value; did theta reach the likelihood?"),
    ("maximised", U, "return half_logdet + rss / 2, beta", "return -half_logdet - rss / 2, beta", "LMMprof is the log-likelihood, and seems to have been minimised"),
    ("stopped", U, 'method="Nelder-Mead"', 'method="Nelder-Mead", options={"maxiter": 15}', "LMMprof is right, but the search stopped short, or theta was changed"),
    ("rows beyond p", "a numeric interaction", " + rest / sigma2", "", "beyond the first p are left out"),
    ("rest not divided", "a numeric interaction", " + rest / sigma2", " + rest", "are not divided by sigma"),
    ("a root", U, "rss = G[k, k] ** 2", "rss = G[k, k]", "the weighted sum of squares is not squared"),
    ("sigma not squared", U, "np.exp(2 * theta[0])", "np.exp(theta[0])", "sigma is not squared"),
    ("psi of sds", U, "np.exp(2 * theta[1:])", "np.exp(theta[1:])", "psi holds variances"),
    ("relative theta", U, "np.repeat(np.exp(2 * theta[1:])", "np.repeat(np.exp(2 * theta[1:] + 2 * theta[0])", "relative to sigma, as in lme4"),
    ("returns nan", M, '"theta": found.x}', '"theta": found.x * np.nan}', "theta[0] is nan"),
    ("returns text", M, '"theta": found.x}', '"theta": [str(t) for t in found.x]}', "where numbers were asked"),
    ("returns nothing", M, "return {", "_ = {", "lmm returned None: is a return statement missing?"),
    ("one number too many", M, '"theta": found.x}', '"theta": np.append(found.x, 1)}', "theta has 4 elements, where 3 were asked"),
    ("a matrix", M, '"theta": found.x}', '"theta": np.outer(found.x, found.x)}', "theta has shape (3, 3), where a vector was asked"),
    ("other keys", M, '{"beta":', '{"estimates":', "without 'beta'; its keys are 'estimates', 'theta'"),
    ("exchanged", "three crossed blocks", '{"beta": LMMprof(found.x, setup)[1], "theta": found.x}',
     '{"theta": LMMprof(found.x, setup)[1], "beta": found.x}', "beta and theta are exchanged"),
    ("QR each time", "2,000 rows", "lambda theta: LMMprof(theta, setup)[0]", "lambda theta: LMMprof(theta, LMMsetup(form, dat, ref))[0]",
     "again in each evaluation"),
    ("n x n each time", "2,000 rows", "    rss = G[k, k] ** 2", "    rss = G[k, k] ** 2 + 0 * np.zeros((n, n)).sum()", "as where an n x n matrix is formed"),
]


@cache
def grading(*names):
    """The cases of those names, to judge many submissions with."""
    return Grading([case for case in built_in_cases() if case.name in names], time_limit=20)


@cache
def judge_of(name):
    return Judge(next(case for case in built_in_cases() if case.name == name))


def two_at_a_time(function, values):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, values))


def changed(folder, old, new):
    """The right submission with a change, in a folder of its own."""
    assert RIGHT.count(old) == 1, old
    path = folder / "practical.py"
    path.write_text(RIGHT.replace(old, new))
    return path


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The report on each mistake."""
    def report(mistake):
        name, case, old, new, _ = mistake
        return name, grading(case).report(changed(tmp_path_factory.mktemp("mistake"), old, new))

    return dict(two_at_a_time(report, MISTAKES))


@pytest.mark.parametrize("name, words", [(mistake[0], mistake[-1]) for mistake in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_caught_and_named(name, words, reports):
    report = reports[name]
    assert not report.passed and report.points == 0
    assert words in report.cause and UNKNOWN not in report.cause, str(report)


@pytest.fixture(scope="module")
def right():
    """The report on each right submission, all cases."""
    paths = sorted(path for path in (HERE / "correct").iterdir() if not path.name.startswith("__"))
    every = Grading(built_in_cases())
    return dict(two_at_a_time(lambda path: (path.stem, every.report(path)), paths))


@pytest.mark.parametrize("name", ["practical", "bfgs_tuple", "henderson_object", "sparse_result", "helped", "definition_list"])
def test_right_submissions_pass_whatever_their_form(name, right):
    """All but one: n x n algebra is right, and loses the points of the 2,000 rows, as the sheet forbids it."""
    report = right[name]
    failed = [result.name for result in report.results if not result.passed]
    assert failed == (["2,000 rows"] if name == "definition_list" else []), str(report)
    if failed:
        assert "as where an n x n matrix is formed: one of" in report.cause


@pytest.mark.parametrize("name, words", [
    ("practical", "LMMprof is right at fixed thetas, without the constant n/2 log(2 pi)"),
    ("bfgs_tuple", "LMMprof is called as LMMprof(theta, **setup)"),
    ("bfgs_tuple", "as twice the negative log-likelihood, with the constant n/2 log(2 pi)"),
    ("helped", "LMMprof is called as LMMprof(setup, theta=theta)"),
    ("helped", "but for its sign: it is the log-likelihood, not its negative"),
    ("definition_list", "LMMprof is called as LMMprof(theta, *setup)"),
    ("henderson_object", "no LMMsetup and LMMprof: the likelihood could not be checked alone"),
])
def test_what_is_said_of_a_right_likelihood(name, words, right):
    assert any(words in note for note in right[name].notes), right[name].notes


def test_a_wrong_fit_without_a_likelihood_to_look_at_is_still_explained(tmp_path_factory):
    """Its theta is the minimum of the criterion with the mistake."""
    def report(mistake):
        path = changed(tmp_path_factory.mktemp("alone"), *mistake[2:4])
        path.write_text(path.read_text().replace("LMMprof", "profile"))
        return grading(mistake[1]).report(path)

    chosen = [mistake for mistake in MISTAKES if mistake[0] in (
        "REML", "(n - p) log sigma^2 forgotten", "wrong triangle", "sigma not squared", "a number as a factor")]
    for mistake, found in zip(chosen, two_at_a_time(report, chosen)):
        assert mistake[-1] in found.cause and "smallest with one mistake" in found.cause, str(found)


def answer(beta, theta):
    """What a process says of a dict."""
    parts = {name: {"type": "ndarray", "kind": "array", "shape": [len(values)], "values": list(map(float, values)), "items": {}}
             for name, values in (("beta", beta), ("theta", theta))}
    return {"returned": {"type": "dict", "kind": "mapping", "items": parts}}


NAMES = [case.name for case in built_in_cases() if not case.costs]


@pytest.mark.parametrize("name", NAMES)
def test_no_cause_is_invented(name):
    """Of wrong numbers at random hardly any is told a cause; and what is right passes, at -inf and on a flat stretch too."""
    rng, judge, unknown = np.random.default_rng(0), judge_of(name), Likelihood(None, "")
    case = judge.case
    assert judge.fit(answer(case.beta, case.theta), unknown).passed
    theta = np.where(np.isfinite(case.theta), case.theta, case.theta[0] - 9)
    assert judge.fit(answer(case.beta, theta), unknown).passed
    with few_threads():
        verdicts = [judge.fit(answer(case.beta + rng.normal(size=len(case.beta)) * judge.se,
                                     theta + rng.normal(0, sd, len(theta))), unknown) for sd in (0.1, 0.5, 2.0) for _ in range(10)]
    named = [verdict for verdict in verdicts if UNKNOWN not in verdict.causes[0]]
    assert not any(verdict.passed for verdict in verdicts) and len(named) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_cases_are_what_they_claim(name):
    """Certified optima; exact answers agree with them; and REML's is told from them."""
    case = judge_of(name).case
    assert case.fit.optimum.certified and case.best <= case.fit.nll + 1e-9
    np.testing.assert_allclose(np.exp(case.theta), np.exp(case.fit.theta), rtol=1e-7)
    np.testing.assert_allclose(case.beta, case.fit.beta, rtol=1e-9)
    reml = lmm(case.form, case.dat, case.ref, reml=True)
    assert LMMprof(reml.theta, case.setup) - case.best > 10 * case.nll_tolerance


@pytest.mark.parametrize("value", [1e300, -1e300, 710.0, -710.0, -np.inf])
@pytest.mark.parametrize("name", [U, "no random effects", "Dyestuff2"])
def test_any_numbers_can_be_judged(name, value):
    """Warnings being errors here."""
    judge, unknown = judge_of(name), Likelihood(None, "")
    for theta in (np.full(len(judge.case.theta), value), np.append(judge.case.theta[0], np.full(len(judge.blocks), value))):
        right = np.isfinite(theta[0]) and judge.excess(theta) < 1e-4
        assert judge.fit(answer(judge.case.beta, theta), unknown).passed == right
    evaluations = [{"returned": {"type": "float", "kind": "number", "value": value, "items": {}}} for _ in judge.case.thetas]
    assert judge.likelihood({"way": "", "values": evaluations}).right is False


def test_a_tolerance_lets_nelder_mead_through_and_nothing_that_is_off():
    """On the unbalanced Machines: an sd 1 % off is wrong, beta of OLS is, and scipy's default stopping is right."""
    judge = judge_of(U)
    case = judge.case
    found = minimize(LMMprof, np.full(3, 1.0), args=(case.setup,), method="Nelder-Mead")
    assert judge.excess(found.x) < case.nll_tolerance / 100
    for i in range(3):
        assert judge.excess(case.theta + 0.02 * np.eye(3)[i]) > case.nll_tolerance
    assert judge.far(judge.model.ols, case.beta) > 10 * case.beta_tolerance
