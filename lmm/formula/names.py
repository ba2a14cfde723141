"""What a name in a formula means: a column of the data, a function, a module.

Here names are *found*; whether what they mean may stand in a formula is judged in `vetting`.
"""

import os
import sys
import sysconfig
import unicodedata
from dataclasses import dataclass
from types import FunctionType, ModuleType

import numpy as np

INSTALLED = {"site-packages", "dist-packages"}
STANDARD_LIBRARY = {
    os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")
}
THIS_PACKAGE = os.path.dirname(os.path.dirname(__file__))
NOT_THE_USERS = (*STANDARD_LIBRARY, THIS_PACKAGE)


@dataclass(frozen=True)
class Called:
    """What stands before the parentheses of a call.

    Attributes
    ----------
    name : str
        The function's own name: ``"log"`` of ``np.log``.
    value : object
        The function; None if there is none of that name.
    standard : bool
        Whether it is R's or patsy's, known by its bare name.
    own : bool
        Whether the user wrote it.
    module : module or None
        What it was taken from, if it is written with a dot.
    root, root_value : str, object
        What must be known for the call to be evaluated: ``np`` of ``np.log``, else the function.
    """

    name: str
    value: object
    standard: bool
    own: bool
    module: ModuleType
    root: str
    root_value: object


class Names:
    """The names that a formula may use.

    Parameters
    ----------
    columns : list of str
        The columns of the data.
    frame : frame
        Where the user called from.
    functions : dict
        Functions and modules by name that are meant before any found in `frame`.
    standard : dict
        Functions by name that are meant where the user has written none of that name.
    """

    def __init__(self, columns, frame, functions, standard):
        self.columns = columns
        self._frame = frame
        self._functions = functions
        self._standard = standard

    def is_column(self, name):
        """Whether a column of the data has this name."""
        return name in self.columns

    def look_up(self, name):
        """What the user's code calls `name`; None if nothing.

        A function that an earlier formula used is meant again. Else the user's frame is searched,
        and those of the same module around it, for a comprehension is a frame of its own; then
        its module, then the main module, for calls from a pool of workers.
        """
        if name in self._functions:
            return self._functions[name]
        frame = self._frame
        module = frame.f_globals
        while frame is not None and frame.f_globals is module:
            if name in frame.f_locals:
                return frame.f_locals[name]
            frame = frame.f_back
        if name in module:
            return module[name]
        return vars(sys.modules["__main__"]).get(name)

    def module(self, name):
        """The module that `name` means, numpy for ``np`` where it is not imported; else None."""
        found = self.look_up(name)
        if found is None and name == "np":
            return np
        return found if isinstance(found, ModuleType) else None

    def is_own(self, name):
        """Whether a function of this name is the user's own."""
        return self._is_users_own(self.look_up(name))

    def function(self, name):
        """What is called by a bare name: the user's own, else R's or patsy's, else any other."""
        name = unicodedata.normalize("NFKC", name)              # as Python does with its names
        value = self.look_up(name)
        own = self._is_users_own(value)
        standard = not own and name in self._standard
        if standard:
            value = self._standard[name]
        return Called(name, value, standard, own, None, name, value)

    def function_of(self, module_name, name):
        """What is called as an attribute of a module."""
        module = self.module(module_name)
        value = getattr(module, name, None)
        own = module is not np and self._is_users_own(value)
        return Called(name, value, False, own, module, module_name, module)

    def _is_users_own(self, value):
        """Whether it is a plain function, of no installed package, nor Python's, nor ours."""
        if not isinstance(value, FunctionType):
            return False
        home = value.__globals__
        file = home.get("__file__")
        if file is None:                                    # a notebook, an interpreter
            return home is self._frame.f_globals or home.get("__name__") == "__main__"
        folder = os.path.dirname(os.path.realpath(file))
        if not INSTALLED.isdisjoint(folder.split(os.sep)):
            return False
        return not any(_is_within(folder, place) for place in NOT_THE_USERS)


def _is_within(folder, place):
    return folder == place or folder.startswith(place + os.sep)
