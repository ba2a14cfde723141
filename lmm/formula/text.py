"""The text of formulas: lone dots. What stands in quotes is left as it is."""

import re

DOT = re.compile(r"(?<![\w.)\]])\.(?![\w.])")
QUOTED = re.compile(r"""('[^']*'|"[^"]*")""")


def has_dot(text):
    """Whether there is a lone dot."""
    return bool(DOT.search(QUOTED.sub("", text)))


def replace_dots(text, by):
    """`text` with `by` in place of its lone dots."""
    return outside_quotes(lambda piece: DOT.sub(lambda _: by, piece), text)


def outside_quotes(change, text):
    """`text` with each piece between quotes changed by a function."""
    pieces = QUOTED.split(text)
    pieces[::2] = map(change, pieces[::2])          # what is in quotes stands at the odd places
    return "".join(pieces)
