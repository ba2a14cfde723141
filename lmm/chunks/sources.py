"""Where chunks come from: files, a function that makes an iterator of frames, or delayed tasks.

A source is passed over several times. `reduced` makes something of each chunk and merges it, two by
two, so that the order does not matter and little is held at once.
"""

import glob
import os
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten
from ..machine import bar
from ..model import as_frame

ROWS = 200_000              # of a CSV file, read at a time
CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt")
PARQUET = (".parquet", ".pq")
WILD = "*?["


def is_chunks(dat):
    """Whether data come in chunks: file names, a function, or what has ``to_delayed``."""
    if hasattr(dat, "to_delayed"):
        return True
    if isinstance(dat, (str, os.PathLike)):
        return is_file(dat) and any(sign in os.fspath(dat) for sign in WILD)
    if isinstance(dat, (list, tuple)):
        return bool(dat) and all(map(is_file, dat))
    if isinstance(dat, Iterator):
        return True
    return callable(dat) and not hasattr(dat, "to_pandas") and not isinstance(dat, pd.DataFrame)


def is_file(name):
    """Whether something is the name of a file that is read here."""
    return isinstance(name, (str, os.PathLike)) and os.fspath(name).lower().endswith(CSV + PARQUET)


def source_of_chunks(dat):
    """The source of what `is_chunks`; a source as it is."""
    if hasattr(dat, "reduced"):
        return dat
    if hasattr(dat, "to_delayed"):
        return Delayed(list(np.ravel(dat.to_delayed())))
    if isinstance(dat, Iterator):
        raise LMMError(
            "dat is an iterator, which can be passed over once, and the data are read three "
            "times; give the function that makes it, such as "
            "lambda: pd.read_csv('data.csv', chunksize=100_000)"
        )
    if callable(dat):
        return Made(dat)
    names = sorted(glob.glob(os.fspath(dat))) if isinstance(dat, (str, os.PathLike)) else list(dat)
    if not names:
        raise LMMError(f"no file is called {os.fspath(dat)!r}")
    missing = [name for name in names if not os.path.exists(name)]
    if missing:
        raise LMMError(f"there is no file {shorten([os.fspath(name) for name in missing])}")
    return Files(names)


class Named:
    """An error in a chunk names the chunk."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, LMMError):
            raise LMMError(f"in {self.name}: {error}") from error
        return False


def merged_in_pairs(several, merged):
    """All of several merged, as many with as many, so that a few are held at a time; or None."""
    held = []                                           # (how many there were, merged)
    for one in several:
        count = 1
        while held and held[-1][0] == count:
            _, other = held.pop()
            one = merged(other, one)
            count *= 2
        held.append((count, one))
    total = None
    for _, one in reversed(held):
        total = one if total is None else merged(one, total)
    return total


class Local:
    """A source that is passed over in this process: ``chunks()`` gives names and frames."""

    count = None                                        # how many chunks there are, if it is known

    def reduced(self, made, merged, what=""):
        """What `made` makes of each chunk, merged; None where nothing is made of any.

        `what` is looked for in this pass: a progress bar says so after two seconds.
        """
        with bar(self.count, f"chunks, {what}", None) as advance:
            return merged_in_pairs(self._made(made, advance), merged)

    def _made(self, made, advance):
        """What is made of each chunk."""
        for name, frame in self.chunks():
            with Named(name):
                one = made(as_frame(frame, "the chunk"))
            if one is not None:
                yield one
            advance(1)

    def first(self):
        """The first frame with rows."""
        for name, frame in self.chunks():
            with Named(name):
                frame = as_frame(frame, "the chunk")
            if len(frame):
                return frame
        raise LMMError("dat has no chunk with rows")


class Made(Local):
    """Frames of an iterator that a function makes anew for each pass."""

    def __init__(self, make):
        self.make = make
        self.last = None

    def chunks(self):
        """Names and frames."""
        name = getattr(self.make, "__name__", "dat")
        try:
            made = self.make()
        except TypeError as error:
            raise LMMError(
                f"dat is a function, {name}, which cannot be called without arguments: {error}; it "
                "makes an iterator of frames, or give the frame that it returns, as dat()"
            ) from error
        if isinstance(made, pd.DataFrame):
            made = [made]
        if not isinstance(made, Iterable):
            raise LMMError(
                f"dat is a function, {name}, that returns {type(made).__name__}; it makes an "
                "iterator of frames"
            )
        if made is self.last and isinstance(made, Iterator):
            raise LMMError(
                "dat returns the same iterator again, which was passed over; it is a function that "
                "makes a new one for each of three passes"
            )
        self.last = made
        for number, frame in enumerate(made):
            yield f"chunk {number}", frame


class Files(Local):
    """CSV and Parquet files, in parts."""

    def __init__(self, names):
        self.names = [os.fspath(name) for name in names]

    def chunks(self):
        """Names and frames."""
        for name in self.names:
            parts = parquet_parts(name) if name.lower().endswith(PARQUET) else csv_parts(name)
            for number, frame in enumerate(parts):
                yield f"{os.path.basename(name)}, part {number}", frame


def csv_parts(name):
    """The frames of a CSV file."""
    separator = "\t" if ".tsv" in name.lower() else ","
    try:
        with pd.read_csv(name, sep=separator, chunksize=ROWS) as reader:
            yield from reader
    except pd.errors.EmptyDataError:
        return
    except (pd.errors.ParserError, UnicodeDecodeError, OSError) as error:
        raise LMMError(f"{name!r} cannot be read: {str(error).splitlines()[0]}") from error


def parquet_parts(name):
    """The frames of the row groups of a Parquet file."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise LMMError(
            f"{name!r} is read by pyarrow; install it, pip install 'lmm[distributed]'"
        ) from None
    try:
        with parquet.ParquetFile(name) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number).to_pandas()
    except (OSError, ValueError) as error:
        raise LMMError(f"{name!r} cannot be read: {str(error).splitlines()[0]}") from error


class Delayed(Local):
    """Delayed frames, as of a Dask DataFrame: a tree of tasks, wherever its client has workers."""

    def __init__(self, parts):
        if not parts:
            raise LMMError("dat has no partition")
        self.parts = parts

    def reduced(self, made, merged, what=""):
        """What `made` makes of each chunk, merged by a tree of tasks."""
        from dask import delayed

        on_chunk = delayed(partial(_made_of, made), pure=False)
        on_two = delayed(partial(_merged_of, merged), pure=False)
        results = [on_chunk(number, part) for number, part in enumerate(self.parts)]
        while len(results) > 1:
            results = [
                on_two(*results[i : i + 2]) if i + 1 < len(results) else results[i]
                for i in range(0, len(results), 2)
            ]
        return results[0].compute()

    def chunks(self):
        """Names and frames."""
        for number, part in enumerate(self.parts):
            yield f"partition {number}", part.compute()


def _made_of(made, number, frame):
    """What is made of a partition."""
    with Named(f"partition {number}"):
        return made(as_frame(frame, "the partition"))


def _merged_of(merged, one, other):
    """Two results in one; of nothing and something the latter."""
    if one is None or other is None:
        return other if one is None else one
    return merged(one, other)
