"""How long a class takes: forty submissions, the sheet's own way and usual mistakes, with all cases."""

import time
from pathlib import Path

import pytest

from lmm.grading import Grading, grade_all

BAR = 240.0         # seconds on two cores
RIGHT = (Path(__file__).parents[1] / "grading" / "submissions" / "correct" / "practical.py").read_text()
MISTAKES = {
    "right": ("", ""),
    "half_weight": ("sigma2 = np.exp(2 * theta[0])", "sigma2 = np.exp(theta[0])"),
    "psi_once": ("np.exp(2 * theta[1:])", "np.exp(theta[1:])"),
    "no_sigma": ("+ sigma2 * np.eye(r)", "+ np.eye(r)"),
    "rows_beyond": ("(n - r) * theta[0]", "n * theta[0]"),
    "rows_forgotten": (" + (n - r) * theta[0]", ""),
    "rss_not_halved": ("half_logdet + rss / 2", "half_logdet + rss"),
    "logdet_not_halved": ("half_logdet = np.sum", "half_logdet = 2 * np.sum"),
    "sd": ('"theta": found.x', '"theta": np.exp(found.x)'),
    "from_zeros": ("np.full(1 + len(ref), np.log(y_sd) - 0.5)", "np.zeros(1 + len(ref))"),
    "ols": ('LMMprof(found.x, setup)[1], "theta"', 'np.linalg.lstsq(setup[1][:, :-1], setup[1][:, -1], rcond=None)[0], "theta"'),
    "no_interaction": ('":".join(names)', "names[0]"),
    "main_effects": ('":".join(names)', '" + ".join(names)'),
    "intercept": ('"0 + " + ', '"1 + " + '),
    "negative": ("return half_logdet + rss / 2", "return -half_logdet - rss / 2"),
    "few_steps": ('method="Nelder-Mead"', 'method="Nelder-Mead", options={"maxiter": 20}'),
    "returns_none": ("    return {", "    {"),
    "raises": ("    setup = LMMsetup(form, dat, ref)\n    y_sd", "    setup = LMMsetup(form, data, ref)\n    y_sd"),
    "dropna": ("y, X = dmatrices(form, dat,", "dat = dat.dropna()\n    y, X = dmatrices(form, dat,"),
    "does_not_parse": ("def LMMsetup(form, dat, ref=()):", "def LMMsetup(form, dat, ref=():"),
}


@pytest.fixture
def forty(tmp_path):
    """A class's folder: each of the twenty twice, as a file and in a folder."""
    for name, (before, after) in MISTAKES.items():
        assert before in RIGHT, name
        text = RIGHT.replace(before, after)
        (tmp_path / f"{name}.py").write_text(text)
        (tmp_path / f"{name}_again").mkdir()
        (tmp_path / f"{name}_again" / "lmm.py").write_text(text)
    return tmp_path


def test_a_class_of_forty(forty, capsys):
    start = time.perf_counter()
    report = grade_all(forty, Grading(), jobs=2)
    seconds = time.perf_counter() - start
    with capsys.disabled():
        print(f"\n40 submissions in {seconds:.0f} s")
    assert len(report.reports) == 40 and seconds < BAR
    passed = {one.title for one in report.reports if one.passed}
    assert {"right.py", "right_again"} <= passed and len(passed) < 10
