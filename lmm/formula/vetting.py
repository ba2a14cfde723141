"""What an expression of a formula may hold: a formula from a stranger runs no code of theirs.

patsy evaluates each expression between its operators as Python. Here it is refused before that,
unless it holds only arithmetic, comparisons, columns of the data, constants, and calls of named
functions on them: R's everyday functions, numpy's, patsy's, and those the user wrote. Text is let
through only to be compared with, and as an argument of patsy's codings.

What is evaluated is built here, of the parts that were let through and of nothing else. What a name
means is found in `names`; here it is *judged*.
"""

import ast
import inspect
from typing import NamedTuple

import numpy as np

from .expressions import Expression, as_it_is, as_number
from .functions import (
    BASES,
    CODINGS,
    CONSTANTS,
    INSTEAD,
    NUMPY_FUNCTIONS,
    WORDS_OF_CONSTANTS,
)
from .spelling import UNREADABLE

LARGEST_CONSTANT = 100               # of the degrees of freedom of a spline, of digits to round to

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)

BAR = "form holds '|', which stands for random effects alone, as in (1 | g) of lmer's formulas"
DOT_WITHIN = (
    "form holds a lone '.' within an expression; it stands by itself, for the other columns"
)
CALLED_COLUMN = "a column of dat; is an operator missing?"
PLAIN = (
    "a formula holds arithmetic, comparisons, columns of dat, constants "
    "and calls of named functions"
)


class Refused(Exception):
    """A part of the formula that is not let through; the message says why."""


class Part(NamedTuple):
    """What may stand at some part of an expression, and how columns enter there."""

    text: bool              # whether constants that are text may
    categories: bool        # whether columns of categories may
    integers: bool          # whether columns of numbers enter as they are
    booleans: bool          # whether columns of true and false do


ALONE = Part(False, True, True, True)
OF_CODING = Part(True, True, True, True)
COMPARED = Part(True, True, True, False)
OF_OWN_FUNCTION = Part(False, True, False, False)
NUMBER = Part(False, False, False, False)


class Vocabulary:
    """Judges expressions, and collects what they use.

    Parameters
    ----------
    names : Names
        What names mean.
    kind_of : callable
        What a column, given by its name, holds: "numbers", "booleans" or "categories".
    spelling : Spelling
        Of the formula: in its text columns have other names.

    Attributes
    ----------
    namespace : dict
        What the expressions need besides the columns: functions, modules, constants.
    """

    def __init__(self, names, kind_of, spelling):
        self._names = names
        self._kind_of = kind_of
        self._spelling = spelling
        self._variables = []                # of the expression that is judged, in order
        self.namespace = {}

    def expression(self, code):
        """The `Expression` of what is let through; else Refused."""
        self._variables = []
        if self._spelling.dot in code:
            raise Refused(DOT_WITHIN)
        shown = self._spelling.plain(code)
        try:
            body = ast.parse(code, mode="eval").body
            built = ast.unparse(self._let(body, ALONE))
        except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError):
            raise Refused(UNREADABLE) from None
        variables = tuple(dict.fromkeys(self._variables))
        column = variables[0] if built in map(as_it_is, variables) else None
        return Expression(shown, built, variables, column, self._coded(body))

    def _coded(self, body):
        """The column whose categories an expression is by C(...), or None."""
        is_patsys = self.namespace.get("C") is CODINGS["C"]
        match body:
            case ast.Call(ast.Name(id="C"), [argument, *_]) if is_patsys:
                return self._column_of(argument)
        return None

    # -- expressions

    def _let(self, node, part):
        """What is evaluated for a part of an expression; Refused if it has no place here."""
        column = self._column_of(node)
        if column is not None:
            return self._column(column, part)
        match node:
            case ast.Name(id=name):
                return self._constant(name)
            case ast.Constant(value=bool() | int() | float() | None):
                return node
            case ast.Constant(value=str()) if part.text:
                return node
            case ast.BinOp(op=ast.BitOr()):
                raise Refused(BAR)
            case ast.BinOp(left, op, right) if isinstance(op, ARITHMETIC):
                if isinstance(op, ast.Pow):
                    self._judge_power(left, right)
                return ast.BinOp(self._operand(left), op, self._operand(right))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
                return ast.UnaryOp(op, self._operand(operand))
            case ast.Compare(left, ops, comparators) if _all_of(ops, COMPARISONS):
                sides = [self._let(side, COMPARED) for side in (left, *comparators)]
                return ast.Compare(sides[0], ops, sides[1:])
            case ast.Attribute(ast.Name(id=module), "pi" | "e") if self._module(module) is np:
                self.namespace[module] = np
                return node
            case ast.Call(keywords=keywords) if all(keyword.arg for keyword in keywords):
                return self._call(node, part)
            case _:
                raise self._not_plain(node)

    def _operand(self, node):
        """What arithmetic is done with: numbers, and floats where they might be something else."""
        built = self._let(node, NUMBER)
        if isinstance(node, (ast.Call, ast.Compare)):
            return _converted("_arithmetic", built)
        return built

    def _column_of(self, node):
        """The column that a part of an expression is, by its name or as ``Q("name")``; None."""
        match node:
            case ast.Name(id=name):
                return self._spelling.column(name)
            case ast.Call(ast.Name(id="Q"), [ast.Constant(value=str(name))], []):
                if not self._names.is_column(name):
                    raise Refused("form uses " + self._spelling.unknown(name))
                return name
        return None

    def _column(self, name, part):
        """The name for Python of a column, as it enters this part of an expression."""
        kind = self._kind_of(name)
        if kind == "categories" and not part.categories:
            raise Refused(f"form uses {name!r}, which holds categories, where numbers are needed")
        self._variables.append(name)
        stays = part.booleans if kind == "booleans" else part.integers
        return ast.Name(as_it_is(name) if stays or kind == "categories" else as_number(name))

    def _constant(self, identifier):
        """A constant; nothing else but columns is known by its bare name."""
        name = self._spelling.name(identifier)
        if name in WORDS_OF_CONSTANTS:
            return ast.Constant(WORDS_OF_CONSTANTS[name])
        if name not in CONSTANTS:
            raise Refused("form uses " + self._spelling.unknown(name))
        self.namespace[name] = CONSTANTS[name]
        return ast.Name(name)

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
        return any(name == "Q" or self._spelling.column(name) for name in names)

    # -- calls

    def _call(self, node, part):
        """A call: its function, then its arguments by the rules of that function."""
        called = self._called(node.func)
        self._judge_function(called, node)
        self.namespace[called.root] = called.root_value
        function = ast.Name(called.root) if called.module is None else node.func
        if called.standard and called.name in CODINGS:
            arguments = self._arguments_of_coding(node, called, part)
        elif called.standard and called.name in BASES:
            arguments = self._arguments_of_basis(node, called)
        else:
            arguments = self._arguments(node, called)
        return ast.Call(function, *arguments)

    def _called(self, function):
        """What stands before the parentheses: a bare name, or an attribute of a module."""
        match function:
            case ast.Name(id=identifier):
                name = self._spelling.name(identifier)
                _refuse_private(name)
                return self._names.function(name)
            case ast.Attribute(ast.Name(id=module), name) if not name.startswith("_"):
                shown = self._shown(function)
                if self._names.is_column(shown) and self._names.module(module) is None:
                    raise Refused(f"form calls {shown!r}, which is {CALLED_COLUMN}")
                self._module(module)
                return self._names.function_of(module, name)
            case _:
                raise self._not_plain(function)

    def _module(self, identifier):
        """The module of this name, or Refused."""
        name = self._spelling.name(identifier)
        _refuse_private(name)
        module = self._names.module(name)
        if module is None:
            raise Refused(f"form takes an attribute of {name!r}, which is no module; {PLAIN}")
        return module

    def _judge_function(self, called, node):
        """Refuse a call of what is unknown, or may not be called, or not with so many arguments."""
        shown = self._shown(node.func)
        if called.value is np.round:
            self._judge_digits(node)
        if called.value is None:
            raise Refused(f"form calls {shown!r}, which is {self._unknown_function(shown)}")
        if isinstance(called.value, np.ufunc):
            self._judge_elementwise(called.value, node)
        elif not (called.own or called.standard or _is_numpys(called, node)):
            raise Refused(
                f"form calls {shown!r}, which a formula may not; allowed are R's everyday "
                "functions, numpy's elementwise ones and functions you define; "
                "compute the variable as a column of dat"
            )

    def _unknown_function(self, name):
        """The end of a message about a function that is not known."""
        if name in INSTEAD:
            return f"no function known here; {INSTEAD[name]}"
        if self._names.is_column(name):
            return CALLED_COLUMN
        return (
            "no function known here; "
            "define it before the call, or compute the variable as a column of dat"
        )

    # -- arguments: lists of those by position and of those by name, as they are evaluated

    def _arguments(self, node, called):
        """Those of most functions: numbers, and of the user's own functions also categories."""
        if called.own and not self._uses_column(node):
            raise Refused(f"form calls {self._shown(node)!r}, which holds no column of dat")
        part = OF_OWN_FUNCTION if called.own else NUMBER

        def let(argument):
            built = self._let(argument, part)
            return _converted("_no_integers", built) if isinstance(argument, ast.Call) else built

        return [let(argument) for argument in node.args], _by_name(let, node)

    def _arguments_of_coding(self, node, called, part):
        """Those of C: what it codes, and how; those of a contrast."""
        if not part.categories:
            raise Refused(
                f"form holds {self._shown(node)!r} within an expression; a coding stands by itself"
            )
        coded = node.args[: called.name == "C"]
        contrasts = node.args[len(coded) :]
        let = self._let_in_coding
        arguments = [self._let(argument, OF_CODING) for argument in coded]
        return arguments + [let(argument) for argument in contrasts], _by_name(let, node)

    def _let_in_coding(self, node):
        """An argument of a coding: a contrast, text, an expression, a list of these."""
        elements = self._elements(node)
        if elements is not None:
            return ast.List([self._let_in_coding(element) for element in elements])
        name = self._spelling.name(node.id) if isinstance(node, ast.Name) else None
        if name in CODINGS:
            self.namespace[name] = CODINGS[name]
            return ast.Name(name)
        return self._let(node, OF_CODING)

    def _elements(self, node):
        """What a list holds, Python's or R's, c(...); None of what is no list."""
        match node:
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return elements
            case ast.Call(ast.Name(id="c"), elements, []) if not self._names.function("c").own:
                return elements
        return None

    def _arguments_of_basis(self, node, called):
        """Those of a polynomial or a spline: an expression, of te several; then small constants.

        Those are numbers and lists of numbers; the second argument by position is the size.
        """
        if called.name == "te":
            self._judge_marginals(node)
        else:
            self._judge_names(node, called)
        n_expressions = len(node.args) if called.name == "te" else 1

        def size(argument):
            return self._size("df", argument, node)

        expressions = [self._let(argument, NUMBER) for argument in node.args[:n_expressions]]
        arguments = expressions + [size(argument) for argument in node.args[n_expressions:]]
        named = []
        for keyword in node.keywords:
            named.append(ast.keyword(keyword.arg, self._size(keyword.arg, keyword.value, node)))
        return arguments, named

    def _judge_marginals(self, node):
        """te is of splines here: of columns it would be their product, not what mgcv means."""
        if not all(isinstance(argument, ast.Call) for argument in node.args):
            raise Refused(
                f"form holds {self._shown(node)!r}; te is of splines here, "
                "as in te(cr(x, df=4), cr(z, df=4))"
            )

    def _judge_names(self, node, called):
        """Refuse an argument that this polynomial or spline has not; patsy's say so themselves."""
        choose = getattr(called.value.__patsy_stateful_transform__, "choose", None)
        if choose is None:
            return
        _, *known = inspect.signature(choose).parameters
        is_known = all(keyword.arg in known[1:] for keyword in node.keywords)
        if not is_known or not 0 < len(node.args) <= len(known):
            raise Refused(
                f"form holds {self._shown(node)!r}; {called.name} takes {', '.join(known)}"
            )

    def _size(self, name, argument, node):
        """A constant of a polynomial or spline, which is not too large."""
        elements = self._elements(argument)
        if elements is not None:
            argument = ast.List(elements)
        word = self._spelling.name(argument.id) if isinstance(argument, ast.Name) else None
        if word in WORDS_OF_CONSTANTS:
            argument = ast.Constant(WORDS_OF_CONSTANTS[word])
        kind = "polynomial" if node.func.id == "poly" else "spline"
        value = self._constant_value(argument, f"a {kind} takes constants there")
        is_size = name in ("df", "degree")
        is_small = self._is_small(value, argument) if is_size else _is_short(value)
        if not is_small:
            raise Refused(
                f"form holds {self._shown(node)!r}, which is too large: "
                f"at most {LARGEST_CONSTANT} degrees of freedom"
            )
        return argument

    # -- constants

    def _constant_value(self, node, advice):
        """The value of a constant, or of a list of them; Refused with `advice` if it is none."""
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise Refused(f"form holds {self._shown(node)!r}; {advice}") from None

    def _is_small(self, value, node):
        """Whether a constant is None or a number that is not too large; Refused if neither."""
        if value is None:
            return True
        if not isinstance(value, (int, float)):
            raise Refused(f"form holds {self._shown(node)!r} where a number is needed")
        return abs(value) <= LARGEST_CONSTANT

    def _judge_digits(self, node):
        """The digits to round to are few: numpy multiplies by ten as often as they say."""
        for argument in [*node.args[1:], *(keyword.value for keyword in node.keywords)]:
            value = self._constant_value(argument, "round takes a constant there")
            if not self._is_small(value, argument):
                raise Refused(f"form holds {self._shown(argument)!r}, which is too large")

    def _judge_elementwise(self, function, node):
        """An elementwise function has as many arguments as it takes, and no other place."""
        if node.keywords or len(node.args) != function.nin:
            arguments = "argument" if function.nin == 1 else "arguments"
            raise Refused(
                f"form calls {self._shown(node.func)!r}, which takes {function.nin} {arguments} "
                "and no keywords"
            )

    # -- messages

    def _shown(self, node):
        """A part of an expression as the user sees it."""
        return self._spelling.plain(ast.unparse(node))

    def _not_plain(self, node):
        return Refused(f"form holds {self._shown(node)!r}; {PLAIN}")


# -- what needs no names


def _by_name(let, node):
    """The arguments by name of a call, each let through."""
    return [ast.keyword(keyword.arg, let(keyword.value)) for keyword in node.keywords]


def _converted(converter, node):
    """A call of one of our functions on what a part of an expression returns."""
    return ast.Call(ast.Name(converter), [node], [])


def _all_of(nodes, kinds):
    return all(isinstance(node, kinds) for node in nodes)


def _is_short(value):
    return np.size(value) <= LARGEST_CONSTANT


def _refuse_private(name):
    if name.startswith("_"):
        raise Refused(f"form holds {name!r}; {PLAIN}")


def _is_numpys(called, node):
    """Whether it is one of numpy's functions that may be called, though not into a place."""
    return called.module is np and called.name in NUMPY_FUNCTIONS and not node.keywords
