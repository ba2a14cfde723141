"""What is wrong is seen: the package broken for a while, and copies of it with one line changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lmm as package
from lmm.__main__ import main
from lmm.datasets import DATA_FOLDER
from lmm.validation import BREAKS, broken, validate
from lmm.validation.breaking import is_caught

WHERE = {"sign": "likelihood", "hessian": "likelihood", "float32": "likelihood", "df": "errors", "reml": "errors",
         "blocked": "likelihood", "kr": "errors", "certificate": "certificates", "modes": "errors", "p": "errors"}


@pytest.mark.requirement("it can fail")
@pytest.mark.parametrize("name", BREAKS)
def test_each_break_is_caught_and_ends(name, capsys):
    with broken(name):
        pass
    assert main(["validate", "--quick", "--section", WHERE[name], "--break", name]) == 1
    printed = capsys.readouterr().out
    assert f"broken on purpose, {name}: " in printed and "Every requirement that names it is among these." in printed


def test_after_the_breaks_all_is_as_before():
    for name in BREAKS:
        with broken(name):
            pass
    found = validate(quick=True, sections=["likelihood"])
    assert found.passed and not is_caught("sign", found)


def test_what_is_not_caught_exits_with_three(monkeypatch, capsys):
    from dataclasses import replace
    monkeypatch.setitem(BREAKS, "sign", replace(BREAKS["sign"], replaced=lambda: []))
    assert main(["validate", "--quick", "--section", "likelihood", "--break", "sign"]) == 3
    assert "NOT CAUGHT by: the criterion (4)" in capsys.readouterr().out
    assert main(["validate", "--quick", "--section", "installation", "--break", "sign"]) == 3
    assert "none that names it was tested" in capsys.readouterr().out


# file, the line's part that is changed, what it becomes, section, the requirements that name it
EDITS = {
    "a sign in (7)": (
        "engines/dense.py", "d, M_P) - 0.5 * pairs.squares", "d, M_P) + 0.5 * pairs.squares",
        "likelihood", {"the second derivatives (7), dense engine"}),
    "float32": (
        "engines/qr.py", "cross = dsyrk(1.0, B, trans=1, beta=1.0, c=cross)", "cross = dsyrk(1.0, B.astype('f4'), trans=1, beta=1.0, c=cross)",
        "likelihood", {"the criterion (4) in double precision, dense engine", "the fixed effects (3), dense engine"}),
}


@pytest.mark.requirement("it can fail")
@pytest.mark.parametrize("name", EDITS)
def test_a_package_with_one_line_changed_fails_in_the_row_that_names_it(name, tmp_path):
    file, right, wrong, section, requirements = EDITS[name]
    source = Path(package.__file__).parent
    shutil.copytree(source, tmp_path / "lmm", ignore=shutil.ignore_patterns("*.ipynb", "*.md"))
    if not (tmp_path / "lmm" / "data").is_dir():
        shutil.copytree(str(DATA_FOLDER), tmp_path / "data")
    changed = tmp_path / "lmm" / file
    text = changed.read_text()
    assert text.count(right) == 1
    changed.write_text(text.replace(right, wrong))
    command = [sys.executable, "-m", "lmm", "validate", "--quick", "--section", section]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert run.returncode == 1 and run.stderr == ""
    failed = [line for line in run.stdout.splitlines() if line.endswith("NOT passed")]
    passed = [line for line in run.stdout.splitlines() if line.endswith("  passed")]
    for requirement in requirements:
        assert any(requirement in line for line in failed)
    assert len(passed) > 0
