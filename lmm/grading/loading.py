"""What a grader gives - a path, a module, a function - as a file to be loaded by its path."""

import ast
import builtins
import inspect
import os
import shutil
import sys
import tempfile
import textwrap
import threading
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np

from ..errors import LMMError
from .folders import (
    ARCHIVE,
    GRADED,
    NOTEBOOK,
    check_encoding,
    check_readable,
    graded_file,
    not_python,
    printable,
    suffix_of,
)
from .notebook_files import read_notebook
from .unpacking import unpack

FUNCTIONS = ("lmm", "LMMsetup", "LMMprof")
PACKAGE = __name__.partition(".")[0]
LAMBDA = "<lambda>"             # what Python calls a function without a name
OF_LAMBDA = "the_lambda"        # what it is called here: no name that it may use itself
MAKING = threading.Lock()       # of the one folder of all: several submissions are loaded at a time
WRITTEN_ARRAYS = "biufU"        # kinds of numpy's types whose arrays can be written as text
WRITTEN_TYPES = (int, float, complex, str, bytes, bool, type(None), tuple, list, dict, set)


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
    cells : tuple of (str, str)
        Of a notebook: what to call each of its code cells, and its Python.
    notes : tuple of str
        How it was found and read.
    taken : str
        In a few words what was taken, where its title does not say.
    made : tuple of Path
        Temporary folders that hold it, to be removed when it is graded: see `remove`.
    """

    path: Path
    title: str
    name: str = "lmm"
    helpers: bool = True
    cells: tuple = ()
    notes: tuple = ()
    taken: str = ""
    made: tuple = ()

    def remove(self):
        """Remove the folders that were made for it."""
        for folder in self.made:
            shutil.rmtree(folder, ignore_errors=True)


def submission(given, helpers=True):
    """A `Submission` from a path, a module or a function; an LMMError if it is none of them."""
    if isinstance(given, Submission):
        return given
    if isinstance(given, (str, os.PathLike)):
        return _of_path(given, helpers)
    if not callable(given) and not isinstance(given, ModuleType):
        kind = type(given).__name__
        raise LMMError(
            f"what is to be graded is of type {kind}; it is a path, a module, or a function"
        )
    if _is_this_package(given):
        raise LMMError("that is this package's own work, by which submissions are judged")
    if isinstance(given, ModuleType):
        return _of_module(given)
    if not isinstance(given, FunctionType):
        kind = type(given).__name__
        raise LMMError(
            f"what is to be graded is a {kind}, not a plain function; give the path of its file"
        )
    return _of_function(given)


# -- a path --------------------------------------------------------------------------------------

def _of_path(given, helpers):
    path = Path(os.path.abspath(given))
    if not os.path.exists(path):
        if path.is_symlink():
            raise LMMError(f"{printable(path.name)} is a link to nothing")
        raise LMMError(f"there is no file {os.fspath(given)!r} to grade")
    name = printable(path.name)
    if path.is_dir():
        return of_folder(path, f"the folder {name!r}", name)
    if suffix_of(path.name) not in ("", *GRADED):
        raise LMMError(not_python(path.name))
    return _of_file(path, name, helpers)


def of_folder(folder, called, title):
    """The `Submission` in a student's folder, which sentences call so; see `graded_file`."""
    file, notes = graded_file(folder, called)
    found = _of_file(file, title)
    return _with_place(found, file, folder, notes)


def _with_place(found, file, folder, notes):
    """A `Submission`, with notes on how its file was found, and where, if that is further down."""
    place = "" if file.parent == folder else printable(str(file.relative_to(folder)))
    taken = ", ".join(filter(None, (place, found.taken)))
    return replace(found, notes=(*notes, *found.notes), taken=taken)


def _of_file(path, title, helpers=True):
    """The `Submission` in a file of Python, a notebook, or a zip file."""
    check_readable(path)
    suffix = suffix_of(path.name)
    if suffix == ARCHIVE:
        return _of_archive(path, title)
    check_encoding(path)
    if suffix == NOTEBOOK:
        cells, notes = read_notebook(path)
        taken = "its code cells"
        return Submission(path, title, helpers=helpers, cells=cells, notes=notes, taken=taken)
    return Submission(path, title, helpers=helpers)


def _of_archive(path, title):
    """The `Submission` in a zip file, unpacked into a temporary folder; none in one within it."""
    name = printable(path.name)
    room = new_folder()
    try:
        unpack(path, room)
        file, notes = graded_file(room, name)
        if suffix_of(file.name) == ARCHIVE:
            raise LMMError(
                f"{name} holds no Python file, but another zip file, {file.name!r}, "
                "which is not opened"
            )
        found = _of_file(file, title)
    except BaseException:
        shutil.rmtree(room, ignore_errors=True)
        raise
    found = _with_place(found, file, room, (f"{name} was unpacked", *notes))
    return replace(found, made=(room,))


def new_folder():
    """A new folder, which is removed when Python ends, if not before."""
    with MAKING:
        parent = _folder().name
    return Path(tempfile.mkdtemp(dir=parent)).resolve()


# -- a module or a function ----------------------------------------------------------------------

def _is_this_package(given):
    """Whether a module or a function is one of this package's."""
    owner = getattr(given, "__module__", None) or ""
    if isinstance(given, ModuleType):
        owner = given.__name__
    if owner.partition(".")[0] != PACKAGE:
        return False
    return getattr(given, "__package__", PACKAGE).startswith(PACKAGE)   # or a student's lmm.py


def _of_module(module):
    if not getattr(module, "__file__", None):
        raise LMMError(f"module {module.__name__!r} has no file; give the path of one")
    return Submission(Path(module.__file__).absolute(), module.__name__)


def _of_function(function):
    """The file of a function, or, of a notebook's, one that is written for it."""
    name = function.__name__
    if name == LAMBDA:
        name = OF_LAMBDA
    scope = function.__globals__
    file = Path(function.__code__.co_filename).absolute()
    if file.is_file() and scope.get("__file__") and scope.get(name) is function:
        return Submission(file, name, name)
    source = source_with_all_it_uses(function, name)
    room = new_folder()
    path = room / "notebook.py"
    path.write_text(source, encoding="utf-8")
    title = "the lambda" if name == OF_LAMBDA else name
    return Submission(path, title, name, made=(room,))


@cache
def _folder():
    """Where folders are made for what is no file of its own; removed when Python ends."""
    return tempfile.TemporaryDirectory(prefix="lmm-submissions-")


# -- out of a notebook ---------------------------------------------------------------------------

def source_with_all_it_uses(function, name=None):
    """The source of a function from a notebook, after that of all it uses.

    The text stands alone: the notebook's functions and classes come with their sources, modules
    as imports, other names with their values, if those can be written down.
    """
    scope = function.__globals__
    parts = {}
    _gather(name or function.__name__, function, scope, parts)
    for name in FUNCTIONS:
        value = scope.get(name)
        if isinstance(value, FunctionType) and value.__globals__ is scope:
            _gather(name, value, scope, parts)
    return "\n\n".join(parts.values()) + "\n"


def _gather(name, value, scope, parts):
    """Add what defines `name`, after all that this uses, unless it is there already.

    `parts` holds the text that defines each name, in the order in which they are to be written.
    """
    if name in parts:
        return
    if not _is_of(value, scope):
        parts[name] = _definition(name, value, scope)
        return
    parts[name] = ""            # so that a function that calls itself is gathered once
    try:
        source = _source_of(name, value)
        around = _taken_from_around(value)
    except (OSError, TypeError, SyntaxError, ValueError):
        raise _cannot_be_carried(name) from None
    for used in _names_in(source, value):
        if used in scope and used not in around and not hasattr(builtins, used):
            _gather(used, scope[used], scope, parts)
    for used, what in around.items():
        if used in parts and scope.get(used, what) is not what:
            raise _cannot_be_carried(used)              # two things of one name
        _gather(used, what, scope, parts)
    del parts[name]             # to the end, after what it uses
    parts[name] = source


def _source_of(name, value):
    """The text that defines a function or a class; of a lambda, which has no name, with one."""
    if getattr(value, "__name__", "") != LAMBDA:
        return textwrap.dedent(inspect.getsource(value))
    code = value.__code__
    text = "".join(inspect.findsource(value)[0])
    found = {
        ast.get_source_segment(text, node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno
    }
    alike = {one: _code_of_lambda(one) for one in found}
    for told in (_names_and_constants, lambda code: code.co_code):
        if len(alike) > 1:
            alike = {one: its for one, its in alike.items() if told(its) == told(code)}
    if len(alike) != 1:
        raise OSError("several lambdas in a line, or none")
    return f"{name} = ({next(iter(alike))})\n"


def _code_of_lambda(text):
    """The code of a lambda, which is not made: its defaults may be anything."""
    constants = compile(f"({text})", LAMBDA, "eval").co_consts
    return next(one for one in constants if inspect.iscode(one))


def _names_and_constants(code):
    """What a code is told by first: its instructions depend on what the module imports."""
    constants = [one for one in code.co_consts if not inspect.iscode(one)]
    return code.co_names, code.co_varnames, repr(constants)


def _taken_from_around(value):
    """The variables, by name, that a function takes from the functions around it."""
    function = inspect.unwrap(value)
    if not isinstance(function, FunctionType) or not function.__closure__:
        return {}
    cells = zip(function.__code__.co_freevars, function.__closure__)
    return {name: cell.cell_contents for name, cell in cells if name != "__class__"}


def _is_of(value, scope):
    """Whether a function, decorated or not, or a class, is one of the notebook's."""
    function = inspect.unwrap(value) if callable(value) else value
    if isinstance(function, FunctionType):
        return function.__globals__ is scope
    return _is_class_of(value, scope) and not hasattr(value, "_fields")


def _is_class_of(value, scope):
    return isinstance(value, type) and value.__module__ == scope.get("__name__")


def _definition(name, value, scope):
    """The text that defines a name that is no function or class of the notebook's."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}"
    if _is_class_of(value, scope):                  # a named tuple, which has no source
        made = f"namedtuple({value.__name__!r}, {value._fields!r})"
        return f"from collections import namedtuple\n{name} = {made}"
    home = _home(value)
    if home is not None:
        return f"from {home} import {value.__name__} as {name}"
    return f"import numpy\nfrom numpy import inf, nan\n{name} = {_written(value, name)}"


def _home(value):
    """The module that a function or class can be imported from, or None.

    numpy's and scipy's ufuncs do not say theirs.
    """
    name = getattr(value, "__name__", None)
    if name is None:
        return None
    loaded = list(sys.modules)                      # which another thread may add to meanwhile
    numerical = [place for place in loaded if place.startswith(("numpy", "scipy"))]
    for place in (getattr(value, "__module__", None), *numerical):
        if not place or place == "__main__":
            continue
        if getattr(sys.modules.get(place), name, None) is value:
            return place
    return None


def _written(value, name):
    """A value as Python text; an LMMError for one that has none."""
    if isinstance(value, np.ndarray) and value.dtype.kind in WRITTEN_ARRAYS:
        return f"numpy.array({value.tolist()!r})"
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, WRITTEN_TYPES):
        return repr(value)
    raise _cannot_be_carried(name)


def _cannot_be_carried(name):
    called = "the lambda" if name == OF_LAMBDA else repr(name)
    return LMMError(
        f"{called} cannot be taken out of the notebook, for it has no source, nor a value that "
        "can be written down; define it within the function, or give a file"
    )


def _names_in(source, value):
    """The names that the source of a function or class takes from its module, each once.

    Those of its decorators, defaults and bases come first, then those of its body that its code
    says are no local ones.
    """
    node = ast.parse(source).body[0]
    if isinstance(node, ast.Assign):                # of a lambda
        node = node.value
    head = [*getattr(node, "decorator_list", ()), *getattr(node, "bases", ())]
    if hasattr(node, "args"):
        defaults = [*node.args.defaults, *node.args.kw_defaults]
        head += [default for default in defaults if default is not None]
    names = []
    for part in head:
        names += _names(part)
    taken = _taken_from_module(inspect.unwrap(value))
    names += [name for name in _names(node) if name in taken]
    return dict.fromkeys(names)


def _taken_from_module(value):
    """The names of the module's, and of attributes, that the code of a function or class uses."""
    functions = [value] if isinstance(value, FunctionType) else vars(value).values()
    functions = [inspect.unwrap(one) for one in functions]
    codes = [one.__code__ for one in functions if isinstance(one, FunctionType)]
    taken = set()
    while codes:
        code = codes.pop()
        taken.update(code.co_names)
        codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
    return taken


def _names(node):
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]
