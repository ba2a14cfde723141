"""The code cells of a notebook file, as Python: its JSON is read, and magics are left out."""

import ast
import io
import json
import re
import tokenize
from pathlib import PurePath

from ..errors import LMMError
from .folders import printable

PYTHON_CELLS = ("time", "timeit", "capture", "prun", "python", "python3")   # %%magics over Python
LINE_MAGIC = re.compile(
    r"(?P<indent>\s*)"
    r"(?:[%!?].*"                                       # %matplotlib inline, !pip, ?lmm
    r"|[A-Za-z_]\w*\s*=\s*[!%].*"                       # files = !ls
    r"|[A-Za-z_][\w.]*\?{1,2}\s*"                       # lmm?
    r"|(?:pip|conda)\s+install\b.*)"                    # as IPython understands without a mark
)
WRITES_FILE = re.compile(
    r"\s*%%(?:writefile|file)[ \t]+(?:(?:-a|--append)[ \t]+)?(?P<name>\S[^\n]*\.py['\"]?)[ \t]*\n"
)
AS_MODULE = "__import__('sys').modules[{name!r}] = __import__('sys').modules[__name__]"
TIME_MAGIC = re.compile(r"(?P<indent>\s*)%time(?:\s+(?P<statement>.+))?")


def read_notebook(path):
    """The code cells of a notebook.

    Returns
    -------
    cells : tuple of (str, str)
        What to call each, and its Python.
    notes : tuple of str
        That they were taken, and what was left out.

    Raises
    ------
    LMMError
        If the file is no notebook, or one of another language, or has no code.
    """
    name = printable(path.name)
    sources = _sources(_content(path), name)
    cells = []
    left_out = []
    as_files = []
    for i, source in enumerate(sources):
        label = f"code cell {i + 1}"
        written, text = _written_file(source)
        if written:
            as_files.append(f"{printable(written)} in {label}")
            cells.append((f"{label} of {path.name}", text))
            continue
        text, out = _python(source)
        left_out += [f"{printable(one)} in {label}" for one in out]
        if text.strip():
            cells.append((f"{label} of {path.name}", text))
    if not cells:
        raise LMMError(f"{name} is a notebook without code")
    notes = [f"{name} is a notebook: its code cells were taken, as one file"]
    if as_files:
        notes.append(f"taken as well is what the notebook writes: {', '.join(as_files)}")
    if left_out:
        notes.append(f"left out of the notebook: {', '.join(left_out)}")
    return tuple(cells), tuple(notes)


# -- the JSON ------------------------------------------------------------------------------------

def _content(path):
    """What the file holds, a dict."""
    name = printable(path.name)
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise LMMError(f"{name} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise LMMError(f"{name} is no notebook: it is no JSON: {error}") from error
    is_notebook = isinstance(content, dict) and ("cells" in content or "worksheets" in content)
    if not is_notebook:
        raise LMMError(f"{name} is no notebook: its JSON has no cells")
    language = _language(content)
    if language.lower().rstrip("23") not in ("", "python", "ipython"):
        language = printable(language)
        raise LMMError(f"{name} is a notebook of {language}, not of Python")
    return content


def _language(content):
    """The language of a notebook, "" where it says none."""
    metadata = content.get("metadata")
    for name, key in (("kernelspec", "language"), ("language_info", "name")):
        about = metadata.get(name) if isinstance(metadata, dict) else None
        language = about.get(key) if isinstance(about, dict) else None
        if isinstance(language, str):
            return language
    return ""


def _sources(content, name):
    """The text of each code cell, of nbformat 4, or of nbformat 3, which has worksheets."""
    sheets = [content] if "cells" in content else content["worksheets"]
    sources = []
    try:
        for sheet in sheets:
            for cell in sheet["cells"]:
                if cell["cell_type"] == "code":
                    source = cell["source"] if "source" in cell else cell["input"]
                    sources.append(source if isinstance(source, str) else "".join(source))
    except (TypeError, KeyError, AttributeError) as error:
        raise LMMError(f"{name} is no notebook: its cells are not as nbformat has them") from error
    return sources


# -- magics --------------------------------------------------------------------------------------

def _python(source):
    """The Python of a cell, with as many lines, and what was left out of it."""
    lines = source.split("\n")
    out = []
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        magic = lines[first].split()[0]
        if magic[2:] not in PYTHON_CELLS:
            return "", [f"the cell {magic}"]
        lines[first] = ""
    for i, line in enumerate(lines):
        if not LINE_MAGIC.fullmatch(line) or _is_open("\n".join(lines[:i])):
            continue
        timed = TIME_MAGIC.fullmatch(line)
        if timed:
            lines[i] = timed["indent"] + (timed["statement"] or "pass")
        else:
            lines[i] = LINE_MAGIC.fullmatch(line)["indent"] + "pass"
            out.append(line.split()[0])
    return "\n".join(lines), out


def _written_file(source):
    """Of a cell that writes a file of Python: its name, and its Python, with as many lines.

    It is executed with the others, and what imports the file gets what it defines. Of another
    cell, or where it does not parse, two empty texts.
    """
    found = WRITES_FILE.match(source)
    if not found:
        return "", ""
    name = found["name"].strip("'\"")
    module = PurePath(name).stem
    text = "\n" * found[0].count("\n") + source[found.end():]
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return "", ""
    return name, f"{text}\n{AS_MODULE.format(name=module)}"


def _is_open(text):
    """Whether a statement goes on after these lines: in a bracket, a string, after a backslash."""
    if text.endswith("\\"):
        return True
    try:
        for _ in tokenize.generate_tokens(io.StringIO(text).readline):
            pass
    except tokenize.TokenError:
        return True
    except SyntaxError:             # a line that is indented wrongly
        return False
    return False
