"""What each case asks, what it is worth, and its reference answer, to be read before a class is."""

import numpy as np

from ..result import rendering, tables

ANSWER_DIGITS = 7       # significant, of an answer
WIDEST_NAME = len("-log-likelihood")


def shown_cases(cases):
    """The text on cases: of each what is asked, what it is worth, and the answer."""
    points = sum(case.points for case in cases)
    count = f"{len(cases)} case{'s' if len(cases) != 1 else ''}"
    parts = [tables.Table(f"{count}, {points:g} point{'s' if points != 1 else ''}")]
    for case in cases:
        parts += [tables.Table(""), *_tables_of_case(case)]
    return rendering.to_text(parts)


def _tables_of_case(case):
    """A heading, the question, and the answer."""
    worth = f"{case.points:g} point{'s' if case.points != 1 else ''}"
    hidden = ", hidden from students" if case.hidden else ""
    yield tables.Table(f"{case.name}: {worth}{hidden}")
    if case.why:
        yield tables.Table(f"  {case.why}")
    yield from _lines(_question(case))
    yield tables.Table("", ("<", "Estimate", "log"), tuple(_answer(case)))
    yield tables.Table("")
    yield from _lines(_criterion(case))


def _lines(pairs):
    """Lines of a name and what there is to say."""
    for name, said in pairs:
        yield tables.Table(f" {name:<{WIDEST_NAME}}  {said}")


def _question(case):
    """What `lmm` is called with."""
    design = case.setup.design
    rows = f"{len(case.dat):,} rows, columns {', '.join(map(str, case.dat.columns))}"
    if len(design.y) < len(case.dat):
        rows += f"; {len(design.y):,} of them without missing values"
    yield "form", case.form
    yield "dat", rows
    yield "ref", repr([list(names) for names in case.ref])


def _answer(case):
    """The standard deviations, sigma first, with their logs, theta; and beta."""
    design = case.setup.design
    names = ["sigma", *(f"sd {block.name}" for block in design.blocks)]
    for name, theta in zip(names, case.theta):
        yield name, _number(np.exp(theta)), _number(theta)
    for name, value in zip(design.x_names, case.beta):
        yield f"beta {name}", _number(value), ""


def _criterion(case):
    """The criterion in both usual forms, how near an answer has to be, and where it is from."""
    nll = float(case.best)
    constant = len(case.setup.design.y) / 2 * np.log(2 * np.pi)
    yield "-log-likelihood", f"{_number(nll + constant)}, as R's -logLik"
    yield "LMMprof", f"{_number(nll)}, without n/2 log(2 pi)"
    yield "passed", (
        f"LMMprof within {case.nll_tolerance:g} of that, "
        f"beta within {case.beta_tolerance:g} standard errors"
    )
    known = case.known or {}
    given = [name for name in ("sd", "beta") if name in known]
    source = case.source
    if given and len(given) < 2:
        missing = "beta" if given == ["sd"] else "sd"
        source += f"; {missing} by this package's fit"
    yield "source", source


def _number(value):
    return f"{value:.{ANSWER_DIGITS}g}"
