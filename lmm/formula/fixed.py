"""A formula string to y and X, by patsy: the checks of its structure, and its evaluation."""

import ast
import importlib
import math
import re
import sys
from types import FunctionType, ModuleType

import numpy as np
import pandas as pd
import patsy
from patsy.parse_formula import parse_formula

from ..errors import LMMError, point_at
from .vetting import CARET, STANDARD, Refused, Vocabulary

MOST_TERMS = 1000
LONGEST = 10_000        # characters
DOT = re.compile(r"(?<![\w.)\]])\.(?![\w.])")
QUOTED = re.compile(r"""('[^']*'|"[^"]*")""")
NAMED = ("string", "integer", "boolean")        # levels whose names are what str makes of them
KEEP = patsy.NAAction(on_NA="raise", NA_types=[])       # what is not finite is reported by the design


class Formula:
    """A formula that has passed every check: ready to be evaluated on the columns it uses.

    Parameters
    ----------
    form : str
        As patsy reads it, e.g. ``"score ~ Machine"``.
    columns : list of str
        The columns of the data: the only variables a formula may use.
    is_numeric : callable
        Whether a column, given by its name, holds numbers.
    frame : frame
        Where the user called from; functions, never variables, are looked up there.
    functions : dict, optional
        Functions and modules by name that are meant before any found there: those of a formula that this one continues.
    shown : str, optional
        What errors show in place of `form`: a string with the same at the same places.

    Attributes
    ----------
    variables : list of str
        The columns that the formula uses, in order of appearance.
    response : str
        The left-hand side.
    response_variables, predictors : tuple of str
        The columns that the two sides use, those of an ``offset(...)`` included.

    Notes
    -----
    patsy's descriptions cannot be pickled: an unpickled formula reads its string again, when it is used.
    """

    def __init__(self, form, columns, is_numeric, frame, functions=(), shown=None):
        if not isinstance(form, str):
            raise LMMError(f"form is of type {type(form).__name__}; it is a formula string such as 'score ~ Machine'")
        if len(form) > LONGEST:
            raise LMMError(f"form has {len(form)} characters; it may have {LONGEST}")
        if "~" not in form:
            raise LMMError(f"form has no '~': {form!r}; write response ~ fixed effects, as in 'score ~ Machine'")
        self.form, self._shown = form, shown or form
        self._vocabulary = Vocabulary(columns, is_numeric, frame, dict(functions))
        self._right = None
        try:
            self._read()
        except (RecursionError, MemoryError):
            raise LMMError("form is too long, or nested too deeply") from None
        self.variables = list(dict.fromkeys(self.response_variables + self.predictors))
        if shown is not None:
            self.form = squeezed(form)
        self.functions = self._vocabulary.namespace
        del self._vocabulary
        if "Intercept" in self.variables:
            raise LMMError("form uses the column 'Intercept', the name of patsy's constant; rename the column")
        for name in set(self.functions).intersection(self.variables):
            raise LMMError(f"form uses {name!r} both as a column of dat and as a function or module; rename the column")

    def _read(self):
        """Check the formula's structure, and patsy's description of it; nothing is evaluated."""
        if power := re.search(r"\)\s*\^", self.form):
            raise point_at(CARET, self._shown, power.end() - 1, power.end())
        tree = parse_formula(self.form)
        if len(tree.args) != 2 or tree.args[0].type in ("ZERO", "ONE"):
            raise LMMError(f"form has no response: {self._shown!r}; write it on the left, as in 'score ~ Machine'")
        left, right = tree.args
        if left.type != "PYTHON_EXPR":
            raise self._error(left, "the response is one column or one expression; write arithmetic as I(a - b)")
        self._check(left)
        self.response_variables = tuple(self._vocabulary.variables)
        self._vocabulary.variables.clear()
        self._check(right)
        self.predictors = tuple(self._vocabulary.variables)
        if _terms(right) > MOST_TERMS:
            raise LMMError(f"form stands for more than {MOST_TERMS} terms")
        self.response = left.token.extra
        self._description = patsy.ModelDesc.from_formula(tree)

    def right_terms(self):
        """The names of the terms of the right-hand side, ``"Intercept"`` for the constant."""
        return [term.name() for term in self._description.rhs_termlist]

    def evaluate(self, data):
        """``(y, X, names of X's columns, offset)`` on `data`, a dict of Series without missing values."""
        plain = self._plain_columns(data)
        if plain is not None and self.response in data and is_plain_number(data[self.response]):
            return np.asarray(data[self.response], float), *plain
        y, X = self._matrices(patsy.dmatrices, self._description, data)
        info = y.design_info.factor_infos[self._description.lhs_termlist[0].factors[0]]
        if info.type == "categorical":
            raise LMMError(f"the response {self.response!r} is not numeric: its values are "
                           f"{', '.join(repr(str(c)) for c in info.categories[:3])}, ...; it takes numbers")
        if y.shape[1] != 1:
            raise LMMError(f"the response {self.response!r} has {y.shape[1]} columns; it takes one")
        X, names, offset = self._with_names(X)
        return np.array(y)[:, 0], X, names, offset

    def evaluate_right(self, data):
        """``(X, names of X's columns, offset)``, without the response."""
        plain = self._plain_columns(data)
        if plain is not None:
            return plain
        return self._with_names(self._matrices(patsy.dmatrix, patsy.ModelDesc([], self._description.rhs_termlist), data))

    def _plain_columns(self, data):
        """The same where every term is the constant or a column, without patsy's help; else None.

        Factors are coded as patsy does beside a constant: a column for each level but the first, before those of numbers.
        """
        codes = [[factor.code for factor in term.factors] for term in self._description.rhs_termlist]
        if not data or any(len(code) > 1 or not data.keys() >= set(code) for code in codes):
            return None
        columns, names, n = [], [], len(next(iter(data.values())))
        factors = [code for code in codes if code and not is_plain_number(data[code[0]])]
        if factors and ([] not in codes or any(data[code[0]].array.categories.inferred_type not in NAMED for code in factors)):
            return None                                         # without the constant one of them has all its levels
        for code in sorted(codes, key=lambda code: (code != [], code not in factors) if factors else 0):
            column = data[code[0]] if code else None
            if code in factors:
                levels = column.array.categories
                columns.append(column.array.codes[:, None] == np.arange(1, len(levels)))
                names += [f"{code[0]}[T.{level}]" for level in levels[1:]]
            else:
                columns.append(column if code else np.ones(n))
                names.append(code[0] if code else "Intercept")
        return np.column_stack([np.zeros((n, 0)), *columns]), tuple(names), np.zeros(n)

    def _with_names(self, X):
        self._right = X.design_info
        X, offset, is_offset = self._split(X)
        return X, tuple(np.array(self._right.column_names)[~is_offset].tolist()), offset

    def _matrices(self, make, description, data):
        """What one of patsy's functions makes of a description."""
        self._check_width(data)
        try:
            with np.errstate(all="ignore"):
                return make(description, data, patsy.EvalEnvironment([self.functions]), NA_action=KEEP)
        except (TypeError, ValueError) as error:
            raise LMMError(f"form cannot be evaluated: {error}; a function in it does not return numbers or "
                           "categories, one per row") from error

    def columns_at(self, new, n, data, X):
        """X and offset for n rows of other data, `new`, coded and transformed as they were for `data`, where X is given.

        Dicts of Series, factors alike. Refused where the rows of X depend on each other: what they are for new rows is not
        known then.
        """
        if self._right is None:
            if lost := [name for name, value in self.functions.items() if value is None]:
                raise LMMError(f"form uses the function {lost[0]!r}, which is not kept in a file or sent to another process, "
                               "being defined within a function; fit again, or define it in a module")
            self._description = patsy.ModelDesc.from_formula(self.form)
            self._right = self._matrices(patsy.dmatrices, self._description, data)[1].design_info
        for row in {0, len(X) // 2, len(X) - 1}:
            alone, _ = self._columns({name: data[name].iloc[[row]] for name in self.predictors})
            if not np.allclose(alone, X[row], rtol=1e-9, atol=1e-9 * np.abs(X).max(initial=0)):
                raise LMMError("form holds a function of all rows, such as mean(x), so new rows cannot be predicted; use "
                               "center(x) or scale(x), which keep what they found, or compute the variable as a column of dat")
        return self._columns({name: new[name] for name in self.predictors}, n)

    def _columns(self, columns, n=1):
        try:
            with np.errstate(all="ignore"):
                frame = pd.DataFrame(columns, index=None if columns else range(n))
                X = patsy.build_design_matrices([self._right], frame, NA_action=KEEP)[0]
        except (TypeError, ValueError, NotImplementedError, patsy.PatsyError) as error:
            raise LMMError(f"form cannot be evaluated on new data: {str(error).splitlines()[0]}") from error
        return self._split(X)[:2]

    def _split(self, X):
        """X without the columns of ``offset(...)``, their sum, and which they are."""
        is_offset = np.zeros(X.shape[1], bool)
        for term, columns in self._right.term_slices.items():
            calls = [factor.code.startswith("offset(") for factor in term.factors]
            if any(calls) and len(calls) > 1:
                raise LMMError(f"form holds {term.name()!r}; an offset is a term of its own, as in 'y ~ x + offset(z)'")
            is_offset[columns] = any(calls)
        X = np.array(X)
        return X[:, ~is_offset], X[:, is_offset].sum(axis=1), is_offset

    def __getstate__(self):
        own = {name: _portable(value) for name, value in self.functions.items() if value is not STANDARD.get(name)}
        return self.__dict__ | {"_right": None, "_description": None, "functions": own}

    def __setstate__(self, state):
        own = {name: importlib.import_module(value) if isinstance(value, str) else value
               for name, value in state["functions"].items()}
        self.__dict__.update(state, functions=STANDARD | own)

    def _check_width(self, data):
        """Refuse more columns than rows before they are built: so many levels are text that should be numbers, or groups."""
        n = len(next(iter(data.values()), ()))
        for term in self._description.rhs_termlist:
            factors = [f.code for f in term.factors if f.code in data and hasattr(data[f.code].array, "categories")]
            if (width := math.prod(len(data[name].array.categories) - 1 for name in factors)) >= n > 0 and factors:
                raise LMMError(f"X has {width} columns or more for {n} observations, from {' and '.join(map(repr, factors))}; "
                               "turn it into numbers, or name it in ref")

    def _check(self, node):
        """Let through a part of patsy's parse tree, or raise an LMMError with carets under it."""
        if node.type == "PYTHON_EXPR":
            try:
                self._vocabulary.check(node.token.extra)
            except Refused as refusal:
                raise self._error(node, str(refusal)) from None
        if node.type == "~":
            raise self._error(node, "form has more than one '~'")
        if node.type == "**" and not node.args[0].args:
            name = ast.unparse(ast.parse(node.args[0].token.extra, mode="eval"))
            raise self._error(node, f"a power of one variable is that variable, in a formula; write I({name}**2)")
        if node.type == "+" and len(node.args) == 2 and node.args[1].type == "-" and len(node.args[1].args) == 1:
            raise self._error(node.args[1], "patsy does not read '+ -'; write '-'")
        for part in node.args:
            self._check(part)

    def _error(self, node, message):
        return point_at(message, self._shown, node.origin.start, node.origin.end)


def is_plain_number(column):
    """Whether a column that is ready for a formula holds numbers."""
    return not isinstance(column.dtype, pd.CategoricalDtype)


def _terms(node):
    """At most so many terms are meant by a part of the parse tree; inf for more than MOST_TERMS."""
    counts = [_terms(part) for part in node.args]
    if node.type == "**" and node.args[1].type == "NUMBER":
        counts = counts[:1]
    if max(counts, default=0) > MOST_TERMS:
        return math.inf
    if node.type == "**":
        power = min(float(node.args[1].token.extra), counts[0])
        count = sum(math.comb(counts[0], i) for i in range(1, int(power) + 1))
    elif node.type == "*":
        count = counts[0] + counts[1] + counts[0] * counts[1]
    elif node.type in (":", "/"):
        count = counts[0] + counts[0] * counts[1]
    else:
        count = sum(counts) if counts else 1
    return count if count <= MOST_TERMS else math.inf


def _portable(value):
    """What can be pickled of a module or function that a formula uses: a module's name; None for a function of a function."""
    if isinstance(value, ModuleType):
        return value.__name__
    if not isinstance(value, FunctionType):
        return value
    found = sys.modules.get(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return value if found is value else None


def without_dots(form, old):
    """A formula with each lone dot replaced by what was on its side of the old one, simplified: ``". ~ . - x"``.

    An intercept that the old one had not comes only if a 1 is written.
    """
    if not isinstance(form, str) or form.count("~") != 1 or not has_dot(form):
        return form
    left, right = form.split("~")
    old_right = patsy.ModelDesc.from_formula(old).rhs_termlist
    had_intercept = patsy.desc.INTERCEPT in old_right
    terms = " + ".join(term.name() for term in old_right if term != patsy.desc.INTERCEPT) or ("1" if had_intercept else "0")
    one = re.search(r"(?<![\w.])1(?![\w.])", right)
    left = _replace_dots(left, old.split("~", 1)[0].strip())
    right = _replace_dots(right, f"({terms})") + ("" if had_intercept or one else " - 1")
    return patsy.ModelDesc.from_formula(f"{left} ~ {right}").describe()


def squeezed(text):
    """`text` without the blanks where bars stood, and none at the ends; text in quotes as it is."""
    pieces = QUOTED.split(text)
    return "".join(piece if i % 2 else re.sub(r"\s+", " ", piece) for i, piece in enumerate(pieces)).strip()


def has_dot(text):
    """Whether there is a lone dot outside of quotes."""
    return bool(DOT.search(QUOTED.sub("", text)))


def _replace_dots(text, by):
    """`text` with its lone dots replaced, but for those within quotes."""
    pieces = QUOTED.split(text)                             # text and quotes in turns
    return "".join(piece if i % 2 else DOT.sub(lambda _: by, piece) for i, piece in enumerate(pieces))
