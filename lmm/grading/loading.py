"""What a grader gives - a path, a module, a function - as a file that a process of its own can load by its path."""

import ast
import builtins
import inspect
import os
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np

from ..errors import LMMError

FUNCTIONS = ("lmm", "LMMsetup", "LMMprof")
PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True)
class Submission:
    """A file that defines `lmm`.

    Attributes
    ----------
    path : Path
        The file.
    title : str
        What to call it in a report.
    name : str
        The name in the file of the function that is to be called as `lmm`.
    helpers : bool
        Whether it may import the other files of its folder.
    """

    path: Path
    title: str
    name: str = "lmm"
    helpers: bool = True


def submission(given, helpers=True):
    """A `Submission` from a path, a module or a function; an LMMError if it is none of them."""
    if isinstance(given, Submission):
        return given
    if isinstance(given, (str, os.PathLike)):
        path = Path(given).absolute()
        if not path.exists():
            raise LMMError(f"there is no file {os.fspath(given)!r} to grade")
        if path.is_dir():
            return Submission(only_file(path), path.name)
        if path.suffix not in (".py", ""):
            convert = "; write its cells to a file: jupyter nbconvert --to script" if path.suffix == ".ipynb" else ""
            raise LMMError(f"{path.name} is no Python file{convert}")
        return Submission(path, path.name, helpers=helpers)
    if not callable(given) and not isinstance(given, ModuleType):
        raise LMMError(f"what is to be graded is of type {type(given).__name__}; it is a path, a module, or a function")
    owner = given.__name__ if isinstance(given, ModuleType) else getattr(given, "__module__", None) or ""
    if owner.partition(".")[0] == PACKAGE and getattr(given, "__package__", PACKAGE).startswith(PACKAGE):
        raise LMMError("that is this package's own work, by which submissions are judged")
    if isinstance(given, ModuleType):
        if not getattr(given, "__file__", None):
            raise LMMError(f"module {given.__name__!r} has no file; give the path of one")
        return Submission(Path(given.__file__).absolute(), given.__name__)
    if not isinstance(given, FunctionType):
        raise LMMError(f"what is to be graded is a {type(given).__name__}, not a plain function; give the path of its file")
    file = Path(given.__code__.co_filename).absolute()
    if file.is_file() and given.__globals__.get("__file__") and given.__globals__.get(given.__name__) is given:
        return Submission(file, given.__name__, given.__name__)
    path = Path(tempfile.mkdtemp(dir=_folder().name)) / "notebook.py"
    path.write_text(source_with_all_it_uses(given), encoding="utf-8")
    return Submission(path, given.__name__, given.__name__)


@cache
def _folder():
    """Where functions of notebooks are written; removed when Python ends."""
    return tempfile.TemporaryDirectory(prefix="lmm-notebook-")


def only_file(folder):
    """The file to grade in a student's folder: its one Python file, or lmm.py among several."""
    files = sorted(path for path in folder.glob("*.py") if path.is_file())
    chosen = files if len(files) == 1 else [path for path in files if path.name == "lmm.py"]
    if not chosen:
        raise LMMError(f"the folder {folder.name!r} holds {_instead_of_one(folder, files)}")
    return chosen[0]


def _instead_of_one(folder, files):
    """What a folder holds where one Python file, or lmm.py, was meant, and what to do about it."""
    if files:
        return f"{len(files)} Python files, none of them lmm.py; give one"
    if any(folder.glob("*.ipynb")):
        return "no Python file, but a notebook; write its cells to a file: jupyter nbconvert --to script"
    return "no Python file"


def source_with_all_it_uses(function):
    """The source of a function from a notebook, after that of all it uses: a text that stands alone.

    The notebook's functions and classes come with their sources, modules as imports, other names with their values, if those
    can be written down.
    """
    parts, names = [], {}
    for name in (function.__name__, *FUNCTIONS):
        value = function if name == function.__name__ else function.__globals__.get(name)
        if isinstance(value, FunctionType) and value.__globals__ is function.__globals__:
            _gather(name, value, function.__globals__, names, parts)
    return "\n\n".join(parts) + "\n"


def _gather(name, value, scope, names, parts):
    """Add what defines `name`, and first what that uses, unless it is there already."""
    if name in names:
        return
    names[name] = value
    if isinstance(value, ModuleType):
        parts.append(f"import {value.__name__} as {name}")
    elif _is_of(value, scope):
        try:
            source = textwrap.dedent(inspect.getsource(value))
        except (OSError, TypeError):
            raise _cannot_be_carried(name) from None
        for used in _names_in(source, value):
            if used in scope and not hasattr(builtins, used):
                _gather(used, scope[used], scope, names, parts)
        parts.append(source)
    elif isinstance(value, type) and value.__module__ == scope.get("__name__") and hasattr(value, "_fields"):
        parts.append(f"from collections import namedtuple\n{name} = namedtuple({value.__name__!r}, {value._fields!r})")
    elif (home := _home(value)) is not None:
        parts.append(f"from {home} import {value.__name__} as {name}")
    else:
        parts.append(f"import numpy\nfrom numpy import inf, nan\n{name} = {_written(value, name)}")


def _is_of(value, scope):
    """Whether a function, decorated or not, or a class, is one of the notebook's."""
    function = inspect.unwrap(value) if callable(value) else value
    if isinstance(function, FunctionType):
        return function.__globals__ is scope
    return isinstance(value, type) and value.__module__ == scope.get("__name__") and not hasattr(value, "_fields")


def _home(value):
    """The module that a function or class can be imported from, or None; numpy's and scipy's ufuncs do not say theirs."""
    name = getattr(value, "__name__", None)
    if name is None:
        return None
    numerical = (place for place in list(sys.modules) if place.startswith(("numpy", "scipy")))
    places = [getattr(value, "__module__", None), *numerical]
    return next((place for place in places if place and place != "__main__"
                 and getattr(sys.modules.get(place), name, None) is value), None)


def _written(value, name):
    """A value as Python text; an LMMError for one that has none."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufU":
        return f"numpy.array({value.tolist()!r})"
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, (int, float, complex, str, bytes, bool, type(None), tuple, list, dict, set)):
        return repr(value)
    raise _cannot_be_carried(name)


def _cannot_be_carried(name):
    return LMMError(f"{name!r} cannot be taken out of the notebook, for it has no source, nor a value that can be "
                    "written down; define it within the function, or give a file")


def _names_in(source, value):
    """The names that the source of a function or class takes from its module: in its body, decorators, defaults and bases."""
    node = ast.parse(source).body[0]
    head = [*node.decorator_list, *getattr(node, "bases", ())]
    if hasattr(node, "args"):
        head += [default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None]
    value = inspect.unwrap(value)
    codes = [value.__code__] if isinstance(value, FunctionType) else [
        inspect.unwrap(method).__code__ for method in vars(value).values() if isinstance(inspect.unwrap(method), FunctionType)]
    taken = set()                                       # by code: names of the module's, and of attributes
    while codes:
        code = codes.pop()
        taken.update(code.co_names)
        codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
    body = [name for name in _names(node) if name in taken]
    return dict.fromkeys([*(name for part in head for name in _names(part)), *body])


def _names(node):
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]
