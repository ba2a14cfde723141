"""The command line.

``python -m lmm`` fits Machines and shows the answer beside lme4's and the exact one;
``lmm fit FORMULA FILE.csv --ref BLOCK ...`` fits any CSV file;
``lmm summarise FORMULA FILE.csv SUMS.npz`` saves a site's sums, ``lmm combine SUMS.npz ...`` fits;
``lmm compare FILE.csv CLAIMED.json`` compares what a program printed with the exact fit;
``lmm grade SUBMISSION.py`` judges somebody else's `lmm`;
``lmm validate`` holds this installation to what it is required to do;
``lmm notebooks DIR`` copies the notebooks there;
``lmm guide [PAGE]`` shows a page of the guide, or lists them.
"""

import argparse
import json
import math
import os
import shlex
import shutil
import sys
import warnings
from importlib.metadata import version

import pandas as pd
from patsy import PatsyError

from . import guide, notebooks
from .datasets import lme4_reference, load_data, models
from .errors import LMMError, LMMWarning, unknown_column, with_category_advice
from .fit import lmer
from .grading import command as grading
from .model import as_categories
from .practical import lmm
from .result import tables
from .summaries import combine, summarise
from .validation import command as validation
from .validation import compare_command

CSV_ERRORS = (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError)
OTHER_SEPARATORS = (";", "\t")      # of files that are called CSV as well
INTERRUPTED = 130       # the exit status of what Ctrl-C ended: 128 + SIGINT
WIDEST = 100            # columns of a page on a terminal
NEXT = "Next: lmm guide first_session, lmm notebooks DIR, lmm --help"
PIPE_CLOSED = 141       # of what printed into a pipe that nobody reads: 128 + SIGPIPE


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"lmm: {message}; see '{self.prog} --help'\n")


def main(arguments=None):
    """Run the command line.

    Returns the exit status: 0; 1 for a failed submission, or requirement; 2 after a sentence on
    what was wrong; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", LMMWarning)
        warnings.showwarning = _show_warning
        try:
            return options.act(options)
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:
            print("lmm: interrupted", file=sys.stderr)
            return INTERRUPTED
        except (LMMError, PatsyError, OSError) as error:
            print(f"lmm: {error}", file=sys.stderr)
            return 2


def _show_warning(message, *_):
    """A warning on one line, in the words of the command line."""
    said = with_category_advice(str(message), _factor_options)
    print(f"lmm: warning: {said}", file=sys.stderr)


def _factor_options(columns):
    """The options that make these columns categories."""
    return " ".join(f"--factor {shlex.quote(column)}" for column in columns)


# -- the arguments -------------------------------------------------------------------------------

def _parser():
    parser = _Parser(
        prog="lmm",
        description=(
            "Linear mixed models. Without a command: fit the Machines data, "
            "and compare with lme4's fit and the exact optimum."
        ),
    )
    parser.add_argument("--version", action="version", version=f"lmm {version('lmm')}")
    parser.set_defaults(act=printing(lambda _: f"{demonstrate()}\n\n{NEXT}"))
    commands = parser.add_subparsers(parser_class=_Parser)
    _add_fit(commands)
    _add_summarise(commands)
    _add_combine(commands)
    _add_compare(commands)
    _add_grade(commands)
    _add_validate(commands)
    _add_notebooks(commands)
    _add_guide(commands)
    return parser


def _add_fit(commands):
    fit = commands.add_parser(
        "fit",
        help="fit a CSV file",
        description=(
            "Fit a linear mixed model to a CSV file by maximum likelihood, as in: "
            'lmm fit "score ~ Machine" machines.csv --ref Worker --ref Worker:Machine'
        ),
    )
    fit.add_argument(
        "form",
        metavar="FORMULA",
        help=(
            'the fixed effects, e.g. "score ~ Machine"; '
            "or one of lmer's formulas, by ML unless --reml"
        ),
    )
    fit.add_argument(
        "file",
        metavar="FILE",
        help="a CSV file with a line of column names",
    )
    fit.add_argument(
        "--ref",
        metavar="BLOCK",
        action="append",
        default=[],
        help=(
            "a block of random effects: a column, or columns joined by colons; "
            "may be given several times"
        ),
    )
    fit.add_argument(
        "--factor",
        metavar="COLUMN",
        action="append",
        default=[],
        help="read this column as categories, not numbers; may be given several times",
    )
    fit.add_argument(
        "--reml",
        action="store_true",
        help="fit by REML; the default is maximum likelihood",
    )
    fit.add_argument(
        "--summary",
        action="store_true",
        help="with degrees of freedom and p-values of the fixed effects",
    )
    fit.add_argument(
        "--json",
        action="store_true",
        help="print the fit as JSON",
    )
    fit.set_defaults(act=printing(fit_file))


def _add_summarise(commands):
    summarise = commands.add_parser(
        "summarise",
        help="save the sums of a CSV file, without its rows",
        description=(
            "Save what a model needs of a CSV file, sums by levels and no row, for lmm combine: "
            'lmm summarise "y ~ age + (1 | doctor)" here.csv here.npz --site here'
        ),
    )
    summarise.add_argument("form", metavar="FORMULA", help="one of lmer's formulas")
    summarise.add_argument("file", metavar="FILE", help="a CSV file, also compressed (.csv.gz)")
    summarise.add_argument("out", metavar="SUMS", help="the file to write, which ends in .npz")
    summarise.add_argument("--site", metavar="NAME", default="", help="where the data are from")
    summarise.add_argument(
        "--least",
        metavar="ROWS",
        type=int,
        default=5,
        help="levels of fewer rows are small; 5 unless given",
    )
    summarise.add_argument(
        "--merge",
        action="store_true",
        help="make one level of small ones; otherwise they are named, and nothing is saved",
    )
    summarise.set_defaults(act=printing(summarise_file))


def _add_combine(commands):
    together = commands.add_parser(
        "combine",
        help="fit the sums of several sites",
        description="Fit one model to all data whose sums lmm summarise has saved.",
    )
    together.add_argument("files", metavar="SUMS", nargs="+", help="files of lmm summarise")
    together.add_argument(
        "--nested",
        metavar="FACTOR",
        action="append",
        default=[],
        help="a factor whose levels are others at each site; may be given several times",
    )
    together.add_argument("--ml", action="store_true", help="by maximum likelihood; otherwise REML")
    together.set_defaults(act=printing(combine_files))


def _add_compare(commands):
    compare = commands.add_parser(
        "compare",
        help=compare_command.COMPARE_HELP,
        description=compare_command.COMPARE_DESCRIPTION,
    )
    compare_command.add_arguments(compare)
    compare.set_defaults(act=lambda options: compare_command.run(options, read_csv))


def _add_grade(commands):
    grade = commands.add_parser(
        "grade",
        help=grading.HELP,
        description=(
            "Judge a submission of the practical; the exit status is 0 if it passes "
            "every case, 1 if not, 2 if there is nothing to judge."
        ),
    )
    grading.add_arguments(grade)
    grade.set_defaults(act=grading.run)


def _add_validate(commands):
    validate = commands.add_parser(
        "validate",
        help=validation.IN_HELP,
        description=(
            "Hold this installation to what it is required to do, offline: arithmetic, the "
            "likelihood, NIST's data, exact optima, thousands of small designs, costs. The exit "
            "status is 0 if every requirement is met, 1 if not."
        ),
    )
    validation.add_arguments(validate)
    validate.set_defaults(act=validation.run)


def _add_notebooks(commands):
    copy = commands.add_parser(
        "notebooks",
        help="copy the notebooks",
        description="Copy the notebooks into a folder.",
    )
    copy.add_argument(
        "folder",
        metavar="DIR",
        help="where to; made if it is not there",
    )
    copy.add_argument(
        "--force",
        action="store_true",
        help="overwrite files of the same names",
    )
    copy.set_defaults(act=printing(copy_notebooks))


def _add_guide(commands):
    show = commands.add_parser(
        "guide",
        help="show a page of the guide, or list them",
        description="Show a page of the guide; without a name, list the pages.",
    )
    show.add_argument(
        "page",
        metavar="PAGE",
        nargs="?",
        help="its name, as in: lmm guide first_session",
    )
    show.set_defaults(act=show_guide)


def printing(text):
    """A command that prints what `text` gives for its options, and succeeds."""
    def act(options):
        print(text(options))
        return 0

    return act


# -- the commands --------------------------------------------------------------------------------

def copy_notebooks(options):
    """The text to print after copying the notebooks."""
    return notebooks.report(options.folder, options.force)


def show_guide(options):
    """Print the list of pages, or one of them: on a terminal of its width, screen by screen."""
    if options.page is None:
        print(guide.contents())
    elif sys.stdout.isatty():
        from pydoc import pager
        width = min(shutil.get_terminal_size().columns, WIDEST)
        pager(guide.wrapped(guide.page(options.page), width))
    else:
        print(guide.page(options.page), end="")
    return 0


def summarise_file(options):
    """The text to print after saving the sums of a file."""
    small = "merge" if options.merge else "refuse"
    site, least = options.site, options.least
    summarise([options.file], options.form, options.out, site=site, least=least, small=small)
    return f"{options.out}: sums of {options.file}, no rows"


def combine_files(options):
    """The fit of several files of sums as the text to print."""
    return str(combine(options.files, nested=options.nested, reml=not options.ml))


def fit_file(options):
    """The fit of a CSV file as the text to print."""
    if "~" in options.file and "~" not in options.form:
        raise LMMError(
            f"{options.file!r} is a formula; it comes first, as in: lmm fit FORMULA FILE"
        )
    dat = read_csv(options.file, options.factor, "--factor")
    if "|" in options.form and not options.ref:
        fit = lmer(options.form, dat, reml=options.reml)
    else:
        fit = lmm(options.form, dat, options.ref, reml=options.reml)
    if options.json:
        return json.dumps(_plain(fit, options.form), indent=2, allow_nan=False)
    return str(fit.summary() if options.summary else fit)


def read_csv(file, factors=(), named_by="factors"):
    """The data of a CSV file, some columns as categories; `named_by` is what names these."""
    try:
        dat = pd.read_csv(file)
        header = _header(file, dat)
    except FileNotFoundError as error:
        raise LMMError(
            f"there is no file {str(file)!r}; paths start from the folder you are in"
        ) from error
    except CSV_ERRORS as error:
        message = " ".join(str(error).split())
        raise LMMError(f"{file} is no CSV file in UTF-8 with commas: {message}") from error
    _check_header(header, file)
    for column in factors:
        if column not in dat:
            named = unknown_column(column, list(dat.columns))
            named = named.replace("of dat;", f"of {file};")
            raise LMMError(f"{named_by} names {named}")
        dat[column] = as_categories(dat[column])
    return dat


def _header(file, dat):
    """The names of the columns as they are in the file.

    pandas calls a second y y.1; where there is such a name, the file is looked at again, for it
    may be its own. A file that can be read only once, such as a pipe, is not, otherwise.
    """
    names = dat.columns
    if not any(name.rpartition(".")[0] in names for name in names):
        return names
    return pd.read_csv(file, header=None, nrows=1, dtype=str).iloc[0]


def _check_header(header, file):
    """Raise an LMMError for names that were not read apart, or that are not told apart."""
    if len(header) == 1 and any(mark in header[0] for mark in OTHER_SEPARATORS):
        raise LMMError(
            f"{file} has one column, {header[0]!r}; it takes commas between the values"
        )
    twice = header[header.duplicated()].tolist()
    if twice:
        raise LMMError(f"{file} has several columns named {twice[0]!r}; rename all but one")


def _plain(fit, form):
    """A fit as plain Python, for JSON, which has no -inf, an sd of 0, and no nan."""
    theta = [value if math.isfinite(value) else None for value in fit.theta.tolist()]
    corr = {name: None if math.isnan(r) else r for name, r in fit.corr.items()}
    return {
        "form": form,
        "reml": fit.reml,
        "ref": [block.name for block in fit.setup.design.blocks],
        "beta": fit.params.to_dict(),
        "dropped": fit.dropped,
        "se": fit.bse.to_dict(),
        "theta": theta,
        "sigma": fit.sigma,
        "sd": fit.sd.to_dict(),
        "corr": corr,
        "logLik": fit.llf,
        "nobs": fit.nobs,
        "n_dropped": fit.n_dropped,
        "converged": fit.converged,
        "singular": fit.singular,
        "message": fit.message,
        "nfev": fit.nfev,
    }


def demonstrate(name="Machines"):
    """The fit of a shipped data set, and its numbers beside lme4's and the exact ones."""
    model = models().loc[name]
    fit = lmm(model.form, load_data(name), model.ref)
    reference = lme4_reference(name)

    # -- this package's numbers, by quantity and term as the reference's
    found = {("criterion", ""): fit.deviance, ("sd", "Residual"): fit.sigma}
    for quantity, values in (("sd", fit.sd), ("beta", fit.params), ("se", fit.bse)):
        found.update({(quantity, term): value for term, value in values.items()})

    # -- side by side
    rows = []
    for (quantity, term), row in reference.loc["ML"].iterrows():
        values = (found[quantity, term], row["lme4"], row["exact"])
        shown = [f"{value:.10f}" for value in values]
        rows.append((f"{quantity} {term}".strip(), *shown))
    lme4 = reference.attrs["versions"]["lme4"]
    title = (
        f"Beside lme4 {lme4} and the exact maximum of the likelihood (criterion = -2 logLik):"
    )
    beside = tables.Table(title, ("<", "lmm", "lme4", "exact"), tuple(rows))
    return str(tables.Summary((*tables.of_fit(fit), beside)))


def run():
    """The entry point of the installed command: it ends quietly where nobody reads any more.

    What the terminal's encoding has no character for is written as Python writes it.
    """
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        status = _status()
        for stream in streams:
            stream.flush()
    except BrokenPipeError:
        _give_up(streams)
        status = PIPE_CLOSED
    except OSError as error:                            # no room for what is printed
        print(f"lmm: {error}", file=sys.stderr)
        _give_up([sys.stdout])
        status = 2
    sys.exit(status)


def _give_up(streams):
    """Let what Python writes to these streams when it ends go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())


def _status():
    """The exit status, also where the parser ends: after --help, or a mistake."""
    try:
        return main()
    except SystemExit as ended:
        return ended.code


if __name__ == "__main__":
    run()
