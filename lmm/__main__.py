"""The command line: ``python -m lmm`` fits Machines and shows the answer beside lme4's and the exact one;
``lmm fit FORMULA FILE.csv --ref BLOCK ...`` fits any CSV file; ``lmm grade SUBMISSION.py`` judges somebody else's `lmm`;
``lmm notebooks DIR`` copies the notebooks there."""

import argparse
import json
import math
import sys
import warnings
from importlib.metadata import version

import pandas as pd
from patsy import PatsyError

from . import notebooks
from .datasets import lme4_reference, load_data, models
from .errors import LMMError, LMMWarning
from .fit import lmer
from .grading import command as grading
from .practical import lmm
from .result import tables


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"lmm: {message}; see '{self.prog} --help'\n")


def main(arguments=None):
    """Run the command line; returns the exit status: 0; 1 for a failed submission; 2 after a sentence on what was wrong."""
    parser = _Parser(prog="lmm", description="Linear mixed models. Without a command: fit the Machines data, "
                                             "and compare with lme4's fit and the exact optimum.")
    parser.add_argument("--version", action="version", version=f"lmm {version('lmm')}")
    commands = parser.add_subparsers(parser_class=_Parser)
    fit = commands.add_parser("fit", help="fit a CSV file", description=(
        "Fit a linear mixed model to a CSV file by maximum likelihood, as in: "
        'lmm fit "score ~ Machine" machines.csv --ref Worker --ref Worker:Machine'))
    fit.add_argument("form", metavar="FORMULA",
                     help='the fixed effects, e.g. "score ~ Machine"; or one of lmer\'s formulas, by ML unless --reml')
    fit.add_argument("file", metavar="FILE", help="a CSV file with a line of column names")
    fit.add_argument("--ref", metavar="BLOCK", action="append", default=[],
                     help="a block of random effects: a column, or columns joined by colons; may be given several times")
    fit.add_argument("--factor", metavar="COLUMN", action="append", default=[],
                     help="read this column as categories, not numbers; may be given several times")
    fit.add_argument("--reml", action="store_true", help="fit by REML; the default is maximum likelihood")
    fit.add_argument("--json", action="store_true", help="print the fit as JSON")
    grade = commands.add_parser("grade", help=grading.HELP, description=(
        "Judge a submission of the practical; the exit status is 0 if it passes "
        "every case, 1 if not, 2 if there is nothing to judge."))
    grading.add_arguments(grade)
    copy = commands.add_parser("notebooks", help="copy the notebooks", description="Copy the notebooks into a folder.")
    copy.add_argument("folder", metavar="DIR", help="where to; made if it is not there")
    copy.add_argument("--force", action="store_true", help="overwrite files of the same names")
    fit.set_defaults(act=printing(fit_file))
    grade.set_defaults(act=grading.run)
    copy.set_defaults(act=printing(lambda options: notebooks.report(options.folder, options.force)))
    parser.set_defaults(act=printing(lambda _: demonstrate()))
    options = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", LMMWarning)
        warnings.showwarning = lambda message, *_: print(
            f"lmm: warning: {message}".replace("dat = dat.astype", "--factor, or dat.astype"), file=sys.stderr)
        try:
            return options.act(options)
        except (LMMError, PatsyError, OSError) as error:
            print(f"lmm: {error}", file=sys.stderr)
            return 2


def printing(text):
    """A command that prints what `text` gives for its options, and succeeds."""
    def act(options):
        print(text(options))
        return 0
    return act


def fit_file(options):
    """The fit of a CSV file as the text to print."""
    try:
        dat = pd.read_csv(options.file)
        header = dat.columns
        if any(name.rpartition(".")[0] in header for name in header):       # pandas calls a second y y.1; or was it so called?
            header = pd.read_csv(options.file, header=None, nrows=1, dtype=str).iloc[0]
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise LMMError(f"{options.file} is no CSV file in UTF-8 with commas: {' '.join(str(error).split())}") from error
    twice = header[header.duplicated()].tolist()
    if twice:
        raise LMMError(f"{options.file} has several columns named {twice[0]!r}; rename all but one")
    for column in options.factor:
        if column not in dat:
            raise LMMError(f"--factor names {column!r}, which is not a column of {options.file}; "
                           f"its columns are {', '.join(map(repr, dat.columns))}")
        dat[column] = dat[column].astype("category")
    if "|" in options.form and not options.ref:
        fit = lmer(options.form, dat, reml=options.reml)
    else:
        fit = lmm(options.form, dat, options.ref, reml=options.reml)
    if not options.json:
        return str(fit)
    theta = [value if math.isfinite(value) else None for value in fit.theta.tolist()]      # JSON has no -inf, an sd of 0
    return json.dumps({
        "form": options.form, "reml": fit.reml, "ref": [block.name for block in fit.setup.design.blocks],
        "beta": fit.params.to_dict(), "dropped": fit.dropped, "se": fit.bse.to_dict(),
        "theta": theta, "sigma": fit.sigma, "sd": fit.sd.to_dict(),
        "corr": {pair: None if math.isnan(r) else r for pair, r in fit.corr.items()},
        "logLik": fit.llf, "nobs": fit.nobs, "n_dropped": fit.n_dropped,
        "converged": fit.converged, "singular": fit.singular, "message": fit.message, "nfev": fit.nfev,
    }, indent=2, allow_nan=False)


def demonstrate(name="Machines"):
    """The fit of a shipped data set, and its numbers beside lme4's and the exact ones."""
    model = models().loc[name]
    fit = lmm(model.form, load_data(name), model.ref)
    reference = lme4_reference(name)
    found = {("criterion", ""): fit.deviance, ("sd", "Residual"): fit.sigma,
             **{("sd", block): value for block, value in fit.sd.items()},
             **{("beta", column): value for column, value in fit.params.items()},
             **{("se", column): value for column, value in fit.bse.items()}}
    rows = [(f"{quantity} {term}".strip(), *(f"{x:.10f}" for x in (found[quantity, term], row["lme4"], row["exact"])))
            for (quantity, term), row in reference.loc["ML"].iterrows()]
    title = (f"Beside lme4 {reference.attrs['versions']['lme4']} and the exact maximum of the likelihood "
             "(criterion = -2 logLik):")
    return tables.to_text([*tables.of_fit(fit), tables.Table(title, ("<", "lmm", "lme4", "exact"), tuple(rows))])


def run():
    """The entry point of the installed command."""
    sys.exit(main())


if __name__ == "__main__":
    run()
