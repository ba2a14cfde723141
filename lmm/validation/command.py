"""The command `lmm validate`: the dossier on the installed package, printed and written."""

from pathlib import Path

from ..errors import LMMError
from . import breaking
from .dossier import SECTIONS, validate

IN_HELP = "hold this installation to what it is required to do"
NOT_CAUGHT = 3          # the exit status where what was broken on purpose passed
NAME = "validation"     # of the report's files

REPORT_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>lmm validate</title>
<style>
body {{font-family: sans-serif; max-width: 80em; margin: 2em auto}}
td, th {{padding: 0.2em 1em 0.2em 0; text-align: left; vertical-align: top}}
p {{margin-top: 1.5em; font-weight: bold}}
</style>
</head><body>
{body}
</body></html>"""


def add_arguments(parser):
    """The arguments of the command."""
    add = parser.add_argument
    add(
        "--report",
        metavar="DIR",
        help="write validation.html, .txt and .json there; made if it is not there",
    )
    add(
        "--quick",
        action="store_true",
        help="some twenty seconds instead of minutes: fewer designs, smaller data",
    )
    add(
        "--section",
        metavar="NAME",
        action="append",
        default=[],
        help=f"this one alone, of {', '.join(SECTIONS)}; may be given several times",
    )
    add(
        "--break",
        dest="broken",
        metavar="NAME",
        nargs="?",
        const="",
        help=(
            "break the package on purpose, to see that it fails: "
            f"{', '.join(breaking.BREAKS)}; without a name one after the other"
        ),
    )


def run(options):
    """Print the dossier and write what was asked for.

    Returns 0 if every requirement is met, 1 if not, 3 if what was broken on purpose was not caught.
    """
    folder = None
    if options.report is not None:
        folder = Path(options.report)
        if folder.exists() and not folder.is_dir():
            raise LMMError(f"--report {options.report} is a file; it is a folder to write into")
        folder.mkdir(parents=True, exist_ok=True)
    if options.broken is None:
        dossier = validate(options.quick, options.section, progress=show)
        print(f"\n{dossier.verdict()}")
        write(folder, NAME, dossier)
        return 0 if dossier.passed else 1
    caught = [run_broken(name, options, folder) for name in chosen(options.broken)]
    return 1 if all(caught) else NOT_CAUGHT


def chosen(name):
    """The breaks that are meant: one, or all."""
    return [name] if name else list(breaking.BREAKS)


def run_broken(name, options, folder):
    """Print what fails of the package broken in one way; whether the right rows do."""
    with breaking.broken(name) as one:
        dossier = validate(options.quick, options.section, broken=one.what)
    print(f"broken on purpose, {name}: {one.what}")
    print(f"{dossier.verdict()}; not met:")
    for row in dossier.failed:
        print(f"  {row.requirement}")
    caught = breaking.is_caught(name, dossier)
    if caught:
        print("Every requirement that names it is among these.\n")
    else:
        missing = breaking.not_caught(name, dossier) or ["none that names it was tested"]
        print(f"NOT CAUGHT by: {'; '.join(missing)}\n")
    write(folder, f"{NAME}_broken_{name}", dossier)
    return caught


def show(dossier, section):
    """Print a section when it is done, the first one below the heading."""
    if len(dossier.sections()) == 1:
        print(dossier.heading_text())
    print(f"\n{dossier.text_of(section, only_failed=True)}", flush=True)


def write(folder, name, dossier):
    """Write the three files of a dossier, if there is a folder for them."""
    if folder is None:
        return
    files = {
        "txt": str(dossier),
        "html": REPORT_PAGE.format(body=dossier._repr_html_()),
        "json": dossier.to_json(),
    }
    for ending, text in files.items():
        (folder / f"{name}.{ending}").write_text(text + "\n", encoding="utf-8")
