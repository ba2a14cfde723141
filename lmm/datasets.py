"""The shipped data sets, lme4's fits of them, and their exact optima; all read from `data`."""

from importlib.resources import files
from pathlib import Path

import pandas as pd

from .errors import LMMError, shorten, unknown_name

_installed = files(__package__) / "data"
_checked_out = Path(__file__).resolve().parents[1] / "data"
DATA_FOLDER = _installed if _installed.is_dir() else _checked_out

# of lme4_reference: the file, and the columns that become its index
PARTS = {
    "fit": ("lme4_fits.csv", ["method", "quantity", "term"]),
    "inference": ("lme4_inference.csv", ["method", "quantity", "term", "level"]),
}


def _read(name, **options):
    """A CSV file of the folder, by default without taking any text for a missing value."""
    options = {"keep_default_na": False, **options}
    compression = "gzip" if name.endswith(".gz") else None
    with (DATA_FOLDER / name).open("rb") as file:
        return pd.read_csv(file, compression=compression, **options)


def models():
    """The models whose fits are stored.

    Returns
    -------
    pandas.DataFrame
        By data set, with the columns ``package`` and ``object`` (the R data), ``form`` and
        ``ref`` (for `lmm`) and ``lmer`` (lme4's formula).
    """
    table = _read("models.csv", index_col="name")
    table["ref"] = [ref.split(" + ") for ref in table["ref"]]
    return table


def vector_models():
    """Models with vector-valued terms, for `lmer`.

    Returns
    -------
    pandas.DataFrame
        By name, with ``data``, ``form``, ``lmer`` (in R's syntax), and ``ml``, ``reml``: lme4's
        criterion where it stops by default, and with another optimiser and tight tolerances;
        whether the latter is singular is in ``ml_singular`` and ``reml_singular``.
    """
    table = _read("vector_models.csv", index_col="name")
    table = table.drop(columns=["package", "object", "columns"])
    fits = _read("lme4_vector_fits.csv", index_col=["model", "method"])
    for method in ("ML", "REML"):
        found = fits.xs(method, level="method").loc[table.index]
        name = method.lower()
        table[name] = list(zip(found["lme4"], found["tight"]))
        table[f"{name}_singular"] = found["singular"].astype(bool)
    return table


def load_data(name):
    """A data set, its grouping columns categorical with R's order of levels.

    Parameters
    ----------
    name : str
        ``"Machines"``, ``"MachinesUnbalanced"`` (ten rows fewer), ``"Dyestuff"``,
        ``"Dyestuff2"``, ``"Penicillin"``, ``"Pastes"``, ``"sleepstudy"``, ``"Rail"``,
        ``"ScotsSec"``, ``"InstEval"`` (73,421 rows), or another one that ``lmm guide data`` lists.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    LMMError
        If there is no data set of that name.

    Notes
    -----
    From R's packages nlme, lme4 and mlmRev, written by ``data/lme4_reference.R``; the page
    ``guide/data.md`` has the source of each and the terms.

    Examples
    --------
    >>> load_data("Machines").shape
    (54, 3)
    """
    described = _read("columns.csv", index_col="data")
    if name not in described.index:
        raise unknown_name("data set", name, described.index.unique())
    described = described.loc[[name]].set_index("column")
    factors = described[described["type"] != "number"]
    file = f"{name}.csv"
    if not (DATA_FOLDER / file).is_file():
        file += ".gz"
    dat = _read(file, dtype=dict.fromkeys(factors.index, str))
    for column in factors.index:
        levels = factors.levels[column].split("|")
        ordered = factors["type"][column] == "ordered"
        dat[column] = dat[column].astype(pd.CategoricalDtype(levels, ordered=ordered))
    return dat


def lme4_reference(name, part="fit"):
    """lme4's fits of a data set by ML and REML, beside the exact optimum where it is known.

    Or its inferences from them.

    Parameters
    ----------
    name : str
        As for `load_data`; the model is that of ``models().loc[name]``.
    part : {"fit", "inference"}, optional
        The fits; or what lme4 and lmerTest make of them, not stored for InstEval.

    Returns
    -------
    pandas.DataFrame
        For the fit: by ``method`` ("ML", "REML"), ``quantity`` ("criterion", which is
        -2 log-likelihood or the REML criterion, "sd", "beta", "se") and ``term``; columns
        ``lme4``, ``exact`` and ``distance``, their difference. For the inference: by ``method``,
        ``quantity`` ("theta", the standard deviations where lme4 stopped; "mode", "mode_sd";
        "leverage", "cooks_distance", "fitted", of the first 200 rows; "df", "pvalue" by
        Satterthwaite; "aic", "bic"; "wald", "profile"), ``term`` and ``level``; column ``lme4``.
        Its ``attrs`` hold lme4's ``formula`` and the ``versions`` of the software.

    Raises
    ------
    LMMError
        If there is no data set of that name, or no such part.

    Examples
    --------
    >>> reference = lme4_reference("Machines").loc[("ML", "sd", "Worker")]
    >>> reference[["lme4", "exact"]].round(6).tolist()
    [4.364482, 4.364482]
    """
    if part not in PARTS:
        raise LMMError(f"part is {part!r}; it is one of {shorten(PARTS)}")
    file, keys = PARTS[part]
    fits = _read(file, keep_default_na=True, na_filter=True, dtype={"level": str})
    fits = fits.fillna({"term": "", "level": ""})
    if name not in set(fits["data"]):
        raise unknown_name("data set", name, fits["data"].unique())
    fits = fits[fits["data"] == name].drop(columns="data").set_index(keys)
    versions = _read("versions.csv", dtype=str).set_index("software")["version"]
    fits.attrs.update(formula=models().lmer[name], versions=versions.to_dict())
    return fits


# -- JSON that people write ------------------------------------------------------------------------

class KeyTwice(ValueError):
    """A key that an object of JSON has twice."""


def without_doubles(pairs):
    """A dict of the pairs of an object of JSON, which would let the last of two keys win."""
    found = {}
    for key, value in pairs:
        if key in found:
            raise KeyTwice(key)
        found[key] = value
    return found
