"""Make the page of the guide that lists what is required, and the tests that hold it.

    python tests/make_requirements.py
"""

import ast
from pathlib import Path

from requirements import REQUIREMENTS

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "lmm" / "guide" / "requirements.md"
HEAD = """\
# What is required, and the tests that hold it

You need a checkout to run the tests named here. Each requirement has a short name, by which tests say that they
hold it: `@pytest.mark.requirement(name)`. The dossier of `lmm validate` holds an installation to those that need
no checkout ([validation](validation.md)). This page is made by

    python tests/make_requirements.py
"""


def held():
    """(name of a requirement, "file::test") of each marker, in the order of files and lines."""
    for path in sorted(TESTS.rglob("test_*.py")):
        file = path.relative_to(TESTS).as_posix()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for name in marked(node):
                    yield name, f"{file}::{node.name}"


def marked(node):
    """The names in the markers of a test."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.requirement":
            yield ast.literal_eval(decorator.args[0])


def page():
    """The text of the page."""
    tests = {}
    for name, test in held():
        tests.setdefault(name, []).append(test)
    lines = [HEAD]
    for section, requirements in REQUIREMENTS.items():
        lines += [f"## {section}", "", "| requirement | tests |", "|---|---|"]
        for name, sentence in requirements.items():
            those = ", ".join(f"`{test}`" for test in tests.get(name, []))
            lines.append(f"| **{name}**: {sentence} | {those} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
