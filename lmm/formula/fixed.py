"""A formula string to y and X, by patsy: the checks of its structure, and its evaluation.

patsy's words: a formula's right-hand side is a sum of terms, each a product of factors. A *factor*
is a categorical variable here, so these are *summands*, each a product of *expressions*.
"""

import ast
import importlib
import keyword
import math
import re
import sys
from types import FunctionType, ModuleType
from typing import NamedTuple

import numpy as np
import pandas as pd
import patsy
from patsy.parse_formula import parse_formula

from ..errors import LMMError, point_at
from .text import has_dot, outside_quotes, replace_dots
from .vetting import CARET, STANDARD, Refused, Vocabulary

MOST_SUMMANDS = 1000
LARGEST_WIDE_X = 10_000_000         # in X, where it has more columns than rows
LONGEST_FORMULA = 10_000            # characters
NAMED_AS_STR = ("string", "integer", "boolean")         # levels that patsy writes as str does
KEEP = patsy.NAAction(on_NA="raise", NA_types=[])       # the design reports what is not finite

# A formula of plain names: y ~ x + z, y ~ 0 + x, y ~ 1. What patsy reads otherwise is not plain.
PLAIN_FORMULA = re.compile(
    """[ ]* NAME [ ]* ~
       [ ]* ([01] | NAME)
       ([ ]* [+] [ ]* NAME){,99} [ ]*""".replace("NAME", "[A-Za-z_][A-Za-z_0-9]*"),
    re.VERBOSE,
)
PLAIN_WORD = re.compile("[A-Za-z_0-9]+")
NO_NAMES = {"nan", "inf", "infinity", "intercept"}.union(map(str.lower, keyword.kwlist))


class Reading(NamedTuple):
    """What a formula says.

    The summands are tuples of expressions, () being the constant; `functions` is what the
    expressions need besides the columns; the description is patsy's, None if it was not asked.
    """

    response: str
    response_variables: tuple
    predictors: tuple
    summands: tuple
    functions: dict
    description: patsy.ModelDesc


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
        Functions and modules by name that are meant before any found there: those of a formula
        that this one continues.
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
    summands : tuple of tuple of str
        The right-hand side: each summand's expressions, whose product it is; () is the constant.
    functions : dict
        What the expressions need besides the columns: functions, modules, constants.

    Notes
    -----
    patsy's descriptions cannot be pickled, and cost more than all else that a formula of plain
    names needs: there is one only when patsy is asked, made of the string.
    """

    _right = None                       # patsy's coding of X, once it has made one

    def __init__(self, form, columns, is_numeric, frame, functions=(), shown=None):
        said = read_plain_names(form, columns)
        if said is None:
            vocabulary = Vocabulary(columns, is_numeric, frame, dict(functions))
            said = read_by_patsy(form, shown or form, vocabulary)
        vars(self).update(said._asdict())           # each part of a Reading is an attribute
        self.variables = list(dict.fromkeys(said.response_variables + said.predictors))
        self.form = form if shown is None else squeezed(form)

    def summand_names(self):
        """The names of the summands, ``"Intercept"`` for the constant."""
        return [":".join(summand) or "Intercept" for summand in self.summands]

    # -- y and X of the data

    def evaluate(self, data):
        """``(y, X, names of X's columns, offset)`` on `data`, a dict of complete Series."""
        if _is_column((self.response,), data) and is_plain_number(data[self.response]):
            plain = self._plain_columns(data)
            if plain is not None:
                return np.asarray(data[self.response], float), *plain
        y, X = self._matrices(patsy.dmatrices, self._described(), data)
        _check_response(self.response, y, self._described())
        return np.array(y)[:, 0], *self._with_names(X)

    def evaluate_right(self, data):
        """``(X, names of X's columns, offset)``, without the response."""
        plain = self._plain_columns(data)
        if plain is not None:
            return plain
        right = patsy.ModelDesc([], self._described().rhs_termlist)
        return self._with_names(self._matrices(patsy.dmatrix, right, data))

    def _plain_columns(self, data):
        """``(X, names, offset)`` if each summand is the constant or a column of `data`, else None.

        For speed alone, and patsy's answer: for the 54 rows of Machines patsy takes 0.95 ms, this
        0.03 ms, and all of `LMMsetup` with it 1.2 ms. What patsy does, and this repeats:

        1. X holds the constant, then factors, then numbers, each in the order of the formula;
        2. a column of numbers is itself, under its name;
        3. a factor f with the levels l0, l1, l2 is the indicators of l1 and l2, under the names
           f[T.l1] and f[T.l2]; without the constant the first factor is those of all its levels,
           under the names f[l0], f[l1] and f[l2].

        Left to patsy are levels whose names it may write otherwise than `str` does.
        """
        has_constant = () in self.summands
        products = [summand for summand in self.summands if summand]
        if not data or not all(_is_column(product, data) for product in products):
            return None
        numbers = {name: data[name] for name, in products if is_plain_number(data[name])}
        factors = {name: data[name].array for name, in products if name not in numbers}
        if not _are_named(factors):
            return None
        n = len(next(iter(data.values())))
        X = [np.ones((n, int(has_constant)))]
        names = ["Intercept"] * has_constant
        first, mark = (1, "T.") if has_constant else (0, "")
        for name, values in factors.items():
            levels = values.categories
            X.append(values.codes[:, None] == np.arange(first, len(levels)))
            names += [f"{name}[{mark}{level}]" for level in levels[first:]]
            first, mark = 1, "T."
        X = np.column_stack([*X, *numbers.values()])
        return X, (*names, *numbers), np.zeros(n)

    def _described(self):
        """patsy's description of the formula."""
        if self.description is None:
            self.description = patsy.ModelDesc.from_formula(self.form)
        return self.description

    def _matrices(self, make, description, data):
        """What one of patsy's functions makes of a description."""
        _check_width(description, data)
        environment = patsy.EvalEnvironment([self.functions])
        try:
            with np.errstate(all="ignore"):
                return make(description, data, environment, NA_action=KEEP)
        except (TypeError, ValueError) as error:
            raise LMMError(
                f"form cannot be evaluated: {error}; a function in it does not return numbers or "
                "categories, one per row"
            ) from error

    def _with_names(self, X):
        """``(X, names, offset)`` of patsy's matrix, whose coding is kept."""
        self._right = X.design_info
        names = np.array(self._right.column_names)[~self._is_offset()]
        X, offset = self._without_offset(X)
        return X, tuple(names.tolist()), offset

    def _is_offset(self):
        """Which columns that patsy makes come from an ``offset(...)``."""
        coding = self._right
        found = np.zeros(len(coding.column_names), bool)
        for term, columns in coding.term_slices.items():
            calls = [expression.code.startswith("offset(") for expression in term.factors]
            if any(calls) and len(calls) > 1:
                raise LMMError(
                    f"form holds {term.name()!r}; an offset is a term of its own, "
                    "as in 'y ~ x + offset(z)'"
                )
            found[columns] = any(calls)
        return found

    def _without_offset(self, X):
        """X without the columns of ``offset(...)``, and their sum."""
        X = np.array(X)
        is_offset = self._is_offset()
        return X[:, ~is_offset], X[:, is_offset].sum(axis=1)

    # -- X of other data

    def columns_at(self, new, n, data, X):
        """X and offset for n rows of `new`, coded and transformed as they were for `data`.

        Dicts of Series, factors alike; X is that of `data`. Refused where the rows of X depend on
        each other: what they are for new rows is not known then.
        """
        self._recall(data)
        for row in {0, len(X) // 2, len(X) - 1}:
            alone, _ = self._coded({name: data[name].iloc[[row]] for name in self.predictors}, 1)
            if not np.allclose(alone, X[row], rtol=1e-9, atol=1e-9 * np.abs(X).max(initial=0)):
                raise LMMError(
                    "form holds a function of all rows, such as mean(x), so new rows cannot be "
                    "predicted; use center(x) or scale(x), which keep what they found, "
                    "or compute the variable as a column of dat"
                )
        return self._coded({name: new[name] for name in self.predictors}, n)

    def width(self, data):
        """How many columns X has for `data`."""
        self._recall(data)
        return np.count_nonzero(~self._is_offset())

    def _recall(self, data):
        """Let patsy code X, unless it has: `data` are those of the fit."""
        if self._right is not None:
            return
        lost = [name for name, value in self.functions.items() if value is None]
        if lost:
            raise LMMError(
                f"form uses the function {lost[0]!r}, which is not kept in a file or sent to "
                "another process, being defined within a function; fit again, "
                "or define it in a module"
            )
        _, X = self._matrices(patsy.dmatrices, self._described(), data)
        self._right = X.design_info

    def _coded(self, columns, n):
        """X and offset for n rows of other data, by the coding that is known."""
        frame = pd.DataFrame(columns, index=None if columns else range(n))
        try:
            with np.errstate(all="ignore"):
                X = patsy.build_design_matrices([self._right], frame, NA_action=KEEP)[0]
        except (TypeError, ValueError, NotImplementedError, patsy.PatsyError) as error:
            raise LMMError(
                f"form cannot be evaluated on new data: {str(error).splitlines()[0]}"
            ) from error
        return self._without_offset(X)

    # -- pickles

    def __getstate__(self):
        standard = [name for name, value in self.functions.items() if value is STANDARD.get(name)]
        others = self.functions.keys() - standard
        own = {name: _portable(self.functions[name]) for name in others}
        return vars(self) | {
            "functions": own,
            "standard": standard,
            "description": None,
            "_right": None,
        }

    def __setstate__(self, state):
        functions = {name: STANDARD[name] for name in state.pop("standard")}
        for name, value in state["functions"].items():
            is_module = isinstance(value, str)
            functions[name] = importlib.import_module(value) if is_module else value
        vars(self).update(state, functions=functions)


def _portable(value):
    """What can be pickled of what a formula calls: a module's name, None for a local function."""
    if isinstance(value, ModuleType):
        return value.__name__
    if not isinstance(value, FunctionType):
        return value
    found = sys.modules.get(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return value if found is value else None


# -- columns


def is_plain_number(column):
    """Whether a column that is ready for a formula holds numbers."""
    return not isinstance(column.dtype, pd.CategoricalDtype)


def _is_column(expressions, data):
    """Whether a product is one column; ``log(x)`` is a call, whatever columns are called."""
    return len(expressions) == 1 and expressions[0].isidentifier() and expressions[0] in data


def _are_named(factors):
    """Whether patsy writes the levels of these categoricals as `str` does."""
    return all(values.categories.inferred_type in NAMED_AS_STR for values in factors.values())


def _check_width(description, data):
    """Refuse more columns than rows before they are built, unless few of them are not zero.

    So many levels are text that should be numbers, or groups; but of factors nested in each other
    there are as many columns that are not zero as combinations of levels.
    """
    n = len(next(iter(data.values()), ()))
    for term in description.rhs_termlist:
        names = [expression.code for expression in term.factors]
        columns = [name for name in names if _is_column((name,), data)]
        factors = [name for name in columns if not is_plain_number(data[name])]
        width = math.prod(len(data[name].array.categories) - 1 for name in factors)
        if factors and width >= n > 0:
            combinations = set(zip(*(data[name].array.codes for name in factors)))
            if len(combinations) < n and n * width <= LARGEST_WIDE_X:
                continue
            raise LMMError(
                f"X has {width} columns or more for {n} observations, from "
                f"{' and '.join(map(repr, factors))}; turn it into numbers, or name it in ref"
            )


def _check_response(name, y, description):
    """The response is one column of numbers."""
    (expression,) = description.lhs_termlist[0].factors
    info = y.design_info.factor_infos[expression]
    if info.type == "categorical":
        shown = ", ".join(repr(str(category)) for category in info.categories[:3])
        raise LMMError(
            f"the response {name!r} is not numeric: its values are {shown}, ...; it takes numbers"
        )
    if y.shape[1] != 1:
        raise LMMError(f"the response {name!r} has {y.shape[1]} columns; it takes one")


# -- reading


def squeezed(text):
    """`text` without the blanks where bars stood, and none at the ends; quotes stay as they are."""
    if "'" not in text and '"' not in text:
        return " ".join(text.split())
    return outside_quotes(lambda piece: re.sub(r"\s+", " ", piece), text).strip()


def read_plain_names(form, columns):
    """What a formula of plain names of `columns` says, without patsy; None if it is no such.

    For speed: for Machines patsy takes 0.06 ms, this 0.004. Whatever is wrong with a formula is
    left to patsy's reading, and so are columns whose names patsy or Python reads as something
    else.
    """
    is_short = isinstance(form, str) and len(form) <= LONGEST_FORMULA
    if not is_short or not PLAIN_FORMULA.fullmatch(form):
        return None
    response, *words = PLAIN_WORD.findall(form)
    predictors = tuple(dict.fromkeys(word for word in words if word not in ("0", "1")))
    for name in (response, *predictors):
        if name not in columns or name.lower() in NO_NAMES:
            return None
    constant = () if words[0] == "0" else ((),)
    summands = constant + tuple((name,) for name in predictors)
    return Reading(response, (response,), predictors, summands, {}, None)


def read_by_patsy(form, shown, vocabulary):
    """What a formula says, checked; an LMMError or patsy's error where it is none."""
    if not isinstance(form, str):
        raise LMMError(
            f"form is of type {type(form).__name__}; it is a formula string such as "
            "'score ~ Machine'"
        )
    if len(form) > LONGEST_FORMULA:
        raise LMMError(f"form has {len(form)} characters; it may have {LONGEST_FORMULA}")
    if "~" not in form:
        raise LMMError(
            f"form has no '~': {form!r}; write response ~ fixed effects, as in 'score ~ Machine'"
        )
    try:
        return _Reader(shown, vocabulary).read(form)
    except (RecursionError, MemoryError):
        raise LMMError("form is too long, or nested too deeply") from None


class _Reader:
    """Checks a formula's structure, and patsy's description of it; nothing is evaluated."""

    def __init__(self, shown, vocabulary):
        self._shown = shown
        self._vocabulary = vocabulary

    def read(self, form):
        """The `Reading` of a formula."""
        power = re.search(r"\)\s*\^", form)
        if power:
            raise point_at(CARET, self._shown, power.end() - 1, power.end())
        tree = parse_formula(form)
        if len(tree.args) != 2 or tree.args[0].type in ("ZERO", "ONE"):
            raise LMMError(
                f"form has no response: {self._shown!r}; write it on the left, "
                "as in 'score ~ Machine'"
            )
        left, right = tree.args
        if left.type != "PYTHON_EXPR":
            message = "the response is one column or one expression; write arithmetic as I(a - b)"
            raise self._error(left, message)
        response_variables = self._variables(left)
        predictors = self._variables(right)
        if _most_summands(right) > MOST_SUMMANDS:
            raise LMMError(f"form stands for more than {MOST_SUMMANDS} terms")
        description = patsy.ModelDesc.from_formula(tree)
        _refuse_two_meanings(
            response_variables + predictors,
            self._vocabulary.namespace,
        )
        return Reading(
            left.token.extra,
            response_variables,
            predictors,
            _summands(description),
            self._vocabulary.namespace,
            description,
        )

    def _variables(self, node):
        """The columns that one side uses, which is checked."""
        self._check(node)
        found = tuple(self._vocabulary.variables)
        self._vocabulary.variables.clear()
        return found

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
            message = f"a power of one variable is that variable, in a formula; write I({name}**2)"
            raise self._error(node, message)
        if node.type == "+" and len(node.args) == 2:
            added = node.args[1]
            if added.type == "-" and len(added.args) == 1:
                raise self._error(added, "patsy does not read '+ -'; write '-'")
        for part in node.args:
            self._check(part)

    def _error(self, node, message):
        return point_at(message, self._shown, node.origin.start, node.origin.end)


def _summands(description):
    """The right-hand side of patsy's description: tuples of expressions, () for the constant."""
    terms = description.rhs_termlist
    return tuple(tuple(expression.code for expression in term.factors) for term in terms)


def _most_summands(node):
    """A part of the parse tree means at most so many; inf for more than MOST_SUMMANDS."""
    if node.type == "**":
        count = _most_of_power(*node.args)
    else:
        counts = [_most_summands(part) for part in node.args]
        if node.type == "*":
            count = counts[0] + counts[1] + counts[0] * counts[1]
        elif node.type in (":", "/"):
            count = counts[0] + counts[0] * counts[1]
        else:
            count = sum(counts) if counts else 1
    return count if count <= MOST_SUMMANDS else math.inf


def _most_of_power(base, exponent):
    """Of a sum to a power: the products of as many of its summands, and of fewer."""
    most = _most_summands(base)
    try:
        power = float(exponent.token.extra)
    except (TypeError, ValueError):
        power = math.nan
    if math.isinf(most) or math.isnan(power):           # patsy refuses what is no number
        return most
    largest = int(min(power, most))
    return sum(math.comb(most, size) for size in range(1, largest + 1))


def _refuse_two_meanings(variables, functions):
    """No column is called as patsy's constant, or as what the formula calls."""
    if "Intercept" in variables:
        raise LMMError(
            "form uses the column 'Intercept', the name of patsy's constant; rename the column"
        )
    both = [name for name in variables if name in functions]
    if both:
        raise LMMError(
            f"form uses {both[0]!r} both as a column of dat and as a function or module; "
            "rename the column"
        )


# -- updating


def without_dots(form, old):
    """A formula with each lone dot replaced by what was on its side of the old one, simplified.

    ``". ~ . - x"`` takes x away. An intercept that the old one had not comes only if a 1 is
    written.
    """
    if not isinstance(form, str) or form.count("~") != 1 or not has_dot(form):
        return form
    old_left, _ = old.split("~", 1)
    old_right = patsy.ModelDesc.from_formula(old).rhs_termlist
    had_constant = patsy.desc.INTERCEPT in old_right
    names = [term.name() for term in old_right if term != patsy.desc.INTERCEPT]
    if not names:
        names = ["1" if had_constant else "0"]
    left, right = form.split("~")
    left = replace_dots(left, old_left.strip())
    right = replace_dots(right, f"({' + '.join(names)})")
    whole = f"{left} ~ {right}"
    if not had_constant and not _writes_a_one(parse_formula(whole)):
        whole += " - 1"
    return patsy.ModelDesc.from_formula(whole).describe()


def _writes_a_one(node):
    """Whether a 1 stands in a part of the parse tree, not within an expression."""
    return node.type == "ONE" or any(_writes_a_one(part) for part in node.args)
