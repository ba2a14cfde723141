"""The notebooks that come with the package, and how to get a copy: ``lmm notebooks DIR``.

And their pictures, which come with a text.
"""

import html
from base64 import b64encode
from io import BytesIO
from pathlib import Path

from ..errors import LMMError, shorten

NOTEBOOK_FOLDER = Path(__file__).parent
CODE = (".py", ".pyc")      # suffixes of what is not copied


def copy_notebooks(folder, force=False):
    """Copy the notebooks, and the files they read, into a folder.

    Parameters
    ----------
    folder : str or path
        Where to; made if it is not there.
    force : bool, optional
        Whether to overwrite files of the same names.

    Returns
    -------
    list of pathlib.Path
        The copies.

    Raises
    ------
    LMMError
        If a file would be overwritten and `force` is false; then nothing is copied.
    OSError
        If the folder cannot be made or written to.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     [path.suffix for path in copy_notebooks(folder)][0]
    '.ipynb'
    """
    folder = Path(folder)
    files = sorted(path for path in NOTEBOOK_FOLDER.iterdir() if path.is_file())
    sources = [path for path in files if path.suffix not in CODE]
    copies = [folder / path.name for path in sources]
    there = [path.name for path in copies if path.exists()]
    if there and not force:
        raise LMMError(
            f"{folder} already holds {shorten(there)}; nothing was copied: give another folder, "
            "or --force (in Python, force=True) to overwrite"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for source, copy in zip(sources, copies):
        copy.write_bytes(source.read_bytes())
    return copies


def report(folder, force=False):
    """The text that ``lmm notebooks`` prints after copying: what, and how to open it."""
    copies = copy_notebooks(folder, force)
    listed = "\n".join(f"  {path}" for path in copies)
    return (
        f"Copied:\n{listed}\n"
        "Open them with: jupyter notebook (where there is none: pip install notebook matplotlib)"
    )


class Picture:
    """The current figure of matplotlib as a notebook shows it, with a text for who cannot see it.

    Jupyter gives none to the pictures that it makes itself. The figure is closed.

    Parameters
    ----------
    text : str
        What is to be seen.
    """

    def __init__(self, text):
        from matplotlib import pyplot

        file = BytesIO()
        pyplot.savefig(file, format="png", bbox_inches="tight")
        pyplot.close()
        self.text = text
        self.png = file.getvalue()

    def __repr__(self):
        return self.text

    def _repr_html_(self):
        source = f"data:image/png;base64,{b64encode(self.png).decode()}"
        return f'<img alt="{html.escape(self.text)}" src="{source}">'
