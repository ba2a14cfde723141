"""Pages for people, in Markdown: ``lmm guide`` lists them, and ``lmm guide PAGE`` shows one."""

import re
import textwrap
from pathlib import Path

from ..errors import unknown_name

GUIDE_FOLDER = Path(__file__).parent
FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
ITEM = r"\* |\d+\. "        # how one of a list begins
# in the order in which they are listed, by whom they are for
DOORS = {
    "Start here": ("first_session",),
    "To learn": ("practical", "slides", "effects", "optimum", "words"),
    "To analyse data": (
        "formulas", "after_the_fit", "tests_and_means", "coming_from", "many", "chunks",
    ),
    "To teach and to check": (
        "grading", "grading_files", "validation", "requirements", "arbiter",
        "proof", "accuracy", "speed", "data",
    ),
}


def pages():
    """The names of the pages, in order."""
    there = {path.stem for path in GUIDE_FOLDER.glob("*.md")}
    listed = [name for names in DOORS.values() for name in names]
    return [name for name in listed if name in there]


def page(name):
    """The text of a page.

    Parameters
    ----------
    name : str
        As `pages` has it, also with spaces or hyphens, or ``.md``.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    LMMError
        If there is no such page.

    Examples
    --------
    >>> page("first session").splitlines()[0]
    '# A first session'
    """
    known = pages()
    simple = name.lower().removesuffix(".md").replace("-", "_").replace(" ", "_")
    if simple not in known:
        raise unknown_name("page of the guide", name, known)
    return (GUIDE_FOLDER / f"{simple}.md").read_text(encoding="utf-8")


def wrapped(text, width):
    """A page whose paragraphs have lines of this width; code, tables and headings stay."""
    parts = FENCED.split(text)              # prose, code, prose, ...
    for i in range(0, len(parts), 2):
        parts[i] = "\n\n".join(_paragraph(part, width) for part in parts[i].split("\n\n"))
    return "".join(parts)


def _paragraph(part, width):
    """A paragraph, or a list, filled anew; what is indented, a table or a heading is kept."""
    text = part.strip("\n")
    if not text or text[0] in "|# ":
        return part
    before = part[: part.index(text)]
    after = part[len(before) + len(text) :]
    filled = []
    for item in re.split(rf"\n(?={ITEM})", text):
        hanging = "  " if re.match(ITEM, item) else ""
        filled.append(textwrap.fill(
            " ".join(item.split()),
            width,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        ))
    return before + "\n".join(filled) + after


def contents():
    """The list of the pages that ``lmm guide`` prints: by door a line for each, with its title."""
    known = pages()
    width = max(map(len, known))
    lines = []
    for door, names in DOORS.items():
        lines.append(f"{door}:")
        for name in names:
            if name in known:
                title = page(name).splitlines()[0].removeprefix("# ")
                lines.append(f"  {name:{width}}  {title}")
        lines.append("")
    lines.append("lmm guide PAGE prints one. They are Markdown files in:")
    lines.append(f"  {GUIDE_FOLDER}")
    return "\n".join(lines)
