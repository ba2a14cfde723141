"""What a grader gives - a path, a module, a function - as a file that a process of its own can load by its path."""

import builtins
import inspect
import os
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType

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
    path = Path(tempfile.mkdtemp(prefix="lmm-notebook-")) / "notebook.py"
    path.write_text(source_with_all_it_uses(given), encoding="utf-8")
    return Submission(path, given.__name__, given.__name__)


def only_file(folder):
    """The file to grade in a student's folder: its one Python file, or lmm.py among several."""
    files = sorted(path for path in folder.glob("*.py") if path.is_file())
    chosen = files if len(files) == 1 else [path for path in files if path.name == "lmm.py"]
    if not chosen:
        raise LMMError(f"the folder {folder.name!r} holds " + (
            f"{len(files)} Python files, none of them lmm.py; give one" if files else "no Python file"))
    return chosen[0]


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
    elif value.__globals__ is scope if isinstance(value, FunctionType) else (
            isinstance(value, type) and value.__module__ == scope.get("__name__")):
        for used in _globals_used(value):
            if used in scope and not hasattr(builtins, used):
                _gather(used, scope[used], scope, names, parts)
        try:
            parts.append(textwrap.dedent(inspect.getsource(value)))
        except (OSError, TypeError):
            raise LMMError(f"the source of {name!r} cannot be found; give a file") from None
    elif hasattr(value, "__module__") and hasattr(value, "__name__") and value.__module__:
        parts.append(f"from {value.__module__} import {value.__name__} as {name}")
    elif type(value).__module__ == "numpy" and hasattr(value, "__name__"):
        parts.append(f"from numpy import {value.__name__} as {name}")            # a ufunc, which has no __module__
    elif isinstance(value, (int, float, complex, str, bytes, bool, type(None), tuple, list, dict, set)):
        parts.append(f"{name} = {value!r}")


def _globals_used(value):
    """The names that a function, or the methods of a class, may take from its module."""
    codes = [value.__code__] if isinstance(value, FunctionType) else [
        method.__code__ for method in vars(value).values() if isinstance(method, FunctionType)]
    found = []
    while codes:
        code = codes.pop()
        found += code.co_names
        codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
    return dict.fromkeys(found)
