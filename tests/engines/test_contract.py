"""Both engines answer what the contract lists, and nothing else is asked of them; one line of the practical's."""

import inspect
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import crossed
from numpy.testing import assert_allclose
from scipy import sparse

import lmm.engines.qr
from lmm import LMMprof, LMMsetup, derivatives, load_data
from lmm.engines import Engine, Evaluation, Information

REF = ["a", "b", "c"]


@pytest.fixture(params=["dense", "blocked"])
def setup(request):
    return LMMsetup("y ~ x", crossed((6, 5, 4), 80, 3), REF, engine=request.param)


def answers():
    """The names of the contract: methods, and values."""
    methods = [name for name, value in vars(Engine).items() if inspect.isfunction(value) and value.__doc__]
    return methods, list(Engine.__annotations__)


@pytest.mark.requirement("contract")
def test_the_contract_is_all_that_is_asked_of_an_engine(setup):
    methods, values = answers()
    assert len(methods) + len(values) > 14
    for name in methods:
        ours = inspect.signature(getattr(type(setup.engine), name)).parameters
        assert list(ours) == list(inspect.signature(getattr(Engine, name)).parameters), name
    for name in values:
        assert getattr(setup.engine, name) is not None, name


@pytest.mark.requirement("contract")
def test_nothing_else_is_asked_of_an_engine():
    """Outside the engines' own modules; of the dense one alone, where it is named, what says if terms reproduce y.

    And the arrays on which the dossier times the dense engine's bare calls.
    """
    package = Path(lmm.__file__).parent
    own = ["engines/dense.py", "engines/qr.py", "engines/blocked/"]
    methods, values = answers()
    dense = {"identifying_parts", "S", "R", "QtU", "block_of"}
    named = {"engines/setup.py": dense, "validation/performance.py": {*dense, "parts"}}
    asked = set()
    for path in package.rglob("*.py"):
        name = path.relative_to(package).as_posix()
        if name.startswith(tuple(own)):
            continue
        here = set(re.findall(r"\bengine\.(\w+)", path.read_text())) - {"py"}
        allowed = {*methods, *values, *named.get(name, ())}
        assert here <= allowed, name
        asked |= here
    assert {"information", "conditional", "responding", "combined", "cheap", "exact"} <= asked


def test_shapes_of_the_answers(setup):
    engine, phi = setup.engine, [1.0, 0.5, 2.0, 0.3]
    n, p, m, q = 80, 15, 3, 3
    V = engine(phi)
    assert isinstance(V, Evaluation) and np.shape(V.logdet) == () and V.cross.shape == (m, m)
    assert (engine.n, engine.p, engine.mean_squares.shape) == (n, p, (3,))
    U = np.column_stack([setup.Q_X, setup.design.y - setup.design.X @ setup.beta_0])
    assert_allclose(engine.residual_ss, U[:, -1] @ U[:, -1], rtol=1e-12)

    def pulled(N):
        assert N.shape == (p, m)
        return N[:, -1], N[:, :-1].T

    found = engine.information(phi, V.state, pulled, False)
    assert len(found) == len(Information._fields)
    assert [np.shape(part) for part in found] == [(q,), (q,), (q, q), ()]
    Z = np.hstack([block.matrix.toarray() for block in setup.design.blocks])
    check_moments(engine, phi, [block.matrix.toarray() for block in setup.design.blocks], U)
    psi = np.repeat(phi[1:], [6, 5, 4])
    W = np.linalg.inv(Z * psi @ Z.T + np.eye(n))
    assert_allclose(engine.products_with_U(phi), Z.T @ W @ U, rtol=1e-9, atol=1e-12)
    Lambda = setup.covariance.Lambda(0.5 * np.log(phi), [6, 5, 4])
    N, posterior = engine.conditional(phi, Lambda)
    variance = np.diag(psi) - psi[:, None] * (Z.T @ W @ Z) * psi
    assert N.shape == (p, m)
    assert_allclose(posterior.sds(), np.sqrt(variance.diagonal()), rtol=1e-9)
    rows = setup.design.blocks[0].matrix
    both = np.hstack([rows.toarray(), np.zeros((n, 9))])
    assert_allclose(posterior.quadratic_forms(sparse.csr_array(both)), np.sum(both @ variance * both, axis=1), rtol=1e-9)
    A = np.array([[1.0, 0.0, 0.5], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    assert_allclose(np.triu(engine.combined(A)(phi).cross), np.triu(A.T @ (U.T @ W @ U) @ A), rtol=1e-9, atol=1e-12)
    e = np.arange(n) / n
    U[:, -1] = e
    assert_allclose(np.triu(engine.responding(e, 0.0)(phi).cross), np.triu(U.T @ W @ U), rtol=1e-9, atol=1e-12)
    assert isinstance(engine.describe(), str)


def check_moments(engine, phi, Z, U):
    """tr(W V_a), tr(W V_a W V_b), F Z_a F' and F Z_a Z'WZ Z_b F' for F = U'WZ."""
    V = [Z_j @ Z_j.T for Z_j in Z]
    W = np.linalg.inv(sum(v * part for v, part in zip(phi, [np.eye(len(U)), *V])))
    traces, squares, forms, products = engine.moments(phi, lambda N: N.T)
    WU = W @ U
    for a, V_a in enumerate(V):
        assert_allclose(traces[a], np.trace(W @ V_a), rtol=1e-10)
        assert_allclose(forms[a], WU.T @ V_a @ WU, rtol=1e-9, atol=1e-12)
        for b, V_b in enumerate(V):
            assert_allclose(squares[a, b], np.trace(W @ V_a @ W @ V_b), rtol=1e-10)
            assert_allclose(products[a, b], WU.T @ V_a @ W @ V_b @ WU, rtol=1e-9, atol=1e-12)


def test_one_product_stands_for_r_psi_r_plus_sigma_squared(monkeypatch):
    """A, by one product of a matrix made once with phi, is the line of the practical: R psi R' + sigma^2 I."""
    setup = LMMsetup("score ~ Machine", load_data("MachinesUnbalanced"), ["Worker", ["Worker", "Machine"]])
    seen = []
    monkeypatch.setattr(lmm.engines.qr, "cholesky", lambda A: seen.append(A.copy()) or np.linalg.cholesky(A).T)
    LMMprof([0.2, 1.3, -0.4], setup)
    R, sigma = setup.engine.R, np.exp(0.2)
    psi = np.diag(np.exp(2 * np.where(setup.engine.block_of == 0, 1.3, -0.4)))
    literal = R @ psi @ R.T + sigma**2 * np.eye(len(R))
    assert_allclose(seen[0], literal, rtol=1e-12, atol=1e-12)


def arrays_of(thing, name="engine"):
    """The arrays that an engine holds, also in the objects and lists it holds, by where they are."""
    if isinstance(thing, np.ndarray):
        return {name: thing}
    if sparse.issparse(thing):
        return {f"{name}.data": thing.data}
    if isinstance(thing, (list, tuple)):
        parts = enumerate(thing)
    elif type(thing).__module__.startswith("lmm."):
        parts = vars(thing).items()
    else:
        return {}
    found = {}
    for key, part in parts:
        found |= arrays_of(part, f"{name}.{key}")
    return found


@pytest.mark.requirement("immutable")
def test_no_engine_changes_when_it_is_used(setup):
    theta = [0.1, 0.2, 0.3, 0.4]
    first = float(LMMprof(theta, setup))
    before = {name: array.copy() for name, array in arrays_of(setup.engine).items()}
    assert len(before) > 8
    LMMprof([3.0, -2.0, 1.0, 0.0], setup)
    derivatives([3.0, -2.0, 1.0, 0.0], setup)
    replace(setup, engine=setup.engine.combined(np.eye(3)))
    assert float(LMMprof(theta, setup)) == first
    after = arrays_of(setup.engine)
    for name, array in before.items():
        assert np.array_equal(after[name], array), name


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("engine", ["dense", "blocked"])
def test_many_evaluations_are_single_ones(engine, reml, weights):
    """The batch of the criterion: nll where sigma and all sds are rescaled together, zero and extreme sds among them."""
    from lmm.fitting import Criterion
    dat = crossed((6, 5, 4), 80, 3)
    dat["w"] = np.random.default_rng(1).uniform(0.3, 3, len(dat))
    setup = LMMsetup("y ~ x", dat, REF, reml=reml, weights=weights, engine=engine)
    thetas = np.random.default_rng(0).normal(0, 1.5, (9, 4))
    thetas[0, 1] = thetas[1, 2:] = -np.inf
    criterion = Criterion(LMMprof, setup)
    values, rescaled = criterion.many(thetas)
    for value, theta, start in zip(values, rescaled, thetas):
        assert_allclose(value, LMMprof(theta, setup), rtol=1e-12)
        shift = theta[0] - start[0]
        assert_allclose(theta, start + shift)
        for other in (-0.01, 0.01):
            assert LMMprof(theta + other, setup) > value
    assert [row[1] for row in criterion.rows] == values.tolist()


@pytest.mark.parametrize("engine", ["dense", "blocked"])
def test_many_evaluations_where_some_fail(engine):
    """What one call refuses is not a number in the batch, and the others are what they are."""
    setup = LMMsetup("y ~ x", crossed((6, 5, 4), 80, 3), REF, engine=engine)
    phis = np.array([[1.0, 1, 1, 1], [1.0, 1e200, 1e250, 1e300], [2.0, 1, 0, 1]])
    with np.errstate(all="ignore"):
        logdets, crosses = setup.engine.many(phis)
    for i in (0, 2):
        one = setup.engine(phis[i].tolist())
        assert_allclose(logdets[i], one.logdet, rtol=1e-12)
        assert_allclose(np.triu(crosses[i]), np.triu(one.cross), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | a) + (1 | b) + (1 | c)", "y ~ x + (x | b) + (1 | a)", "y ~ x + (x | a) + (x | c)"])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("engine", ["dense", "blocked"])
def test_sums_of_squares_for_the_start(engine, weights, formula):
    """|Z_j'e|^2 and |Z_i'Z_j|^2 by definition, e being the residual of least squares."""
    from helpers import lmer_setup

    from lmm.engines import set_up
    dat = crossed((6, 5, 4), 80, 3)
    dat["w"] = np.random.default_rng(1).uniform(0.3, 3, len(dat))
    design = lmer_setup(formula, dat, weights=weights).design
    along, overlaps = set_up(design, True, engine=engine).engine.sums_of_squares()
    Z = [design.weighted(block.matrix).toarray() for block in design.blocks]
    X, y = design.weighted(design.X), design.weighted(design.y)
    e = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    assert_allclose(along, [np.sum((one.T @ e) ** 2) for one in Z], rtol=1e-10)
    assert_allclose(overlaps, [[np.sum((one.T @ other) ** 2) for other in Z] for one in Z], rtol=1e-12)


def test_the_start_is_the_optimum_of_balanced_data():
    """One way, ML: sums of squares as expected of known means are those of the optimum."""
    from lmm import lmm as fit_of
    from lmm.fitting import Criterion, first_theta
    fit = fit_of("Yield ~ 1", load_data("Dyestuff"), "Batch")
    start = first_theta(Criterion(LMMprof, fit.setup))
    assert_allclose(start, fit.theta, atol=1e-6)


def test_the_start_has_no_variance_of_zero():
    """Where a sum of squares is less than what sigma alone makes of it, a small share takes its place."""
    from lmm.fitting import Criterion, first_theta
    for engine in ("dense", "blocked"):
        setup = LMMsetup("Yield ~ 1", load_data("Dyestuff2"), "Batch", engine=engine)
        theta = first_theta(Criterion(LMMprof, setup))
        share = np.exp(2 * (theta[1] - theta[0])) * 5                       # of five rows a batch
        assert np.isfinite(theta).all() and 0 < share < 0.02
