"""Chunks as Dask's tasks; with the extra [distributed]."""

import os

import pytest
from chunks.test_chunks import DAYS, MACHINES, same
from numpy.testing import assert_allclose

from lmm import LMMError, combine, lmer, load_data

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def client():
    """Two processes."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        yield client


def frame(dat, partitions):
    import dask.dataframe as dd

    return dd.from_pandas(dat, npartitions=partitions)


@pytest.mark.parametrize("name, form", [("Machines", MACHINES), ("sleepstudy", DAYS)])
@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_two_workers(client, name, form, partitions):
    dat = load_data(name)
    same(lmer(form, frame(dat, partitions)), lmer(form, dat))


def test_without_a_cluster():
    dat = load_data("Machines")
    with dask.config.set(scheduler="synchronous"):
        same(lmer(MACHINES, frame(dat, 3)), lmer(MACHINES, dat))


def test_delayed_frames_of_ones_own(client):
    dat = load_data("sleepstudy")

    class Parts:
        def to_delayed(self):
            return [dask.delayed(dat.iloc[i::3]) for i in range(3)]

    same(lmer(DAYS, Parts()), lmer(DAYS, dat))


def test_an_error_names_the_partition(client):
    dat = load_data("sleepstudy")
    dat["Days"] = dat["Days"].astype(float)
    dat.loc[170, "Days"] = float("inf")
    with pytest.raises(LMMError, match="in partition 3: column 'Days' is inf"):
        lmer(DAYS, frame(dat, 4))


def dies_once(part, marker):
    """The worker that meets this chunk first ends; when the task is run again, the chunk is there."""
    if not os.path.exists(marker):
        open(marker, "w").close()
        os._exit(1)
    return part


def test_a_worker_that_dies(client, tmp_path):
    """Its tasks are run again."""
    dat = load_data("sleepstudy")
    marker = str(tmp_path / "died")

    class Parts:
        def to_delayed(self):
            parts = [dask.delayed(dat.iloc[i::3]) for i in range(3)]
            parts[1] = dask.delayed(dies_once, pure=False)(parts[1], marker)
            return parts

    fit = lmer(DAYS, Parts())
    assert os.path.exists(marker)
    same(fit, lmer(DAYS, dat))


def test_finished_on_a_laptop(client, tmp_path):
    dat = load_data("sleepstudy")
    fit = lmer(DAYS, frame(dat, 3))
    fit.setup.save(tmp_path / "sums.npz")
    assert_allclose(combine([tmp_path / "sums.npz"]).params, fit.params, rtol=1e-9)
