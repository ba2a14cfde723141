"""Sums in a file, and fits of several such files: no row of the data is in them.

A file holds the rows that stand for all (engines/summary.py), the levels, and what codes new data;
numbers as they are in memory, text as JSON, no pickle. Its hash is kept with it. Files of several
sites are combined as chunks are: the rows that stand for those of a site are rows like others.
"""

import hashlib
import json
import os
import zipfile

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten
from ..model import Recipe, Survey, check_same_names, is_factor, source_of
from .passes import Layout, Shift, Triangle, condensed, merged_triangles
from .sources import Named, merged_in_pairs

VERSION = 1
SPREAD = 0.1                # of a mean: how far the made-up values are from it
PER_COMBINATION = 4         # made-up rows
OF_JSON = (str, int, float, bool)


def save_setup(setup, path):
    """Save the sums of a fit from chunks: as exact as in memory, without a row of the data.

    Parameters
    ----------
    path : str
        Of a file that ends in ``.npz``; it is written whole or not at all.

    Raises
    ------
    LMMError
        If the set-up is of data in memory, or holds what a file cannot, as a function of your own.
    """
    save(setup, path, "")


def save(setup, path, site):
    """The same, with the name of a site."""
    design = setup.design
    if design.keeps_rows:
        raise LMMError(
            "this set-up is of data in memory; summarise(data, formula, path) saves their sums"
        )
    check_path(path)
    own = sorted(set(design.formula.__getstate__()["functions"]) - {"offset"})
    if own:
        raise LMMError(
            f"the formula calls {shorten(own)}, which a file does not keep; "
            "compute the variable as a column first"
        )
    about = described(design, setup, site)
    left_out = design.left_out
    beta = np.zeros(len(left_out.all_names(design.x_names)))
    beta[left_out.kept if left_out.names else slice(None)] = setup.beta_0
    arrays = {"X": left_out.whole(setup.Q_X @ setup.R_X), "e": design.e, "beta": beta}
    for number, span in enumerate(design.covariance.spans):
        of_term = [block.matrix.data for block in design.blocks[span]]
        arrays[f"effects {number}"] = np.column_stack(of_term)
    for name, codes in design.codes.items():
        arrays[f"codes {name}"] = np.asarray(codes, np.int64)
    write(path, about, arrays)


def described(design, setup, site):
    """What is not an array, as JSON has it."""
    factors = {name: column for name, column in design.data.items() if is_factor(column)}
    numbers = [name for name in design.data if name not in factors]
    used = {source_of(name, design.dtypes) for name in design.data}
    counts = None
    if design.counts is not None:
        counts = {
            "names": list(design.counts.index.names),
            "levels": [plain(list(key)) for key in design.counts.index],
            "rows": design.counts.tolist(),
        }
    return {
        "version": VERSION,
        "site": site,
        "form": design.form,
        "bars": any(term.bar for term in design.terms),
        "ref": [list(term.variables) for term in design.terms],
        "given": design.given,
        "reml": setup.reml,
        "n": design.n,
        "n_dropped": design.n_dropped,
        "log_weights": setup.log_weights,
        "length_of_y": design.length_of_y,
        "names": design.left_out.all_names(design.x_names),
        "levels": {name: plain(list(one.array.categories)) for name, one in factors.items()},
        "ordered": sorted(design.dictionaries),
        "numbers": numbers,
        "means": design.means,
        "dtypes": {name: str(kind) for name, kind in design.dtypes.items() if name in used},
        "counts": counts,
    }


def plain(levels):
    """Levels as JSON has them; an LMMError where it has not."""
    found = [one.item() if isinstance(one, np.generic) else one for one in levels]
    other = [one for one in found if not isinstance(one, OF_JSON)]
    if other:
        kind = type(other[0]).__name__
        raise LMMError(f"a level is of type {kind}, which a file does not keep; make it text")
    return found


# -- the file


def check_path(path):
    """Refuse a name that is none of such a file."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path).endswith(".npz"):
        raise LMMError(f"path is {path!r}; it is the name of a file that ends in .npz")


def write(path, about, arrays):
    """Write a file whole: under another name first."""
    text = json.dumps(about, sort_keys=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    parts = {
        **arrays,
        "about": np.frombuffer(text.encode(), np.uint8),
        "hash": np.frombuffer(hash_of(text, arrays).encode(), np.uint8),
    }
    path = os.fspath(path)
    beside = f"{path}.part.npz"
    try:
        np.savez(beside, **parts)
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.remove(beside)
        raise


def hash_of(text, arrays):
    """SHA-256 of everything in a file."""
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def read(path):
    """``(about, arrays)`` of a file; an LMMError where it is none, cut off or altered."""
    check_path(path)
    if not os.path.exists(path):
        raise LMMError(f"there is no file {os.fspath(path)!r}")
    try:
        with open(path, "rb") as whole, np.load(whole, allow_pickle=False) as file:
            parts = {name: file[name] for name in file.files}
        text = parts.pop("about").tobytes().decode()
        kept = parts.pop("hash").tobytes().decode()
        about = json.loads(text)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise LMMError(
            f"{os.fspath(path)!r} is no file of sums, or was cut off; save it again"
        ) from error
    if hash_of(text, parts) != kept:
        raise LMMError(f"{os.fspath(path)!r} was altered after it was saved; save it again")
    if about["version"] != VERSION:
        raise LMMError(
            f"{os.fspath(path)!r} is of version {about['version']}, and {VERSION} is read here; "
            "save it with the same version of this package"
        )
    return about, parts


# -- several files


class SavedRows:
    """The rows that stand for those of a file, as `ChunkRows` are."""

    def __init__(self, about, arrays, recipe, nested):
        self.about = about
        self.arrays = arrays
        self.n = about["n"]
        self.log_roots = about["log_weights"]
        self.square_of_y = about["length_of_y"] ** 2
        self.lowest, self.highest = -about["length_of_y"], about["length_of_y"]
        check_same_names(tuple(about["names"]), recipe.names)
        self.codes = {}
        for name in recipe.factors:
            levels = levels_of(about, name, nested)
            place = recipe.categories[name].get_indexer(levels)
            self.codes[name] = place[arrays[f"codes {name}"]]

    roots = None

    def relative_to(self, means, mean_y):
        """[X' y'], as of `ChunkRows`: all rows are weighted, the constant's among them."""
        X = self.arrays["X"]
        beta = self.arrays["beta"]
        constant = X[:, :1].copy() if X.shape[1] else 0.0
        away = X - constant * means
        # -- y' = e + X beta - m_y, with X = X' A^-1: no large part
        y = self.arrays["e"] + away @ beta
        if X.shape[1]:
            y = y + constant[:, 0] * (means @ beta - mean_y)
        return np.column_stack([away, y])

    def effects(self):
        """By term the values of its effects."""
        number = 0
        found = []
        while f"effects {number}" in self.arrays:
            found.append(self.arrays[f"effects {number}"])
            number += 1
        return found


def levels_of(about, name, nested):
    """The levels of a factor of a file; of one that is nested with the site before them."""
    levels = about["levels"][name]
    if name in nested:
        levels = [f"{about['site']}:{level}" for level in levels]
    return pd.Index(levels)


def load_setup(path):
    """The set-up that was saved, for `LMMprof`; its fit is ``combine([path])``.

    Parameters
    ----------
    path : str
        Of a file that ``setup.save(path)`` wrote.

    Returns
    -------
    Setup

    Raises
    ------
    LMMError
        If it is none, cut off or altered.
    """
    return combined_setup([path])


def combined_setup(files, nested=(), reml=None, engine=None):
    """The `Setup` of the sums of several files."""
    loaded = [read(path) for path in files]
    first, _ = loaded[0]
    for path, (about, _) in zip(files[1:], loaded[1:]):
        for what in ("form", "ref", "given", "bars"):
            if about[what] != first[what]:
                raise LMMError(
                    f"{os.fspath(path)!r} is of another model than {os.fspath(files[0])!r}: "
                    f"{what} is {about[what]!r}, not {first[what]!r}"
                )
    sites = [about["site"] for about, _ in loaded]
    if nested and len(set(sites)) < len(sites):
        raise LMMError(f"nested needs a name of each site, and the files have {shorten(sites)}")

    # -- the survey
    surveys = []
    for about, _ in loaded:
        unknown = [name for name in nested if name not in about["levels"]]
        if unknown:
            raise LMMError(f"nested names {unknown[0]!r}, which is no factor of the model; "
                           f"these are {shorten(list(about['levels']))}")
        surveys.append(survey_of(about, nested))
    survey = merged_in_pairs(surveys, Survey.merged)
    frame = survey.sample.copy()
    for name in survey.levels:
        frame[name] = frame[name].astype("category")
    for name in first["given"].values():
        if name is not None and name not in frame:
            frame[name] = 1.0
    recipe = Recipe(first["form"], frame, first["ref"], **first["given"], bars=first["bars"])
    recipe.surveyed(survey)

    # -- the second and the third pass
    shift = Shift.of(recipe)
    rows = []
    for path, (about, arrays) in zip(files, loaded):
        with Named(os.path.basename(os.fspath(path))):
            rows.append(SavedRows(about, arrays, recipe, nested))
    triangle = Triangle(recipe, shift)
    second = merged_in_pairs(map(triangle.of_rows, rows), merged_triangles)
    layout = Layout.of(recipe, shift, second)
    cells = merged_in_pairs(map(layout.of_rows, rows), layout.merged)
    reml = first["reml"] if reml is None else reml
    return condensed(recipe, survey, second, layout, cells, reml, engine)


def survey_of(about, nested):
    """The `Survey` that a file holds, with rows that are made up in place of some of the data."""
    levels = {}
    for name in about["levels"]:
        found = levels_of(about, name, nested)
        levels[name] = found, found if name in about["ordered"] else None
    counts = None
    if about["counts"] is not None:
        keys = [tuple(key) for key in about["counts"]["levels"]]
        index = pd.MultiIndex.from_tuples(keys, names=about["counts"]["names"])
        counts = pd.Series(about["counts"]["rows"], index)
    return Survey(
        levels,
        {name: mean * about["n"] for name, mean in about["means"].items()},
        about["n"],
        about["n_dropped"],
        made_up(about, levels, counts),
        counts,
        {name: dtype_of(name, kind, nested) for name, kind in about["dtypes"].items()},
    )


def dtype_of(name, kind, nested):
    """The type of a column of the data; of labels with the site before them that of text."""
    if name in nested or kind == "category":
        return np.dtype(object)
    return pd.api.types.pandas_dtype(kind)


def made_up(about, levels, counts):
    """Rows that are nobody's: each combination of levels, and numbers around their means."""
    if counts is not None:
        combinations = pd.DataFrame(list(counts.index), columns=counts.index.names)
    else:
        most = max((len(one) for one, _ in levels.values()), default=1)
        combinations = pd.DataFrame(index=range(most))
    K = len(about["names"])
    repeats = max(PER_COMBINATION, -(-2 * K // max(1, len(combinations))))
    frame = pd.concat([combinations] * repeats, ignore_index=True)
    n = len(frame)
    for name, (of_factor, _) in levels.items():
        if name not in frame:
            frame[name] = np.asarray(of_factor, object)[np.arange(n) % len(of_factor)]
    rng = np.random.default_rng(len(frame))
    for name in about["numbers"]:
        mean = about["means"][name]
        away = rng.uniform(-1, 1, n)
        frame[name] = mean + SPREAD * abs(mean) * away if mean else away
    return frame
