"""The grading kit judges well: right submissions pass, whatever their form, and mistakes are named."""

import json
import pickle
import re
import sys
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ahead import Ahead, asked
from scipy.optimize import minimize

from lmm import LMMprof, lmm
from lmm.grading import Grading, Result, built_in_cases, diagnosis, judging
from lmm.grading.costs import costs
from lmm.grading.diagnosis import UNKNOWN, Judge, Likelihood
from lmm.grading.inside import running
from lmm.grading.loading import Submission
from lmm.grading.mistakes import is_minimum, matches
from lmm.machine import few_threads

HERE = Path(__file__).parent / "submissions"
RIGHT = (HERE / "correct" / "practical.py").read_text()
M, U = "Machines", "MachinesUnbalanced"
MANY_ROWS = "2,000 rows"

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
    ("beta reversed", U, '"beta": LMMprof(found.x, setup)[1]', '"beta": LMMprof(found.x, setup)[1][::-1]',
     "beta's elements are in another order than the columns of X, Intercept, Machine[T.B], Machine[T.C]"),
    ("beta rolled", "three crossed blocks", '"beta": LMMprof(found.x, setup)[1]', '"beta": np.roll(LMMprof(found.x, setup)[1], 1)',
     "beta's elements are in another order than the columns of X, Intercept, x"),
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
    return Grading([case for case in built_in_cases() if case.name in names])


@cache
def judge_of(name):
    return Judge(next(case for case in built_in_cases() if case.name == name))


def changed(folder, old, new):
    """The right submission with a change, in a folder of its own."""
    assert RIGHT.count(old) == 1, old
    path = folder / "practical.py"
    path.write_text(RIGHT.replace(old, new))
    return path


# -- mistakes ------------------------------------------------------------------------------------

@contextmanager
def quietly():
    """Warnings, which are errors in tests, are what a submission prints."""
    with warnings.catch_warnings(), few_threads():
        warnings.simplefilter("ignore")
        yield


class InThisProcess:
    """Stands in for a `Sandbox`: what runs in a submission's process is run in this one.

    To start Python, numpy and pandas takes ten times as long as to answer a case. What a process
    is for is tested in test_grading_process.py.
    """

    output = ""

    def __init__(self, submitted, time_limit, memory_limit, count):
        assert not count
        self.path = submitted.path
        with quietly():
            self.module, error = running.load(self.path, submitted.name)
        functions = {name: callable(getattr(self.module, name, None)) for name in running.FUNCTIONS}
        self.loaded = {"loaded": error is None, "error": error, "functions": functions, "events": []}

    def ask(self, arguments):
        given = pickle.loads(pickle.dumps(arguments))
        with quietly():
            answer = running.run(self.module, given, self.path)
        return {"events": [], **json.loads(json.dumps(answer))}

    def close(self):
        del sys.modules[running.MODULE_NAME]


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setattr(judging, "Sandbox", InThisProcess)


def check_mistake(mistake, folder):
    _, case, old, new, words = mistake
    report = grading(case).report(changed(folder, old, new))
    assert not report.passed and report.points == 0
    assert words in report.cause and UNKNOWN not in report.cause, str(report)


COUNTED = [mistake for mistake in MISTAKES if mistake[1] == MANY_ROWS]
OTHERS = [mistake for mistake in MISTAKES if mistake[1] != MANY_ROWS]


@pytest.mark.requirement("grading")
@pytest.mark.parametrize("mistake", OTHERS, ids=lambda mistake: mistake[0])
def test_a_mistake_is_caught_and_named(mistake, tmp_path, in_this_process):
    check_mistake(mistake, tmp_path)


@pytest.mark.parametrize("mistake", COUNTED, ids=lambda mistake: mistake[0])
def test_a_waste_is_caught_and_named(mistake, tmp_path):
    """Calls are counted, and memory watched, in a process alone."""
    check_mistake(mistake, tmp_path)


@pytest.mark.parametrize("name", ["REML", "log(det)", "assumes n > p", "dat is changed"])
def test_a_process_of_its_own_answers_the_same(name, tmp_path, monkeypatch):
    """By which the other mistakes need none."""
    _, case, old, new, _ = next(mistake for mistake in MISTAKES if mistake[0] == name)
    path = changed(tmp_path, old, new)
    reports = [grading(case).report(path)]
    monkeypatch.setattr(judging, "Sandbox", InThisProcess)
    reports.append(grading(case).report(path))
    there, here = (replace(report.results[0], output="", seconds=None) for report in reports)
    assert there == here and reports[0].notes == reports[1].notes


ALONE = ("REML", "(n - p) log sigma^2 forgotten", "wrong triangle", "sigma not squared", "a number as a factor")


@pytest.mark.parametrize("name", ALONE)
def test_a_wrong_fit_without_a_likelihood_to_look_at_is_still_explained(name, tmp_path, in_this_process):
    """Its theta is the minimum of the criterion with the mistake."""
    _, case, old, new, words = next(mistake for mistake in MISTAKES if mistake[0] == name)
    path = changed(tmp_path, old, new)
    path.write_text(path.read_text().replace("LMMprof", "profile"))
    found = grading(case).report(path)
    assert words in found.cause and "smallest with one mistake" in found.cause, str(found)


# -- right submissions ---------------------------------------------------------------------------

# what is said of their likelihoods
CORRECT = {
    "practical": ["LMMprof is right at fixed thetas, without the constant n/2 log(2 pi)"],
    "bfgs_tuple": [
        "LMMprof is called as LMMprof(theta, **setup)",
        "as twice the negative log-likelihood, with the constant n/2 log(2 pi)",
    ],
    "henderson_object": ["no LMMsetup and LMMprof: the likelihood could not be checked alone"],
    "sparse_result": [],
    "helped": [
        "LMMprof is called as LMMprof(setup, theta=theta)",
        "but for its sign: it is the log-likelihood, not its negative",
    ],
    "definition_list": ["LMMprof is called as LMMprof(theta, *setup)"],
}


@pytest.fixture(scope="module")
def timed(request):
    """The report on a right submission, all cases, and the seconds that it took."""
    every = Grading(built_in_cases())

    def timed(name):
        folder = HERE / "correct" / name
        start = time.perf_counter()
        report = every.report(folder if folder.is_dir() else folder.with_suffix(".py"))
        return report, time.perf_counter() - start

    with Ahead(timed, asked(request, "timed", "name")) as ahead:
        yield ahead


@pytest.mark.requirement("grading")
@pytest.mark.parametrize("name", CORRECT)
def test_right_submissions_pass_whatever_their_form(name, timed):
    """All but one: n x n algebra is right, and loses the points of the 2,000 rows, as the sheet forbids it."""
    report, whole = timed(name)
    failed = [result.name for result in report.results if not result.passed]
    assert failed == ([MANY_ROWS] if name == "definition_list" else []), str(report)
    if failed:
        assert "as where an n x n matrix is formed: one of" in report.cause
    for words in CORRECT[name]:
        assert any(words in note for note in report.notes), report.notes
    check_seconds(report, whole)


def check_seconds(report, whole):
    """Of each fit, and of an evaluation among many rows: not negative, and no more than there were."""
    seconds = [result.seconds for result in report.results if result.seconds is not None]
    assert len(seconds) == len(report.results) - (report.results[-1].seconds is None)
    assert min(seconds) >= 0 and sum(seconds) <= whole
    for note in report.results[-1].notes:
        milliseconds, ratio = re.search(r"LMMprof takes (\S+) ms, (\S+) times a QR", note).groups()
        assert 0 < float(milliseconds) < 1e3 * whole and float(ratio) > 0


def test_the_submissions_are_all_asked():
    names = {path.stem for path in (HERE / "correct").iterdir() if not path.name.startswith("__")}
    assert names == set(CORRECT)


# -- the judge -----------------------------------------------------------------------------------

def answer(beta, theta):
    """What a process says of a dict."""
    items = {}
    for name, values in (("beta", beta), ("theta", theta)):
        numbers = list(map(float, values))
        items[name] = {"type": "ndarray", "kind": "array", "shape": [len(numbers)], "values": numbers, "items": {}}
    return {"returned": {"type": "dict", "kind": "mapping", "items": items}}


NOT_KNOWN = Likelihood(None, "")
NAMES = [case.name for case in built_in_cases() if not case.costs]


@pytest.mark.parametrize("name", NAMES)
def test_no_cause_is_invented(name):
    """Of wrong numbers at random hardly any is told a cause; and what is right passes, at -inf and on a flat stretch too."""
    rng, judge = np.random.default_rng(0), judge_of(name)
    case = judge.case
    assert judge.fit(answer(case.beta, case.theta), NOT_KNOWN).passed
    theta = np.where(np.isfinite(case.theta), case.theta, case.theta[0] - 9)
    assert judge.fit(answer(case.beta, theta), NOT_KNOWN).passed
    verdicts = []
    with few_threads():
        for sd in np.repeat([0.1, 0.5, 2.0], 10):
            wrong_beta = case.beta + rng.normal(size=len(case.beta)) * judge.se
            wrong_theta = theta + rng.normal(0, sd, len(theta))
            verdicts.append(judge.fit(answer(wrong_beta, wrong_theta), NOT_KNOWN))
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
    judge = judge_of(name)
    case = judge.case
    blocks = np.full(len(judge.blocks), value)
    for theta in (np.append(value, blocks), np.append(case.theta[0], blocks)):
        right = np.isfinite(theta[0]) and judge.excess(theta) < 1e-4
        assert judge.fit(answer(case.beta, theta), NOT_KNOWN).passed == right
    evaluation = {"returned": {"type": "float", "kind": "number", "value": value, "items": {}}}
    evaluations = [evaluation for _ in case.thetas]
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


@pytest.mark.parametrize("order", [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
def test_beta_in_another_order_is_told_beside_any_theta(order):
    """Beside a right theta it is the one cause; beside standard deviations it is the second."""
    judge = judge_of(U)
    case = judge.case
    words = "beta's elements are in another order than the columns of X, Intercept, Machine[T.B], Machine[T.C]"
    (cause,) = judge.fit(answer(case.beta[order], case.theta), NOT_KNOWN).causes
    assert cause.startswith("beta[") and words in cause
    first, second = judge.fit(answer(case.beta[order], np.exp(case.theta)), NOT_KNOWN).causes
    assert "the standard deviations themselves" in first and words in second
    (cause,) = judge.fit(answer(case.beta[order] + [0, 0, judge.se[2]], case.theta), NOT_KNOWN).causes
    assert f"{UNKNOWN}; theta is right" in cause


# -- sentences -----------------------------------------------------------------------------------

def test_an_exchange_of_equal_lengths_is_told():
    """In Machines beta and theta have three elements each."""
    judge = judge_of(U)
    (cause,) = judge.fit(answer(judge.case.theta, judge.case.beta), NOT_KNOWN).causes
    assert cause == "beta and theta are exchanged"


def test_a_better_answer_than_was_known_is_noted():
    case = judge_of(U).case
    judge = Judge(replace(case, known={"sd": np.exp(case.theta) * [1.002, 1.0, 1.0]}))
    verdict = judge.fit(answer(case.beta, case.theta), NOT_KNOWN)
    (note,) = verdict.notes
    assert verdict.passed and re.fullmatch(
        r"its criterion is \S+ below that of the answer it was compared with", note)


def test_the_causes_of_a_wrong_theta():
    """The likelihood is not known, right but negative, or right."""
    judge = judge_of(U)
    theta = judge.case.theta + np.array([0.3, -0.2, 0.1])
    beta = LMMprof(theta, judge.setup).beta
    unknown, perhaps = judge.fit(answer(beta, theta), NOT_KNOWN).causes
    assert f": {UNKNOWN}; the criterion is " in unknown and perhaps == diagnosis.PERHAPS
    (cause,) = judge.fit(answer(beta, theta), Likelihood(True, "", negative=True)).causes
    assert cause.endswith(f": {diagnosis.MAXIMISED}")
    (cause,) = judge.fit(answer(beta, theta), Likelihood(True, "")).causes
    assert "LMMprof is right, but the search stopped short" in cause
    (cause,) = judge.fit(answer(beta, theta), Likelihood(False, "", "a mistake")).causes
    assert cause.endswith(": a mistake")


def test_least_squares_and_a_search_that_did_not_move_are_told_beside_a_wrong_theta():
    judge = judge_of(U)
    causes = judge.fit(answer(judge.model.ols, np.full(3, 2.5)), Likelihood(True, "")).causes
    assert causes[1] == diagnosis.NOT_MOVED
    assert causes[2].endswith(": this is the OLS value; did theta reach the likelihood?")


def test_one_variance_for_all_blocks_is_told_from_theta_alone():
    judge = judge_of(U)

    def of_two(two):
        return np.append(two[0], [two[1], two[1]])

    found = minimize(lambda two: judge.nll(of_two(two)), [0.0, 1.0], method="BFGS")
    theta = of_two(found.x)
    (cause,) = judge.fit(answer(judge.case.beta, theta), NOT_KNOWN).causes
    assert cause.endswith(": all blocks share one variance")


def evaluations(judge, betas):
    """What a process says of a right LMMprof with these betas."""
    values = []
    for theta, beta in zip(judge.case.thetas, betas):
        items = {"beta": {"type": "list", "kind": "array", "shape": [len(beta)], "values": list(beta)}}
        number = {"type": "Value", "kind": "number", "value": judge.nll(theta), "items": items}
        values.append({"returned": number})
    return {"way": "LMMprof(theta, setup)", "values": values}


@pytest.mark.parametrize("kind, words", [
    ("right", ""),
    ("too long", ""),
    ("ols", "; but its beta is not that of theta, it is that of OLS"),
    ("best", "; but its beta is not that of theta"),
])
def test_the_beta_of_a_right_likelihood_is_looked_at(kind, words):
    judge = judge_of(U)
    right = [LMMprof(theta, judge.setup).beta for theta in judge.case.thetas]
    betas = {
        "right": right,
        "too long": [[*beta, 0.0] for beta in right],
        "ols": [judge.model.ols for _ in right],
        "best": [judge.case.beta for _ in right],
    }[kind]
    found = judge.likelihood(evaluations(judge, betas))
    assert found.right is True
    assert found.words == f"LMMprof is right at fixed thetas, without the constant n/2 log(2 pi){words}"


@pytest.mark.parametrize("change, words", [
    (lambda values: values + 3.5, "LMMprof is right at fixed thetas, with another constant, 3.5"),
    (lambda values: 2 * values, "LMMprof is right at fixed thetas, as twice the negative log-likelihood"),
    (lambda values: -2 * values, ", but for its sign: it is twice the log-likelihood, not its negative"),
    (lambda values: values**2, f", expected NLL: {UNKNOWN}"),
    (lambda values: 0 * values, f" is 0, expected NLL: {UNKNOWN}"),
])
def test_what_is_said_of_values(change, words):
    judge = judge_of(U)
    right = np.array([judge.nll(theta) for theta in judge.case.thetas])
    described = [{"returned": {"type": "float", "kind": "number", "value": value}} for value in change(right)]
    found = judge.likelihood({"values": described})
    assert words.replace("NLL", f"{right[0]:.7g}") in found.words


@pytest.mark.parametrize("found, words", [
    ({"error": {"type": "KeyError", "message": "'x'"}}, "LMMsetup raises KeyError: 'x'"),
    ({"values": [{"error": {"type": "KeyError", "message": "'x'"}}]}, "LMMprof raises KeyError: 'x'"),
    ({"values": [{"returned": {"type": "NoneType", "kind": "none"}}]},
     "LMMprof returned a NoneType in which no single number was found"),
])
def test_a_likelihood_that_cannot_be_checked(found, words):
    likelihood = judge_of(U).likelihood(found)
    assert likelihood.right is None
    assert likelihood.words == f"the likelihood could not be checked alone: {words}"


def test_what_cannot_be_computed_or_does_not_move_matches_nothing():
    thetas = [np.zeros(2), np.ones(2)]

    def singular(theta):
        return np.linalg.cholesky(-np.eye(2))[0, 0]

    for criterion in (singular, lambda theta: np.inf, lambda theta: 3.0):
        assert matches([1.0, 2.0], criterion, thetas) is None
        assert not is_minimum(criterion, thetas[0], 1e-4)
    assert matches([1.0, np.nan], np.sum, thetas) is None
    assert matches([1.0, 3.0], np.sum, thetas) == (1.0, 1.0)
    assert not is_minimum(np.sum, thetas[0], 1e-4)
    assert not is_minimum(np.sum, np.array([0.0, -np.inf]), 1e-4)
    assert is_minimum(lambda theta: theta @ theta, thetas[0], 1e-4)


CHEAP = {"rows": 2000, "peak": 10**6, "calls": {"qr": 1}, "fit": {}}


@pytest.mark.parametrize("answered, causes, notes", [
    (CHEAP, (), ()),
    (CHEAP | {"evaluation_time": [1e-4, 1e-3]}, (),
     ("an evaluation of LMMprof takes 0.1 ms, 0.1 times a QR factorisation of such a Z, measured beside it",)),
    (CHEAP | {"evaluation_time": [6e-3, 1e-3]},
     ("slow: an evaluation of LMMprof takes 6 ms, 6 times a QR factorisation of such a Z, measured beside it; "
      "what does not depend on theta belongs in LMMsetup",), ()),
    (CHEAP | {"peak": 17e6},
     ("memory grew by 17 MB, as where an n x n matrix is formed: one of 2,000 x 2,000 takes 32 MB, "
      "and the practical's p x p work a few",), ()),
    (CHEAP | {"calls": {"qr": 21, "dmatrix": 60, "inv": 22, "svd": 20}},
     ("the model matrix is built again in each evaluation: dmatrix is called 60 times with 2,000 rows in one fit; "
      "once, in LMMsetup, is enough",
      "inv is called again in each evaluation: inv is called 22 times with 2,000 rows in one fit; once, in LMMsetup, is enough",
      "QR is done again in each evaluation: qr is called 21 times with 2,000 rows in one fit; once, in LMMsetup, is enough"), ()),
    ({"rows": 2000, "peak": 0, "calls": {"qr": 60}},
     ("QR is done again in each evaluation: qr is called 60 times and more with 2,000 rows in one fit; "
      "once, in LMMsetup, is enough",), ()),
], ids=["untimed", "cheap", "slow", "large", "repeated", "given up"])
def test_costs(answered, causes, notes):
    verdict = costs(answered)
    assert verdict.causes == causes and verdict.notes == notes and verdict.passed == (not causes)


# -- a submission as a whole ---------------------------------------------------------------------

def test_what_another_case_says_of_a_cause():
    """The same model passed, and a mistake named there; PERHAPS is no news then."""
    names = [U, "rows in another order", "three crossed blocks"]
    judges = [judge_of(name) for name in names]
    unknown = (f"sigma = 1, expected 2: {UNKNOWN}", diagnosis.PERHAPS)
    results = [
        Result(U, "", True, 2.0, 2.0),
        Result(names[1], "", False, 0.0, 1.0, unknown),
        Result(names[2], "", False, 0.0, 1.0, ("x",), mistake="REML"),
    ]
    passed, other, named = judging.compared(results, judges)
    assert (passed, named) == (results[0], results[2])
    assert other.causes == (
        unknown[0],
        f"{U}, the same model, is fitted right: {judges[1].case.why}",
        "perhaps what is wrong in 'three crossed blocks': REML",
    )


def test_a_submission_that_cannot_be_loaded_is_asked_nothing(tmp_path, in_this_process):
    path = tmp_path / "empty.py"
    path.write_text("")
    report = grading(M, U).report(path)
    assert report.problem == "empty.py defines no function lmm"
    assert [result.causes for result in report.results] == 2 * [(f"not run: {report.problem}",)]


def test_a_likelihood_without_a_known_mistake_is_shown_beside_the_cause(tmp_path, in_this_process):
    path = changed(tmp_path, "half_logdet + rss / 2", "half_logdet + rss / 3")
    (result,) = grading(U).report(path).results
    assert result.mistake == "" and result.causes[-1] == result.likelihood
    judge = judge_of(U)
    assert f", expected {judge.nll(judge.case.thetas[0]):.7g}: {UNKNOWN}" in result.likelihood


def test_a_submission_can_be_given_as_one(tmp_path, in_this_process):
    path = changed(tmp_path, "def lmm(", "def mixed(")
    report = grading(M).report(Submission(path, "mine", "mixed"))
    assert report.passed and report.title == "mine"
