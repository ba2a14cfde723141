"""Sums in files: saved and loaded, of one site or of several, and what is not to be in them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chunks.test_chunks import FORMULAS, chunked, harder, numbers, same
from numpy.testing import assert_allclose

from lmm import LMMError, LMMprof, anova, combine, lmer, lmm, load_data, load_setup, summarise
from lmm.__main__ import main
from lmm.chunks import saved

DAYS = "Reaction ~ Days + (Days | Subject)"
MACHINES = "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)"


# -- one file ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("model", [name for name in FORMULAS if "functions" not in name])
def test_what_was_saved_is_loaded(model, tmp_path):
    form, given = FORMULAS[model]
    dat = harder()
    fit = lmer(form, chunked(dat, 5), **given)
    path = tmp_path / "sums.npz"
    fit.setup.save(path)
    setup = load_setup(path)
    assert abs(LMMprof(fit.theta, setup) - fit.nll) < 1e-12 * abs(fit.nll)
    again = combine([path])
    same(again, fit, rtol=1e-7)
    assert again.n_dropped == fit.n_dropped and again.dropped == fit.dropped and again.reml == fit.reml
    some = harder().dropna().iloc[:6]
    assert_allclose(again.predict(some), fit.predict(some), rtol=1e-7)


def test_what_a_loaded_fit_can_do(tmp_path):
    dat = load_data("MachinesUnbalanced")
    fit = lmer(MACHINES, chunked(dat, 3))
    fit.setup.save(tmp_path / "sums.npz")
    again = combine([tmp_path / "sums.npz"])
    for ask in (anova, lambda fit: fit.ranef(), lambda fit: fit.means("Machine").pairs(), lambda fit: fit.conf_int(),
                lambda fit: fit.update(". ~ . - (1 | Worker:Machine)").theta, lambda fit: anova(fit, type=1)):
        assert_allclose(numbers(ask(again)), numbers(ask(fit)), rtol=1e-6 if ask is not anova else 1e-3, atol=1e-9)
    assert list(again.ranef()["Worker"].index) == list(fit.ranef()["Worker"].index)
    same(combine([tmp_path / "sums.npz"], reml=False), lmer(MACHINES, dat, reml=False))


def test_levels_of_all_plain_types(tmp_path):
    dat = load_data("sleepstudy")
    dat = dat.assign(Subject=dat["Subject"].astype(int), late=dat["Days"] > 4)
    form = "Reaction ~ Days + late + (1 | Subject)"
    fit = lmer(form, chunked(dat, 3))
    fit.setup.save(tmp_path / "sums.npz")
    again = combine([tmp_path / "sums.npz"])
    same(again, fit)
    assert list(again.ranef()["Subject"].index) == list(fit.ranef()["Subject"].index)


@pytest.fixture
def path(tmp_path):
    """A file of sleepstudy's sums."""
    lmer(DAYS, chunked(load_data("sleepstudy"), 2)).setup.save(tmp_path / "sums.npz")
    return tmp_path / "sums.npz"


def test_no_row_of_the_data_is_in_it(path):
    """No value of y; and of Days, which is 0 to 9 in all rows, none at all that is made up."""
    about, arrays = saved.read(path)
    dat = load_data("sleepstudy")
    assert about["n"] == 180 and set(about["levels"]) == {"Subject"}
    held = np.concatenate([array.ravel() for array in arrays.values() if array.dtype.kind == "f"])
    assert not np.isin(dat["Reaction"], held).any()
    assert not any(f"{value}" in json.dumps(about) for value in dat["Reaction"])


def test_nothing_of_other_columns_is_in_it(tmp_path):
    """Not even their names."""
    dat = load_data("sleepstudy").assign(diagnosis="secret", income=3.0)
    summarise(dat, DAYS, tmp_path / "sums.npz")
    written = (tmp_path / "sums.npz").read_bytes()
    assert not any(word in written for word in (b"diagnosis", b"secret", b"income"))


def test_a_file_that_is_cut_off_or_altered_is_refused(path, tmp_path):
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 30):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(LMMError, match="was cut off"):
            load_setup(tmp_path / "cut.npz")
    with np.load(path) as file:
        parts = dict(file)
    for name in ("e", "about", "beta"):
        changed = {one: array.copy() for one, array in parts.items()}
        changed[name].reshape(-1).view(np.uint8)[40 % changed[name].nbytes] ^= 1
        np.savez(tmp_path / "other.npz", **changed)
        with pytest.raises(LMMError, match=r"was altered|was cut off"):
            load_setup(tmp_path / "other.npz")
    np.savez(tmp_path / "none.npz", x=np.ones(3))
    with pytest.raises(LMMError, match="no file of sums"):
        load_setup(tmp_path / "none.npz")


def test_a_file_of_another_version(path, monkeypatch):
    monkeypatch.setattr(saved, "VERSION", 2)
    with pytest.raises(LMMError, match="is of version 1, and 2 is read here"):
        load_setup(path)


def test_pickles_are_not_read(tmp_path):
    np.savez(tmp_path / "pickled.npz", about=np.array([{"a": 1}], object), hash=np.zeros(3, np.uint8))
    with pytest.raises(LMMError, match="no file of sums"):
        load_setup(tmp_path / "pickled.npz")


def test_what_is_half_written_is_taken_away(path, tmp_path, monkeypatch):
    """A full disk: the old file stays, and nothing else."""
    before = path.read_bytes()

    def full(file, **arrays):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        lmer(DAYS, chunked(load_data("sleepstudy"), 2)).setup.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def own(x):
    return 2 * x


@pytest.mark.parametrize("call, words", [
    (lambda to: lmer(DAYS, load_data("sleepstudy")).setup.save(to), "of data in memory; summarise"),
    (lambda to: lmer(DAYS, chunked(load_data("sleepstudy"), 2)).setup.save("sums.csv"), "ends in .npz"),
    (lambda to: lmer("Reaction ~ own(Days) + (1 | Subject)", chunked(load_data("sleepstudy"), 2)).setup.save(to),
     "calls 'own', which a file does not keep"),
    (lambda to: load_setup(to), "there is no file"),
    (lambda to: combine([]), "files is .*; it is a list of files"),
    (lambda to: combine(str(to)), "it is a list of files"),
    (lambda to: summarise(load_data("sleepstudy"), DAYS, to, small="drop"), "small is 'drop'"),
    (lambda to: summarise(load_data("sleepstudy"), DAYS, to, least=0), "least is 0"),
    (lambda to: summarise(load_data("sleepstudy"), DAYS, to, levels={"Days": [1]}), "levels names 'Days', which is no"),
    (lambda to: summarise(load_data("sleepstudy"), DAYS, to, levels={"Subject": ["308"]}), "levels has no"),
])
def test_bad_arguments(call, words, tmp_path):
    with pytest.raises(LMMError, match=words):
        call(tmp_path / "new.npz")
    assert not list(tmp_path.iterdir())


# -- several sites ----------------------------------------------------------------------------------------------

def hospitals(n=400, seed=3):
    """Patients of four hospitals, numbered in each, doctors who work in several."""
    rng = np.random.default_rng(seed)
    dat = pd.DataFrame({
        "site": rng.choice(list("ABCD"), n),
        "patient": rng.integers(0, 12, n),
        "doctor": rng.choice(["d1", "d2", "d3", "d4", "d5"], n),
        "drug": rng.choice(["none", "old", "new"], n),
        "age": rng.normal(60, 9, n),
    })
    dat["y"] = 120 + 0.3 * dat["age"] + rng.normal(size=n) + dat["patient"] % 4 + (dat["drug"] == "new")
    return dat


def files_of(dat, form, tmp_path, **given):
    files = []
    for name, part in dat.groupby("site"):
        files.append(tmp_path / f"{name}.npz")
        summarise(part.drop(columns="site"), form, files[-1], site=name, least=1, **given)
    return files


FORM = "y ~ age + drug + (1 | patient) + (1 | doctor)"


@pytest.mark.requirement("chunks")
@pytest.mark.parametrize("reml", [False, True])
def test_levels_crossed_over_sites(tmp_path, reml):
    dat = hospitals()
    files = files_of(dat, FORM, tmp_path, reml=reml)
    same(combine(files), lmer(FORM, dat, reml=reml), rtol=1e-8)
    same(combine(files[::-1]), lmer(FORM, dat, reml=reml), rtol=1e-8)


def test_levels_nested_in_sites(tmp_path):
    dat = hospitals()
    fit = combine(files_of(dat, FORM, tmp_path), nested=["patient"])
    there = dat.assign(patient=dat["site"] + ":" + dat["patient"].astype(str))
    same(fit, lmer(FORM, there), rtol=1e-8)
    assert "A:0" in fit.ranef()["patient"].index and "d1" in fit.ranef()["doctor"].index


@pytest.mark.parametrize("form, given", [
    ("y ~ age + (age | doctor)", {}), ("y ~ age * drug + (1 | doctor:drug)", {}),
    ("y ~ age + (1 | doctor)", {"weights": "w"}), ("y ~ age + (1 | doctor)", {"offset": "w"}),
])
def test_other_models(tmp_path, form, given):
    dat = hospitals()
    dat["age"] -= 60
    dat["w"] = np.random.default_rng(1).uniform(0.5, 2, len(dat))
    same(combine(files_of(dat, form, tmp_path, **given)), lmer(form, dat, **given), rtol=1e-6)


def test_with_ref(tmp_path):
    dat = hospitals()
    dat["patient"] = dat["patient"].astype(str)
    files = files_of(dat, "y ~ age", tmp_path, ref=["patient", ["patient", "doctor"]])
    same(combine(files), lmm("y ~ age", dat, ["patient", ["patient", "doctor"]]), rtol=1e-7)


def test_a_level_that_a_site_has_not(tmp_path):
    dat = hospitals()
    dat = dat[(dat["site"] != "B") | (dat["drug"] != "none")]
    with pytest.raises(LMMError, match=r"in B.npz: it makes other columns of X .*levels= says"):
        combine(files_of(dat, FORM, tmp_path))
    files = files_of(dat, FORM, tmp_path, levels={"drug": ["none", "old", "new"]})
    expected = lmer(FORM, dat.assign(drug=pd.Categorical(dat["drug"], ["none", "old", "new"])))
    same(combine(files), expected, rtol=1e-7)


def test_files_that_do_not_belong_together(tmp_path):
    dat = hospitals()
    files = files_of(dat, FORM, tmp_path)
    summarise(dat, "y ~ age + (1 | doctor)", tmp_path / "other.npz", least=1)
    with pytest.raises(LMMError, match=r"is of another model than .*: form is"):
        combine([*files, tmp_path / "other.npz"])
    with pytest.raises(LMMError, match="nested needs a name of each site"):
        combine([files[0], files[0]], nested=["patient"])
    with pytest.raises(LMMError, match="nested names 'drugs'"):
        combine(files, nested=["drugs"])


def test_small_levels_are_named_or_merged(tmp_path):
    dat = hospitals()
    dat.loc[dat.index[:3], "doctor"] = ["rare", "rare", "single"]
    form = "y ~ age + (1 | doctor)"
    with pytest.raises(LMMError, match="fewer than 5 rows are of the levels 'rare', 'single' of doctor"):
        summarise(dat, form, tmp_path / "a.npz")
    with pytest.raises(LMMError, match=r"of the levels '\(others\)' of doctor"):
        summarise(dat, form, tmp_path / "a.npz", small="merge")
    dat.loc[dat.index[3:7], "doctor"] = "third"
    summarise(dat, form, tmp_path / "a.npz", small="merge")
    merged = dat.replace({"doctor": {"rare": "(others)", "single": "(others)", "third": "(others)"}})
    same(combine([tmp_path / "a.npz"]), lmer(form, merged))
    assert "rare" not in (tmp_path / "a.npz").read_bytes().decode("latin1")
    with pytest.raises(LMMError, match="of patient:doctor"):
        summarise(hospitals(120), FORM, tmp_path / "b.npz", small="merge")
    assert not (tmp_path / "b.npz").exists()


def test_chunks_of_a_site(tmp_path):
    dat = hospitals()
    summarise(chunked(dat, 4), FORM, tmp_path / "a.npz", least=1)
    same(combine([tmp_path / "a.npz"]), lmer(FORM, dat), rtol=1e-8)


# -- the command line -------------------------------------------------------------------------------------------

def test_the_commands(tmp_path, capsys):
    dat = hospitals()
    files = []
    for name, part in dat.groupby("site"):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
        files.append(str(tmp_path / f"{name}.npz"))
        arguments = ["summarise", FORM, str(tmp_path / f"{name}.csv"), files[-1], "--site", name]
        assert main([*arguments, "--least", "1"]) == 0
    assert f"{files[-1]}: sums of" in capsys.readouterr().out
    assert main(["combine", *files]) == 0
    assert capsys.readouterr().out.strip() == str(lmer(FORM, dat)).strip()
    assert main(["combine", *files, "--nested", "patient", "--ml"]) == 0
    assert "by maximum likelihood" in capsys.readouterr().out
    assert main(["summarise", FORM, str(tmp_path / "A.csv"), str(tmp_path / "x.npz")]) == 2
    assert "fewer than 5 rows" in capsys.readouterr().err
