"""Executes the notebooks of `lmm/notebooks` anew and stores what they print and draw:

    python tests/execute_notebooks.py [NAME ...]
"""

import asyncio
import os
import re
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from tempfile import TemporaryDirectory

import nbformat
from helpers import without_note
from nbclient import NotebookClient
from PIL import Image

from lmm.notebooks import NOTEBOOK_FOLDER

PICTURE = re.compile(r'<img alt="([^"]+)" src="data:image/png;base64,([^"]+)">')
COLOURS = 128           # of a picture: a third of the bytes, and no difference to see
NAMES = sorted(path.name for path in NOTEBOOK_FOLDER.glob("*.ipynb"))
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ANSWER = re.compile(r"```python\n(.*?)```\n\nprints\n\n```\n(.*?)```", re.DOTALL)
LEFT_OUT = ("MPLBACKEND", "PYTHONWARNINGS")         # of the environment, which a user's lacks


def stored(name):
    """The notebook as it is shipped."""
    return nbformat.read(NOTEBOOK_FOLDER / name, as_version=4)


def answers(notebook):
    """The code of each answer to an exercise, and what the notebook says that it prints."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return [found for text in texts for found in ANSWER.findall(text)]


def executed(name):
    """The notebook with the outputs it gives now, and nothing that differs from run to run.

    And what the answers to its exercises print, whose code is executed after it. It is executed in
    an empty folder.
    """
    notebook = stored(name)
    count = len(notebook.cells)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code, _ in answers(notebook)]
    environment = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
    environment["OPENBLAS_NUM_THREADS"] = "1"       # small matrices: more only wait for each other
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=120,
            kernel_name="python3",
            coalesce_streams=True,
            store_widget_state=False,
            resources={"metadata": {"path": folder}},
        )
        asyncio.run(client.async_execute(env=environment))
    printed = ["".join(map(text_of, cell.outputs)) for cell in notebook.cells[count:]]
    del notebook.cells[count:]
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.metadata.pop("execution", None)
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return notebook, printed


def text_of(output):
    """What an output prints and shows, of pictures their texts.

    And without what reports on submissions say where the system cannot confine them.
    """
    shown = sorted(output.get("data", {}).items())
    texts = [text for kind, text in shown if kind.startswith("text/")]
    return PICTURE.sub(r"\1", without_note(output.get("text", "") + "".join(texts)))


def with_answers(notebook, printed):
    """The notebook, its answers followed by what they print now."""
    texts = iter(printed)

    def answered(found):
        return f"```python\n{found[1]}```\n\nprints\n\n```\n{next(texts)}```"

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = ANSWER.sub(answered, cell.source)
    return notebook


def with_small_pictures(notebook):
    """The notebook, its pictures in few colours."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    for output in outputs:
        text = output.get("data", {}).get("text/html", "")
        for found in PICTURE.finditer(text):
            output.data["text/html"] = text.replace(found[2], in_few_colours(found[2]))
    return notebook


def in_few_colours(text):
    """A PNG in base 64."""
    picture = Image.open(BytesIO(b64decode(text))).convert("RGB")
    small = BytesIO()
    picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(small, "PNG", optimize=True)
    return b64encode(small.getvalue()).decode()


def main(names):
    """Execute and store the named notebooks, by default all."""
    for name in names or NAMES:
        path = NOTEBOOK_FOLDER / name
        notebook, printed = executed(name)
        nbformat.write(with_small_pictures(with_answers(notebook, printed)), path)
        print(f"{name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
