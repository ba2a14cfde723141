"""The grading kit judges well: right submissions pass, whatever their form, and mistakes are named."""

import json
import pickle
import re
import sys
import time
import warnings
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ahead import Ahead, asked
from scipy.optimize import minimize
from wrong_answers import answer, invented

from lmm import LMMprof, lmm
from lmm.grading import (
    Grading,
    Result,
    across,
    built_in_cases,
    confinement,
    diagnosis,
    judging,
    likelihoods,
)
from lmm.grading.costs import costs
from lmm.grading.diagnosis import Judge
from lmm.grading.inside import running
from lmm.grading.inside.calling import parameters
from lmm.grading.likelihoods import UNKNOWN, Likelihood
from lmm.grading.loading import Submission
from lmm.grading.mistakes import is_minimum, matches, triangles
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
    ("half missing on one term", U, "np.sum(np.log(np.diag(L)))", "2 * np.sum(np.log(np.diag(L)))", "is to be the sum of the logs of L's diagonal, and is twice that"),
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
    ("sigma not squared", U, "np.exp(2 * theta[0])", "np.exp(theta[0])", "sigma is not squared: sigma^2 is to be exp(2 theta[0])"),
    ("psi of sds", U, "np.exp(2 * theta[1:])", "np.exp(theta[1:])", "psi is to hold variances"),
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
    # -- of Z, of W, of the model and of the call
    ('forgotten - 1', U, 'dmatrix("0 + " + ":".join(names), used)',
     'dmatrix(":".join(names), used)',
     '`- 1` is forgotten'),
    ('forgotten - 1 of one', "three crossed blocks", 'dmatrix("0 + " + ":".join(names), used)',
     'dmatrix(":".join(names), used)',
     '`- 1` is forgotten'),
    ('drop_first', U, 'np.asarray(dmatrix("0 + " + ":".join(names), used))',
     '__import__("pandas").get_dummies(used[names].astype(str).agg(":".join, axis=1), drop_first=True).to_numpy(float)',
     'drop_first=True'),
    ('main effects', U, '":".join(names)',
     '" + ".join(names)',
     'has main effects, Worker + Machine, in place of the interaction'),
    ('main effects of a number', "a numeric interaction", '":".join(names)',
     '" + ".join(names)',
     'has main effects, g + x, in place of the interaction'),
    ('star', U, '":".join(names)',
     '"*".join(names)',
     'has main effects beside the interaction'),
    ('first name', U, '":".join(names)',
     'names[0]',
     'only the first name of the block Worker:Machine is used, Worker'),
    ('last name', U, '":".join(names)',
     'names[-1]',
     'only the last name of the block Worker:Machine is used, Machine'),
    ('sum contrasts', U, '":".join(names)',
     '":".join(f"C({name}, Sum)" for name in names)',
     'has sum contrasts'),
    ('sigma fixed', U, 'sigma2 = np.exp(2 * theta[0])',
     'sigma2 = 1.0',
     'sigma is fixed at 1'),
    ("no sigma^2 in A", "a numeric interaction", "sigma2 * np.eye(r)", "np.eye(r)", "lacks sigma^2: the identity is added as it is"),
    ("sigma in A", "a numeric interaction", "sigma2 * np.eye(r)", "np.exp(theta[0]) * np.eye(r)", "has sigma, which is not squared there"),
    ("sigma squared twice", U, "np.exp(2 * theta[0])", "np.exp(4 * theta[0])", "sigma is squared twice"),
    ("exp(theta^2) of sigma", U, "np.exp(2 * theta[0])", "np.exp(theta[0] ** 2)", "exp(theta^2) stands for exp(2 theta) in sigma^2"),
    ("rest over sigma^4", "a numeric interaction", "rest / sigma2", "rest / sigma2 ** 2", "are divided by sigma^2: it is their squares"),
    ("two of three names", "a block of three factors", '":".join(names)', '":".join(names[:2])', "the last name of the block a:b:c is left out, c"),
    ("variances asked", U, "    psi = np.repeat(np.exp(2 * theta[1:]), sizes)", "    psi = np.repeat(theta[1:], sizes)", "elements of theta are taken as variances"),
    ('beta of the start', U, '"beta": LMMprof(found.x, setup)[1]',
     '"beta": LMMprof(start, setup)[1]',
     'elements are all equal, as at a start'),
    ('unbiased sigma', U, '"theta": found.x}',
     '"theta": found.x + np.append(np.log(44 / 41) / 2, [0, 0])}',
     'sigma is multiplied by sqrt(n / (n - k))'),
    ("R' psi R", "a numeric interaction", '(R * psi) @ R.T',
     '(R.T * psi[:r]) @ R[:, :r]',
     "R' psi R stands for R psi R'"),
    ('rows scaled', "a numeric interaction", '(R * psi) @ R.T',
     'psi[:, None] * (R @ R.T)',
     "the rows or columns of R R' are scaled by psi"),
    ('cho_factor lower', "a numeric interaction", 'linalg.solve_triangular(L, QtU, lower=True)',
     'linalg.solve_triangular(linalg.cho_factor(A, lower=True)[0], QtU)',
     'cho_factor with lower=True leaves'),
    ('exp(theta^2)', U, 'np.exp(2 * theta[1:])',
     'np.exp(theta[1:] ** 2)',
     'exp(theta^2) stands for exp(2 theta) in psi'),
    ('half weights', "a numeric interaction", 'G = linalg.cholesky(W.T @ W + rest / sigma2)',
     'G = W.T @ QtU + rest / sigma2; k = len(G) - 1; beta = np.linalg.solve(G[:k, :k], G[:k, k]); c = np.append(-beta, 1); return np.sum(np.log(np.diag(L))) + (n - r) * theta[0] + c @ G @ c / 2, beta',
     'half of the weights'),
    ('rows times', "a numeric interaction", ' + rest / sigma2',
     ' + rest * sigma2',
     'are multiplied by sigma'),
    ('no blocks', "no random effects", ' + rest / sigma2',
     ' + rest / (sigma2 if r else 1)',
     'is not divided by sigma^2 where there are no random effects'),
    ('not transformed', "a transformed response", '    y, X = dmatrices(form, dat,',
     "    y, X = dmatrices(form.replace('np.log(y)', 'y'), dat,",
     'y is fitted, where np.log(y) was asked'),
    ('products', "an unobserved combination", 'np.log(np.diag(L))) + (n - r) * theta[0]',
     'np.log(np.diag(L))) + (n - r - 3 * (len(sizes) == 2 and sizes[1] == 20)) * theta[0]',
     'counted as products of numbers of levels'),
    ('dropna', "missing values in another column", '    y, X = dmatrices(form, dat,',
     '    dat = dat.dropna()\n    y, X = dmatrices(form, dat,',
     'as by dat.dropna()'),
    ('fillna', "missing values", '    y, X = dmatrices(form, dat,',
     "    dat = dat.fillna({'y': 0, 'x': 0}) if 'x' in dat else dat\n    y, X = dmatrices(form, dat,",
     'missing values are taken as 0'),
    ('swapped', M, 'def lmm(form, dat, ref=()):',
     'def lmm(dat, form, ref=()):',
     'lmm takes (dat, form, ref), and is called as the sheet says'),
    ("wrong triangle of X'WX", U, 'linalg.solve_triangular(G[:k, :k], G[:k, k])',
     'linalg.solve_triangular(G[:k, :k], G[:k, k], lower=True)',
     "wrong triangle of the Cholesky factor of X'WX"),
    ('sum contrasts in X', U, '    y, X = dmatrices(form, dat,',
     "    y, X = dmatrices(form.replace('Machine', 'C(Machine, Sum)'), dat,",
     'X has another coding: contrasts that sum to zero of Machine'),
    ('n < p', "more columns than rows", '(n - r) * theta[0]',
     '(n - sum(sizes)) * theta[0]',
     'though p > n'),
    ('log|V| not halved (n < p)', "more columns than rows", 'half_logdet + rss / 2',
     '2 * half_logdet + rss / 2',
     'log|V| is not halved'),
    ('0 + g + x', "a numeric interaction", '"0 + " + ":".join(names)',
     '"0 + " + " + ".join(names)',
     'main effects'),
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
    confined = True

    def __init__(self, submitted, time_limit, memory_limit, count, class_folder, closed):
        assert not count
        self.path = submitted.path
        with quietly():
            self.module, error = running.load(self.path, submitted.name)
        functions = {name: callable(getattr(self.module, name, None)) for name in running.FUNCTIONS}
        self.loaded = {
            "loaded": error is None,
            "error": error,
            "functions": functions,
            "parameters": parameters(getattr(self.module, "lmm", None)),
            "failed": [],
            "events": [],
        }

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
    notes = [[note for note in report.notes if note != confinement.note()] for report in reports]
    assert json.dumps(asdict(there)) == json.dumps(asdict(here)) and notes[0] == notes[1]


ALONE = ("REML", "(n - p) log sigma^2 forgotten", "wrong triangle", "exp(theta^2)", "a number as a factor")


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

NOT_KNOWN = Likelihood(None, "")
NAMES = [case.name for case in built_in_cases() if not case.costs]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_right_passes(name):
    """At -inf and on a flat stretch too."""
    judge = judge_of(name)
    case = judge.case
    theta = np.where(np.isfinite(case.theta), case.theta, case.theta[0] - 9)
    for right in (case.theta, theta):
        assert judge.fit(answer(case.beta, right), NOT_KNOWN).passed


def test_no_cause_is_invented():
    """Of wrong numbers at random none is told a cause; benchmarks/test_grading.py asks 5,000."""
    with few_threads():
        assert invented([judge_of(name) for name in NAMES], 60, seed=0) == []


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


@pytest.mark.parametrize("name", [name for name in NAMES if name != "no random effects"])
def test_a_mistake_is_one_step_away_from_what_is_right(name):
    """With every step right the sheet's algebra is (4) and (3); and each mistake moves one of them."""
    judge = judge_of(name)
    theta = judge.case.thetas[0]
    right = [judge.nll(theta), *LMMprof(theta, judge.setup).beta]
    steps = (triangles._right_weights, triangles._by_square, triangles._whole, True)
    for value, beta in (
        triangles._evaluated(judge.model, theta),
        triangles._with_weights(judge.model, *steps, theta),
        judge.model.evaluate(theta),
    ):
        np.testing.assert_allclose([value, *beta], right, rtol=1e-9)
    values = [judge.nll(theta) for theta in judge.case.thetas]
    if name == "Dyestuff2":                         # R is diagonal: many a wrong step is right there
        return
    for mistake in judge.mistakes:
        if not (name == M and "OLS" in mistake.sentence):       # balanced, so that OLS is right
            assert matches(values, mistake.nll, judge.case.thetas) is None, mistake.sentence


# -- causes that need a second look --------------------------------------------------------------

def test_a_stale_cache_is_told_by_the_case_whose_numbers_these_are(tmp_path, in_this_process):
    """Whatever has two blocks and a covariate is fitted as the first such case."""
    path = changed(tmp_path, "def LMMsetup(form, dat, ref=()):\n", """
CACHE = {}

def LMMsetup(form, dat, ref=()):
    key = len(ref), "x" in form
    if key not in CACHE:
        CACHE[key] = set_up(form, dat, ref)
    return CACHE[key]


def set_up(form, dat, ref=()):
""")
    names = ("an unobserved combination", "a numeric interaction", "missing values")
    first, *others = grading(*names).report(path).results
    assert first.passed
    for result in others:
        words = "these are the numbers of the case 'an unobserved combination': something is kept"
        assert words in result.causes[0]


def test_a_mistake_that_cannot_be_told_in_one_case_is_told_by_another(tmp_path, in_this_process):
    """With a number in the interaction pivots put its block first, as the reverse order of theta would."""
    _, _, old, new, words = next(one for one in MISTAKES if one[0] == "pivoted QR")
    path = changed(tmp_path, old, new)
    (alone,) = grading("a numeric interaction").report(path).results
    assert alone.mistakes == (
        "theta's blocks are in reverse order: they follow ref",
        "QR with pivoting: psi must be permuted as the columns of Z are, or R back",
    )
    assert "they follow ref; or QR with pivoting" in alone.causes[0]
    for result in grading("a numeric interaction", "three crossed blocks").report(path).results:
        assert words in result.causes[0] and "reverse" not in result.causes[0]


def test_what_too_few_numbers_tell_is_told_where_another_case_tells_it(tmp_path, in_this_process):
    """Where a standard deviation is 0, or there is sigma alone, too many mistakes look the same."""
    path = changed(tmp_path, '"theta": found.x}', '"theta": np.exp(found.x)}')
    path.write_text(path.read_text().replace("LMMprof", "profile"))
    for name in ("Dyestuff2", "no random effects"):
        (alone,) = grading(name).report(path).results
        assert UNKNOWN in alone.causes[0]
        *_, beside = sorted(grading(name, M).report(path).results, key=lambda result: result.name == name)
        assert beside.causes == (f"as in {M!r}: theta holds the standard deviations themselves",)


def test_a_likelihood_speaks_against_a_cause_named_from_the_fit():
    """Of standard deviations where logs were asked, beside an LMMprof that is wrong in no known way."""
    judge = judge_of(U)
    case = judge.case
    given = answer(case.beta, np.exp(case.theta))
    values = np.array([judge.nll(theta) for theta in case.thetas])
    assert "the standard deviations themselves" in judge.fit(given, Likelihood(True, "", values=values)).causes[0]
    wrong = Likelihood(False, "", values=values**1.1)
    assert UNKNOWN in judge.fit(given, wrong).causes[0]
    with np.errstate(invalid="ignore"):
        of_sds = [judge.nll(np.log(theta)) if (theta > 0).all() else np.nan for theta in case.thetas]
    same = Likelihood(False, "", values=np.array(of_sds))
    assert "the standard deviations themselves" in judge.fit(given, same).causes[0]


def test_a_sigma_that_is_not_searched_for_is_told():
    judge = judge_of(M)
    theta = np.append(0.0, judge.case.theta[1:] + 0.3)
    *_, cause = judge.fit(answer(judge.case.beta, theta), NOT_KNOWN).causes
    assert cause == diagnosis.SIGMA_IS_ONE


@pytest.mark.parametrize("old, new, way", [
    ("    R, QtU, rest, sizes, n = setup\n",
     "    R, QtU, rest, sizes, n = setup\n    theta = np.array([theta[0, 0], *theta[1:, 0]])\n", "a column"),
    ("    R, QtU, rest, sizes, n = setup\n",
     "    R, QtU, rest, sizes, n = setup\n"
     "    theta = np.array([theta['sigma'], *(theta[f'block {j}'] for j in range(len(sizes)))])\n", "a dict"),
])
def test_a_theta_of_another_form_is_found_out(old, new, way, tmp_path, in_this_process):
    """LMMprof alone wants it so, and lmm gives it so."""
    form = "t[:, None]" if way == "a column" else "{'sigma': t[0], **{f'block {j}': s for j, s in enumerate(t[1:])}}"
    path = changed(tmp_path, old, new)
    source = path.read_text().replace("lambda theta: LMMprof(theta, setup)", f"lambda t: LMMprof({form}, setup)")
    path.write_text(source.replace("LMMprof(found.x, setup)", f"(lambda t: LMMprof({form}, setup))(found.x)"))
    report = grading(U).report(path)
    assert report.passed, str(report)
    assert f"LMMprof is called as LMMprof(theta, setup), theta being {way}" in report.notes
    assert any("LMMprof is right at fixed thetas" in note for note in report.notes)


@pytest.mark.parametrize("form, words", [
    ('dict(zip(["sigma", "a", "b"], found.x))', "theta is a dict, its values taken in its order: 'sigma', 'a', 'b'"),
    ("found.x[:, None]", "theta is an array of 3 x 1, where a vector was asked"),
])
def test_a_theta_is_returned_in_another_form(form, words, tmp_path, in_this_process):
    report = grading(M).report(changed(tmp_path, '"theta": found.x}', f'"theta": {form}}}'))
    assert report.passed and words in report.results[0].notes


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
    assert f": {UNKNOWN}; the criterion is " in unknown and perhaps == diagnosis.GOES_WITH_THETA
    (cause,) = judge.fit(answer(beta, theta), Likelihood(True, "", negative=True)).causes
    assert cause.endswith(f": {diagnosis.MAXIMISED}")
    (cause,) = judge.fit(answer(beta, theta), Likelihood(True, "")).causes
    assert "LMMprof is right, but the search stopped short" in cause
    (cause,) = judge.fit(answer(beta, theta), Likelihood(False, "", ("a mistake",))).causes
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


def test_values_of_single_precision_are_told_and_shown_to_enough_digits():
    judge = judge_of(U)
    values = [judge.nll(theta) * (1 + 5e-7 * (-1) ** (i + 1) * (i > 0) + 1e-8) for i, theta in enumerate(judge.case.thetas)]
    described = [{"returned": {"type": "float", "kind": "number", "value": float(value)}} for value in values]
    found = judge.likelihood({"values": described})
    assert found.right is False and found.mistakes == (likelihoods.FEW_DIGITS,)
    assert found.words.endswith(f" is {values[0]:.12g}, expected {judge.nll(judge.case.thetas[0]):.12g}")
    assert f"{values[0]:.7g}" == f"{judge.nll(judge.case.thetas[0]):.7g}"


def test_a_hidden_case_is_not_named_where_its_numbers_turn_up():
    judge, hidden = judge_of(U), Judge(replace(judge_of("rows in another order").case, hidden=True, name="SECRET"))
    other = Judge(replace(judge_of(M).case))
    other.others = [hidden]
    (cause,) = other.fit(answer(hidden.case.beta, hidden.case.theta), NOT_KNOWN).causes
    assert "these are the numbers of another, hidden case" in cause and "SECRET" not in cause
    assert judge.case.name in likelihoods.of_another(judge.case)


def test_a_twin_in_other_units_is_told_no_more_than_the_first():
    names = [U, "other units"]
    judges = [judge_of(name) for name in names]
    results = [
        Result(U, "", False, 0.0, 2.0, (f"sigma = 1, expected 2: {UNKNOWN}",), right=False),
        Result(names[1], "units", False, 0.0, 1.0, ("sigma = 1, expected 2: a, then; or b",), mistakes=("a, then", "b"), right=False),
    ]
    _, twin = across.compared(results, judges)
    assert twin.mistakes == () and twin.causes == (f"sigma = 1, expected 2: {UNKNOWN}",)
    passed = replace(results[0], passed=True, causes=())
    assert across.compared([passed, results[1]], judges)[1].causes == twin.causes


def test_what_a_fit_alone_tells_is_not_told_where_an_lmmprof_is_wrong_otherwise():
    names = [M, U]
    judges = [judge_of(name) for name in names]
    fit = Result(M, "", False, 0.0, 1.0, ("theta holds variances: variance = 4",), mistakes=("theta holds variances",))
    wrong = Result(U, "", False, 0.0, 2.0, (UNKNOWN,), right=False)
    found, _ = across.compared([fit, wrong], judges)
    assert found.causes == (UNKNOWN,) and found.mistakes == ()
    same = replace(wrong, mistakes=fit.mistakes)
    assert across.compared([fit, same], judges)[0].causes == fit.causes


def test_what_a_fit_alone_tells_once_beside_cases_that_it_does_not_explain_is_not_told():
    names = [M, U, "three crossed blocks"]
    judges = [judge_of(name) for name in names]
    told = Result(M, "", False, 0.0, 1.0, (f"sigma = 1, expected 2: {diagnosis.AT_ITS_MINIMUM}a mistake",))
    unknown = [Result(name, "", False, 0.0, 1.0, (f"sigma = 1, expected 2: {UNKNOWN}",)) for name in names[1:]]
    assert across.compared([told, *unknown], judges)[0].causes == (f"sigma = 1, expected 2: {UNKNOWN}",)
    assert across.compared([told, unknown[0]], judges)[0].causes == told.causes


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
    """The same model passed, and a mistake named there; what is said of beta is no news then."""
    names = [U, "rows in another order", "three crossed blocks"]
    judges = [judge_of(name) for name in names]
    unknown = (f"sigma = 1, expected 2: {UNKNOWN}", diagnosis.GOES_WITH_THETA)
    results = [
        Result(U, "", True, 2.0, 2.0),
        Result(names[1], judges[1].case.why, False, 0.0, 1.0, unknown),
        Result(names[2], "", False, 0.0, 1.0, ("x",), mistakes=("REML",)),
    ]
    passed, other, named = across.compared(results, judges)
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
