"""What an engine answers: the contract between the model and its linear algebra.

The whole likelihood is two things, log|V| and C = U'WU with U = [Q_X e], which stands for [X y];
what derivatives, conditional modes and other uses ask for besides is listed here once. `phi` is
sigma^2 and the entries of psi (model/psi.py): an engine knows nothing of theta.
"""

from typing import NamedTuple, Protocol

import numpy as np


class NotPositiveDefinite(ArithmeticError):
    """A Cholesky triangle failed: phi is so extreme that rounding made a matrix indefinite."""


class Evaluation(NamedTuple):
    """What the likelihood needs from V at one phi."""

    logdet: float           # log|V|
    cross: np.ndarray       # C = U' V^-1 U, (m, m), its upper triangle, and ...
    root: tuple             # ... B, S, sigma with B'B + S'S / sigma^2 = C; else None, ...
    state: object = None    # ... and `state.root()` has one; `rescaled(sigma2)`; for derivatives


class Information(NamedTuple):
    """The parts of nll's derivatives in the entries of psi.

    Z_a relates the columns of an entry's blocks.
    """

    traces: np.ndarray      # (q,) tr(W V_a), for REML tr(P V_a)
    quadratic: np.ndarray   # (q,) y'P V_a P y, so that (6) is (traces - quadratic) / 2
    hessian: np.ndarray     # (q, q) equation (7), or if `averaged` (8)
    averaged: bool


class Moments(NamedTuple):
    """What the first two moments of the estimates of beta and theta are made of.

    Of W, not of P: with those of F they give the traces of P too.
    """

    traces: np.ndarray      # (q,) tr(W V_a)
    squares: np.ndarray     # (q, q) tr(W V_a W V_b)
    forms: np.ndarray       # (q, k, k) F Z_a F'
    products: np.ndarray    # (q, q, k, k) F Z_a (Z'WZ) Z_b F'


class Engine(Protocol):
    """An engine, built once from a design; nothing in it changes.

    p columns of Z, m of U, n rows.
    """

    name: str                   # "dense", "blocked"
    n: int                      # rows
    p: int                      # columns of Z
    cheap: bool  # whether an evaluation is: then Nelder-Mead drives, else derivatives do
    exact: bool  # whether second derivatives are those of nll, and not average information
    averages: bool              # whether average information costs much less than they do
    widest: int                 # columns of the widest matrix that BLAS gets to see
    mean_squares: np.ndarray    # (J,) the mean squared length of the columns of Z of each block
    residual_ss: float          # e'e, e being the last column of U

    def __call__(self, phi) -> Evaluation:
        """log|V| and U'WU. Dense O(p^3), blocked O(p2^3 + pairs); whatever n is.

        Raises an ArithmeticError where phi is too extreme for that.
        """

    def many(self, phis) -> tuple:
        """log|V|, (B,), and U'WU, (B, m, m), at several phi, (B, 1 + q).

        For a look around: nan where a triangle fails. Where `cheap` in one batch, else as B calls.
        """

    def information(self, phi, state, pulled, reml, averaged=False) -> Information:
        """What derivatives need; a small multiple of a call. `state` is an evaluation's, or None.

        With average information if the engine is not `exact`, or if that will do: `averaged`.

        `pulled` takes Z'WU to d = Z'W (y - X beta), (p,), and F, (k, p), with Z'PZ = Z'WZ - F'F.
        """

    def moments(self, phi, pulled) -> Moments:
        """What Kenward and Roger's method needs, where `exact`; as `information`, times k.

        `pulled` takes Z'WU to F, (k, p).
        """

    def rounding(self, phi, state=None) -> float:
        """How far rounding may take 1/2 log|V| from its value, to first order.

        As a call, or at once with an evaluation's `state`.
        """

    def sums_of_squares(self) -> tuple:
        """|Z_j'e|^2, (J,), and |Z_i'Z_j|^2, (J, J), for the blocks of Z: where a search begins.

        The squares of all elements. O(n J) at most.
        """

    def products_with_U(self, phi) -> np.ndarray:
        """Z'WU, (p, m), columns of Z in the order of the blocks. As a call."""

    def conditional(self, phi, Lambda) -> tuple:
        """Z'WU, and Var[b | y, beta] as an object.

        It has `sds()`, (p,), and `quadratic_forms(Z)`, (n,).

        Lambda, (p, p) sparse, has psi = Lambda Lambda'. As a call; the forms O(n p) at most.
        """

    def combined(self, A) -> "Engine":
        """The same engine for U A in place of U. O(p m^2)."""

    def responding(self, e, low) -> "Engine":
        """The same engine with e for the last column of U. O(n p).

        `low` is what rounding took from e.
        """

    def reordered(self, order, entries) -> "Engine":
        """The same with its blocks in another order, and those `Entries` of psi.

        The order changes within terms only.
        """

    def describe(self) -> str:
        """One line about its size."""

    def crowding_block(self) -> int:
        """The block that may dwarf sigma without loss of digits, or None if any may."""
