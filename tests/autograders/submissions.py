"""A good, a middling and a bad submission, and the files that `lmm grade --autograders` writes for three cases."""

import os
import subprocess
import sys
from pathlib import Path

import lmm

RIGHT = (Path(__file__).parents[1] / "grading" / "submissions" / "correct" / "practical.py").read_text()
QR = "Q, R = np.linalg.qr(Z)"
PIVOTED = 'Q, R, _ = linalg.qr(Z, mode="economic", pivoting=True)'
assert RIGHT.count(QR) == 1

CASES = {"Machines": 1, "MachinesUnbalanced": 2, "three crossed blocks": 1}
SUBMISSIONS = {
    "good": RIGHT,
    "middling": RIGHT.replace(QR, PIVOTED),         # wrong with three blocks alone
    "bad": "def lmm(form, dat, ref=()):\n    return None\n",
    "broken": "def lmm(:\n",
}
POINTS = {"good": 4, "middling": 3, "bad": 0, "broken": 0}


def run(folder, module, *arguments):
    """Run a module of this Python in a folder, with everything it keeps in there too."""
    kept = {name: str(folder / ".kept" / name) for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "HOME")}
    for place in kept.values():
        Path(place).mkdir(parents=True, exist_ok=True)
    package = str(Path(lmm.__file__).parents[1])
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, **kept, "PYTHONPATH": package, "PATH": programs}
    ended = subprocess.run([sys.executable, "-m", module, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def write_autograders(folder):
    chosen = [word for name in CASES for word in ("--case", name)]
    run(folder, "lmm", "grade", "--autograders", "files", *chosen)
    return folder / "files"


def code_cell(text, name):
    return {"cell_type": "code", "id": name, "metadata": {}, "source": text, "execution_count": None, "outputs": []}


def notebook(cells):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
