"""What is taken as data: each form gives the fit of the DataFrame; what is no table gets the sentence that fits it."""

from collections import namedtuple
from dataclasses import make_dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from lmm import LMMError, LMMsetup, lmer, lmm, load_data
from lmm.model import as_frame


class Foreign:
    """What another package's frame is here: something that has `to_pandas`."""

    def __init__(self, frame):
        self._frame = frame

    def to_pandas(self):
        return self._frame


class Lazy:
    """A frame that is still to be computed."""

    def collect(self):
        raise AssertionError


def small():
    rng = np.random.default_rng(1)
    return pd.DataFrame({"y": rng.normal(size=40), "x": rng.normal(size=40), "g": np.repeat(list("abcdefgh"), 5)})


def named_rows(dat):
    row = namedtuple("row", dat.columns)
    return [row(*values) for values in zip(*(dat[name] for name in dat))]


def data_rows(dat):
    row = make_dataclass("row", dat.columns)
    return [row(*values) for values in zip(*(dat[name] for name in dat))]


def structured(dat):
    """As another machine's file has it: big-endian, text as bytes."""
    return np.array(list(zip(dat.y, dat.x, dat.g)), [("y", ">f8"), ("x", ">f8"), ("g", "S1")])


FORMS = {
    "to_pandas": Foreign,
    "dict of lists": lambda d: d.to_dict("list"),
    "dict of arrays": lambda d: {name: d[name].to_numpy() for name in d},
    "dict of columns": lambda d: dict(d.items()),
    "dict of dicts": lambda d: d.to_dict(),
    "list of dicts": lambda d: d.to_dict("records"),
    "tuple of dicts": lambda d: tuple(d.to_dict("records")),
    "list of rows": lambda d: [row for _, row in d.iterrows()],
    "named tuples": named_rows,
    "dataclasses": data_rows,
    "record array": lambda d: d.to_records(index=False),
    "structured array": structured,
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_table_gives_the_same_fit(form):
    dat = small()
    right = lmer("y ~ x + (1 | g)", dat)
    given = FORMS[form](dat)
    fit = lmer("y ~ x + (1 | g)", given)
    assert fit.nll == right.nll and fit.ranef()["g"].index.tolist() == list("abcdefgh")
    assert lmm("y ~ x", given, "g").nll == lmm("y ~ x", dat, "g").nll
    assert_allclose(right.predict(given), right.predict(dat), rtol=1e-14)
    assert fit.update("y ~ 1 + (1 | g)").nobs == 40 and right.update(dat=given).nll == right.nll


def test_masked_elements_of_a_record_array_are_missing():
    dat = small()
    mask = [(row == 3, row == 5, False) for row in range(40)]
    records = np.ma.array(dat.astype({"g": "object"}).to_records(index=False), mask=mask)
    assert LMMsetup("y ~ x", records, "g").design.rows.tolist() == [row for row in range(40) if row not in (3, 5)]


def test_a_dict_of_single_values_is_one_row():
    fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    one = {"Days": 10, "Subject": "308"}
    assert_allclose(fit.predict(one), fit.predict(pd.DataFrame([one])))
    assert fit.predict([one, one], interval="prediction").shape == (2, 3)
    assert np.isnan(fit.predict({"Days": None, "Subject": "308"})[0])


def test_a_frame_is_itself():
    dat = small()
    assert as_frame(dat) is dat


def test_the_columns_of_another_package_are_matrices():
    dat = small()
    X, Z = dat[["x"]], pd.get_dummies(dat["g"])
    right = lmm(dat["y"], X, {"g": Z})
    found = lmm(Foreign(dat["y"]), Foreign(X), {"g": Foreign(Z)})
    assert found.nll == right.nll and found.ranef()["g"].index.tolist() == list("abcdefgh")


BAD = [
    ("a.csv", r"dat is the name of a file, 'a.csv'; read it first: dat = pd.read_csv\('a.csv'\)"),
    ("a.XLSX", r"dat = pd.read_excel\('a.XLSX'\)"),
    ("a.tsv", r"dat = pd.read_csv\('a.tsv', sep='\\t'\)"),
    ("a.parquet", "pd.read_parquet"),
    (".", r"dat is the name of a file, '.'; read it first"),
    ("machines", r"dat is the text 'machines'; the shipped data are load_data\('Machines'\)"),
    ("nothing", "dat is the text 'nothing'; it is a pandas DataFrame, a polars or pyarrow frame, a dict of columns"),
    (None, "dat is of type NoneType, not a pandas DataFrame; what a method with inplace=True changes it does not return"),
    (np.zeros((4, 2)), "dat is of type ndarray, without names of columns; .* says what each column is"),
    ([[1.0, 2.0], [3.0, 4.0]], "dat is of type list, without names of columns"),
    ([1.0, 2.0], "dat is of type list, without names of columns"),
    (pd.Series([1.0]), "dat is of type Series, one column or one row"),
    (small().groupby("g"), "dat is of type DataFrameGroupBy, not a pandas DataFrame"),
    (Lazy(), r"dat is of type Lazy; it is to be computed first: .collect\(\)"),
    (Foreign(pd.Series([1.0])), "dat is of type Foreign, not a pandas DataFrame"),
    ({"y": [1.0, 2.0], "x": [1.0]}, "dat cannot be made a DataFrame: its column 'x' has 1 values, and 'y' has 2"),
    (load_data, "dat is a function, load_data, which cannot be called without arguments"),
    (lambda: 3, "dat is a function, <lambda>, that returns int; it makes an iterator of frames"),
    ({}, "dat has no rows"),
]


@pytest.mark.parametrize("dat, words", BAD, ids=[words for _, words in BAD])
def test_what_is_no_table_gets_the_sentence_that_fits_it(dat, words):
    for call in (lambda: lmm("y ~ x", dat, "g"), lambda: lmer("y ~ x + (1 | g)", dat)):
        with pytest.raises(LMMError, match=words) as error:
            call()
        assert "pd.DataFrame(dat)" not in str(error.value)
    if words.startswith("dat is") and dat is not None:
        with pytest.raises(LMMError, match=r"^newdata is"):
            lmm("y ~ x", small(), "g").predict(dat)


@pytest.mark.parametrize("call", [
    lambda d: lmm(d, "y ~ x", "g"), lambda d: lmm(d[["y"]], "y ~ x", "g"), lambda d: lmm(d.to_dict("list"), "y ~ x"),
    lambda d: LMMsetup(d, "y ~ x"), lambda d: lmer(d, "y ~ x + (1 | g)"), lambda d: lmer(Foreign(d), "y ~ x + (1 | g)")])
def test_the_data_first_and_the_formula_second(call):
    with pytest.raises(LMMError, match=r"the formula is of type .*, and dat is 'y ~ x.*'; the two are swapped"):
        call(small())


@pytest.mark.parametrize("ref", ["g", ["g"], ()])
def test_the_data_third(ref):
    with pytest.raises(LMMError, match="dat and ref are swapped: the data come second"):
        lmm("y ~ x", ref, small())
