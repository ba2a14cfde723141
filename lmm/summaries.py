"""One file of sums per site, and the fit of all of them: `summarise`, `combine`; no row leaves."""

from dataclasses import dataclass

import pandas as pd

from .chunks import combined_setup, is_chunks, save, set_up_chunks, source_of_chunks
from .errors import LMMError, shorten
from .fit import fit_of
from .fitting import Plan
from .model import as_frame, is_factor, source_of

MERGED_LEVEL = "(others)"   # the level that small ones are merged into
SMALL = ("refuse", "merge")


def summarise(
    data, formula, path, ref=None, *, site="", least=5, small="refuse", levels=None, reml=None,
    weights=None, offset=None,
):
    """Save what a model needs of data, sums by cells of levels, and no row: for `combine`.

    Parameters
    ----------
    data : DataFrame, or chunks
        As `lmm` takes them.
    formula : str
        Of `lmer`; or of `lmm`, with `ref`.
    path : str
        Of the file to write, which ends in ``.npz``.
    ref : list, optional
        The random effects, as of `lmm`.
    site : str, optional
        A name for where the data are from.
    least : int, optional
        A level, or a combination of levels, of fewer rows is small.
    small : {"refuse", "merge"}, optional
        What is done about small levels: they are named in an error, or are one level, "(others)".
    levels : dict, optional
        By factor its levels at all sites, where some are not at this one.
    reml : bool, optional
        By default as `lmer`, or with `ref` as `lmm`.
    weights, offset : str, optional
        Columns.

    Raises
    ------
    LMMError
        If levels are small, by their names; and as `lmm`, for the data of this site alone.

    Notes
    -----
    The file holds, of each combination of the levels of the groupings: how many rows there are, and
    the means of the columns of X and of y, or their least squares on the effects; of all rows their
    cross-products within, the means of the variables, and the levels' names. So a combination of
    one row says what that row is: hence `least`.
    """
    bars = ref is None
    reml = bars if reml is None else reml
    if small not in SMALL:
        raise LMMError(f"small is {small!r}; it is 'refuse' or 'merge'")
    if isinstance(least, bool) or not isinstance(least, int) or least < 1:
        raise LMMError(f"least is {least!r}; it is a number of rows, 1 or more")
    if not isinstance(site, str):
        raise LMMError(f"site is {site!r}; it is a name")
    source = source_of_chunks(data) if is_chunks(data) else source_of_frame(as_frame(data))
    given = {"weights": weights, "offset": offset, "bars": bars, "levels": levels}
    setup = set_up_chunks(formula, source, ref or (), reml, **given)
    found = small_levels(setup.design, source, least)
    if found and small == "merge":
        source = Merged(source, found)
        setup = set_up_chunks(formula, source, ref or (), reml, **given)
        found = small_levels(setup.design, source, least)
    if found:
        said = [f"{shorten(list(one), 3)} of {name}" for name, one in found.items()]
        raise LMMError(
            f"fewer than {least} rows are of the levels {'; '.join(said)}: sums would say what "
            "these rows are; give small='merge' for one level of them all, a smaller least=, or "
            "coarser groupings"
        )
    save(setup, path, site)


def source_of_frame(frame):
    """The source of a frame, in one chunk."""
    return source_of_chunks(lambda: [frame])


@dataclass(frozen=True)
class Counted:
    """How many rows of a chunk have each level, or combination of levels, of some columns."""

    used: list
    by: list

    def __call__(self, frame):
        """A list of Series."""
        rows = frame[self.used].dropna()
        return [rows.groupby(names, observed=True).size() for names in self.by]

    def added(self, one, other):
        """The counts of both."""
        return [a.add(b, fill_value=0) for a, b in zip(one, other)]


def small_levels(design, source, least):
    """By factor, or combination of factors, the levels of fewer rows than that."""
    columns = design.dtypes
    factors = [name for name, column in design.data.items() if is_factor(column)]
    used = list(dict.fromkeys(source_of(name, columns) for name in design.data))
    used += [name for name in design.given.values() if name is not None and name not in used]
    by = [[source_of(name, columns)] for name in factors]
    fixed = [name for name in factors if name in design.formula.predictors]
    for together in (list(design.codes), fixed):
        names = list(dict.fromkeys(source_of(name, columns) for name in together))
        if len(names) > 1:
            by.append(names)
    counted = Counted(used, by)
    found = {}
    for names, counts in zip(by, source.reduced(counted, counted.added, "counts")):
        few = counts.index[counts < least]
        if len(few):
            found[":".join(names)] = list(few)
    return found


class Merged:
    """A source in which some levels of some columns are one."""

    def __init__(self, source, levels):
        self.source = source
        self.levels = {name: one for name, one in levels.items() if ":" not in name}

    def reduced(self, made, merged, what=""):
        """As of the source, of other frames."""
        return self.source.reduced(MadeOfMerged(made, self.levels), merged, what)

    def first(self):
        """The first frame with rows."""
        return merged_levels(self.source.first(), self.levels)


@dataclass(frozen=True)
class MadeOfMerged:
    """What is made of a chunk once its small levels are one."""

    made: object
    levels: dict

    def __call__(self, frame):
        return self.made(merged_levels(frame, self.levels))


def merged_levels(frame, levels):
    """A copy of a frame in which these levels, by column, are one."""
    frame = frame.copy(deep=False)
    for name, few in levels.items():
        column = frame[name].astype(object)
        frame[name] = column.where(~column.isin(few), MERGED_LEVEL)
    return frame


def combine(files, *, nested=(), reml=None, engine=None):
    """The fit of all data whose sums are in these files, in one round.

    Parameters
    ----------
    files : list of str
        That `summarise` wrote, of the same model.
    nested : list of str, optional
        Factors whose levels are others at each site, though they may have the same names there;
        those of other factors are the same wherever they are.
    reml : bool, optional
        By default as they were summarised.
    engine : str, optional
        As of `lmm`.

    Returns
    -------
    LMMResult
        That of all rows in one frame: to the last digits.

    Raises
    ------
    LMMError
        If a file is cut off, altered, or of another model.
    """
    if isinstance(files, str) or not len(files):
        raise LMMError(f"files is {files!r}; it is a list of files that summarise wrote")
    if isinstance(nested, str):
        nested = [nested]
    setup = combined_setup(list(files), tuple(nested), reml, engine)
    return fit_of(setup, Plan(engine=engine))


def residuals(fit, chunks=None):
    """The residuals of rows, chunk by chunk: y minus what `predict` says.

    Parameters
    ----------
    chunks : DataFrame, or chunks
        As `lmm` takes them: those of the fit, or others. None stands for the rows of the fit, where
        they are kept.

    Returns
    -------
    iterator of Series, or Series
        Of each chunk, by its index, the rows that lack nothing; without chunks `fit.resid`.
    """
    return fit.resid if chunks is None else _residuals(fit, chunks)


def _residuals(fit, chunks):
    """Those of each chunk."""
    design = fit.setup.design
    of_response = design.formula.of_summand(())
    source = source_of_chunks(chunks) if is_chunks(chunks) else source_of_frame(as_frame(chunks))
    for _, frame in source.chunks():
        mean = fit.predict(frame, new_levels="population")
        there = mean.notna() & frame[list(design.formula.response_variables)].notna().all(axis=1)
        rows = frame[there.to_numpy()]
        y, *_ = of_response.evaluate({name: rows[name].reset_index(drop=True)
                                      for name in design.formula.response_variables})
        yield (pd.Series(y, rows.index) - mean[there]).rename("resid")
