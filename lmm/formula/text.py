"""The text of formulas: names, quotes, lone dots. What is in quotes or backticks stays as it is.

A name is one of R's: letters of any script, digits, dots and underscores, not beginning with a
digit. Any other character beyond ASCII counts as a letter, so that the vowel signs of Indic scripts
and the squared of m² do; nothing else in a formula is written with one.
"""

import re
import unicodedata

LETTER = r"(?:[^\W\d]|[^\x00-\x7F\s])"
NAME_OF_R = rf"(?:\.*{LETTER}(?:[\w.]|[^\x00-\x7F\s])*)"
LONE_DOT = r"(?<![\w.)\]`])\.(?![\w.`])"

DOT = re.compile(LONE_DOT)
QUOTED = re.compile(r"""('[^']*'|"[^"]*"|`[^`]*`)""")
TICKED = re.compile("`[^`]+`")
WHOLE_NAME = re.compile(NAME_OF_R)


# -- what stands in quotes, and what does not


def outside_quotes(change, text):
    """`text` with each piece between quotes changed by a function."""
    pieces = QUOTED.split(text)
    pieces[::2] = map(change, pieces[::2])          # what is in quotes stands at the odd places
    return "".join(pieces)


def without_quoted(text):
    """As long a text, blank where something stood in quotes or backticks."""
    return QUOTED.sub(lambda found: " " * len(found.group()), text)


def blanked(text, start, end):
    """As long a text, blank from `start` to `end`."""
    return text[:start] + " " * (end - start) + text[end:]


def squeezed(text):
    """`text` without the blanks where bars stood, and none at the ends; quotes stay as they are."""
    if not QUOTED.search(text):
        return " ".join(text.split())
    return outside_quotes(lambda piece: re.sub(r"\s+", " ", piece), text).strip()


def tildes(text):
    """The places of the tildes of a formula."""
    outside = without_quoted(text)
    return [place for place, letter in enumerate(outside) if letter == "~"]


# -- lone dots


def has_dot(text):
    """Whether there is a lone dot."""
    if "." not in text:
        return False
    return DOT.search(without_quoted(text)) is not None


def replace_dots(text, by):
    """`text` with `by` in place of its lone dots."""
    return outside_quotes(lambda piece: DOT.sub(lambda _: by, piece), text)


# -- names of columns


def is_name(text):
    """Whether a column of this name is written without backticks."""
    return WHOLE_NAME.fullmatch(text) is not None


def ticked(name):
    """How a column is written in a formula: its name, in backticks if it is no name of R's."""
    return name if is_name(name) else f"`{name}`"


def column_named(text, columns):
    """The column that a name means: the one of that name, else the one that looks the same; None.

    One accented letter may be one character or two, and the micro sign is a Greek letter to Python.
    """
    if text in columns:
        return text
    if text.isascii():
        return None
    looks = _as_it_looks(text)
    names = [column for column in columns if isinstance(column, str)]
    alike = [name for name in names if _as_it_looks(name) == looks]
    return alike[0] if len(alike) == 1 else None


def column_written(text, columns):
    """The column that a whole argument means, which may stand in backticks; None."""
    found = column_named(text, columns)
    if found is None and TICKED.fullmatch(text):
        return column_named(text[1:-1], columns)
    return found


def _as_it_looks(text):
    composed = unicodedata.normalize("NFC", text)
    return composed.replace("\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}")
