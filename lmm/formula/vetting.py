"""What an expression of a formula may hold: a formula from a stranger runs no code of theirs.

patsy evaluates each expression between its operators as Python. Here it is refused before that,
unless it holds only arithmetic, comparisons, columns of the data, constants, and calls of named
functions on them: R's everyday functions, numpy's, patsy's, and those the user wrote. Text is let
through only to be compared with, and as an argument of patsy's codings.

What a name means is found in `names`; here it is *judged*.
"""

import ast

import numpy as np
import patsy.builtins

from ..errors import unknown_column
from .names import Names

# -- the functions and constants that are known by their bare names
R_NAMES_OF_NUMPY = (
    "log exp sqrt abs sin cos tan sinh cosh tanh log2 log10 log1p expm1 floor ceil trunc sign round"
)
R_FUNCTIONS = {name: getattr(np, name) for name in R_NAMES_OF_NUMPY.split()} | {
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "ceiling": np.ceil,
    "mean": np.mean,
    "median": np.median,
    "ifelse": np.where,
    "offset": np.positive,
}
PATSY_NAMES = "I Q C center standardize scale bs cr cc te Treatment Poly Sum Helmert Diff"
PATSY_FUNCTIONS = {name: getattr(patsy.builtins, name) for name in PATSY_NAMES.split()}
NAMED_FUNCTIONS = PATSY_FUNCTIONS | R_FUNCTIONS
CONSTANTS = {"pi": np.pi}
STANDARD = NAMED_FUNCTIONS | CONSTANTS

# -- those whose arguments are judged by rules of their own
CODINGS = {name: PATSY_FUNCTIONS[name] for name in "C Treatment Poly Sum Helmert Diff".split()}
SPLINES = {name: PATSY_FUNCTIONS[name] for name in "bs cr cc te".split()}
LARGEST_CONSTANT = 100               # of the degrees of freedom of a spline, of digits to round to

# -- what may be taken from numpy by its name, besides the elementwise functions
NUMPY_FUNCTIONS = frozenset(
    "where clip round mean median std var min max sum minimum maximum cumsum isin interp".split()
)

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)

CARET = (
    "form holds '^', which is exclusive or in Python; write I(x**2) for a square, "
    "(a + b)**2 for interactions"
)
BAR = (
    "form holds a random effect written with '|'; name it in ref instead, "
    'as in lmm("score ~ Machine", dat, ["Worker"]), or call lmer(form, dat)'
)
UNREADABLE = (
    "form cannot be read here; is an operator missing? A column whose name is no Python name, "
    "or a Python word, is written Q('its name')"
)
PLAIN = (
    "a formula holds arithmetic, comparisons, columns of dat, constants "
    "and calls of named functions"
)


class Refused(Exception):
    """A part of the formula that is not let through; the message says why."""


class Vocabulary:
    """Judges expressions, and collects what they use.

    Parameters
    ----------
    columns, frame, functions
        As of `Names`, which says what names mean.
    is_numeric : callable
        Whether a column, given by its name, holds numbers.

    Attributes
    ----------
    variables : list of str
        The columns that were used, in order of appearance.
    namespace : dict
        What the expressions need besides the columns: functions, modules, constants.
    """

    def __init__(self, columns, is_numeric, frame, functions):
        self._names = Names(columns, frame, functions, NAMED_FUNCTIONS)
        self._is_numeric = is_numeric
        self.variables = []
        self.namespace = {}

    def check(self, code):
        """Let through an expression, or raise Refused."""
        try:
            self._judge(ast.parse(code, mode="eval").body, categories=True)
        except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError):
            message = BAR if "||" in code.replace(" ", "") else UNREADABLE
            raise Refused(message) from None

    # -- expressions

    def _judge(self, node, text=False, categories=False):
        """Let through an expression, which may be `text` or a column of `categories` if so said."""
        match node:
            case ast.Name(id=name):
                self._use(name)
                if not (text or categories):
                    self._refuse_categories(name)
            case ast.Constant(value=bool() | int() | float() | None):
                pass
            case ast.Constant(value=str()) if text:
                pass
            case ast.BinOp(op=ast.BitOr()):
                raise Refused(BAR)
            case ast.BinOp(op=ast.BitXor()):
                raise Refused(CARET)
            case ast.BinOp(left, op, right) if isinstance(op, ARITHMETIC):
                if isinstance(op, ast.Pow):
                    self._judge_power(left, right)
                self._judge(left)
                self._judge(right)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                self._judge(operand)
            case ast.Compare(left, ops, comparators) if _all_of(ops, COMPARISONS):
                for side in (left, *comparators):
                    self._judge(side, text=True)
            case ast.Attribute(ast.Name(id=module), "pi" | "e") if self._module(module) is np:
                self.namespace[module] = np
            case ast.Call(ast.Name(id="Q"), [ast.Constant(value=str(name))], []):
                self._use(name)
                self.namespace["Q"] = PATSY_FUNCTIONS["Q"]
            case ast.Call(keywords=keywords) if all(keyword.arg for keyword in keywords):
                self._judge_call(node, categories)
            case _:
                raise _not_plain(node)

    def _use(self, name):
        """Note a column or a constant; nothing else is known by its bare name."""
        if self._names.is_column(name):
            if name not in self.variables:
                self.variables.append(name)
        elif name in CONSTANTS:
            self.namespace[name] = CONSTANTS[name]
        else:
            raise Refused("form uses " + unknown_column(name, self._names.columns))

    def _refuse_categories(self, name):
        if self._names.is_column(name) and not self._is_numeric(name):
            raise Refused(f"form uses {name!r}, which holds categories, where numbers are needed")

    def _judge_power(self, base, exponent):
        """No power of constants, for one of a few digits may fill the memory."""
        if self._uses_column(base):
            return
        calls = any(isinstance(part, ast.Call) for part in ast.walk(exponent))
        if calls or not self._uses_column(exponent):
            raise Refused("form holds a power of constants; write its value")

    def _uses_column(self, node):
        """Whether a column stands anywhere in an expression, by its name or in ``Q("...")``."""
        names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
        return any(name == "Q" or self._names.is_column(name) for name in names)

    # -- calls

    def _judge_call(self, node, categories):
        """Let through a call: its function, then its arguments by the rules of that function."""
        called = self._called(node.func)
        self._judge_function(called, node)
        self.namespace[called.root] = called.root_value
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if called.standard and called.name in CODINGS:
            if not categories:
                raise Refused(
                    f"form holds {ast.unparse(node)!r} within an expression; "
                    "a coding stands by itself"
                )
            for argument in arguments:
                self._judge_coding(argument)
        elif called.standard and called.name in SPLINES:
            self._judge_spline(node)
        else:
            if called.own and not self._uses_column(node):
                raise Refused(f"form calls {ast.unparse(node)!r}, which holds no column of dat")
            for argument in arguments:
                self._judge(argument, categories=called.own)

    def _called(self, function):
        """What stands before the parentheses: a bare name, or an attribute of a module."""
        match function:
            case ast.Name(id=name):
                self._refuse_private(name)
                return self._names.function(name)
            case ast.Attribute(ast.Name(id=module), name) if not name.startswith("_"):
                self._module(module)
                return self._names.function_of(module, name)
            case _:
                raise _not_plain(function)

    def _module(self, name):
        """The module of this name, or Refused."""
        self._refuse_private(name)
        module = self._names.module(name)
        if module is None:
            raise Refused(f"form takes an attribute of {name!r}, which is no module; {PLAIN}")
        return module

    def _refuse_private(self, name):
        if name.startswith("_"):
            raise Refused(f"form holds {name!r}; {PLAIN}")

    def _judge_function(self, called, node):
        """Refuse a call of what is unknown, or may not be called, or not with so many arguments."""
        shown = ast.unparse(node.func)
        if called.value is np.round:
            _judge_digits(node)
        if called.value is None and shown == "factor":
            raise Refused("form calls 'factor'; patsy's word for a factor is C, as in C(x)")
        if called.value is None:
            raise Refused(
                f"form calls {shown!r}, which is no function known here; "
                "define it before the call, or compute the variable as a column of dat"
            )
        if isinstance(called.value, np.ufunc):
            _judge_elementwise(called.value, node)
        elif not (called.own or called.standard or _is_numpys(called, node)):
            raise Refused(
                f"form calls {shown!r}, which a formula may not; allowed are R's everyday "
                "functions, numpy's elementwise ones and functions you define; "
                "compute the variable as a column of dat"
            )

    def _judge_coding(self, node):
        """An argument of a coding: a column, an expression, a contrast, text, a list of these."""
        match node:
            case ast.Name(id=name) if name in CODINGS:
                self.namespace[name] = CODINGS[name]
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for element in elements:
                    self._judge_coding(element)
            case _:
                self._judge(node, text=True, categories=True)

    def _judge_spline(self, node):
        """An argument, or all of te's, is an expression; the others are small constants.

        Those are numbers and lists of numbers; the second argument by position is df.
        """
        n_expressions = len(node.args) if node.func.id == "te" else 1
        for argument in node.args[:n_expressions]:
            self._judge(argument)
        others = [("df", argument) for argument in node.args[n_expressions:]]
        others += [(keyword.arg, keyword.value) for keyword in node.keywords]
        for name, argument in others:
            value = _constant(argument, "a spline takes constants there")
            is_size = name in ("df", "degree")
            is_small = _is_small(value, argument) if is_size else np.size(value) <= LARGEST_CONSTANT
            if not is_small:
                raise Refused(
                    f"form holds {ast.unparse(node)!r}, which is too large: "
                    f"at most {LARGEST_CONSTANT} degrees of freedom"
                )


# -- rules that need no names


def _not_plain(node):
    return Refused(f"form holds {ast.unparse(node)!r}; {PLAIN}")


def _all_of(nodes, kinds):
    return all(isinstance(node, kinds) for node in nodes)


def _constant(node, advice):
    """The value of a constant, or of a list of them; Refused with `advice` if it is none."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise Refused(f"form holds {ast.unparse(node)!r}; {advice}") from None


def _is_small(value, node):
    """Whether a constant is None or a number that is not too large; Refused if it is neither."""
    if value is None:
        return True
    if not isinstance(value, (int, float)):
        raise Refused(f"form holds {ast.unparse(node)!r} where a number is needed")
    return abs(value) <= LARGEST_CONSTANT


def _judge_digits(node):
    """The digits to round to are few: numpy multiplies by ten as often as they say, for seconds."""
    for argument in [*node.args[1:], *(keyword.value for keyword in node.keywords)]:
        value = _constant(argument, "round takes a constant there")
        if not _is_small(value, argument):
            raise Refused(f"form holds {ast.unparse(argument)!r}, which is too large")


def _judge_elementwise(function, node):
    """An elementwise function of numpy's has as many arguments as it takes, and no other place."""
    if node.keywords or len(node.args) != function.nin:
        arguments = "argument" if function.nin == 1 else "arguments"
        raise Refused(
            f"form calls {ast.unparse(node.func)!r}, which takes {function.nin} {arguments} "
            "and no keywords"
        )


def _is_numpys(called, node):
    """Whether it is one of numpy's functions that may be called, though not into a place."""
    return called.module is np and called.name in NUMPY_FUNCTIONS and not node.keywords
