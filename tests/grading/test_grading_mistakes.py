"""Each mistake has the numbers that its sentence says, held to a change of the sheet's own code.

The changes of test_grading.py are made to whole submissions; those here to LMMprof alone.
"""

from pathlib import Path

import numpy as np
import pytest
from grading.test_grading import MISTAKES, NAMES, judge_of
from grading.test_grading import RIGHT as SHEET

M, U, G, C = "Machines", "MachinesUnbalanced", "a numeric interaction", "three crossed blocks"
RETURN = "return half_logdet + rss / 2"
LOGDET = "half_logdet = np.sum(np.log(np.diag(L))) + (n - r) * theta[0]"
SIGMA2 = "sigma2 = np.exp(2 * theta[0])"
PSI = "psi = np.repeat(np.exp(2 * theta[1:]), sizes)"
FACTORED = "G = linalg.cholesky(W.T @ W + rest / sigma2)"
TRIANGLE = "1/2 log|R psi R' + sigma^2 I| is to be the sum of the logs of L's diagonal"
TWO_SOLVES = "W takes two solves with the triangle, by L and then by L': here they are"
A_PART = "np.sum(np.log(np.diag(L)))"


def by_weights(first, second):
    """beta and the squares from Q'U' W Q'U, W by two solves."""
    return f"""
    once = {first}
    G = QtU.T @ ({second}) + rest / sigma2
    k = len(G) - 1
    beta = np.linalg.solve(G[:k, :k], G[:k, k])
    contrast = np.append(-beta, 1)
    {LOGDET}
    return half_logdet + contrast @ G @ contrast / 2, beta
"""


# sentence, case, old text of the sheet's code, new text
CHANGES = [
    ("X lacks its intercept", G, "U = np.column_stack([X, y])", "U = np.column_stack([np.asarray(X)[:, 1:], y])"),
    ("1/2 log|X'WX| is subtracted from the criterion, which has none of it", U, RETURN,
     f"{RETURN} - np.log(np.diag(G)[:k]).sum()"),
    ("REML, not ML, and log|X'WX| is not halved in it", U, RETURN, f"{RETURN} + 2 * np.log(np.diag(G)[:k]).sum()"),
    ("log|V| is halved twice", U, RETURN, "return 1e-3 + (half_logdet / 2 + rss / 2 + 22 * np.log(2 * np.pi)) - 1e-3"),
    ("the weighted sum of squares is halved twice", U, RETURN, "return half_logdet + rss / 4 + 22 * np.log(2 * np.pi)"),
    ("log|V| has the wrong sign", U, RETURN, "return rss / 2 - half_logdet"),
    ("the weighted sum of squares is missing from the criterion", U, RETURN, "return half_logdet"),
    ("the weighted sum of squares has the wrong sign", U, RETURN, "return half_logdet - rss / 2"),
    ("log|V| has p log sigma^2 where (n - p) log sigma^2 is due", G, "(n - r) * theta[0]", "r * theta[0]"),
    ("(n - p) log sigma^2 is subtracted from log|V|", G, "+ (n - r) * theta[0]", "- (n - r) * theta[0]"),
    ("(n - p) log sigma^2 is not halved with the rest of log|V|", G, "(n - r) * theta[0]", "2 * (n - r) * theta[0]"),
    ("log|V| lacks log|R psi R' + sigma^2 I|", G, LOGDET, "half_logdet = (n - r) * theta[0]"),
    (f"{TRIANGLE}, and is half of that", G, A_PART, f"{A_PART} / 2"),
    ("beta is that of OLS, whatever theta: theta does not reach its weights", U, "    rss = G[k, k] ** 2\n", """
    total = QtU.T @ QtU + rest
    beta = np.linalg.solve(total[:k, :k], total[:k, k])
    contrast = np.append(-beta, 1)
    rss = contrast @ (W.T @ W + rest / sigma2) @ contrast
"""),
    ("theta's standard deviations are not squared: psi and sigma^2 are to hold variances", U, SIGMA2,
     "theta = theta / 2; sigma2 = np.exp(2 * theta[0])"),
    ("the standard deviations are squared twice: psi and sigma^2 are to be exp(2 theta)", U, SIGMA2,
     "theta = 2 * theta; sigma2 = np.exp(2 * theta[0])"),
    ("the blocks' standard deviations are squared twice: psi is to hold exp(2 theta)", U, PSI,
     "psi = np.repeat(np.exp(4 * theta[1:]), sizes)"),
    ("exp(theta^2) stands for exp(2 theta), the square of exp(theta)", U, SIGMA2,
     "theta = theta**2 / 2; sigma2 = np.exp(2 * theta[0])"),
    ("theta is taken as standard deviations: its elements are their logs", U, SIGMA2,
     "theta = np.log(np.abs(theta)); sigma2 = np.exp(2 * theta[0])"),
    ("the blocks' elements of theta are taken as standard deviations: they are their logs", U, PSI,
     "psi = np.repeat(theta[1:] ** 2, sizes)"),
    ("theta is taken as variances: its elements are logs of standard deviations", U, SIGMA2,
     "theta = np.log(theta) / 2; sigma2 = np.exp(2 * theta[0])"),
    ("theta's blocks are in reverse order: they follow ref", U, PSI, "psi = np.repeat(np.exp(2 * theta[:0:-1]), sizes)"),
    *((f"block {j} of 2 is missing from V", U, PSI, f"psi = np.repeat(np.exp(2 * theta[1:]), sizes) * np.repeat({kept}, sizes)")
      for j, kept in ((1, [0, 1]), (2, [1, 0]))),
    *((f"block {j} of 3 is missing from V", C, PSI, f"psi = np.repeat(np.exp(2 * theta[1:]), sizes) * np.repeat({kept}, sizes)")
      for j, kept in ((1, [0, 1, 1]), (2, [1, 0, 1]), (3, [1, 1, 0]))),
    ("log sigma is taken to be the last element of theta, where it is the first", U, SIGMA2,
     "theta = np.append(theta[-1], theta[:-1]); sigma2 = np.exp(2 * theta[0])"),
    ("all blocks share one variance, the last block's", U, PSI, "psi = np.repeat(np.exp(2 * theta[-1]), sum(sizes))"),
    ("the n - p rows of Q'y and Q'X beyond the first p are divided by the root of sigma: their squares are to be divided by sigma^2",
     G, "rest / sigma2", "rest / np.exp(theta[0])"),
    (f"{TWO_SOLVES} both by L", G, f"    {FACTORED}\n", by_weights(
        "linalg.solve_triangular(L, QtU, lower=True)", "linalg.solve_triangular(L, once, lower=True)")),
    (f"{TWO_SOLVES} both by L'", G, f"    {FACTORED}\n", by_weights(
        "linalg.solve_triangular(L.T, QtU)", "linalg.solve_triangular(L.T, once)")),
    (f"{TWO_SOLVES} by L' and then by L", G, f"    {FACTORED}\n", by_weights(
        "linalg.solve_triangular(L.T, QtU)", "linalg.solve_triangular(L, once, lower=True)")),
    ("the sum of squares is divided by sigma, not by its square", "no random effects", "rest / sigma2", "rest / np.exp(theta[0])"),
    ("log|V| has (p - n) log sigma^2 though R has min(n, p) rows, as many as count", "more columns than rows",
     "(n - r) * theta[0]", "(sum(sizes) - r) * theta[0]"),
    ("log|V| has n log sigma^2 beside log|R psi R' + sigma^2 I|, whose R has n rows", "more columns than rows",
     "(n - r) * theta[0]", "n * theta[0]"),
    *((f"log|V| {words}, in a criterion relative to sigma, as lme4's", name, LOGDET, f"{LOGDET} - {count} * theta[0]")
      for words, count in (
          ("lacks n log sigma^2", "n"),
          ("has n log sigma where n log sigma^2 is due", "n / 2"),
          ("has (n - k) log sigma^2 where n log sigma^2 is due", "k"),
      )
      for name in (U, "more columns than rows")),
    ("only the first name of the block a:b is used, a", "an unobserved combination", '":".join(names)', "names[0]"),
    ("only the last name of the block a:b is used, b", "an unobserved combination", '":".join(names)', "names[-1]"),
    ("only the first name of the block a:b:c is used, a", "a block of three factors", '":".join(names)', "names[0]"),
    ("only the last name of the block a:b:c is used, c", "a block of three factors", '":".join(names)', "names[-1]"),
    ("only the last name of the block g:x is used, x", G, '":".join(names)', "names[-1]"),
]


def evaluations(source, case):
    """What a process would say of LMMprof in a source, at the thetas of a case."""
    scope = {}
    exec(compile(source, "changed.py", "exec"), scope)
    setup = scope["LMMsetup"](case.form, case.dat, case.ref)
    described = []
    with np.errstate(all="ignore"):
        for theta in case.thetas:
            try:
                value = float(scope["LMMprof"](theta, setup)[0])
            except (ValueError, np.linalg.LinAlgError):
                value = np.nan
            described.append({"returned": {"type": "float", "kind": "number", "value": value}})
    return {"values": described}


@pytest.mark.parametrize("sentence, name, old, new", CHANGES, ids=[change[0] for change in CHANGES])
def test_a_mistake_has_the_numbers_of_its_sentence(sentence, name, old, new):
    assert SHEET.count(old) == 1, old
    judge = judge_of(name)
    found = judge.likelihood(evaluations(SHEET.replace(old, new), judge.case))
    assert found.right is False and sentence in found.mistakes, found


def test_every_mistake_is_held_to_such_a_change():
    known = {change[0] for change in CHANGES}
    words = [mistake[4] for mistake in MISTAKES]
    for name in NAMES:
        for mistake in judge_of(name).mistakes:
            sentence = mistake.sentence
            assert sentence in known or any(said in sentence for said in words), sentence


def test_the_submissions_lie_where_the_tests_look():
    assert (Path(__file__).parent / "submissions" / "correct" / "practical.py").read_text() == SHEET
