"""Executes the notebooks of `lmm/notebooks` anew and stores what they print and draw:

    python tests/execute_notebooks.py [NAME ...]
"""

import asyncio
import os
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from PIL import Image

from lmm.notebooks import NOTEBOOK_FOLDER

COLOURS = 128           # of a picture: a third of the bytes, and no difference to see
NAMES = sorted(path.name for path in NOTEBOOK_FOLDER.glob("*.ipynb"))
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LEFT_OUT = ("MPLBACKEND", "PYTHONWARNINGS")         # of the environment, which a user's lacks


def stored(name):
    """The notebook as it is shipped."""
    return nbformat.read(NOTEBOOK_FOLDER / name, as_version=4)


def executed(name):
    """The notebook with the outputs it gives now, and nothing that differs from run to run.

    It is executed in an empty folder.
    """
    notebook = stored(name)
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
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.metadata.pop("execution", None)
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return notebook


def with_small_pictures(notebook):
    """The notebook, its pictures in few colours."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    for output in outputs:
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = in_few_colours(output.data["image/png"])
    return notebook


def in_few_colours(text):
    """A picture as a notebook holds it, which is the PNG in base 64."""
    picture = Image.open(BytesIO(b64decode(text))).convert("RGB")
    small = BytesIO()
    picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(small, "PNG", optimize=True)
    return b64encode(small.getvalue()).decode() + "\n"


def main(names):
    """Execute and store the named notebooks, by default all."""
    for name in names or NAMES:
        path = NOTEBOOK_FOLDER / name
        nbformat.write(with_small_pictures(executed(name)), path)
        print(f"{name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
