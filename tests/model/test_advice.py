"""What goes on, but probably not as intended, is said once; what is meant is not."""

import warnings

import numpy as np
import pandas as pd
import pytest
from helpers import crossed

from lmm import LMMsetup, LMMWarning, lmer, load_data


def said(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(isinstance(one.message, LMMWarning) and one.filename == __file__ for one in caught)
    return [str(one.message) for one in caught]


def pupils(missing=False):
    """Classes 1, 2, 3 in each of 12 schools, 6 pupils in each class."""
    rng = np.random.default_rng(0)
    dat = pd.DataFrame({"school": np.repeat([f"s{i}" for i in range(12)], 18), "klass": np.tile(np.repeat([1, 2, 3], 6), 12)})
    dat["x"] = rng.normal(size=216)
    dat["dose"] = rng.choice([0, 10, 20, 40], 216)
    dat["score"] = rng.integers(0, 200, 216)
    dat["contrast"] = rng.choice([-1, 1], 216)
    dat["y"] = dat["x"] + rng.normal(size=(12, 3))[np.arange(216) // 18, dat["klass"] - 1] + rng.normal(size=216)
    if missing:
        dat["klass"] = dat["klass"].where(dat.index != 3)
    return dat


CODES = ("'klass' holds integers, so block 'school:klass' is one slope for each level of 'school', not groups; "
         'if it labels groups make it a category: dat = dat.astype({"klass": "category"})')


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("form", ["y ~ x", "y ~ 1", "y ~ x + C(klass)"])
def test_codes_in_a_block_with_a_factor_are_a_warning(form, missing):
    dat = pupils(missing)
    assert said(lambda: LMMsetup(form, dat, ["school", ["school", "klass"]])) == [CODES]
    cured = dat.astype({"klass": "category"})
    assert said(lambda: LMMsetup(form, cured, ["school", ["school", "klass"]])) == []


def test_a_warning_a_column():
    dat = pupils().assign(sex=np.where(np.arange(216) % 2, "f", "m"))
    one = said(lambda: LMMsetup("y ~ x", dat, [["school", "klass"], ["school", "sex", "klass"]]))
    assert one == [CODES]
    two = said(lambda: LMMsetup("y ~ x", dat.assign(row=np.arange(216) % 2), [["school", "klass", "row"]]))
    assert len(two) == 2 and two[0].startswith("'klass' holds integers, so block 'school:klass:row'") and two[1].startswith("'row'")


@pytest.mark.parametrize("ref", [["klass", ["school", "klass"]], [["school", "klass"], "klass"]])
def test_one_warning_where_the_codes_stand_alone_as_well(ref):
    (message,) = said(lambda: LMMsetup("y ~ x", pupils(), ref))
    assert message.startswith("'klass' holds integers and no factor, so it is one slope, not 3 groups")


def test_codes_that_are_unique_over_the_levels_are_codes_as_well():
    dat = pupils().assign(klass=lambda d: d["klass"] + 3 * (np.arange(216) // 18))
    assert len(said(lambda: LMMsetup("y ~ x", dat, ["school", ["school", "klass"]]))) == 1


@pytest.mark.parametrize("form, ref", [
    ("y ~ klass", ["school", ["school", "klass"]]), ("y ~ x + klass", [["school", "klass"]]),
    ("y ~ I(klass**2)", [["school", "klass"]]), ("y ~ log(klass) + x", [["school", "klass"]]),
    ("y ~ x:klass", [["school", "klass"]]), ("y ~ x * dose", ["school", ["school", "dose"]]),
    ("y ~ x + offset(klass)", [["school", "klass"]]), ("y ~ C(klass) + klass:x", [["school", "klass"]]),
    ("y ~ x", ["school", ["school", "x"]]), ("y ~ x", ["school", ["school", "score"]]), ("y ~ x", ["school", ["school", "contrast"]])])
def test_numbers_of_the_formula_and_what_looks_like_no_code_are_slopes(form, ref):
    assert said(lambda: LMMsetup(form, pupils(), ref)) == []


def test_slopes_of_the_shipped_data_are_slopes():
    sleep = load_data("sleepstudy")
    assert said(lambda: LMMsetup("Reaction ~ 1", sleep, ["Subject", ["Subject", "Days"]])) == []
    assert said(lambda: LMMsetup("Reaction ~ Days", pd.concat([sleep] * 3), ["Subject", ["Subject", "Days"]])) == []
    assert said(lambda: lmer("Reaction ~ 1 + (0 + Days | Subject)", pd.concat([sleep, sleep.assign(Reaction=sleep.Reaction + 9)]))) == []


# -- text that reads as dates -----------------------------------------------------------------------------------

DATES = ["2024-03-{:02d}", "2024-3-{}", "2024/03/{:02d}", "{:02d}.03.2024", "3/{}/2024", "03/{:02d}/24", "{} Mar 2024", "{}-Mar-24",
         "March {}, 2024", "2024-03-{:02d} 12:30", "2024-03-{:02d}T12:30:00Z", " 2024-03-{:02d} "]
NO_DATES = ["{}-1-2", "1.2.{}", "plot {}", "A{}-2024", "may{}", "mar", "{}:30", "T{}", "v{}.2024", "12-{}", "{} days", "week {} 2024"]


def dated(pattern):
    days = [pattern.format(1 + i % 6) for i in range(120)]
    return pd.DataFrame({"when": days, "y": np.random.default_rng(0).normal(size=120), "g": np.arange(120) % 7}).assign(
        when=lambda d: np.where(d.index == 0, "x0", d["when"]))


@pytest.mark.parametrize("pattern", DATES)
def test_text_that_reads_as_dates_is_a_warning(pattern):
    (message,) = said(lambda: LMMsetup("y ~ when", dated(pattern)))
    assert message.startswith(f"'when' is text that reads as dates, such as {pattern.format(1)!r}, so it is a factor with 7 levels; ")
    assert message.endswith('for days, with d = pd.to_datetime(dat["when"]): dat["when"] = (d - d.min()).dt.days')
    assert said(lambda: LMMsetup("y ~ 1", dated(pattern), "when")) == []        # groups may be days
    assert said(lambda: LMMsetup("y ~ when", dated(pattern).astype({"when": "category"}))) == []


@pytest.mark.parametrize("pattern", NO_DATES)
def test_labels_are_no_dates(pattern):
    assert said(lambda: LMMsetup("y ~ when", dated(pattern))) == []


# -- factors with many levels -----------------------------------------------------------------------------------

@pytest.mark.parametrize("convert", [lambda s: s, lambda s: s.astype("category"), lambda s: s.astype(object)])
def test_a_fixed_factor_with_many_levels_is_a_warning(convert):
    dat = crossed((25, 3, 2), 100, 1).assign(a=lambda d: convert("p" + d["a"].astype(str)))
    (message,) = said(lambda: LMMsetup("y ~ a + x", dat, "b"))
    assert message == ("'a' is a fixed effect with 25 levels for 100 observations; if these are a sample of more, "
                       "name it in ref, or in a bar, instead of form")
    assert len(said(lambda: lmer("y ~ x + a + (1 | b)", dat))) == 1
    assert said(lambda: LMMsetup("y ~ x", dat, "a")) == []


@pytest.mark.parametrize("levels, n, count", [(10, 100, 0), (11, 100, 1), (18, 180, 0), (6, 24, 0), (3, 12, 0), (7, 60, 1)])
def test_more_than_a_tenth_of_the_rows_are_many_but_a_design_has_six(levels, n, count):
    dat = crossed((levels, 3, 2), n, 1)
    assert len(said(lambda: LMMsetup("y ~ a", dat))) == count


def test_one_warning_a_factor():
    dat = crossed((25, 3, 2), 100, 1).assign(a=lambda d: d["a"].astype(str))
    assert ["mostly reads as numbers" in one for one in said(lambda: LMMsetup("y ~ a", dat))] == [True]


def test_the_shipped_data_are_fitted_without_a_word():
    for form, name in [("score ~ Machine", "Machines"), ("Reaction ~ Days", "sleepstudy"), ("travel ~ 1", "Rail"),
                       ("diameter ~ 1", "Penicillin"), ("strength ~ 1", "Pastes")]:
        assert said(lambda form=form, name=name: LMMsetup(form, load_data(name))) == []
