"""The examples of a Markdown page, run as doctests whose output stands as a terminal shows it.

An example is in a block fenced as python. What follows its lines is what it prints, blank lines among it, up to
the next ``>>>`` or the end of the block; so no page has <BLANKLINE>. Alone blanks at the ends of lines do not count.
"""

import doctest
import re
from pathlib import Path

from helpers import without_note

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "lmm" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class AsShown(doctest.OutputChecker):
    """What is printed, to the letter, but for blanks at the ends of lines.

    And for the note on submissions that the system here could not confine.
    """

    def check_output(self, want, got, optionflags):
        return super().check_output(stripped(want), stripped(without_note(got)), optionflags | doctest.DONT_ACCEPT_BLANKLINE)


def stripped(text):
    return "".join(f"{line.rstrip()}\n" for line in text.rstrip().splitlines())


def examples(text):
    """The doctest examples of a page; blocks that hold no ``>>>`` are none."""
    found = []
    for block in BLOCK.finditer(text):
        line = text[: block.start(1)].count("\n")
        if not block[1].startswith(">>>"):
            assert ">>>" not in block[1], f"line {line + 1} begins a block with something before >>>"
            continue
        for part in re.split(r"^(?=>>> )", block[1], flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            inputs = [lines[0]]
            inputs += [text for text in _leading(lines[1:], ("... ", "..."))]
            source = "\n".join(text[4:] for text in inputs)
            want = "\n".join(lines[len(inputs):]).strip("\n")
            error = re.match(r"Traceback [^\n]*\n(?:    [^\n]*\n)*(.*)", want, re.DOTALL)
            found.append(doctest.Example(source, want, exc_msg=error and f"{error[1]}\n", lineno=line))
            line += part.count("\n")
    return found


def _leading(lines, marks):
    """The lines up to the first one that begins with no mark."""
    for line in lines:
        if not line.startswith(marks[0]) and line != marks[1]:
            return
        yield line


def run(path):
    """The results of a page's examples; figures are closed."""
    test = doctest.DocTest(examples(path.read_text()), {}, path.name, str(path), 0, None)
    results = doctest.DocTestRunner(checker=AsShown()).run(test)
    from matplotlib import pyplot
    pyplot.close("all")
    return results
