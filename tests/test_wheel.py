"""What an installed package holds: the code, guide, notebooks, data, licence and hints, and no tests."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}


def installed():
    """The files of the installed distribution; skipped where it is a checkout's, installed by ``-e``."""
    try:
        files = metadata.files("lmm") or []
    except metadata.PackageNotFoundError:
        files = []
    names = {file.as_posix() for file in files if not LEFT_OUT & set(file.parts)}
    if "lmm/__init__.py" not in names:
        pytest.skip("lmm is not installed from a wheel")
    return names


def beneath(folder, into):
    paths = [path for path in folder.rglob("*") if path.is_file() and not LEFT_OUT & set(path.parts)]
    return {f"{into}/{path.relative_to(folder).as_posix()}" for path in paths}


def test_the_wheel_holds_the_package_and_the_data_and_nothing_else():
    wanted = beneath(ROOT / "lmm", "lmm") | beneath(ROOT / "data", "lmm/data")
    found = {name for name in installed() if not name.startswith(("lmm-", "../"))}
    assert found == wanted
    for name in ("COPYING", "py.typed", "__init__.pyi", "guide/first_session.md", "guide/pictures/machines.svg",
                 "notebooks/1_the_practical.ipynb", "data/Machines.csv", "data/InstEval.csv.gz"):
        assert f"lmm/{name}" in found


def test_the_licence_is_stated_and_its_text_is_there():
    names = installed()
    about = metadata.metadata("lmm")
    assert about["License-Expression"] == "GPL-2.0-or-later" and about.get_all("License-File") == ["lmm/COPYING"]
    assert any(name.startswith("lmm-") and name.endswith("licenses/lmm/COPYING") for name in names)
    assert about["Author"] and about["Keywords"] and about["Requires-Python"] == ">=3.10"
    needed = {line.split(">")[0] for line in about.get_all("Requires-Dist") if "extra" not in line}
    assert needed == {"numpy", "scipy", "pandas", "patsy"}
    text = (ROOT / "lmm" / "COPYING").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in text and "Version 2, June 1991" in text and "NO WARRANTY" in text


@pytest.mark.parametrize("arguments, words", [
    (["--version"], "lmm "), (["guide", "words"], "# Words"), (["guide"], "first_session"),
])
def test_it_runs_away_from_the_checkout_without_a_warning(arguments, words, tmp_path):
    installed()
    command = [sys.executable, "-W", "error", "-m", "lmm", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert words in done.stdout and done.stderr == ""
