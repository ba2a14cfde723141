"""What a factor of a formula may hold: the check that a formula from a stranger runs no code of theirs.

patsy evaluates each factor as Python. Here it is refused before that, unless it holds only arithmetic, comparisons,
columns of the data, constants, and calls of named functions on them: R's everyday functions, numpy's, patsy's, and
those the user wrote. Text is let through only to be compared with, and as an argument of patsy's codings.
"""

import ast
import os
import sys
import sysconfig
from types import FunctionType, ModuleType

import numpy as np
import patsy.builtins

from ..errors import unknown_column

# R's everyday functions, under R's names and numpy's.
R_FUNCTIONS = {name: getattr(np, name) for name in (
    "log exp sqrt abs sin cos tan sinh cosh tanh log2 log10 log1p expm1 floor ceil trunc sign round".split())} | {
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "ceiling": np.ceil,
    "mean": np.mean, "median": np.median, "ifelse": np.where, "offset": np.positive}
PATSY_FUNCTIONS = {name: getattr(patsy.builtins, name) for name in (
    "I Q C center standardize scale bs cr cc te Treatment Poly Sum Helmert Diff".split())}
CODING = {name: PATSY_FUNCTIONS[name] for name in "C Treatment Poly Sum Helmert Diff".split()}     # these take text
NUMPY_FUNCTIONS = set("where clip round mean median std var min max sum minimum maximum cumsum isin interp".split())
CONSTANTS = {"pi": np.pi}
STANDARD = PATSY_FUNCTIONS | R_FUNCTIONS | CONSTANTS

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
SPLINES = ("bs", "cr", "cc", "te")
LARGEST = 100               # of the degrees of freedom of a spline, of digits to round to
STANDARD_LIBRARY = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
ELSEWHERE = (*STANDARD_LIBRARY, os.path.dirname(os.path.dirname(__file__)))
CARET = "form holds '^', which is exclusive or in Python; write I(x**2) for a square, (a + b)**2 for interactions"
BAR = ("form holds a random effect written with '|'; name it in ref instead, "
       'as in lmm("score ~ Machine", dat, ["Worker"]), or call lmer(form, dat)')
PLAIN = "a formula holds arithmetic, comparisons, columns of dat, constants and calls of named functions"


class Refused(Exception):
    """A part of the formula that is not let through; the message says why."""


class Vocabulary:
    """Checks expressions, and collects what they use.

    Attributes
    ----------
    variables : list of str
        The columns that were used, in order of appearance.
    namespace : dict
        What the expressions need besides the columns: functions, modules, constants.
    """

    def __init__(self, columns, is_numeric, frame, functions):
        self._columns, self._is_numeric, self._frame, self._functions = columns, is_numeric, frame, functions
        self.variables, self.namespace = [], {}

    def check(self, code):
        """Let through an expression, or raise Refused."""
        try:
            self._check(ast.parse(code, mode="eval").body, factors=True)
        except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError):
            if "||" in code.replace(" ", ""):
                raise Refused(BAR) from None
            raise Refused("form cannot be read here; is an operator missing? A column whose name is no Python name, "
                          "or a Python word, is written Q('its name')") from None

    def _check(self, node, strings=False, factors=False):
        """Let through an expression, or raise Refused. `strings`: may it be text? `factors`: a column of categories?"""
        match node:
            case ast.Name(id=name):
                self._use(name)
                if not (strings or factors) and name in self._columns and not self._is_numeric(name):
                    raise Refused(f"form uses {name!r}, which holds categories, where numbers are needed")
            case ast.Constant(value=bool() | int() | float() | None):
                pass
            case ast.Constant(value=str()) if strings:
                pass
            case ast.BinOp(op=ast.BitOr()):
                raise Refused(BAR)
            case ast.BinOp(op=ast.BitXor()):
                raise Refused(CARET)
            case ast.BinOp(left, op, right) if isinstance(op, ARITHMETIC):
                calls = any(isinstance(part, ast.Call) for part in ast.walk(right))
                if isinstance(op, ast.Pow) and not self._uses_column(left) and (calls or not self._uses_column(right)):
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
            case ast.Call(function, arguments, keywords) if all(k.arg for k in keywords):
                found, own = self._check_function(function, arguments, keywords)
                named = {name for name, f in PATSY_FUNCTIONS.items() if f is found}
                if named & set(CODING):
                    if not factors:
                        raise Refused(f"form holds {ast.unparse(node)!r} within an expression; a coding stands by itself")
                    for argument in (*arguments, *(k.value for k in keywords)):
                        self._check_coding(argument)
                elif named & set(SPLINES):
                    self._check_spline(node)
                else:
                    if own and not self._uses_column(node):
                        raise Refused(f"form calls {ast.unparse(node)!r}, which holds no column of dat")
                    for argument in (*arguments, *(k.value for k in keywords)):
                        self._check(argument, factors=own)
            case _:
                raise Refused(f"form holds {ast.unparse(node)!r}; {PLAIN}")

    def _check_coding(self, node):
        """An argument of patsy's codings: a column, an expression, a contrast, text, or a list of constants."""
        match node:
            case ast.Name(id=name) if name in CODING:
                self.namespace[name] = CODING[name]
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for element in elements:
                    self._check_coding(element)
            case _:
                self._check(node, strings=True, factors=True)

    def _check_spline(self, node):
        """The first argument is an expression (all are, of te); the others are small constants, or lists of them."""
        expressions = node.args if node.func.id == "te" else node.args[:1]
        for argument in expressions:
            self._check(argument)
        others = [("df", argument) for argument in node.args[len(expressions):]] + [(k.arg, k.value) for k in node.keywords]
        for name, argument in others:
            try:
                value = ast.literal_eval(argument)
            except ValueError:
                raise Refused(f"form holds {ast.unparse(argument)!r}; a spline takes constants there") from None
            if np.size(value) > LARGEST or (name in ("df", "degree") and not abs(value or 0) <= LARGEST):
                raise Refused(f"form holds {ast.unparse(node)!r}, which is too large: at most {LARGEST} degrees of freedom")

    def _uses_column(self, node):
        return any(isinstance(part, ast.Name) and (part.id in self._columns or part.id == "Q") for part in ast.walk(node))

    def _use(self, name):
        if name in self._columns:
            if name not in self.variables:
                self.variables.append(name)
        elif name in CONSTANTS:
            self.namespace[name] = CONSTANTS[name]
        else:
            raise Refused("form uses " + unknown_column(name, self._columns))

    def _check_function(self, node, arguments, keywords):
        """The function that is called, noted in the namespace, and whether it is the user's own."""
        match node:
            case ast.Name(id=name):
                found = self._look_up(name)
                own = self._is_users_own(found)
                ours = R_FUNCTIONS.get(name, PATSY_FUNCTIONS.get(name))
                if not own and ours is not None:
                    found = ours
                self.namespace[name] = found
                allowed = own or found is ours
            case ast.Attribute(ast.Name(id=module), name) if not name.startswith("_"):
                self.namespace[module] = self._module(module)
                found = getattr(self.namespace[module], name, None)
                own = self.namespace[module] is not np and self._is_users_own(found)
                allowed = own or (self.namespace[module] is np and name in NUMPY_FUNCTIONS and not keywords)
            case _:
                raise Refused(f"form holds {ast.unparse(node)!r}; {PLAIN}")
        if name == "round" and any(isinstance(a, ast.Constant) and abs(a.value) > LARGEST for a in arguments[1:]):
            raise Refused(f"form holds {ast.unparse(arguments[1])!r}, which is too large")
        if found is None and ast.unparse(node) == "factor":
            raise Refused("form calls 'factor'; patsy's word for a factor is C, as in C(x)")
        if found is None:
            raise Refused(f"form calls {ast.unparse(node)!r}, which is no function known here; "
                          "define it before the call, or compute the variable as a column of dat")
        if isinstance(found, np.ufunc) and (keywords or len(arguments) != found.nin):
            raise Refused(f"form calls {ast.unparse(node)!r}, which takes {found.nin} "
                          f"argument{'s' if found.nin > 1 else ''} and no keywords")
        if not (allowed or isinstance(found, np.ufunc)):
            raise Refused(f"form calls {ast.unparse(node)!r}, which a formula may not; allowed are R's everyday functions, "
                          "numpy's elementwise ones and functions you define; compute the variable as a column of dat")
        return found, own

    def _look_up(self, name):
        """What the user's code calls `name`; never a private or built-in name.

        A function that an earlier formula used is meant again. Else looks in the user's frame and those of the same module
        around it (a comprehension is a frame of its own), then in the main module, for calls from a pool of workers.
        """
        if name.startswith("_"):
            raise Refused(f"form holds {name!r}; {PLAIN}")
        if name in self._functions:
            return self._functions[name]
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

    def _is_users_own(self, function):
        """A plain function of the user's: neither the standard library's, nor an installed package's, nor ours."""
        if not isinstance(function, FunctionType):
            return False
        home = function.__globals__
        if home.get("__file__") is None:                        # a notebook, an interpreter
            return home is self._frame.f_globals or home.get("__name__") == "__main__"
        folder = os.path.dirname(os.path.realpath(home["__file__"]))
        installed = {"site-packages", "dist-packages"}.intersection(folder.split(os.sep))
        return not installed and not any(
            folder == place or folder.startswith(place + os.sep) for place in ELSEWHERE)
