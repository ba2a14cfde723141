"""y, X and Z from formula, data and ref: what becomes a column, which rows are used, what stays as it was."""

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from helpers import crossed
from numpy.testing import assert_array_equal

from lmm import LMMError, LMMprof, LMMsetup, LMMWarning, load_data

THETA = [0.1, 0.3, -0.2]


def small():
    return pd.DataFrame({"y": [1.0, 2.5, 2.0, 4.0, 3.0, 6.0, 5.5, 1.5], "g": list("aabbccaa"), "h": list("uvuvuvuv"),
                         "x": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0], "flag": [True, False] * 4})


def blocks(ref, dat=None):
    return LMMsetup("y ~ 1", small() if dat is None else dat, ref).design.blocks


# -- ref, as model.matrix(~ z:x:w - 1) reads it ---------------------------------------------------------------


def test_a_factor_gives_indicator_columns():
    (block,) = blocks("g")
    assert block.name == "g" and block.levels == ("a", "b", "c")
    assert_array_equal(block.matrix.toarray(), (small()["g"].to_numpy()[:, None] == np.array(["a", "b", "c"])) * 1.0)


def test_an_interaction_gives_a_column_per_observed_combination():
    dat = small()
    dat.loc[dat.index[4], "h"] = "v"                          # now c:u is not observed
    (block,) = blocks([["g", "h"]], dat)
    assert block.levels == ("a:u", "a:v", "b:u", "b:v", "c:v")
    labels = dat["g"] + ":" + dat["h"]
    assert_array_equal(block.matrix.toarray(), (labels.to_numpy()[:, None] == np.array(block.levels)) * 1.0)


def test_numeric_variables_multiply():
    dat = small().assign(z=[2, 3, 2, 3, 2, 3, 2, 3])
    (block,) = blocks([["x", "g", "z"]], dat)
    assert block.name == "x:g:z" and block.levels == ("a", "b", "c")
    indicator = dat["g"].to_numpy()[:, None] == np.array(["a", "b", "c"])
    assert_array_equal(block.matrix.toarray(), indicator * (dat["x"] * dat["z"]).to_numpy()[:, None])


@pytest.mark.parametrize("ref, names", [
    ("g", ["g"]), (["g"], ["g"]), (("g", ("g", "h")), ["g", "g:h"]), (["g", ["g", "h"]], ["g", "g:h"]),
    ("g:h", ["g:h"]), (["g", "g : h"], ["g", "g:h"]), ((), []), ([], []), ([["g"], ["g", "x"]], ["g", "g:x"])])
def test_the_forms_of_ref(ref, names):
    assert [block.name for block in blocks(ref)] == names


def test_a_column_with_a_colon_in_its_name_comes_before_the_interaction():
    dat = small().assign(**{"g:h": list("ppqqppqq")})
    assert blocks("g:h", dat)[0].levels == ("p", "q")


@pytest.mark.parametrize("convert", [
    lambda g: g, lambda g: g.astype("category"), lambda g: g.astype("string"), lambda g: g.astype(object),
    lambda g: g == "a", lambda g: (g == "a").astype("boolean"), lambda g: g.map({"a": 10, "b": 9, "c": 1}).astype("category")])
def test_text_object_bool_and_categorical_are_factors(convert):
    dat = small()
    dat["g"] = convert(dat["g"])
    (block,) = blocks("g", dat)
    assert block.matrix.shape[1] == dat["g"].nunique() and set(block.matrix.data) == {1.0}
    assert_array_equal(block.matrix.sum(axis=1), np.ones(8))


def test_unused_categories_vanish_and_the_order_of_the_others_stays():
    dat = small()
    dat["g"] = pd.Categorical(dat["g"], ["z", "c", "unused", "a", "b"])
    setup = LMMsetup("y ~ g", dat, ["g"])
    assert setup.design.blocks[0].levels == ("c", "a", "b")
    assert setup.design.x_names == ("Intercept", "g[T.a]", "g[T.b]")


@pytest.mark.requirement("integer slope")
def test_a_number_standing_alone_in_a_block_is_a_slope_and_says_so_once():
    dat = small().assign(g=[1, 1, 2, 2, 3, 3, 1, 1])
    with pytest.warns(LMMWarning) as caught:
        (block,) = blocks("g", dat)
    assert block.matrix.shape == (8, 1) and len(caught) == 1
    assert str(caught[0].message) == ("'g' holds integers and no factor, so it is one slope, not 3 groups; "
                                      'if it labels groups make it a category: dat = dat.astype({"g": "category"})')
    assert caught[0].filename == __file__


def test_numbers_among_themselves_name_every_column_to_convert():
    dat = small().assign(g=[1, 1, 2, 2, 3, 3, 1, 1], h=[1, 2] * 4)
    with pytest.warns(LMMWarning, match=r"'g:h' holds integers and no factor, so it is one slope, not 6 groups; .*"
                                        r'dat = dat.astype\({"g": "category", "h": "category"}\)'):
        blocks([["g", "h"]], dat)


def test_text_that_reads_as_numbers_is_a_warning():
    dat = small().assign(x=["0.5", "1.0", ".", "2.0", "2.5", "3.0", "2.5", "3.0"])
    with pytest.warns(LMMWarning, match=r"'x' is text that mostly reads as numbers, so it is a factor with 6 levels, '.' among them"):
        LMMsetup("y ~ x", dat)


def test_large_unsigned_integers_keep_their_sign():
    dat = small().assign(u=np.arange(8, dtype="uint64") + np.uint64(2**63))
    assert (LMMsetup("y ~ 0 + u", dat).design.X > 9e18).all()


def test_as_many_slopes_as_rows_are_a_model():
    """V = diag(s^2 x^2 + sigma^2) tells s from sigma where x varies."""
    assert blocks([["row", "x"]], small().assign(row=list("abcdefgh")))[0].matrix.shape == (8, 8)


def test_a_covariate_of_plus_and_minus_one_is_no_grouping():
    dat = pd.DataFrame({"g": np.repeat(list("abcdefgh"), 5), "x": np.tile([-1, 1, 1, -1, 1], 8)})
    dat["y"] = np.random.default_rng(0).normal(size=40)
    assert [block.name for block in blocks(["g", ["g", "x"]], dat)] == ["g", "g:x"]


@pytest.mark.parametrize("form, left_out", [
    ("y ~ day + date", "date"), ("y ~ date + day", "day"), ("y ~ x + shifted", "shifted"), ("y ~ shifted + x", "x")])
def test_collinear_columns_are_found_in_any_order(form, left_out):
    day = np.arange(60) % 30
    rng = np.random.default_rng(0)
    dat = pd.DataFrame({"y": rng.normal(size=60), "day": day, "date": 738000 + day, "x": rng.normal(size=60)})
    dat["shifted"] = dat["x"] + 1e7
    assert LMMsetup(form, dat).design.left_out.names == (left_out,)


def test_columns_that_differ_by_more_than_rounding_are_no_combination():
    """Between a clear rank and a combination lies what QR decides: 1e-7 of the column is left, or less than 1e-9."""
    rng = np.random.default_rng(0)
    x, other = rng.normal(size=(2, 60))
    dat = pd.DataFrame({"y": rng.normal(size=60), "x": x, "near": x + 1e-7 * other, "same": x + 1e-15 * other, "zero": 0.0,
                        "multiple": 3 * x + 1e-9 * other})
    assert LMMsetup("y ~ x + near", dat).design.X.shape == (60, 3)
    assert LMMsetup("y ~ x + same + zero + multiple", dat).design.left_out.names == ("same", "zero", "multiple")


@pytest.mark.parametrize("form, names", [("y ~ 0", ()), ("y ~ 0 + x", ("x",))])
def test_few_columns_of_x(form, names):
    assert LMMsetup(form, small(), "g").design.x_names == names


def test_a_function_of_the_caller_is_found_in_the_frame_of_the_call():
    def doubled(x):
        return 2 * x

    assert_array_equal(LMMsetup("y ~ doubled(x)", small(), "g").design.X[:, 1], 2 * small()["x"])
    by_list = [LMMsetup("y ~ doubled(x)", small(), ref).design.X[:, 1] for ref in ("g", "h")]
    assert_array_equal(by_list, [2 * small()["x"]] * 2)


# -- rows -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("missing")
@pytest.mark.parametrize("column, missing", [("y", np.nan), ("x", np.nan), ("g", None), ("h", None)])
def test_a_missing_value_anywhere_drops_the_row_from_everything(column, missing):
    dat = small()
    dat.loc[3, column] = missing
    setup = LMMsetup("y ~ x", dat, ["g", ["g", "h"]])
    without = LMMsetup("y ~ x", small().drop(index=3), ["g", ["g", "h"]])
    assert setup.design.n_dropped == 1 and list(setup.design.index) == [0, 1, 2, 4, 5, 6, 7]
    assert LMMprof(THETA, setup) == LMMprof(THETA, without)


def test_a_missing_value_in_an_unused_column_drops_nothing():
    assert LMMsetup("y ~ x", small().assign(other=np.nan), "g").design.n_dropped == 0


def test_a_missing_category_is_missing_not_a_level():
    dat = small()
    dat["g"] = dat["g"].astype("category").cat.remove_categories("c")       # c becomes code -1
    design = LMMsetup("y ~ 1", dat, "g").design
    assert design.n_dropped == 2 and design.blocks[0].levels == ("a", "b")


@pytest.mark.parametrize("index", [[0] * 8, [5, 3, 1, 7, 0, 2, 6, 4], list("hgfedcba"), pd.date_range("2020", periods=8)])
def test_the_index_has_no_say_in_the_fit(index):
    dat = small()
    expected = LMMprof(THETA, LMMsetup("y ~ np.log(x)", dat, ["g", "h"]))
    dat.index = index
    setup = LMMsetup("y ~ np.log(x)", dat, ["g", "h"])
    assert LMMprof(THETA, setup) == expected and list(setup.design.index) == list(dat.index)


@pytest.mark.parametrize("convert", [
    lambda d: d.convert_dtypes(), lambda d: d.astype({"y": "Float64", "x": "float32"}), lambda d: d.astype({"g": "category"})])
def test_extension_dtypes_give_the_same_model(convert):
    expected = LMMprof(THETA, LMMsetup("y ~ x + flag", small(), ["g", "h"]))
    assert LMMprof(THETA, LMMsetup("y ~ x + flag", convert(small()), ["g", "h"])) == expected


def test_numbers_held_as_objects_are_numbers():
    dat = small().astype({"y": object, "x": object})
    dat["z"] = [Decimal(i) for i in (1, 4, 2, 3, 7, 5, 6, 9)]
    design = LMMsetup("y ~ log(x) + z", dat, "g").design
    assert_array_equal(design.X[:, 1:], np.column_stack([np.log(small()["x"]), [1, 4, 2, 3, 7, 5, 6, 9]]))
    assert_array_equal(design.y, small()["y"])


def test_an_extension_column_with_missing_values():
    dat = small().astype({"y": "Float64", "flag": "boolean"})
    dat.loc[[1, 2], "flag"] = pd.NA
    assert LMMsetup("y ~ flag", dat, "g").design.n_dropped == 2


def test_a_covariate_of_bools_is_a_factor():
    design = LMMsetup("y ~ flag", small(), "g").design
    assert design.x_names == ("Intercept", "flag[T.True]")
    assert_array_equal(design.X[:, 1], small()["flag"].to_numpy() * 1.0)


# -- nothing changes the caller's data ------------------------------------------------------------------------


@pytest.mark.requirement("unchanged")
def test_data_and_ref_stay_as_they_were():
    dat = crossed((4, 3, 2), 30, 1)
    dat.loc[4, "x"] = np.nan
    dat["a"] = dat["a"].cat.add_categories("unused")
    ref = ["a", ["a", "b"]]
    copy = dat.copy(deep=True)
    LMMsetup("y ~ x + np.exp(x)", dat, ref)
    pd.testing.assert_frame_equal(dat, copy)
    assert ref == ["a", ["a", "b"]] and list(dat["a"].cat.categories) == list(copy["a"].cat.categories)


def test_a_read_only_frame_is_enough():
    values = np.random.default_rng(0).normal(size=(8, 2))
    values.flags.writeable = False
    dat = pd.DataFrame(values, columns=["y", "x"], copy=False).assign(g=list("aabbccdd"))
    assert np.isfinite(LMMprof([0.0, 0.0], LMMsetup("y ~ x", dat, "g")))


def test_a_function_cannot_change_the_data_under_the_model():
    from patsy import PatsyError

    def spoil(x):
        x.iloc[:] = 0.0
        return x

    dat = small()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(PatsyError, match="read-only"):
            LMMsetup("y ~ x + spoil(x)", dat, "g")
    assert_array_equal(dat["x"], small()["x"])


def test_labels_come_from_the_data():
    design = LMMsetup("score ~ Machine", load_data("Machines"), ["Worker", "Worker:Machine"]).design
    assert design.x_names == ("Intercept", "Machine[T.B]", "Machine[T.C]")
    assert design.blocks[0].levels == ("6", "2", "4", "1", "3", "5")      # nlme's order of workers
    assert design.blocks[1].levels[:4] == ("6:A", "6:B", "6:C", "2:A")


def test_a_slope_block_and_its_copy_are_the_same_grouping_also_where_the_variable_is_zero():
    dat = load_data("sleepstudy").assign(S2=lambda d: d["Subject"])
    with pytest.raises(LMMError, match="are the same grouping"):
        LMMsetup("Reaction ~ Days", dat, [["Subject", "Days"], ["S2", "Days"]])


def test_slope_blocks_are_the_same_grouping_where_levels_without_a_slope_differ():
    dat = load_data("sleepstudy")
    dat["x"] = dat["Days"].where(dat["Subject"] != "308", 0)
    dat["finer"] = dat["Subject"].astype(str).where(dat["Subject"] != "308", "308 " + dat["Days"].astype(str))
    with pytest.raises(LMMError, match="blocks 'Subject:x' and 'finer:x' are the same grouping"):
        LMMsetup("Reaction ~ Days", dat, [["Subject", "x"], ["finer", "x"]])
