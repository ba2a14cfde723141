"""Simulation, refits and the parametric bootstrap."""

import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import THETA, designs, fail_beyond, fit_at
from numpy.testing import assert_allclose, assert_array_equal

from lmm import LMMError, LMMprof, LMMsetup, LMMWarning, lmm, load_data
from lmm.engines import responding
from lmm.inference.simulation import Draw, simulated


@pytest.fixture(scope="module")
def machines():
    return lmm("score ~ Machine", load_data("MachinesUnbalanced"), ["Worker", ["Worker", "Machine"]])


# -- refits -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("name, form, dat, ref", designs())
def test_a_setup_for_another_response_is_the_one_built_for_it(name, form, dat, ref, reml):
    """The kept reflections rotate the new response as a new factorisation would: the same likelihood at any theta."""
    rng = np.random.default_rng(11)
    setup = LMMsetup(form, dat, ref, reml)
    response = setup.design.response
    y = setup.design.y * 3 + rng.normal(size=len(setup.design.y)) + 1e6
    again, new = responding(setup, y), LMMsetup(form, dat.assign(**{response: y}), ref, reml)
    for theta in rng.normal(size=(5, len(setup.labels))):
        a, b = LMMprof(theta, again), LMMprof(theta, new)
        assert_allclose(a, b, rtol=1e-10)
        assert_allclose(a.beta, b.beta, rtol=1e-9)
    assert np.array_equal(setup.design.y, LMMsetup(form, dat, ref, reml).design.y)


@pytest.mark.parametrize("c", [1e-4, 1.0, 1e4])
def test_refit_equals_lmm(machines, c):
    dat = load_data("MachinesUnbalanced")
    y = c * (dat["score"] + np.random.default_rng(2).normal(size=len(dat)))
    one, other = machines.refit(y), lmm("score ~ Machine", dat.assign(score=y), ["Worker", ["Worker", "Machine"]])
    assert_allclose(one.theta, other.theta, atol=THETA)
    assert_allclose(one.nll, other.nll, atol=1e-9)
    assert one.optimum.certified and list(one.optimum.evaluations) == ["newton", "elsewhere"]


def test_refit_from_and_to_zero():
    """A block at zero opens again, and one in the open is set to zero."""
    dyestuff, zero = load_data("Dyestuff"), load_data("Dyestuff2")
    fit = lmm("Yield ~ 1", zero, "Batch", reml=True)
    back = fit.refit(dyestuff["Yield"])
    assert_allclose(back.sd["Batch"] ** 2, 1764.05, rtol=1e-7)
    again = back.refit(zero["Yield"])
    assert again.singular == ("Batch",) and again.nll == pytest.approx(fit.nll, abs=1e-9)


def test_refit_takes_a_value_per_row_of_dat_or_per_row_used():
    dat = load_data("Machines")
    dat.loc[[4, 7], "Machine"] = None
    fit = lmm("score ~ Machine", dat, "Worker")
    y = dat["score"] * 2
    assert fit.refit(y).nll == fit.refit(y.drop([4, 7])).nll == fit.refit(y.tolist()).nll


@pytest.mark.parametrize("y, words", [
    ([1.0, 2.0], r"y has shape \(2,\); it takes 44 numbers, one for each row used"),
    (np.full(44, np.nan), r"y\[0\] is nan; it takes finite numbers"),
    (np.full(44, 2.0), "constant"),
    (["a"] * 44, "y holds values that are no numbers"),
    (np.ones((43, 2)), "y has 43 rows; it takes 44, one for each row used"),
])
def test_refit_refuses(machines, y, words):
    with pytest.raises(LMMError, match=words):
        machines.refit(y)


def test_refit_to_a_perfect_fit_is_refused(machines):
    with pytest.raises(LMMError, match="perfectly"):
        machines.refit(machines.setup.design.X @ [1.0, 2.0, 3.0])


def test_update():
    dat = load_data("sleepstudy").assign(Week=lambda d: d["Days"] / 7)
    fit = lmm("Reaction ~ Days", dat, ["Subject", ["Subject", "Days"]])
    assert fit.update(reml=True).reml and not fit.update().reml
    assert fit.update(ref=()).sd.empty and list(fit.update(form="Reaction ~ 1").sd.index) == ["Subject", "Subject:Days"]
    assert list(fit.update(". ~ . - Days").params.index) == ["Intercept"]
    assert list(fit.update(". ~ . + I(0.5 * Days**2.)").params.index) == ["Intercept", "Days", "I(0.5 * Days ** 2.)"]
    assert fit.update("np.log(.) ~ .").setup.design.form == "np.log(Reaction) ~ Days"
    assert list(fit.update("Reaction ~ Week").params.index) == ["Intercept", "Week"]       # a column the first fit did not use
    assert fit.update(dat=dat.iloc[:100]).nobs == 100
    with pytest.raises(LMMError, match="form has no '~'"):
        fit.update("Days")


# -- simulation -------------------------------------------------------------------------------------------------

@pytest.mark.requirement("simulation")
def test_simulated_responses_have_the_models_mean_and_covariance():
    """4000 draws: each mean within 5 standard errors, the covariance within 5 of its own."""
    fit = fit_at(np.log([1.0, 2.0, 0.5]), "Reaction ~ Days", ["Subject", ["Subject", "Days"]], load_data("sleepstudy").iloc[:30])
    y = fit.simulate(4000, seed=4).to_numpy()
    blocks = [block.matrix.toarray() for block in fit.setup.design.blocks]
    V = np.eye(30) + 4 * blocks[0] @ blocks[0].T + 0.25 * blocks[1] @ blocks[1].T
    z = (y.mean(axis=1) - fit.setup.design.X @ fit.beta) / np.sqrt(np.diag(V) / 4000)
    assert np.abs(z).max() < 5
    error = np.sqrt((np.outer(np.diag(V), np.diag(V)) + V**2) / 4000)
    assert (np.abs(np.cov(y) - V) < 5 * error).all()


def test_simulations_are_the_same_for_the_same_seed(machines):
    one, other = machines.simulate(3, seed=5), machines.simulate(5, seed=5)
    assert one.equals(other[[0, 1, 2]]) and not machines.simulate(3, seed=6).equals(one)
    assert one.index.equals(machines.resid.index)
    assert not machines.simulate().equals(machines.simulate())


# -- the bootstrap ----------------------------------------------------------------------------------------------

@pytest.mark.requirement("simulation")
def test_replicates_are_fits_of_the_simulated_responses(machines):
    """To the 1e-7 that a refit's shorter iteration leaves, sd = 0 included."""
    boot = machines.bootstrap(12, seed=1)
    for row, (_, y) in zip(boot.replicates.to_numpy(), machines.simulate(12, seed=1).items()):
        fit = machines.refit(y)
        assert_allclose(row, [*fit.beta, fit.sigma, *fit.sd], rtol=1e-6, atol=1e-6)
    assert boot.replicates.columns.equals(machines.conf_int("wald").index) and boot.failed == 0 and boot.nsim == 12
    assert repr(boot) == "Bootstrap(12 refits, 0 failed; 6 numbers each)"
    assert_allclose(boot.estimate, [*machines.beta, machines.sigma, *machines.sd])


def test_reml_fits_are_refitted_by_reml(machines):
    fit = machines.update(reml=True)
    row = fit.bootstrap(1, seed=1).replicates.iloc[0]
    assert_allclose(row["sd"]["Worker"], fit.refit(fit.simulate(1, seed=1)[0]).sd["Worker"], rtol=1e-6)


def test_se_bias_and_intervals_are_of_the_replicates(machines):
    boot = machines.bootstrap(50, seed=2)
    values = boot.replicates["beta", "Intercept"]
    assert_allclose(boot.se["beta", "Intercept"], values.std())
    assert_allclose(boot.bias["beta", "Intercept"], values.mean() - machines.params.iloc[0])
    assert_allclose(boot.conf_int(0.8).loc[("beta", "Intercept")], np.quantile(values, [0.1, 0.9]))
    assert boot.conf_int().equals(machines.conf_int("boot", nsim=50, seed=2))
    with pytest.raises(LMMError, match="level is 2"):
        boot.conf_int(2)


def worker_share(fit):
    return fit.icc()["Worker"]


def two_numbers(fit):
    return pd.Series({"share": fit.icc()["Worker"], "aic": fit.aic})


def test_statistics_of_the_users_own(machines):
    one, two = machines.bootstrap(5, seed=3, statistic=worker_share), machines.bootstrap(5, seed=3, statistic=two_numbers)
    assert one.replicates.shape == (5, 1) and list(two.replicates.columns) == ["share", "aic"]
    assert_allclose(one.replicates.iloc[:, 0], two.replicates["share"])
    assert machines.bootstrap(3, seed=3, statistic=lambda fit: [1, 2.5]).replicates.to_numpy().tolist() == [[1, 2.5]] * 3


@pytest.mark.requirement("repeatable")
def test_the_number_of_processes_does_not_matter(machines):
    one, two = machines.bootstrap(30, seed=4), machines.bootstrap(30, seed=4, processes=2)
    assert one.replicates.equals(two.replicates)
    assert machines.bootstrap(6, seed=4, processes=2, statistic=worker_share).replicates.shape == (6, 1)


def test_failed_refits_are_counted_and_left_out(machines, monkeypatch):
    fail_beyond(monkeypatch, 52)
    wanted = int((machines.simulate(20, seed=1).iloc[0] > 52).sum())
    with pytest.warns(LMMWarning, match=f"{wanted} of 20 refits failed and are left out: 'no luck'"):
        boot = machines.bootstrap(20, seed=1)
    assert 0 < wanted < 20 and boot.failed == wanted and boot.reasons == ("no luck",)
    assert boot.replicates.isna().any(axis=1).sum() == wanted and boot.conf_int().notna().all(axis=None)


def test_refits_without_a_certified_optimum_count_as_failed():
    """One observation more than random effects: the residual sd goes to 0 in some of them."""
    rng = np.random.default_rng(3)
    dat = pd.DataFrame({"y": rng.normal(size=6), "a": list("aabbcc"), "x": rng.normal(size=6)})
    fit = fit_at([-1.0, 0.0, 0.0], "y ~ 1", ["a", ["a", "x"]], dat)
    with pytest.warns(LMMWarning, match="refits failed and are left out"):
        boot = fit.bootstrap(40, seed=1)
    assert 0 < boot.failed < 40 and boot.replicates.isna().all(axis=1).sum() == boot.failed


def interrupted(call):
    """A statistic in whose call of this number Ctrl-C is pressed; the first is of the fit itself."""
    seen = []

    def statistic(fit):
        seen.append(fit)
        if len(seen) == call:
            raise KeyboardInterrupt
        return fit.sigma
    return statistic


def test_ctrl_c_before_anything_is_done_is_ctrl_c(machines):
    """This used to be a table of nan."""
    with pytest.raises(KeyboardInterrupt):
        machines.bootstrap(50, seed=1, statistic=interrupted(2))


def test_ctrl_c_leaves_what_is_done(machines):
    with pytest.warns(LMMWarning, match="interrupted after 4 of 50 refits; these are kept"):
        boot = machines.bootstrap(50, seed=1, statistic=interrupted(6))
    assert boot.nsim == 4 and boot.replicates.notna().all(axis=None)


def test_a_progress_bar_only_where_there_is_tqdm(machines, monkeypatch):
    from contextlib import contextmanager
    from types import ModuleType, SimpleNamespace
    bars = []
    module = ModuleType("tqdm")

    @contextmanager
    def tqdm(**options):
        bars.append(options)
        yield SimpleNamespace(update=steps.append)

    steps = []
    module.tqdm = tqdm
    monkeypatch.setitem(sys.modules, "tqdm", module)
    machines.bootstrap(3, seed=1)
    assert bars == [{"total": 3, "desc": "refits", "delay": 2, "leave": False}]
    assert steps == [1, 1, 1]
    machines.bootstrap(3, seed=1, progress=False)
    assert len(bars) == 1
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert machines.bootstrap(3, seed=1).nsim == 3


@pytest.mark.parametrize("options, words", [
    (dict(nsim=0), "nsim is 0; it is a number of simulations, 1 or more"),
    (dict(nsim=2.5), "nsim is 2.5"), (dict(nsim=True), "nsim is True"), (dict(nsim=-1), "nsim is -1"),
    (dict(nsim=2, seed=-1), "seed is -1; it is a whole number"), (dict(nsim=2, seed="a"), "seed is 'a'"),
    (dict(nsim=2, processes=0), "processes is 0; it is a number of processes, 1 or more"),
    (dict(nsim=2, statistic=lambda fit: "text"), "statistic returned str; it returns a number, a Series or a list of numbers"),
    (dict(nsim=2, statistic=lambda fit: None), "statistic returned NoneType"),
    (dict(nsim=2, statistic=lambda fit: range(2 + (fit.nfev < 12))), "numbers for the fit and .* for a refit"),
    (dict(nsim=2, statistic="aic"), "statistic is of type str; it is a function of a fit"),
])
def test_bad_input(machines, options, words):
    with pytest.raises(LMMError, match=words):
        machines.bootstrap(**options)


def test_a_statistics_own_error_is_the_users(machines):
    with pytest.raises(KeyError):
        machines.bootstrap(3, statistic=lambda fit: fit["nothing"])


def test_one_simulation_is_x_beta_z_b_and_e(machines):
    """A response is a row of normal numbers: residuals, then block by block."""
    seed = np.random.SeedSequence(9)
    Y = simulated(machines, Draw(seed, 3))
    design = machines.setup.design
    numbers = np.random.default_rng(seed).standard_normal((3, 44 + design.p))
    for y, row in zip(Y.T, numbers):
        b = np.split(row[44:], [len(design.blocks[0].levels)])
        random = sum(block.matrix @ (sd * v) for sd, block, v in zip(machines.sd, design.blocks, b))
        assert_allclose(y, design.X @ machines.beta + machines.sigma * row[:44] + random)


def test_more_simulations_begin_with_the_same_ones(machines):
    """However many are drawn together."""
    many = machines.simulate(250, seed=4)
    assert_array_equal(machines.simulate(120, seed=4), many.iloc[:, :120])


@pytest.mark.parametrize("ref", [(), "Worker", ["Worker", ["Worker", "Machine"]]])
def test_without_fixed_effects(ref):
    """Refits, simulations and predictions of y ~ 0, which used to fail with one block or none."""
    dat = load_data("Machines").assign(score=lambda d: d["score"] - 60)
    fit = lmm("score ~ 0", dat, ref)
    y = fit.simulate(1, seed=2)[0]
    assert_allclose(fit.refit(y).nll, lmm("score ~ 0", dat.assign(score=y), ref).nll, atol=1e-9)
    assert_allclose(fit.predict(dat), fit.fittedvalues, atol=1e-10)
    assert fit.bootstrap(3, seed=1).failed == 0


def test_a_series_is_taken_by_its_index():
    """This used to go by position, silently."""
    dat = load_data("Machines").iloc[::-1]
    fit = lmm("score ~ Machine", dat, "Worker")
    y = dat["score"] + np.arange(54)
    assert fit.refit(y.sample(frac=1, random_state=3)).nll == fit.refit(y).nll == fit.refit(y.to_numpy()).nll
    assert len(fit.refit(fit.simulate(1, seed=1))) == 1               # a frame of one column
    for wrong in (y.rename(lambda i: i + 100), y.iloc[1:]):
        with pytest.raises(LMMError, match=r"the index of y is not that of dat; to go by position, give y.to_numpy"):
            fit.refit(wrong)
    with pytest.raises(LMMError, match="y is None"):
        fit.refit(None)
    with pytest.raises(LMMError, match="y holds values that are no numbers"):
        fit.refit(y.astype(str))


def test_a_dot_in_update_keeps_an_intercept_away():
    dat = load_data("sleepstudy").assign(z=lambda d: np.cos(np.arange(180)))
    fit = lmm("Reaction ~ 0 + Days", dat, "Subject")
    for form, names in ((". ~ z + .", ["z", "Days"]), (". ~ . + z", ["Days", "z"]), (". ~ . * z", ["Days", "z", "Days:z"]),
                        (". ~ . + 1", ["Intercept", "Days"]), (". ~ .", ["Days"])):
        assert sorted(fit.update(form).params.index) == sorted(names), form
    other = lmm("Reaction ~ Days + z", dat.assign(z=dat["z"].where(dat.index > 3)), "Subject")
    assert other.nobs == 176 and other.update(". ~ . - z").nobs == 180              # what is taken out is not evaluated
    assert list(lmm("Reaction ~ Days", dat.rename(columns={"z": "x . y"}), "Subject").update(". ~ . + Q('x . y')").params.index) == [
        "Intercept", "Days", "Q('x . y')"]


def test_update_means_the_functions_of_the_fit():
    def fitted_elsewhere():
        def curve(x):
            return x**2
        return lmm("Reaction ~ curve(Days)", load_data("sleepstudy"), "Subject")

    def curve(x):
        return x

    fit = fitted_elsewhere()
    assert curve(3) == 3
    assert_allclose(fit.update(ref=["Subject"]).params, fit.params, rtol=1e-9)
    assert fit.update(reml=True).params.index.equals(fit.params.index)


def test_a_series_as_statistic_goes_by_its_labels(machines):
    """Sorted by size, the labels' order changes from refit to refit."""
    one = machines.bootstrap(20, seed=1, statistic=lambda fit: fit.sd.sort_values())
    other = machines.bootstrap(20, seed=1)
    assert_allclose(one.replicates["Worker"], other.replicates["sd", "Worker"])
    with pytest.raises(LMMError, match="statistic returned 'a' for the fit and 'b' for a refit"):
        machines.bootstrap(2, seed=1, statistic=lambda fit: pd.Series({"a" if fit is machines else "b": 1.0}))


def ends_its_process(fit):
    if multiprocessing.parent_process() is not None:
        os._exit(3)
    return fit.sigma


def test_a_worker_that_ends_early_is_an_error(machines):
    with pytest.raises(LMMError, match=r'a worker process ended early; in a script, keep what is to run under if __name__ =='):
        machines.bootstrap(2, seed=1, processes=2, statistic=ends_its_process)


def test_a_worker_starts_no_workers(machines, monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", multiprocessing.current_process)
    with pytest.raises(LMMError, match="this process was itself started for a computation, so it starts no others; in a script"):
        machines.bootstrap(2, seed=1, processes=2)


def test_a_statistic_that_cannot_be_sent_is_refused(machines):
    with pytest.raises(LMMError, match=r"cannot be sent to other processes .*or use processes=1"):
        machines.bootstrap(2, processes=2, statistic=lambda fit: fit.sigma)


SCRIPT = """
import multiprocessing
multiprocessing.set_start_method("spawn")
from lmm import lmm, load_data
fit = lmm("score ~ Machine", load_data("Machines"), "Worker")
print(fit.bootstrap(4, seed=1, processes=2, progress=False))
"""


def test_a_script_without_a_guard_ends_with_advice(tmp_path):
    """This used to hang where processes are spawned."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.returncode and 'keep what is to run under if __name__ == "__main__":' in done.stderr


def test_a_bootstrap_as_text(machines):
    lines = str(machines.bootstrap(20, seed=1)).splitlines()
    assert lines[0] == "Parametric bootstrap, 20 refits; intervals: quantiles, 95 %"
    assert lines[2].split() == ["Estimate", "Std.", "Error", "Bias", "lower", "upper"] and len(lines) == 9
    assert "<td>sd Worker</td>" in machines.bootstrap(20, seed=1)._repr_html_()
