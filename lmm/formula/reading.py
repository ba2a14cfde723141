"""What a formula string says: by a glance at plain names, else by patsy's parser; all of it judged.

patsy's words: a formula's right-hand side is a sum of terms, each a product of factors. A *factor*
is a categorical variable here, so these are *summands*, each a product of *expressions*.
"""

import keyword
import math
import re
from contextlib import contextmanager
from typing import NamedTuple

import patsy
from patsy.infix_parser import Operator, ParseNode, Token
from patsy.origin import Origin
from patsy.parse_formula import parse_formula

from ..errors import LMMError, point_at
from .bars import refuse_bars
from .expressions import Expression, column_expression
from .spelling import UNREADABLE, Spelling
from .text import outside_quotes, tildes, without_quoted
from .vetting import BAR, Refused, Vocabulary

MOST_SUMMANDS = 1000
LONGEST_FORMULA = 10_000            # characters
CARET = Operator("^", 2, 500)       # R's power, beside patsy's **, as tightly bound

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
    expressions need besides the columns; `dotted` are the columns that a dot stands for; `places`
    says where the code of an expression stands in the formula.
    """

    left: Expression
    response_variables: tuple
    predictors: tuple
    summands: tuple
    functions: dict
    dotted: tuple = ()
    places: dict = {}               # noqa: RUF012 - never changed


# -- formulas of plain names


def read_plain_names(form, columns):
    """What a formula of plain names of `columns` says, without patsy; None if it is no such.

    For speed: for Machines patsy takes 0.06 ms, this 0.006. Whatever is wrong with a formula is
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
    summands = constant + tuple((column_expression(name),) for name in predictors)
    return Reading(column_expression(response), (response,), predictors, summands, {})


# -- other formulas


def read_by_patsy(form, shown, names, kind_of, others=None):
    """What a formula says, checked; an LMMError or patsy's error where it is none.

    Parameters
    ----------
    form, shown : str
        What is read, and what errors show: a string with the same at the same places.
    names : Names
        What names mean.
    kind_of : callable
        What a column, given by its name, holds.
    others : list of str, optional
        The columns that a lone dot stands for, but for those of the response.

    Returns
    -------
    Reading
    """
    if not isinstance(form, str):
        raise LMMError(
            f"form is of type {type(form).__name__}; it is a formula string such as "
            "'score ~ Machine'"
        )
    if len(form) > LONGEST_FORMULA:
        raise LMMError(f"form has {len(form)} characters; it may have {LONGEST_FORMULA}")
    if not tildes(form):
        written = " ".join(form.split())    # without the blanks where bars stood
        raise LMMError(
            f"form has no '~': {written!r}; write response ~ fixed effects, as in 'score ~ Machine'"
        )
    _refuse_bars(form, shown, names.columns, kind_of)
    spelling = Spelling(form, shown, names.columns, names.is_own)
    vocabulary = Vocabulary(names, kind_of, spelling)
    try:
        return _Reader(spelling, vocabulary, others).read()
    except (RecursionError, MemoryError):
        raise LMMError("form is too long, or nested too deeply") from None


def _refuse_bars(form, shown, columns, kind_of):
    """Raise an LMMError if there is a bar, which here is none of lmer's formulas."""
    bar = without_quoted(form).find("|")
    if bar < 0:
        return
    refuse_bars(form, columns, kind_of)
    raise point_at(BAR, shown, bar, bar + 1)


def parsed(spelling):
    """patsy's parse tree of a formula with the other spelling; its errors show the user's own."""
    with in_the_users_spelling(spelling):
        try:
            tree = parse_formula(spelling.text, [CARET])
        except AssertionError:                              # what Python's tokenizer cannot read
            raise spelling.error(UNREADABLE, 0, len(spelling.shown)) from None
    _check_powers(tree.args[-1], spelling)
    return tree


@contextmanager
def in_the_users_spelling(spelling):
    """Raise patsy's errors with the user's own formula, and carets there."""
    try:
        yield
    except patsy.PatsyError as error:
        message = spelling.plain(error.message)
        if error.origin is None:
            raise patsy.PatsyError(message) from None
        start, end = place_of(error.origin, spelling)
        if spelling.lacking_ticks(start, end) is not None:
            raise spelling.error(UNREADABLE, start, end) from None
        raise patsy.PatsyError(message, Origin(spelling.shown, start, end)) from None


def place_of(origin, spelling):
    """Where something stands in the user's formula; patsy leaves out the blanks before it."""
    text = spelling.text
    blanks = len(text) - len(text.lstrip())
    return origin.start + blanks, origin.end + blanks


def _check_powers(node, spelling):
    """Powers are of sums, R's ^ among them, which becomes patsy's; of one variable an LMMError."""
    if node.type in ("**", "^"):
        base = node.args[0]
        is_dot = base.type == "PYTHON_EXPR" and base.token.extra == spelling.dot
        if not base.args and not is_dot:
            name = spelling.plain(base.token.extra)
            message = (
                f"a power of one variable is that variable, in a formula; write I({name}**2) "
                "for a square, (a + b)**2 for interactions"
            )
            raise spelling.error(message, *place_of(node.origin, spelling))
        node.type = "**"
    for part in node.args:
        _check_powers(part, spelling)


class _Reader:
    """Checks a formula's structure, and patsy's description of it; nothing is evaluated."""

    def __init__(self, spelling, vocabulary, others):
        self._spelling = spelling
        self._vocabulary = vocabulary
        self._others = others
        self._dotted = ()
        self._expressions = {}              # by their code, each as it was first written
        self._places = {}

    def read(self):
        """The `Reading` of the formula."""
        tree = parsed(self._spelling)
        if len(tree.args) != 2 or tree.args[0].type in ("ZERO", "ONE"):
            raise LMMError(
                f"form has no response: {self._spelling.shown!r}; write it on the left, "
                "as in 'score ~ Machine'"
            )
        left, right = tree.args
        if left.type != "PYTHON_EXPR":
            message = "the response is one column or one expression; write arithmetic as I(a - b)"
            raise self._error(left, message)

        # -- the two sides, judged; what they hold in place of what was written
        response_variables = self._variables(left)
        if self._spelling.dot in self._spelling.text:
            taken = {*response_variables, *self._variables_of_offsets(right)}
            right = self._with_columns_for_dots(right, taken)
        tree.args = [left, right]
        predictors = self._variables(right)
        _refuse_the_constants_name(response_variables + predictors)
        if _most_summands(right) > MOST_SUMMANDS:
            raise LMMError(f"form stands for more than {MOST_SUMMANDS} terms")

        # -- the right-hand side as patsy understands it
        with in_the_users_spelling(self._spelling):
            description = patsy.ModelDesc.from_formula(tree)
        return Reading(
            self._expressions[left.token.extra],
            response_variables,
            predictors,
            tuple(self._summand(term) for term in description.rhs_termlist),
            self._vocabulary.namespace,
            self._dotted,
            self._places,
        )

    def _summand(self, term):
        """The expressions of one of patsy's terms, () for the constant."""
        return tuple(self._expressions[factor.code] for factor in term.factors)

    # -- dots

    def _with_columns_for_dots(self, node, taken):
        """A part of the parse tree with the sum of the columns that are not taken for lone dots."""
        if not self._is_dot(node):
            node.args = [self._with_columns_for_dots(part, taken) for part in node.args]
            return node
        if self._others is None:
            message = (
                "form holds a lone '.', which stands for the other columns of dat in the fixed "
                "effects alone"
            )
            raise self._error(node, message)
        self._dotted = tuple(name for name in self._others if name not in taken)
        if not self._dotted:
            message = "form holds a lone '.', which stands for the other columns; there are none"
            raise self._error(node, message)
        columns = []
        for name in self._dotted:
            token = Token("PYTHON_EXPR", node.origin, self._spelling.named(name))
            columns.append(ParseNode("PYTHON_EXPR", token, [], node.origin))
        return _sum_of(columns)

    def _variables_of_offsets(self, node):
        """The columns in ``offset(...)``, which a dot does not stand for."""
        if node.type == "PYTHON_EXPR" and node.token.extra.startswith("offset("):
            try:
                return self._vocabulary.expression(node.token.extra).variables
            except Refused:                                 # said with carets when it is judged
                return ()
        return [name for part in node.args for name in self._variables_of_offsets(part)]

    def _is_dot(self, node):
        return node.type == "PYTHON_EXPR" and node.token.extra == self._spelling.dot

    # -- expressions

    def _variables(self, node):
        """The columns that one side uses, which is judged."""
        found = {}
        self._judge(node, found)
        return tuple(found)

    def _judge(self, node, found):
        """Let through a part of the parse tree, or raise an LMMError with carets under it.

        What patsy is to evaluate takes the place of what was written; the columns used are noted in
        `found`.
        """
        if node.type == "PYTHON_EXPR":
            expression = self._expression(node)
            found.update(dict.fromkeys(expression.variables))
        if node.type == "~":
            raise self._error(node, "form has more than one '~'")
        if node.type == "NUMBER":
            number = node.token.extra
            message = (
                f"form holds the number {number} by itself; write arithmetic as I({number} * x)"
            )
            raise self._error(node, message)
        if node.type == "+" and len(node.args) == 2:
            added = node.args[1]
            if added.type == "-" and len(added.args) == 1:
                raise self._error(added, "patsy does not read '+ -'; write '-'")
        for part in node.args:
            is_exponent = node.type == "**" and part.type == "NUMBER"
            if not is_exponent:
                self._judge(part, found)

    def _expression(self, node):
        """The `Expression` of an atom of the parse tree, noted by its code."""
        code = outside_quotes(lambda piece: piece.replace("^", "**"), node.token.extra)
        try:
            expression = self._vocabulary.expression(code)
        except Refused as refusal:
            raise self._error(node, str(refusal)) from None
        if not expression.variables:
            raise self._error(node, _of_one_value(expression.shown, is_first=not self._expressions))
        code = patsy.EvalFactor(expression.code).code       # with patsy's blanks
        expression = expression._replace(code=code)
        node.token.extra = code
        self._places.setdefault(code, place_of(node.origin, self._spelling))
        return self._expressions.setdefault(code, expression)

    def _error(self, node, message):
        return self._spelling.error(message, *place_of(node.origin, self._spelling))


def _of_one_value(shown, is_first):
    """The message about an expression without a column."""
    if is_first:
        return f"the response {shown!r} is one number, not one per row"
    return f"form holds {shown!r}, which is one value, not one per row; name a column of dat"


def _sum_of(nodes):
    """The parse tree of a sum, as flat as may be."""
    if len(nodes) == 1:
        return nodes[0]
    half = len(nodes) // 2
    origin = nodes[0].origin
    sides = [_sum_of(nodes[:half]), _sum_of(nodes[half:])]
    return ParseNode("+", Token("+", origin), sides, origin)


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


def _refuse_the_constants_name(variables):
    """No column is called as patsy's constant."""
    if "Intercept" in variables:
        raise LMMError(
            "form uses the column 'Intercept', the name of patsy's constant; rename the column"
        )
