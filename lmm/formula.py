"""A formula string to y and X, by patsy; refused before patsy evaluates it if it could run code.

patsy evaluates each factor of a formula as Python. Here a factor is arithmetic, comparisons, columns of
the data, constants, and calls of named functions on them: R's everyday functions, numpy's, patsy's, and
those the caller wrote. Everything else is an error that points at the culprit, before anything is evaluated.
"""

import ast
import sys
from types import FunctionType, ModuleType

import numpy as np
import patsy
import patsy.builtins

from .errors import LMMError, point_at, shorten

# R's everyday functions, under R's names and numpy's.
R_FUNCTIONS = {name: getattr(np, name) for name in (
    "log exp sqrt abs sin cos tan sinh cosh tanh log2 log10 log1p expm1 floor ceil trunc sign round".split())} | {
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "ceiling": np.ceil}
PATSY_FUNCTIONS = {name: getattr(patsy.builtins, name) for name in (
    "I Q C center standardize scale bs cr cc te Treatment Poly Sum Helmert Diff".split())}
NUMPY_FUNCTIONS = set("where clip round mean median std var min max sum minimum maximum cumsum isin interp".split())
CONSTANTS = {"pi": np.pi}

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
PLAIN = "a formula holds arithmetic, comparisons, columns of dat, constants and calls of named functions"


class Formula:
    """A formula that has passed every check: ready to be evaluated on the columns it uses.

    Parameters
    ----------
    form : str
        As patsy reads it, e.g. ``"score ~ Machine"``.
    columns : list of str
        The columns of the data: the only variables a formula may use.
    frame : frame
        Where the user called from; functions, never variables, are looked up there.

    Attributes
    ----------
    variables : list of str
        The columns that the formula uses, in order of appearance.
    response : str
        The left-hand side.
    """

    def __init__(self, form, columns, frame):
        if not isinstance(form, str):
            raise LMMError(f"form is of type {type(form).__name__}; it is a formula string such as 'score ~ Machine'")
        self.form = form
        self._columns = columns
        self._frame = frame
        self._namespace = {}
        self._called = set()
        self.variables = []
        self._description = patsy.ModelDesc.from_formula(form)   # parses, evaluates nothing
        left = self._description.lhs_termlist
        factors = [factor for term in left for factor in term.factors]
        if not factors:
            raise LMMError(f"form has no response: {form!r}; write it on the left, as in 'score ~ Machine'")
        if len(factors) > 1:
            raise LMMError(f"form has {len(factors)} responses, {shorten([f.code for f in factors])}; it takes one; "
                           "for their sum write I(a + b)")
        self.response = factors[0].code
        for factor in factors + [f for term in self._description.rhs_termlist for f in term.factors]:
            self._check_factor(factor)
        for name in self._called.intersection(self.variables):
            raise LMMError(f"form uses {name!r} both as a column of dat and as a function; rename the column")

    def evaluate(self, data):
        """``(y, X, names of X's columns)`` on `data`, a dict of Series without missing values.

        y has shape (n, 1) if all is well; a text or two-column response gives more columns, or patsy's error.
        """
        environment = patsy.EvalEnvironment([self._namespace])
        keep = patsy.NAAction(on_NA="raise", NA_types=[])        # what is not finite is reported by the caller
        with np.errstate(all="ignore"):
            y, X = patsy.dmatrices(self._description, data, environment, NA_action=keep)
        info = y.design_info.factor_infos[self._description.lhs_termlist[0].factors[0]]
        if info.type == "categorical":
            raise LMMError(f"the response {self.response!r} is not numeric; turn it into numbers, "
                           f'for instance dat["{self.response}"] = dat["{self.response}"].astype(float)')
        if y.shape[1] != 1:
            raise LMMError(f"the response {self.response!r} has {y.shape[1]} columns; it takes one")
        return np.array(y)[:, 0], np.array(X), tuple(X.design_info.column_names)

    # -- the checks, on the syntax tree of each factor ---------------------------------------------------

    def _check_factor(self, factor):
        """Let through one factor of the formula, or raise an LMMError with carets under it."""
        try:
            self._check(ast.parse(factor.code, mode="eval").body)
        except (SyntaxError, RecursionError):
            raise self._refused(factor, "form is not a formula here; is an operator missing?") from None
        except _Refused as refusal:
            raise self._refused(factor, str(refusal)) from None

    def _refused(self, factor, message):
        origin = factor.origin
        return point_at(message, self.form, origin.start, origin.end)

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
                raise _Refused("form holds a random effect written with '|'; name it in ref instead, "
                               'as in lmm("score ~ Machine", dat, ["Worker"])')
            case ast.BinOp(op=ast.BitXor()):
                raise _Refused("form holds '^', which is exclusive or in Python; write ** for a power")
            case ast.BinOp(left, op, right) if isinstance(op, ARITHMETIC):
                if isinstance(op, ast.Pow) and not any(isinstance(n, ast.Name) for n in ast.walk(node)):
                    raise _Refused("form holds a power of constants; write its value")
                self._check(left)
                self._check(right)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                self._check(operand)
            case ast.Compare(left, ops, comparators) if all(isinstance(op, COMPARISONS) for op in ops):
                for side in (left, *comparators):
                    self._check(side, strings=True)
            case ast.Attribute(ast.Name(id=module), "pi" | "e") if self._module(module) is np:
                self._namespace[module] = np
            case ast.Call(ast.Name(id="Q"), [ast.Constant(value=str(name))], []):
                self._use(name)
                self._namespace["Q"] = PATSY_FUNCTIONS["Q"]
            case ast.Call(function, arguments, keywords):
                of_patsy = self._check_function(function)
                for argument in (*arguments, *(k.value for k in keywords)):
                    self._check_argument(argument, of_patsy)
            case _:
                raise _Refused(f"form holds {ast.unparse(node)!r}; {PLAIN}")

    def _check_argument(self, node, of_patsy):
        """Arguments are expressions; patsy's own functions also take text, contrasts and lists of constants."""
        if of_patsy and isinstance(node, ast.Name) and node.id in PATSY_FUNCTIONS:
            self._namespace[node.id] = PATSY_FUNCTIONS[node.id]
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
            self._namespace[name] = CONSTANTS[name]
        else:
            raise _Refused(f"form uses {name!r}, which is not a column of dat; its columns are {shorten(self._columns)}")

    def _check_function(self, node):
        """Note the function that is called in the namespace; true if it is one of patsy's."""
        match node:
            case ast.Name(id=name):
                found = self._look_up(name)
                if not _is_callers_own(found):
                    found = R_FUNCTIONS.get(name, PATSY_FUNCTIONS.get(name, found))
                self._namespace[name] = found
            case ast.Attribute(ast.Name(id=module), name) if not name.startswith("_"):
                self._namespace[module] = self._module(module)
                found = getattr(self._namespace[module], name, None)
                if self._namespace[module] is np and name in NUMPY_FUNCTIONS:
                    return False
            case _:
                raise _Refused(f"form holds {ast.unparse(node)!r}; {PLAIN}")
        self._called.add(name)
        if any(found is f for f in PATSY_FUNCTIONS.values()):
            return True
        if found is None:
            raise _Refused(f"form calls {ast.unparse(node)!r}, which is no function known here; "
                           "define it before the call, or compute the variable as a column of dat")
        if not (isinstance(found, np.ufunc) or found is R_FUNCTIONS.get(name) or _is_callers_own(found)):
            raise _Refused(f"form calls {ast.unparse(node)!r}, which a formula may not; allowed are R's everyday functions, "
                           "numpy's elementwise ones and functions of your own; compute the variable as a column of dat")
        return False

    def _look_up(self, name):
        """What the user's own frame calls `name`; never a private or built-in name."""
        if name.startswith("_"):
            raise _Refused(f"form holds {name!r}; {PLAIN}")
        return self._frame.f_locals.get(name, self._frame.f_globals.get(name))

    def _module(self, name):
        found = self._look_up(name)
        if name == "np" and found is None:
            return np
        if not isinstance(found, ModuleType):
            raise _Refused(f"form takes an attribute of {name!r}, which is no module; {PLAIN}")
        return found


class _Refused(Exception):
    """A part of the formula that is not let through; the message says why."""


def _is_callers_own(function):
    """A plain function from outside the standard library and the packages this one is built on."""
    if not isinstance(function, FunctionType):
        return False
    package = (function.__module__ or "").split(".")[0]
    return package == "__main__" or package not in sys.stdlib_module_names | {"numpy", "scipy", "pandas", "patsy", __package__}
