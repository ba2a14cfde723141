"""The shipped data and references."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from lmm import LMMError, LMMprof, LMMsetup, lme4_reference, load_data, models

ROWS = {
    "Machines": 54,
    "MachinesUnbalanced": 44,
    "Dyestuff": 30,
    "Dyestuff2": 30,
    "Penicillin": 144,
    "Pastes": 60,
    "sleepstudy": 180,
    "Rail": 18,
    "ScotsSec": 3435,
    "InstEval": 73421,
}


def test_every_data_set_has_a_model_and_a_fit():
    assert set(models().index) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_sizes_and_grouping_columns(name):
    dat = load_data(name)
    assert len(dat) == ROWS[name] and not dat.isna().any(axis=None)
    for term in models().ref[name]:
        assert isinstance(dat[term.split(":")[0]].dtype, pd.CategoricalDtype)


def test_the_order_of_levels_is_rs():
    machines = load_data("Machines")
    assert list(machines["Worker"].cat.categories) == ["6", "2", "4", "1", "3", "5"]
    assert machines["Worker"].cat.ordered and not machines["Machine"].cat.ordered
    assert list(load_data("InstEval")["dept"].cat.categories[:3]) == ["15", "5", "10"]


def test_the_unbalanced_subset_is_the_rows_it_says():
    full = load_data("Machines").drop(index=[i - 1 for i in (2, 3, 6, 8, 9, 12, 19, 20, 27, 33)])
    pd.testing.assert_frame_equal(load_data("MachinesUnbalanced"), full.reset_index(drop=True))


@pytest.mark.parametrize("name", [name for name in ROWS if name != "InstEval"])
def test_lme4s_criterion_is_ours_at_lme4s_theta(name):
    """Neither side's optimiser is involved: the same number from two programs."""
    model, reference = models().loc[name], lme4_reference(name).loc["ML"]
    sd = reference.loc["sd", "lme4"]
    with np.errstate(divide="ignore"):
        theta = np.log([sd["Residual"], *sd[model.ref]])
    nll = LMMprof(theta, LMMsetup(model.form, load_data(name), model.ref))
    criterion = 2 * nll + ROWS[name] * np.log(2 * np.pi)
    assert_allclose(criterion, reference.loc[("criterion", ""), "lme4"], rtol=1e-10)


def test_references_say_what_made_them():
    reference = lme4_reference("sleepstudy")
    assert reference.attrs["formula"] == "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)"
    assert set(reference.attrs["versions"]) == {"R", "lme4", "nlme", "lmerTest", "mlmRev", "Matrix", "BLAS"}
    assert list(reference.columns) == ["lme4", "exact", "distance"]


def test_lme4_is_off_the_exact_optimum_where_design_is_unbalanced():
    off = lme4_reference("MachinesUnbalanced").loc[("REML", "sd", "Worker")]
    assert 1e-4 < abs(off["distance"] / off["exact"]) < 2e-4


@pytest.mark.parametrize("function", [load_data, lme4_reference])
def test_an_unknown_name(function):
    with pytest.raises(LMMError, match="there is no data set 'Machine'; there are 'Machines', 'MachinesUnbalanced'"):
        function("Machine")
    for name, meant in ("machines", "Machines"), ("SleepStudy", "sleepstudy"), ("Dyestuf2", "Dyestuff2"):
        with pytest.raises(LMMError, match=f"there is no data set '{name}'; .*; did you mean '{meant}'\\?$"):
            function(name)
    with pytest.raises(LMMError, match=r"there is no data set 'xyz'; there are .*'Pastes', .*'InstEval'[^;]*$"):
        function("xyz")


def test_an_unknown_part():
    with pytest.raises(LMMError, match="part is 'fits'; it is one of 'fit', 'inference'"):
        lme4_reference("Machines", "fits")
