"""What a factor of a formula may hold: the check that a formula from a stranger runs no code of theirs.

patsy evaluates each factor as Python. Here it is refused before that, unless it holds only arithmetic, comparisons,
columns of the data, constants, and calls of named functions on them: R's everyday functions, numpy's, patsy's, and
those the user wrote. Text is let through only to be compared with, and as an argument of patsy's functions.
"""

import ast
import sys
from types import FunctionType, ModuleType

import numpy as np
import patsy.builtins

from .errors import unknown_column

# R's everyday functions, under R's names and numpy's.
R_FUNCTIONS = {name: getattr(np, name) for name in (
    "log exp sqrt abs sin cos tan sinh cosh tanh log2 log10 log1p expm1 floor ceil trunc sign round".split())} | {
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "ceiling": np.ceil,
    "mean": np.mean, "median": np.median, "ifelse": np.where}
PATSY_FUNCTIONS = {name: getattr(patsy.builtins, name) for name in (
    "I Q C center standardize scale bs cr cc te Treatment Poly Sum Helmert Diff".split())}
NUMPY_FUNCTIONS = set("where clip round mean median std var min max sum minimum maximum cumsum isin interp".split())
CONSTANTS = {"pi": np.pi}

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
PLAIN = "a formula holds arithmetic, comparisons, columns of dat, constants and calls of named functions"


class Refused(Exception):
    """A part of the formula that is not let through; the message says why."""


class Vocabulary:
    """Checks expressions, and collects what they use.

    Attributes
    ----------
    variables : list of str
        The columns that were used, in order of appearance.
    called : set of str
        The names that were called.
    namespace : dict
        What the expressions need besides the columns: functions, modules, constants.
    """

    def __init__(self, columns, frame):
        self._columns, self._frame = columns, frame
        self.variables, self.called, self.namespace = [], set(), {}

    def check(self, code):
        """Let through an expression, or raise Refused."""
        try:
            self._check(ast.parse(code, mode="eval").body)
        except (SyntaxError, RecursionError):
            raise Refused("form cannot be read here; is an operator missing? A column whose name is no Python name, "
                          "or a Python word, is written Q('its name')") from None

    def _check(self, node, strings=False):
        """Let through an expression, or raise _Refused. `strings`: whether text constants make sense here."""
        match node:
            case ast.Name(id=name):
                self._use(name)
            case ast.Constant(value=bool() | int() | float() | None):
                pass
            case ast.Constant(value=str()) if strings:
                pass
            case ast.BinOp(op=ast.BitOr()):
                raise Refused("form holds a random effect written with '|'; name it in ref instead, "
                               'as in lmm("score ~ Machine", dat, ["Worker"])')
            case ast.BinOp(op=ast.BitXor()):
                raise Refused("form holds '^', which is exclusive or in Python; write I(x**2) for a square, "
                               "(a + b)**2 for interactions")
            case ast.BinOp(left, op, right) if isinstance(op, ARITHMETIC):
                if isinstance(op, ast.Pow) and not any(isinstance(n, ast.Name) for n in ast.walk(node)):
                    raise Refused("form holds a power of constants; write its value")
                self._check(left)
                self._check(right)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                self._check(operand)
            case ast.Compare(left, ops, comparators) if all(isinstance(op, COMPARISONS) for op in ops):
                for side in (left, *comparators):
                    self._check(side, strings=True)
            case ast.Attribute(ast.Name(id=module), "pi" | "e") if self._module(module) is np:
                self.namespace[module] = np
            case ast.Call(ast.Name(id="Q"), [ast.Constant(value=str(name))], []):
                self._use(name)
                self.namespace["Q"] = PATSY_FUNCTIONS["Q"]
            case ast.Call(function, arguments, keywords):
                of_patsy = self._check_function(function, arguments, keywords)
                for argument in (*arguments, *(k.value for k in keywords)):
                    self._check_argument(argument, of_patsy)
            case _:
                raise Refused(f"form holds {ast.unparse(node)!r}; {PLAIN}")

    def _check_argument(self, node, of_patsy):
        """Arguments are expressions; patsy's own functions also take text, contrasts and lists of constants."""
        if of_patsy and isinstance(node, ast.Name) and node.id in PATSY_FUNCTIONS:
            self.namespace[node.id] = PATSY_FUNCTIONS[node.id]
        elif of_patsy and isinstance(node, (ast.List, ast.Tuple)):
            for element in node.elts:
                self._check_argument(element, of_patsy)
        else:
            self._check(node, strings=of_patsy)

    def _use(self, name):
        if name in self._columns:
            if name not in self.variables:
                self.variables.append(name)
        elif name in CONSTANTS:
            self.namespace[name] = CONSTANTS[name]
        else:
            raise Refused("form uses " + unknown_column(name, self._columns))

    def _check_function(self, node, arguments, keywords):
        """Note the function that is called in the namespace; true if it is one of patsy's."""
        match node:
            case ast.Name(id=name):
                found = self._look_up(name)
                if not _is_callers_own(found):
                    found = R_FUNCTIONS.get(name, PATSY_FUNCTIONS.get(name, found))
                self.namespace[name] = found
            case ast.Attribute(ast.Name(id=module), name) if not name.startswith("_"):
                self.namespace[module] = self._module(module)
                found = getattr(self.namespace[module], name, None)
                if self.namespace[module] is np and name in NUMPY_FUNCTIONS:
                    return False
            case _:
                raise Refused(f"form holds {ast.unparse(node)!r}; {PLAIN}")
        self.called.add(name)
        if any(found is f for f in PATSY_FUNCTIONS.values()):
            return True
        if isinstance(found, np.ufunc) and (keywords or len(arguments) != found.nin):
            raise Refused(f"form calls {ast.unparse(node)!r}, which takes {found.nin} "
                          f"argument{'s' if found.nin > 1 else ''} and no keywords")
        if found is None:
            raise Refused(f"form calls {ast.unparse(node)!r}, which is no function known here; "
                          "define it before the call, or compute the variable as a column of dat")
        if not (isinstance(found, np.ufunc) or found is R_FUNCTIONS.get(name) or _is_callers_own(found)):
            raise Refused(f"form calls {ast.unparse(node)!r}, which a formula may not; allowed are R's everyday functions, "
                          "numpy's elementwise ones and functions you define; compute the variable as a column of dat")
        return False

    def _look_up(self, name):
        """What the user's code calls `name`; never a private or built-in name.

        Looks in the user's frame and those of the same module around it (a comprehension is a frame of its own),
        then in the main module, for calls from a pool of workers.
        """
        if name.startswith("_"):
            raise Refused(f"form holds {name!r}; {PLAIN}")
        frame = self._frame
        while frame is not None and frame.f_globals is self._frame.f_globals:
            if name in frame.f_locals:
                return frame.f_locals[name]
            frame = frame.f_back
        return self._frame.f_globals.get(name, vars(sys.modules["__main__"]).get(name))

    def _module(self, name):
        found = self._look_up(name)
        if name == "np" and found is None:
            return np
        if not isinstance(found, ModuleType):
            raise Refused(f"form takes an attribute of {name!r}, which is no module; {PLAIN}")
        return found


def _is_callers_own(function):
    """A plain function from outside the standard library and the packages this one is built on."""
    if not isinstance(function, FunctionType):
        return False
    package = (function.__module__ or "").split(".")[0]
    return package == "__main__" or package not in sys.stdlib_module_names | {"numpy", "scipy", "pandas", "patsy", __package__}
