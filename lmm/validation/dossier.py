"""The dossier: every section run, shown as text and HTML, and written as JSON.

A section is a module with `rows(quick)`, which yields its `Row` objects. What it computes may fail,
and warn: a row whose numbers could not be had, or came with a warning, is not passed.
"""

import json
import warnings
from dataclasses import asdict, dataclass, field
from time import perf_counter

from ..errors import LMMError, LMMWarning, unknown_name
from ..result import tables
from . import (
    certificates,
    errors_and_df,
    exact,
    installation,
    likelihood,
    nist,
    performance,
    population,
    published,
)
from .rows import Row, said

# by the name of --section, in the order in which they are run
SECTIONS = {
    "installation": installation,
    "likelihood": likelihood,
    "nist": nist,
    "exact": exact,
    "errors": errors_and_df,
    "certificates": certificates,
    "published": published,
    "population": population,
    "costs": performance,
}
PASSED, FAILED = "passed", "NOT passed"
ROW = ("<", "<Requirement", "Digits", "Required", "<", "<")
FULL_ROW = (*ROW[:5], "<Test", "<Reference", "<Detail")


@dataclass(frozen=True, repr=False)
class Dossier(tables.Shown):
    """What the package was held to, and what came out: printing it shows all of it.

    Attributes
    ----------
    about : tuple of (str, str)
        The installation: versions, platform, BLAS, sums of code and data.
    rows : tuple of Row
    quick : bool
    broken : str
        What was made wrong on purpose; "" of a package as it is.
    seconds : dict
        By section.
    """

    about: tuple
    rows: tuple
    quick: bool = False
    broken: str = ""
    seconds: dict = field(default_factory=dict)

    @property
    def passed(self):
        """Whether every requirement is met."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    @property
    def failed(self):
        """The rows that are not passed."""
        return tuple(row for row in self.rows if not row.passed)

    def __repr__(self):
        return f"Dossier({self.verdict()})"

    def verdict(self):
        """One sentence."""
        met = len(self.rows) - len(self.failed)
        return f"{met} of {len(self.rows)} requirements met"

    # -- shown -------------------------------------------------------------------------------------

    def __str__(self):
        sections = [self.text_of(section) for section in self.sections()]
        return "\n\n".join((self.heading_text(), *sections, self.verdict()))

    def _tables(self):
        """The full tables, for HTML: how each row was tested is in it."""
        yield from self.heading()
        yield tables.Table(self.verdict())
        for section in self.sections():
            rows = tuple(
                (*cells_of(i, row), row.test, row.reference, detail_of(row))
                for i, row in self.numbered(section)
            )
            yield tables.Table(self.title_of(section), FULL_ROW, rows)

    def heading(self):
        """What was run, on what."""
        title = "lmm validate, quick" if self.quick else "lmm validate"
        if self.broken:
            title += f", broken on purpose: {self.broken}"
        yield tables.Table(title, ("<Installation", "<"), self.about)

    def heading_text(self):
        """The same as text."""
        return str(tables.Summary(tuple(self.heading())))

    def sections(self):
        """The titles of the sections, in order."""
        return list(dict.fromkeys(row.section for row in self.rows))

    def title_of(self, section):
        """A section's title with its seconds."""
        seconds = self.seconds.get(section)
        return section if seconds is None else f"{section} ({seconds:.1f} s)"

    def numbered(self, section):
        """The rows of a section, with their numbers in the whole."""
        return [(i + 1, row) for i, row in enumerate(self.rows) if row.section == section]

    def text_of(self, section, only_failed=False):
        """A section as text: a table, then how each row was tested, or each that failed."""
        numbered = self.numbered(section)
        cells = []
        for i, row in numbered:
            found = detail_of(row) if row.digits is None and row.passed else ""
            cells.append((*cells_of(i, row), found))
        parts = [tables.Table(self.title_of(section), ROW, tuple(cells))]
        for i, row in numbered:
            if not (only_failed and row.passed):
                about = (row.test, f"against {row.reference}", detail_of(row))
                parts.append(tables.Table(f"{i:3d}  {'; '.join(filter(None, about))}"))
        return str(tables.Summary(tuple(parts)))

    # -- for programs ------------------------------------------------------------------------------

    def to_dict(self, times=True):
        """All of it as plain Python; without `times` the same on every run."""
        found = {
            "about": dict(self.about),
            "quick": self.quick,
            "broken": self.broken,
            "passed": self.passed,
            "rows": [asdict(row) for row in self.rows],
        }
        if times:
            return found | {"seconds": self.seconds}
        for row in found["rows"]:
            del row["measured"]
        return found

    def to_json(self, times=True):
        """The same as JSON text."""
        return json.dumps(self.to_dict(times), indent=2)


def cells_of(number, row):
    """Number, requirement, digits, required, verdict."""
    digits = "" if row.digits is None else f"{row.digits:.1f}"
    least = "" if row.least is None else f"{row.least:g}"
    return str(number), row.requirement, digits, least, PASSED if row.passed else FAILED


def detail_of(row):
    """What else is to be said of a row."""
    return "; ".join(filter(None, (row.measured, row.detail)))


# -- run -------------------------------------------------------------------------------------------


def validate(quick=False, sections=(), broken="", progress=None):
    """Hold the installed package to its requirements.

    Parameters
    ----------
    quick : bool, optional
        Fewer designs of the population, smaller data: some twenty seconds instead of minutes.
    sections : sequence of str, optional
        Which of `SECTIONS`; all unless given.
    broken : str, optional
        What was made wrong, as the dossier says it.
    progress : callable, optional
        Called with the dossier so far after each section, and the section's title.

    Returns
    -------
    Dossier

    Raises
    ------
    LMMError
        If there is no section of such a name.
    """
    for name in sections:
        if name not in SECTIONS:
            raise unknown_name("section", name, SECTIONS)
    chosen = [name for name in SECTIONS if not sections or name in sections]
    about = tuple(installation.about())
    dossier = Dossier(about, (), quick, broken, {})
    for name in chosen:
        start = perf_counter()
        rows = tuple(_rows_of(SECTIONS[name], quick))
        title = rows[0].section
        seconds = dossier.seconds | {title: perf_counter() - start}
        dossier = Dossier(about, dossier.rows + rows, quick, broken, seconds)
        if progress is not None:
            progress(dossier, title)
    return dossier


def _rows_of(section, quick):
    """The rows of a section; where it ends in an error of its own, with one that says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", LMMWarning)
        warnings.simplefilter("error", RuntimeWarning)
        title = None
        try:
            for row in section.rows(quick):
                title = row.section
                yield row
            if title is None:
                raise LMMError("it has no rows")
        except Exception as error:
            yield Row(
                requirement="the section runs to its end",
                test="all of its rows",
                reference="what the section says of itself",
                digits=None,
                least=None,
                passed=False,
                section=title or section.__doc__.splitlines()[0],
                detail=said(error),
            )
