"""What pages are made of: the frame of one, tables, lists. Every text is escaped."""

import re
from html import escape

from .style import STYLE

# control characters, those that turn the direction of what follows, and the halves of characters
# that stand for bytes in odd names of files
NOT_IN_HTML = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def whole_page(title, parts):
    """A page of HTML that stands alone; characters that are not for pages are replaced."""
    text = PAGE.format(title=escape(title), style=STYLE, body="\n".join(parts))
    return NOT_IN_HTML.sub("\N{REPLACEMENT CHARACTER}", text)


def table(headings, rows, kind=""):
    """A table within a box of its own that scrolls where it is wider than the page.

    A heading that starts with ``>`` (not shown) is that of numbers.
    """
    head = "".join(map(_heading, headings))
    kind = f' class="{kind}"' if kind else ""
    return (
        f'<div class="box" tabindex="0"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heading(heading):
    """The cell of a heading."""
    kind = ' class="number"' if heading.startswith(">") else ""
    return f'<th scope="col"{kind}>{breakable(heading.removeprefix(">"))}</th>'


def breakable(name):
    """A name, escaped, that may be broken where a capital follows a small letter."""
    return escape(re.sub(r"(?<=[a-z])(?=[A-Z])", "\n", name)).replace("\n", "<wbr>")


def unordered(sentences):
    """A list of sentences."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>"
