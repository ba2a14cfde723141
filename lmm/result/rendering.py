"""Tables rendered: as text, HTML, Markdown, LaTeX and a frame of pandas, from the same cells.

What is rendered are `Table` objects of `tables.py`. Names come from data, so that whatever a
language reads as more than a character is escaped.
"""

import re
from html import escape
from textwrap import wrap

import numpy as np
import pandas as pd

from ..errors import LMMError, unknown_name

WIDTH = 110             # of a line of text; tables may be wider


# -- which of them ---------------------------------------------------------------------------------


def chosen(tables, only):
    """The one table that `only` means, without its title.

    It is the beginning of a title, in whichever case, or the place of a table, from 0.
    """
    with_rows = [table for table in tables if table.rows]
    if not with_rows:
        raise LMMError("there is no table in it, but only text: print it")
    if isinstance(only, str):
        for table in with_rows:
            if table.title and table.title.lower().startswith(only.lower()):
                return untitled(table)
        titles = [table.title.partition(" (")[0].rstrip(":") for table in with_rows if table.title]
        raise unknown_name("table", only, titles)
    if not isinstance(only, (int, np.integer)) or isinstance(only, bool):
        raise LMMError(
            f"only is {only!r}; it is the beginning of a table's title, or its place from 0"
        )
    if not 0 <= only < len(with_rows):
        raise LMMError(f"only is {only}; the tables are {len(with_rows)}, counted from 0")
    return untitled(with_rows[only])


def untitled(table):
    """A table of the same cells without a title."""
    return type(table)("", table.columns, table.rows, table.rules)


def heading_of(column):
    """What is shown of a heading, and whether its column is aligned to the left."""
    return column.removeprefix("<"), column.startswith("<")


# -- text ------------------------------------------------------------------------------------------


def to_text(tables):
    """The tables as text: columns aligned; a blank line before each table with rows."""
    lines = []
    for table in tables:
        if table.rows and lines:
            lines.append("")
        if table.title or not table.rows:
            lines += wrap(
                table.title,
                WIDTH,
                subsequent_indent="    ",
                break_long_words=False,
            ) or [""]
        if table.rows:
            lines += aligned(table)
    return "\n".join(lines)


def aligned(table):
    """The lines of a table's headings and rows; to the right what has no ``<`` in its heading."""
    columns = padded(table)
    head, *body = [" " + "  ".join(line).rstrip() for line in zip(*columns)]
    width = sum(len(column[0]) + 2 for column in columns) - 2
    lines = [head]
    for place, line in enumerate(body):
        if place in table.rules:
            lines.append(" " + "-" * width)
        lines.append(line)
    return lines


def padded(table, escaped=str, least=0):
    """The columns of a table, with their headings: cells as `escaped` has them, of one width."""
    columns = []
    for column, *cells in zip(table.columns, *table.rows):
        heading, is_left = heading_of(column)
        cells = [escaped(cell) for cell in (heading, *cells)]
        width = max(least, *map(len, cells))
        justify = str.ljust if is_left else str.rjust
        columns.append([justify(cell, width) for cell in cells])
    return columns


def in_one_line(text):
    """A text, or a cell, without line breaks, which would end a row."""
    return re.sub(r"\s*[\r\n]\s*", " ", text)


# -- HTML ------------------------------------------------------------------------------------------


def to_html(tables):
    """The tables as HTML without ids, styles or scripts; every cell escaped."""
    parts = []
    for table in tables:
        if table.title:
            parts.append(f"<p>{escape(table.title)}</p>")
        if table.rows:
            head = _html_row("th", [heading_of(column)[0] for column in table.columns])
            bodies = "".join(f"<tbody>{body}</tbody>" for body in _html_bodies(table))
            parts.append(f"<table><thead>{head}</thead>{bodies}</table>")
    return "<div>" + "".join(parts) + "</div>"


def _html_bodies(table):
    """The rows of a table, those between two rules together."""
    starts = [0, *table.rules]
    ends = [*table.rules, len(table.rows)]
    for start, end in zip(starts, ends):
        yield "".join(_html_row("td", row) for row in table.rows[start:end])


def _html_row(tag, cells):
    """A row of HTML, its cells escaped."""
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


# -- Markdown --------------------------------------------------------------------------------------

# A character that may be markup, unless it stands alone between spaces, as in "y ~ x".
MARKUP = re.compile(r"(?<!\s)[\\`*_<>~$^#&]|[\\`*_<>~$^#&](?=\S)")
LIST = re.compile(r"^([-+]|\d+[.)])(?=[-+\s]|$)")       # at the beginning of a line
LINK = re.compile(r"\[(?=[^\]]*\][(\[{:])")             # "[a](b)", but not "Machine[T.B]"


def to_markdown(tables):
    """The tables as Markdown, its pipe tables; lines of text are paragraphs."""
    parts = []
    for table in tables:
        if table.title:
            parts.append(markdown(table.title.strip()))
        if table.rows:
            parts.append("\n".join(_markdown_lines(table)))
    return "\n\n".join(parts)


def _markdown_lines(table):
    """The lines of a pipe table; the second says how columns are aligned."""
    columns = []
    for heading, column in zip(table.columns, padded(table, markdown, least=3)):
        dashes = "-" * (len(column[0]) - 1)
        _, is_left = heading_of(heading)
        rule = f":{dashes}" if is_left else f"{dashes}:"
        columns.append([column[0], rule, *column[1:]])
    return [f"| {' | '.join(line)} |" for line in zip(*columns)]


def markdown(text):
    """A text with what Markdown would read as markup escaped, and pipes, which end a cell."""
    text = MARKUP.sub(r"\\\g<0>", in_one_line(text))
    text = LIST.sub(lambda found: f"{found[1][:-1]}\\{found[1][-1]}", text)
    return LINK.sub("&#91;", text).replace("|", r"\|")


# -- LaTeX -----------------------------------------------------------------------------------------

IN_LATEX = str.maketrans({
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "$": r"\$",
    "~": r"$\sim$",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r'\string"',                                   # babel gives it other meanings
})


def to_latex(tables, caption=None, label=None):
    """The tables as LaTeX with the rules of booktabs, in the order in which they are printed.

    Text after the last table is set smaller, as notes. With a caption or a label all is in a
    ``table`` environment.
    """
    tables = [table for table in tables if table.title or table.rows]
    places = [place for place, table in enumerate(tables) if table.rows]
    last = max(places, default=len(tables))
    lines = []
    for place, table in enumerate(tables):
        if table.title:
            size = r"\footnotesize" if place > last else ""
            lines.append(rf"{{{size}\noindent {latex(table.title.strip())}\par}}")
        if table.rows:
            lines += [r"\noindent", *_tabular(table)]
            if place + 1 < len(tables):
                lines.append(r"\par\medskip")
    if len(tables) == 1 and places:
        lines = _tabular(tables[0])
    if caption is not None or label is not None:
        lines = [
            r"\begin{table}",
            r"\centering",
            *([rf"\caption{{{caption}}}"] if caption is not None else ()),
            *([rf"\label{{{label}}}"] if label is not None else ()),
            *lines,
            r"\end{table}",
        ]
    return "\n".join(lines)


def _tabular(table):
    """The lines of a ``tabular`` environment."""
    headings = [heading_of(column) for column in table.columns]
    alignment = "".join(_alignment(column) for column in zip(table.columns, *table.rows))
    lines = [
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        _latex_row(latex(heading) for heading, _ in headings),
        r"\midrule",
    ]
    for place, row in enumerate(table.rows):
        if place in table.rules:
            lines.append(r"\midrule")
        cells = zip(row, headings)
        lines.append(_latex_row(
            latex(cell) if is_left else latex_number(cell) for cell, (_, is_left) in cells
        ))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _alignment(column):
    """How a column is aligned; where there are stars, they have room between it and the next."""
    heading, *cells = column
    if heading_of(heading)[1]:
        return "l"
    has_stars = any(cell.strip().endswith(("*", "+")) for cell in cells)
    return r"r@{\hspace{2em}}" if has_stars else "r"


def _latex_row(cells):
    """A row of a ``tabular``, its cells escaped already."""
    return " & ".join(cells).rstrip() + r" \\"


def latex(text):
    """A text with every character that is special to TeX escaped.

    So are ligatures of hyphens, and a bracket or a star at its beginning, which after the end of a
    row would belong to that.
    """
    text = in_one_line(text).translate(IN_LATEX)
    text = re.sub(r"-(?=-)", "-{}", text)
    return re.sub(r"^[\[*]", r"{\g<0>}", text)


def latex_number(cell):
    """A cell of a column of numbers: with minus signs, powers of ten, and stars set higher.

    Stars, and a bracket at its end, take no room, so that digits stand above digits.
    """
    text = latex(cell.strip())
    text = re.sub(r"(?<!\w)-(?=\d|inf)", "$-$", text)
    text = re.sub(r"(?<=\d)e\+?(-?)0*(\d+)", r"$\\times 10^{\1\2}$", text)
    text = re.sub(r"(?<=[\d$])[*+]+$", r"\\rlap{\\textsuperscript{\g<0>}}", text)
    return re.sub(r"(?<=[\d$])[\])]$", r"\\rlap{\g<0>}", text)


# -- a frame ---------------------------------------------------------------------------------------


def to_frame(table):
    """The cells of one table as a DataFrame: numbers where all cells of a column are, else text.

    A first column without a heading is the index.
    """
    headings = [heading_of(column) for column in table.columns]
    columns = []
    for cells, (_, is_left) in zip(zip(*table.rows), headings):
        cells = [cell.strip() for cell in cells]
        columns.append(cells if is_left else _as_numbers(cells))
    frame = pd.DataFrame(dict(enumerate(columns)))
    frame = frame.set_axis([heading for heading, _ in headings], axis=1)
    if headings[0] != ("", True):
        return frame
    labels = pd.Index(columns[0])
    return frame.iloc[:, 1:].set_axis(labels, axis=0)


def _as_numbers(cells):
    """The numbers that cells say, nan where one is empty; the cells themselves if any is text."""
    try:
        return pd.to_numeric([np.nan if cell in ("", "nan") else cell for cell in cells])
    except ValueError:
        return cells
