"""The hints in lmm/__init__.pyi and lmm/plots/__init__.pyi say what the functions are; CI has mypy read them."""

import ast
import inspect
from pathlib import Path

import pytest

import lmm
from lmm import engines, grading, inference, practical, validation
from lmm.result.shown import Shown
from lmm.validation.explaining import Explanation
from lmm.validation.verdicts import Verdict

HOME = Path(lmm.__file__).parent
# classes that results have, but that the package has no name for
UNNAMED = {
    "_Setup": engines.Setup, "_Nll": practical.Nll, "_Shown": Shown, "_Means": inference.Means,
    "_Arbitration": validation.Arbitration, "_Explanation": Explanation, "_Verdict": Verdict, "_Report": grading.Report,
}
INSIDE = {                                          # attributes that are nobody's business
    "Fits": {"estimates", "responses", "batches", "one"},
    "LMMResult": {"triangle", "evaluated", "plan", "keys", "values", "items", "get"},
    "_Means": {"rows", "title", "offset", "estimable", "errors", "scale", "families", "levels_of_family"},
    "_Nll": {"triangle", "phi", "state", "derivatives", "rounding", "rescaled"},
    "_Setup": {"engine", "Q_X", "R_X", "beta_0", "log_weights", "units", "df"},
}


def stub(path):
    """The top of a stub: a list of functions, some of them several times, and of classes."""
    return ast.parse((HOME / path).read_text()).body


def parameters(node):
    """[(name, kind, default)] of a function in a stub."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    found = [(arg.arg, "plain", default) for arg, default in zip(positional, defaults)]
    if arguments.vararg:
        found.append((arguments.vararg.arg, "*", None))
    found += [(arg.arg, "named", default) for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    if arguments.kwarg:
        found.append((arguments.kwarg.arg, "**", None))
    return [(name, kind, default and ast.literal_eval(default)) for name, kind, default in found]


def signature(function):
    """The same of a function itself."""
    kinds = {
        inspect.Parameter.POSITIONAL_OR_KEYWORD: "plain", inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.KEYWORD_ONLY: "named", inspect.Parameter.VAR_KEYWORD: "**",
    }
    return [(one.name, kinds[one.kind], None if one.default is one.empty else one.default)
            for one in inspect.signature(function).parameters.values()]


def test_each_public_name_has_its_hints():
    declared = {node.name for node in stub("__init__.pyi") if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert {name for name in declared if not name.startswith("_")} == set(lmm.__all__) - {"plots"}
    assert {node.name for node in stub("plots/__init__.pyi") if isinstance(node, ast.FunctionDef)} == set(lmm.plots.__all__)


FUNCTIONS = [(lmm, node) for node in stub("__init__.pyi") if isinstance(node, ast.FunctionDef)]
FUNCTIONS += [(lmm.plots, node) for node in stub("plots/__init__.pyi") if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("home, node", FUNCTIONS, ids=[f"{node.name} {node.lineno}" for _, node in FUNCTIONS])
def test_a_functions_hints_are_its_signature(home, node):
    declared = parameters(node)
    assert node.returns and all(arg.annotation for arg in ast.walk(node) if isinstance(arg, ast.arg))
    if node.args.posonlyargs:                       # anova of one fit, which has no name
        declared[0] = ("fits", "*", None)
    assert declared == signature(getattr(home, node.name))


CLASSES = [node for node in stub("__init__.pyi") if isinstance(node, ast.ClassDef)
           and node.name not in ("LMMError", "LMMWarning", "ConvergenceWarning", "_Table", "_Derivatives")]


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_a_classs_hints_are_its_attributes(node):
    kind = UNNAMED.get(node.name) or getattr(lmm, node.name)
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    declared = {part.name for part in methods} | {part.target.id for part in node.body if isinstance(part, ast.AnnAssign)}
    inherited = set(dir(Shown)) | {"table", "notes"} if node.name != "_Shown" else set()
    there = {name for name in dir(kind) if not name.startswith("_")} - set(dir(float))
    there |= set(getattr(kind, "__dataclass_fields__", ()))
    if node.name == "_Nll":
        there.add("beta")
    assert {name for name in declared if not name.startswith("_")} | inherited >= there - INSIDE.get(node.name, set())
    assert {name for name in declared if not name.startswith("_")} <= there
    for part in methods:
        member = inspect.getattr_static(kind, part.name)
        is_property = any(ast.unparse(mark) == "property" for mark in part.decorator_list)
        assert is_property == (not callable(member)), part.name
        if not is_property and not part.name.startswith("__"):
            declared_names = [("fit" if name == "self" else name, *rest) for name, *rest in parameters(part)]
            own_names = [("fit" if name in ("self", "setup") else name, *rest) for name, *rest in signature(member)]
            if {"overload"} <= {ast.unparse(mark) for mark in part.decorator_list}:      # one may ask for what has a default
                own_names = [own if given[2] is not None else (*own[:2], None) for given, own in zip(declared_names, own_names)]
            assert declared_names == own_names, part.name


def test_the_practical_stays_as_plain_as_the_sheet():
    tree = ast.parse((HOME / "practical.py").read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.arg) and node.annotation]
    assert (HOME / "py.typed").exists()
