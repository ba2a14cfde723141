"""Executes the notebooks of `lmm/notebooks` anew and stores what they print and draw:

    python tests/execute_notebooks.py [NAME ...]
"""

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


def stored(name):
    """The notebook as it is shipped."""
    return nbformat.read(NOTEBOOK_FOLDER / name, as_version=4)


def executed(name):
    """The notebook with the outputs it gives now, in an empty folder, and nothing in it that differs from run to run."""
    notebook = stored(name)
    with TemporaryDirectory() as folder:
        environment = {key: value for key, value in os.environ.items() if key not in ("MPLBACKEND", "PYTHONWARNINGS")}
        environment |= {"OPENBLAS_NUM_THREADS": "1"}                    # small matrices: more only wait for each other
        NotebookClient(notebook, timeout=120, kernel_name="python3", coalesce_streams=True, store_widget_state=False,
                       resources={"metadata": {"path": folder}}).execute(env=environment)
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                         "language_info": {"name": "python"}}
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
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        if "image/png" in output.get("data", {}):
            small = BytesIO()
            picture = Image.open(BytesIO(b64decode(output.data["image/png"]))).convert("RGB")
            picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(small, "PNG", optimize=True)
            output.data["image/png"] = b64encode(small.getvalue()).decode() + "\n"
    return notebook


def main(names):
    """Execute and store the named notebooks, by default all."""
    for name in names or NAMES:
        nbformat.write(with_small_pictures(executed(name)), NOTEBOOK_FOLDER / name)
        print(f"{name}: {(NOTEBOOK_FOLDER / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
