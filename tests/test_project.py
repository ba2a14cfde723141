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


@pytest.mark.requirement("documented")
@pytest.mark.parametrize("name", MODULES)
def test_docstrings_run(name):
    module = importlib.import_module(f"lmm.{name}")
    names = {name: getattr(lmm, name) for name in lmm.__all__}
    assert doctest.testmod(module, extraglobs=names, optionflags=OPTIONS).failed == 0


@pytest.mark.requirement("documented")
def test_every_public_name_is_documented():
    for name in lmm.__all__:
        assert (getattr(lmm, name).__doc__ or "").strip(), name


@pytest.mark.requirement("four packages")
def test_only_the_four_packages_are_imported_and_extras_where_they_are_used():
    import sys
    needed = sys.stdlib_module_names | {"numpy", "scipy", "pandas", "patsy"}
    for path in Path(lmm.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            allowed = needed if node in tree.body else needed | {"matplotlib", "tqdm", "threadpoolctl", "dask", "pyarrow"}
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path.name
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module.split(".")[0] in allowed, path.name


# The floors of the house, from the street down: DESIGN section 4.
FLOORS = {
    "lmm.__main__": 9, "lmm.grading": 9, "lmm.validation": 9, "lmm.conventions": 8, "lmm.notebooks": 9, "lmm.guide": 9, "lmm.plots": 8, "lmm.methods": 7,
    "lmm.inference": 6, "lmm.fit": 5, "lmm.summaries": 5, "lmm.practical": 5, "lmm.fitting": 4, "lmm.chunks": 3,
    "lmm.result": 3, "lmm.engines": 2,
    "lmm.model": 1, "lmm.formula": 1, "lmm.machine": 0, "lmm.errors": 0, "lmm.datasets": 0,
    "lmm.translation": 0,
}


def imports():
    """(module, what it names, what it gets) of each import within the package, those inside functions included."""
    root = Path(lmm.__file__).parent
    for path in root.rglob("*.py"):
        module = ".".join(("lmm", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                home = package.rsplit(".", node.level - 1)[0]
                target = f"{home}.{node.module}" if node.module else home
                for alias in node.names:
                    whole = f"{target}.{alias.name}"
                    got = whole if whole.removeprefix("lmm.") in MODULES else target
                    yield module, got if target == "lmm" else target, got


def place(module):
    """The room at the top of the package that a module belongs to."""
    return ".".join(module.split(".")[:2])


@pytest.mark.requirement("floors")
def test_arrows_go_down_and_enter_by_the_face():
    for module, target, _ in imports():
        if module == "lmm" or "grading.inside" in module:
            continue                                            # the package's own face; another process
        here, there = place(module), place(target)
        if here != there:
            assert FLOORS[here] >= FLOORS[there], f"{module} imports {target} from above"
            assert target == there, f"{module} imports from {target}, not from its face"


@pytest.mark.requirement("floors")
def test_no_modules_import_each_other_in_a_ring():
    arrows = {}
    for module, _, target in imports():
        if module != "lmm":
            arrows.setdefault(module, set()).add(target)
    done = set()

    def visit(module, way):
        assert module not in way, f"a ring: {' -> '.join([*way, module])}"
        if module not in done:
            for target in arrows.get(module, ()):
                if target != module and not module.startswith(f"{target}."):
                    visit(target, [*way, module])
            done.add(module)

    for module in list(arrows):
        visit(module, [])


def test_a_constant_has_one_value_in_the_package():
    found = {}
    for path in Path(lmm.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
                name, value = node.targets[0].id, ast.unparse(node.value)
                assert found.setdefault(name, value) == value, f"{name} is {found[name]}, and {value} in {path.name}"


def test_tab_shows_what_a_user_calls():
    assert set(dir(lmm)) == {*lmm.__all__, "__version__"}
    rooms = {"chunks", "engines", "fitting", "formula", "inference", "machine", "methods", "model", "practical", "result", "summaries",
             "translation", "validation"}
    assert not rooms & set(dir(lmm))


def test_the_top_level_is_the_agreed_one():
    agreed = {"pyproject.toml", "README.md", "CONTRIBUTORS.md", "lmm", "tests", "data"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found == agreed


@pytest.mark.requirement("contract")
def test_the_core_stays_free_of_forbidden_algebra():
    """No explicit inverse, determinant, Q, eigendecomposition or pseudo-inverse where the likelihood is evaluated."""
    for name in ("practical", "engines/qr", "engines/dense", "engines/blocked/engine", "engines/blocked/crossproducts",
                 "engines/blocked/elimination"):
        source = (Path(lmm.__file__).parent / f"{name}.py").read_text()
        called = {node.func.attr for node in ast.walk(ast.parse(source))
                  if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}
        assert not called & {"inv", "pinv", "det", "slogdet", "eig", "eigh", "svd", "solve"}
