"""Many responses of one design: each family against n x n algebra, its derivatives, its rows."""

import numpy as np
import pandas as pd
import pytest
from helpers import LINEAR_ALGEBRA, crossed, lmer_setup
from numpy.testing import assert_allclose

from lmm import lmer, load_data
from lmm.engines import (
    Unsuitable,
    families_of_patterns,
    family_of,
    family_of_rows,
    look,
    look_around,
    slopes,
    told_apart,
)
from lmm.engines.many.by_level import ByLevel, inverted
from lmm.engines.many.profile import inverse_roots
from lmm.engines.many.stacks import Stacks

MACHINES = "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)"
DAYS = "Reaction ~ Days + (Days | Subject)"


def weighted(dat):
    rng = np.random.default_rng(5)
    return dat.assign(w=rng.uniform(0.5, 2, len(dat)), o=rng.normal(size=len(dat)))


DESIGNS = [
    # name, formula, data, kind, pieces that stand for all (of ByLevel)
    ("one way, balanced", "Yield ~ 1 + (1 | Batch)", load_data("Dyestuff"), ByLevel, 2),
    ("one way, unbalanced", "y ~ x + (1 | a)", crossed((6, 3, 2), 31, seed=1), ByLevel, None),
    ("nested, balanced", MACHINES, load_data("Machines"), ByLevel, 5),
    ("nested, unbalanced", MACHINES, load_data("MachinesUnbalanced"), Stacks, None),
    ("crossed, balanced", "diameter ~ 1 + (1 | plate) + (1 | sample)", load_data("Penicillin"), ByLevel, None),
    ("slopes", DAYS, load_data("sleepstudy"), ByLevel, 3),
    ("independent slopes", "Reaction ~ Days + (Days || Subject)", load_data("sleepstudy"), ByLevel, 3),
    ("three effects", "score ~ 1 + (0 + Machine | Worker)", load_data("MachinesUnbalanced"), ByLevel, None),
    ("compound symmetry", "score ~ Machine + cs(0 + Machine | Worker)", load_data("Machines"), ByLevel, None),
    ("slopes and crossed", "y ~ x + (x | a) + (1 | b)", crossed((5, 4, 2), 40, seed=2), Stacks, None),
    ("three crossed", "y ~ x + (1 | a) + (1 | b) + (1 | c)", crossed((5, 4, 2), 40, seed=3), Stacks, None),
    ("two of slopes", "y ~ x + (x | a) + (0 + x | b)", crossed((5, 4, 2), 40, seed=4), Stacks, None),
    ("weights", "y ~ x + (x | a)", weighted(crossed((5, 4, 2), 40, seed=2)), ByLevel, None),
    ("weights, crossed", "y ~ x + (1 | a) + (1 | b)", weighted(crossed((5, 4, 2), 40, seed=2)), Stacks, None),
    ("no fixed effects", "y ~ 0 + (1 | a)", crossed((5, 4, 2), 40, seed=2), ByLevel, None),
    ("many fixed effects", "y ~ a * b + x + (1 | c)", crossed((3, 3, 8), 60, seed=2), ByLevel, None),
]


def made(formula, dat, reml):
    given = {"weights": "w", "offset": "o"} if "w" in dat else {}
    return lmer_setup(formula, dat, reml, **given)


def at_random(setup, B, seed=0):
    """B thetas relative to sigma, and the entries of psi there, as the family has it."""
    rng = np.random.default_rng(seed)
    covariance = setup.covariance
    theta = 0.7 * rng.normal(size=(B, covariance.size))
    theta[:, 1:] += np.where(covariance.logs[1:], -0.5, 0.0)
    theta[:, 0] = 0.0
    back = np.linalg.inv(family_of(setup).rows.turn)
    return theta, covariance.entries.of(covariance.psi(covariance.turned(theta, back)))


def directly(y, theta, setup):
    """nll, sigma being profiled out, and beta: from V, n x n."""
    design = setup.design
    n, k = design.X.shape
    Z = [block.matrix.toarray() for block in design.blocks]
    psi = setup.covariance.psi(theta)
    V = np.eye(n) if design.root_weights is None else np.diag(1 / design.root_weights**2)
    for i, j in np.argwhere(psi):
        V = V + psi[i, j] * Z[i] @ Z[j].T
    W = np.linalg.inv(V)
    X = design.X
    r = y - design.offset
    beta = np.linalg.solve(X.T @ W @ X, X.T @ W @ r) if k else np.zeros(0)
    r = r - X @ beta
    df = n - k if setup.reml else n
    nll = 0.5 * (np.linalg.slogdet(V)[1] + df + df * np.log(r @ W @ r / df))
    if setup.reml:
        nll += 0.5 * np.linalg.slogdet(X.T @ W @ X)[1]
    return nll, beta


def responses(setup, B, seed=1):
    return setup.design.y[:, None] + np.random.default_rng(seed).normal(size=(len(setup.design.y), B))


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("name, formula, dat, kind, pieces", DESIGNS, ids=[one[0] for one in DESIGNS])
class TestAgainstTheDefinition:
    def test_value_and_beta(self, name, formula, dat, kind, pieces, reml):
        setup = made(formula, dat, reml)
        family = family_of(setup)
        assert isinstance(family.design, kind)
        if pieces:
            assert family.design.counts.shape[1] == pieces
        Y = responses(setup, 4)
        numbers, beta_0, whole, lost = family.respond(Y)
        theta, rho = at_random(setup, 4)
        at = look(family.design, rho, numbers)
        around = look_around(family.design, rho, numbers, 4)
        for b in range(4):
            nll, beta = directly(Y[:, b], theta[b], setup)
            assert_allclose(at.nll[b], nll, **LINEAR_ALGEBRA)
            assert_allclose(around[b, b], nll, **LINEAR_ALGEBRA)
            found = beta_0[b] + np.linalg.solve(setup.R_X, at.gamma[b])
            assert_allclose(found, beta, rtol=1e-9, atol=1e-9)
        assert not lost.any()
        e = family.rows.X @ (family.rows.X.T @ setup.design.weighted(Y - setup.design.offset[:, None]))
        assert_allclose(whole, np.sum((setup.design.weighted(Y - setup.design.offset[:, None]) - e) ** 2, axis=0))

    def test_derivatives_are_those_of_the_values(self, name, formula, dat, kind, pieces, reml):
        setup = made(formula, dat, reml)
        family = family_of(setup)
        numbers, *_ = family.respond(responses(setup, 3))
        _, rho = at_random(setup, 3)
        found = slopes(family.design, look(family.design, rho, numbers), numbers)
        for a in range(rho.shape[1]):
            h = 1e-5 * np.maximum(np.abs(rho[:, a]), 1e-3)
            ends = []
            for sign in (1, -1):
                moved = rho.copy()
                moved[:, a] += sign * h
                at = look(family.design, moved, numbers)
                ends.append((at.nll, slopes(family.design, at, numbers).gradient))
            (nll_up, up), (nll_down, down) = ends
            scale = np.abs(found.gradient).max()
            assert_allclose((nll_up - nll_down) / (2 * h), found.gradient[:, a], rtol=1e-5, atol=1e-6 * scale)
            scale = np.abs(found.hessian).max()
            assert_allclose((up - down) / (2 * h)[:, None], found.hessian[:, a], rtol=1e-5, atol=1e-6 * scale)

    def test_rows_of_their_own(self, name, formula, dat, kind, pieces, reml):
        """The family of some rows is that of the model of these rows; masks say the same."""
        setup = made(formula, dat, reml)
        Y = responses(setup, 3)
        rng = np.random.default_rng(7)
        n = len(Y)
        kept = np.ones((n, 3), bool)
        for b, lost in enumerate((1, 3, 5)):
            kept[rng.choice(n, lost, replace=False), b] = False
        families = [family_of_rows(setup, family_of(setup), kept[:, b]) for b in range(3)]
        parts = [one.respond(Y[kept[:, b], b][:, None]) for b, one in enumerate(families)]
        _, rho = at_random(setup, 3)
        alone = [
            look(one.design, rho[[b]], part[0]).nll[0]
            for b, (one, part) in enumerate(zip(families, parts))
        ]
        for b in range(3):
            less = made(formula, dat.iloc[setup.design.rows[kept[:, b]]], reml)
            theta, _ = at_random(setup, 3)
            if less.covariance.size == setup.covariance.size and len(less.beta_0) == len(setup.beta_0):
                expected, _ = directly(Y[kept[:, b], b], theta[b], less)
                assert_allclose(alone[b], expected, rtol=1e-9, atol=1e-9)
        whole = family_of(setup)
        if whole.is_one_grouping:
            of = whole.respond_masked(np.where(kept, Y, np.nan))
            assert_allclose(look(of.design, rho, of.responses).nll, alone, rtol=1e-9, atol=1e-9)
            assert_allclose(of.R_X, [one.rows.R_X * np.sign(np.diag(one.rows.R_X) * np.diag(of.R_X[b]))[:, None]
                                     for b, one in enumerate(families)], atol=1e-9)
        elif len({one.design.XX.shape for one in families}) == 1 and isinstance(families[0].design, Stacks):
            design = families_of_patterns([one.design for one in families])
            numbers = tuple(np.concatenate(arrays) for arrays in zip(*(part[0] for part in parts)))
            assert_allclose(look(design, rho, numbers).nll, alone, rtol=1e-10)


def test_what_cannot_be_told_apart_is_seen():
    """One row for each level: the variance is the residual's."""
    dat = pd.DataFrame({"y": np.arange(8.0) ** 2, "g": list("aabbccdd")})
    setup = lmer_setup("y ~ 1 + (1 | g)", dat)
    every = np.arange(8) % 2 == 0
    family = family_of_rows(setup, family_of(setup), every)
    numbers, *_ = family.respond(dat["y"].to_numpy()[every, None])
    assert told_apart(family.design, numbers, setup.covariance.free_parts)[0] < 1e-12
    whole = family_of(setup)
    numbers, *_ = whole.respond(dat[["y"]].to_numpy())
    assert told_apart(whole.design, numbers, setup.covariance.free_parts)[0] > 0.1


def test_rows_on_which_x_loses_its_rank_are_refused():
    dat = load_data("Machines")
    setup = lmer_setup(MACHINES, dat)
    with pytest.raises(Unsuitable, match="a fixed effect cannot be estimated"):
        family_of_rows(setup, family_of(setup), (dat["Machine"] != "B").to_numpy())


def test_too_many_columns_are_refused():
    rng = np.random.default_rng(1)
    dat = pd.DataFrame({"y": rng.normal(size=900), "g": np.arange(900) % 250, "h": rng.permutation(900) % 230})
    with pytest.raises(Unsuitable, match="230 columns of Z are left beside 250 that are eliminated"):
        family_of(lmer("y ~ 1 + (1 | g) + (1 | h)", dat, engine="dense").setup)


@pytest.mark.parametrize("c", [1, 2, 3, 4])
def test_inverses_and_triangles_of_small_matrices(c):
    rng = np.random.default_rng(c)
    roots = rng.normal(size=(5, 3, c, c + 2))
    A = roots @ roots.swapaxes(-1, -2)
    by_effect = A.transpose(2, 3, 0, 1).copy()
    inverse, logs = inverted(by_effect)
    assert_allclose(inverse.transpose(2, 3, 0, 1), np.linalg.inv(A), rtol=1e-8)
    assert_allclose(np.broadcast_to(logs, (5, 3)), np.linalg.slogdet(A)[1], rtol=1e-9)
    flat = A.reshape(15, c, c)
    found, half = inverse_roots(flat)
    assert_allclose(found @ flat @ found.swapaxes(1, 2), np.broadcast_to(np.eye(c), flat.shape), atol=1e-9)
    assert_allclose(half, 0.5 * np.linalg.slogdet(flat)[1])
    assert (np.triu(found, 1) == 0).all()


@pytest.mark.parametrize("k", [3, 9])
def test_a_triangle_that_fails_is_nan_and_the_others_are_not(k):
    A = np.array([np.eye(k), -np.eye(k), 4 * np.eye(k)])
    with np.errstate(invalid="ignore", divide="ignore"):
        _, half = inverse_roots(A)
    assert_allclose(half, [0.0, np.nan, k * np.log(2)])
