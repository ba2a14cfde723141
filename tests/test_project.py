"""What holds the project together: its documentation runs, its rooms and its packages are the agreed ones."""

import ast
import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import lmm

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = doctest.NORMALIZE_WHITESPACE
MODULES = sorted(module.name.removeprefix("lmm.") for module in pkgutil.walk_packages(lmm.__path__, "lmm."))


def test_the_readme_runs():
    pytest.importorskip("matplotlib").use("Agg")
    text = (ROOT / "README.md").read_text()
    test = doctest.DocTestParser().get_doctest(text, {}, "README.md", "README.md", 0)
    results = doctest.DocTestRunner(optionflags=OPTIONS).run(test)
    importlib.import_module("matplotlib.pyplot").close("all")
    assert results.failed == 0 and results.attempted > 15


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_run(name):
    module = importlib.import_module(f"lmm.{name}")
    names = {name: getattr(lmm, name) for name in lmm.__all__}
    assert doctest.testmod(module, extraglobs=names, optionflags=OPTIONS).failed == 0


def test_every_public_name_is_documented():
    for name in lmm.__all__:
        assert (getattr(lmm, name).__doc__ or "").strip(), name


def test_only_the_four_packages_are_imported_and_extras_where_they_are_used():
    import sys
    needed = sys.stdlib_module_names | {"numpy", "scipy", "pandas", "patsy"}
    for path in Path(lmm.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            allowed = needed if node in tree.body else needed | {"matplotlib", "tqdm", "threadpoolctl"}
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path.name
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module.split(".")[0] in allowed, path.name


def test_the_top_level_is_the_agreed_one():
    agreed = {"pyproject.toml", "README.md", "CONTRIBUTORS.md", "lmm", "tests", "data"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found == agreed


def test_the_core_stays_free_of_forbidden_algebra():
    """No explicit inverse, determinant, Q, eigendecomposition or pseudo-inverse where the likelihood is evaluated."""
    for name in ("practical", "engines/qr", "engines/dense", "engines/blocked/engine", "engines/blocked/gram",
                 "engines/blocked/elimination"):
        source = (Path(lmm.__file__).parent / f"{name}.py").read_text()
        called = {node.func.attr for node in ast.walk(ast.parse(source))
                  if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}
        assert not called & {"inv", "pinv", "det", "slogdet", "eig", "eigh", "svd", "solve"}
