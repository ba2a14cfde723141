"""A formula spelled so that Python can read it, letter for letter as long as the user's own text.

Columns are named as data have them: ``class``, ``Sepal.Length``, ``µg``, `` `reaction time` ``.
Python, and patsy with it, reads these as something else or not at all. So every column is given
another name before they see it: one letter that stands nowhere in the formula, and as many
underscores as make it as long as what the user wrote. What is at a place in the one text is there
in the other; errors point into the user's own, and no place is ever computed.

A column is meant wherever its name stands and is not called: ``log(log)`` is the logarithm of a
column, ``np.log(np)`` as well, and ``a.b`` the column of that name though there be a module a.
"""

import keyword
import re

from ..errors import point_at, unknown_column
from .text import LONE_DOT, NAME_OF_R, column_named, is_name, ticked, without_quoted

TOKEN = re.compile(
    rf"""(?P<quoted>'[^']*'?|"[^"]*"?)
       | (?P<ticked>`[^`]*`?)
       | (?P<number>\.?\d[\w.]*((?<=[eE])[+-]\d+)?)
       | (?P<name>{NAME_OF_R})
       | (?P<dot>{LONE_DOT})
       | (?P<blank>\s)""",
    re.VERBOSE,
)
# What makes of a word the name of a function, or that of one of its arguments.
CALL = re.compile(r"\s*\(")
ARGUMENT = re.compile(r"\s*=(?!=)")
# A dotted name that is meant as Python has it, unless a column is called so.
CONSTANT_OF_MODULE = re.compile(r"[A-Za-z_]\w*\.(pi|e)")

# The letters for columns: Chinese ones, since there are many, and Python takes them as they are.
FIRST_LETTER = 0x4E00
LAST_LETTER = 0x9FA5
RESPELT = re.compile(f"[{chr(FIRST_LETTER)}-{chr(LAST_LETTER)}]_*")

# Python's words that may stand in an expression: its operators are left for it to read.
EXPRESSION_WORDS = frozenset(
    "True False None and or not in is if else for lambda yield await async".split()
)
FACTOR = ("factor", "as.factor")        # R's words for patsy's C

# R's operators that patsy reads as something else, or not at all.
OPERATOR_OF_R = re.compile(r"%[^%\s]*%|(?<=\w)\$(?=\w)")
WRITTEN_HERE = {
    "%in%": "b %in% a is written a:b here; what is in a list is a column to compute, by isin",
    "%%": "the remainder is written I(a % b) here",
    "%/%": "the quotient in whole numbers is written I(a // b) here",
    "$": "a column is written by its name alone, x for dat$x",
}
UNREADABLE = (
    "form cannot be read here; is an operator missing? "
    "A column whose name holds blanks or signs is written in backticks, `its name`"
)


class Spelling:
    """The two spellings of a formula.

    Parameters
    ----------
    form : str
        What is read.
    shown : str
        What errors show: a string with the same at the same places.
    columns : list
        The columns of the data; None where they are not known, and every word is one.
    is_own : callable, optional
        Whether a function of this name is the user's own.

    Attributes
    ----------
    text : str
        The formula with other names for the columns, as long as `form`.
    dot : str
        What stands in `text` for a lone dot.
    """

    def __init__(self, form, shown, columns, is_own=lambda name: False):
        self.shown = shown
        self.columns = columns
        self._form = form
        self._is_own = is_own
        self._known = {}                # from letter to (name, whether it is a column)
        self._letters = {}              # and back
        self._arguments = {}            # names of arguments as they were written
        self._free = _letters_outside(form)
        self.dot = next(self._free)
        _refuse_operators_of_r(form, shown)
        self.text = TOKEN.sub(self._respelt, form)

    # -- from the user's spelling

    def _respelt(self, token):
        """What stands for a token, as long as it."""
        text = token.group()
        kind = token.lastgroup
        if kind == "name":
            return self._respelt_name(text, *token.span())
        if kind == "ticked":
            self._check_ticks(text, *token.span())
            return self._other_name(self._meant(text[1:-1]), len(text))
        return {"dot": self.dot, "blank": " "}.get(kind, text)

    def _respelt_name(self, text, start, end):
        form = self._form
        if text.startswith(".") and form[start - 1 : start] in (")", "]", "'", '"', "`"):
            return text                                     # an attribute of what stands before
        if form[end : end + 1] in ("'", '"'):
            return text                                     # the letter before a Python string
        if CALL.match(form, end):
            return self._respelt_function(text)
        if ARGUMENT.match(form, end):
            argument = text.replace(".", "_")
            self._arguments[argument] = text
            return argument
        meant = self._meant(text)
        _, is_column = meant
        if is_column or not (_is_pythons(text) or CONSTANT_OF_MODULE.fullmatch(text)):
            return self._other_name(meant, len(text))
        return text

    def _respelt_function(self, text):
        if text in FACTOR and self.columns is not None and not self._is_own(text):
            return "C".ljust(len(text))
        if all(_is_pythons(part) and not keyword.iskeyword(part) for part in text.split(".")):
            return text
        return self._other_name((text, False), len(text))

    def _check_ticks(self, text, start, end):
        """Backticks come in pairs, and stand apart from other names."""
        if len(text) < 2 or not text.endswith("`"):
            raise point_at("form holds a backtick that is not closed", self.shown, start, end)
        around = self._form[max(start - 1, 0) : start] + self._form[end : end + 1]
        if re.search(r"[\w.`]|[^\x00-\x7F\s]", around):
            raise point_at(UNREADABLE, self.shown, start, end)

    def _meant(self, text):
        """(name, whether it is a column) of a word."""
        if self.columns is None:
            return text, True
        column = column_named(text, self.columns)
        return (text, False) if column is None else (column, True)

    def _other_name(self, meant, length):
        """The other name of a column, or of what is none, so long."""
        letter = self._letters.get(meant)
        if letter is None:
            letter = next(self._free)
            self._letters[meant] = letter
            self._known[letter] = meant
        return letter.ljust(length, "_")

    def named(self, column):
        """What stands for a column wherever it is to be put."""
        return self._other_name((column, True), 1)

    # -- and back

    def column(self, identifier):
        """The column that an identifier of the text stands for, or None."""
        name, is_column = self._read(identifier)
        return name if is_column else None

    def name(self, identifier):
        """The name that an identifier of the text stands for, be it a column's or not."""
        return self._read(identifier)[0]

    def _read(self, identifier):
        whole = RESPELT.fullmatch(identifier)
        return self._known.get(identifier[0], (identifier, False)) if whole else (identifier, False)

    def plain(self, code):
        """A piece of the text with the names that data have."""
        return self._back(code, lambda name: name)

    def written(self, code):
        """A piece of the text that can be read as a formula again."""
        return self._back(code, ticked)

    def _back(self, code, spelled):
        def one(found):
            text = found.group()
            if text == self.dot:
                return "."
            meant = self._known.get(text[0])
            return text if meant is None else spelled(meant[0])

        code = RESPELT.sub(one, code)
        for argument, text in self._arguments.items():
            if argument != text:
                code = re.sub(rf"\b{argument}(?=\s*=)", text, code)
        return code

    # -- errors

    def error(self, message, start, end):
        """An LMMError with carets; about a column that lacks its backticks, if that may be why."""
        if message.startswith(("form uses ", "form cannot be read")):
            lacking = self.lacking_ticks(start, end)
            if lacking is not None:
                said = message.partition("; ")[0]
                message = f"{said}; the column {lacking!r} is written `{lacking}`"
        return point_at(message, self.shown, start, end)

    def lacking_ticks(self, start, end):
        """The column whose name needs backticks, and stands at a place without them; None."""
        outside = without_quoted(self.shown)
        for column in self.columns or ():
            if not isinstance(column, str) or is_name(column) or not re.search(r"\w", column):
                continue
            for found in re.finditer(rf"(?<!\w){re.escape(column)}(?!\w)", outside):
                if found.start() < end and start < found.end():
                    return column
        return None

    def unknown(self, name):
        """The end of a message about a name that is no column."""
        return unknown_column(name, self.columns)


def _letters_outside(text):
    """Letters that do not stand in a text."""
    there = set(text)
    letters = map(chr, range(FIRST_LETTER, LAST_LETTER + 1))
    return (letter for letter in letters if letter not in there)


def _is_pythons(word):
    """Whether Python reads a word as a name, or may in an expression."""
    if keyword.iskeyword(word):
        return word in EXPRESSION_WORDS
    return word.isascii() and word.isidentifier()


def _refuse_operators_of_r(form, shown):
    found = OPERATOR_OF_R.search(without_quoted(form))
    if found:
        operator = found.group()
        advice = WRITTEN_HERE.get(operator, "compute the variable as a column of dat")
        message = f"form holds {operator!r}, which is R's; {advice}"
        raise point_at(message, shown, *found.span())

