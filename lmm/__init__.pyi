"""What a user calls, with the types of arguments and results, for editors and checkers.

The methods of a fit are attached when the package is imported (methods.py), which no checker sees:
they are declared here. Classes with an underscore have no name in the package, but results have
them. tests/test_hints.py holds this file to the functions, name by name.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from types import ModuleType
from typing import Any, Literal, SupportsFloat, overload

import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import plots as plots

__version__: str

_Path = str | PathLike[str]
_Data = Any         # frames of pandas, polars, pyarrow; dicts and lists; names of files, chunks
_Ref = str | Sequence[str | Sequence[str]] | Mapping[str, Any]
_PerRow = str | ArrayLike | None
_Engine = Literal["dense", "blocked"] | None
_Df = Literal["satterthwaite", "kr", "normal"] | float
_Interval = Literal["profile", "wald", "t", "boot"]

# -- errors and warnings ---------------------------------------------------------------------------

class LMMError(ValueError): ...
class LMMWarning(UserWarning): ...
class ConvergenceWarning(LMMWarning): ...

# -- the practical ---------------------------------------------------------------------------------

class _Nll(float):
    beta: NDArray[Any]

class _Setup:
    design: Any
    reml: bool
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def log_labels(self) -> tuple[str, ...]: ...
    @property
    def covariance(self) -> Any: ...
    def save(self, path: _Path) -> None: ...

def LMMsetup(
    form: str | ArrayLike,
    dat: _Data,
    ref: _Ref = (),
    reml: bool = False,
    weights: _PerRow = None,
    offset: _PerRow = None,
    engine: _Engine = None,
) -> _Setup: ...
def LMMprof(theta: ArrayLike, setup: _Setup, reml: bool | None = None) -> _Nll: ...
def lmm(
    form: str | ArrayLike,
    dat: _Data,
    ref: _Ref = (),
    reml: bool = False,
    start: ArrayLike | None = None,
    verbose: bool = False,
    weights: _PerRow = None,
    offset: _PerRow = None,
    engine: _Engine = None,
) -> LMMResult: ...
def lmer(
    formula: str,
    dat: _Data,
    reml: bool = True,
    start: ArrayLike | None = None,
    verbose: bool = False,
    weights: _PerRow = None,
    offset: _PerRow = None,
    engine: _Engine = None,
) -> LMMResult: ...

class _Derivatives:
    gradient: NDArray[Any]
    hessian: NDArray[Any]

def derivatives(theta: ArrayLike, setup: _Setup, value: _Nll | None = None) -> _Derivatives: ...
def certify(theta: ArrayLike, setup: _Setup, value: _Nll | None = None) -> Optimum: ...

class Optimum:
    certified: bool
    reasons: tuple[str, ...]
    gradient: NDArray[Any]
    gradient_norm: float
    hessian: NDArray[Any]
    averaged: bool
    smallest_eigenvalue: float
    nll_error: float
    theta_error: NDArray[Any]
    multipliers: dict[str, Any]
    evaluations: dict[str, int]
    seconds: dict[str, float]

# -- what shows itself by tables -------------------------------------------------------------------

class _Shown:
    def to_frame(self, only: str | int | None = None) -> pd.DataFrame: ...
    def to_html(self, only: str | int | None = None) -> str: ...
    def to_latex(
        self,
        only: str | int | None = None,
        caption: str | None = None,
        label: str | None = None,
    ) -> str: ...
    def to_markdown(self, only: str | int | None = None) -> str: ...

class _Table(_Shown):
    table: pd.DataFrame
    notes: tuple[str, ...]

class Comparison(_Table):
    models: dict[str, str]
    simulated: dict[str, Any]

class _Means(_Table):
    of: tuple[str, ...]
    by: tuple[str, ...]
    level: float
    @property
    def response(self) -> str: ...
    def pairs(self, adjust: str = "tukey", reverse: bool = False) -> _Table: ...
    def contrast(
        self,
        method: str | Mapping[str, ArrayLike] = "trt.vs.ctrl",
        adjust: str = "none",
        ref: Any = None,
    ) -> _Table: ...
    def letters(self, adjust: str = "tukey", alpha: float = 0.05) -> pd.Series: ...
    def on_original_scale(self) -> _Means: ...

class Bootstrap(_Shown):
    replicates: pd.DataFrame
    estimate: pd.Series
    failed: int
    reasons: tuple[str, ...]
    @property
    def table(self) -> pd.DataFrame: ...
    @property
    def nsim(self) -> int: ...
    @property
    def se(self) -> pd.Series: ...
    @property
    def bias(self) -> pd.Series: ...
    def conf_int(self, level: float = 0.95) -> pd.DataFrame: ...

# -- a fit -----------------------------------------------------------------------------------------

class LMMResult(_Shown, Mapping[str, NDArray[Any]]):
    beta: NDArray[Any]
    theta: NDArray[Any]
    nll: float
    optimum: Optimum
    message: str
    setup: _Setup
    def __getitem__(self, key: str) -> NDArray[Any]: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...

    # what was fitted, and how
    @property
    def reml(self) -> bool: ...
    @property
    def engine(self) -> str: ...
    @property
    def converged(self) -> bool: ...
    @property
    def nfev(self) -> int: ...
    @property
    def nobs(self) -> int: ...
    @property
    def n_dropped(self) -> int: ...
    @property
    def dropped(self) -> tuple[str, ...]: ...
    @property
    def npar(self) -> int: ...
    @property
    def df_resid(self) -> int: ...
    @property
    def llf(self) -> float: ...
    @property
    def deviance(self) -> float: ...
    @property
    def aic(self) -> float: ...
    @property
    def bic(self) -> float: ...

    # the fixed effects
    @property
    def params(self) -> pd.Series: ...
    @property
    def bse(self) -> pd.Series: ...
    @property
    def tvalues(self) -> pd.Series: ...
    @property
    def df(self) -> pd.Series: ...
    @property
    def pvalues(self) -> pd.Series: ...
    def cov_params(self, adjusted: bool = False) -> pd.DataFrame: ...
    def robust_cov(self, by: str, kind: str = "CR2") -> pd.DataFrame: ...
    def contrast(
        self,
        L: str | ArrayLike | pd.DataFrame | pd.Series | Mapping[str, Any],
        rhs: ArrayLike = 0,
        *,
        df: _Df = "satterthwaite",
        joint: bool = False,
        level: float = 0.95,
        cov: pd.DataFrame | ArrayLike | None = None,
    ) -> pd.DataFrame: ...
    def means(
        self,
        of: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        weights: Literal["equal", "proportional", "cells"] = "equal",
        *,
        df: _Df = "satterthwaite",
        level: float = 0.95,
    ) -> _Means: ...
    def slopes(
        self,
        of: str,
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        weights: Literal["equal", "proportional", "cells"] = "equal",
        *,
        df: _Df = "satterthwaite",
        level: float = 0.95,
    ) -> _Means: ...

    # the random effects
    @property
    def sigma(self) -> float: ...
    @property
    def sd(self) -> pd.Series: ...
    @property
    def sd_se(self) -> pd.Series: ...
    @property
    def corr(self) -> pd.Series: ...
    @property
    def rank(self) -> pd.Series: ...
    @property
    def singular(self) -> tuple[str, ...]: ...
    def varcorr(self, *, se: bool = False) -> pd.DataFrame: ...
    def psi(self) -> dict[str, pd.DataFrame]: ...
    def cov_theta(self) -> pd.DataFrame: ...
    @overload
    def ranef(
        self, *, cond_sd: bool = False, tidy: Literal[False] = False
    ) -> dict[str, pd.DataFrame]: ...
    @overload
    def ranef(self, *, cond_sd: bool = False, tidy: Literal[True]) -> pd.DataFrame: ...
    def coef(self) -> dict[str, pd.DataFrame]: ...
    def icc(self) -> pd.Series: ...
    def r2(self) -> pd.Series: ...

    # rows, old and new
    @property
    def fittedvalues(self) -> pd.Series: ...
    @property
    def resid(self) -> pd.Series: ...
    @property
    def resid_scaled(self) -> pd.Series: ...
    @property
    def leverage(self) -> pd.Series: ...
    @property
    def cooks_distance(self) -> pd.Series: ...
    def align(self, series: pd.Series) -> pd.Series: ...
    @overload
    def residuals(self, chunks: None = None) -> pd.Series: ...
    @overload
    def residuals(self, chunks: _Data) -> Iterator[pd.Series]: ...
    def model_matrix(self, newdata: _Data = None) -> pd.DataFrame: ...
    @overload
    def predict(
        self,
        newdata: _Data = None,
        *,
        random: bool = True,
        se: Literal[False] = False,
        interval: None = None,
        level: float = 0.95,
        new_levels: Literal["error", "population"] = "error",
    ) -> pd.Series: ...
    @overload
    def predict(
        self,
        newdata: _Data = None,
        *,
        random: bool = True,
        se: bool = False,
        interval: Literal["confidence", "prediction"] | None = None,
        level: float = 0.95,
        new_levels: Literal["error", "population"] = "error",
    ) -> pd.DataFrame: ...

    # to look at, tests, intervals
    def summary(
        self,
        *,
        se: bool = False,
        correlation: bool = True,
        df: Literal["satterthwaite", "kr"] = "satterthwaite",
    ) -> _Shown: ...
    def conf_int(
        self,
        method: _Interval = "profile",
        level: float = 0.95,
        *,
        df: Literal["satterthwaite", "kr"] = "satterthwaite",
        **options: Any,
    ) -> pd.DataFrame: ...
    def profile(self) -> pd.DataFrame: ...
    def influence(self, by: str | None = None) -> pd.DataFrame: ...
    def tidy(
        self,
        effects: str | Sequence[str] = ("fixed", "ran_pars", "ran_vals"),
        conf_int: _Interval | pd.DataFrame | None = None,
        level: float = 0.95,
    ) -> pd.DataFrame: ...
    def glance(self) -> pd.DataFrame: ...
    def augment(self) -> pd.DataFrame: ...

    # the search
    @property
    def trace(self) -> pd.DataFrame: ...
    @property
    def proof(self) -> Proof | None: ...
    def prove(
        self, tolerance: float = 1e-6, seconds: float = 30, *, keep: bool = False
    ) -> Proof: ...

    # again
    @overload
    def refit(self, y: pd.DataFrame, *, progress: bool = True) -> Fits: ...
    @overload
    def refit(self, y: pd.Series | ArrayLike, *, progress: bool = True) -> LMMResult: ...
    def update(
        self,
        form: str | None = None,
        ref: _Ref | None = None,
        dat: _Data = None,
        reml: bool | None = None,
        engine: _Engine = None,
    ) -> LMMResult: ...
    def simulate(self, nsim: int = 1, seed: int | None = None) -> pd.DataFrame: ...
    def bootstrap(
        self,
        nsim: int = 1000,
        seed: int | None = None,
        statistic: Callable[[LMMResult], SupportsFloat | Iterable[float]] | None = None,
        processes: int = 1,
        progress: bool = True,
    ) -> Bootstrap: ...

class Proof:
    verdict: str
    reason: str
    lower_bound: float
    nll: float
    theta: NDArray[Any] | None
    tolerance: float
    boxes: int
    evaluations: int
    seconds: float
    cells: NDArray[Any]
    fit: LMMResult
    @property
    def proved(self) -> bool: ...
    @property
    def refuted(self) -> bool: ...
    def better(self) -> LMMResult: ...

# -- several fits, and terms of one ----------------------------------------------------------------

@overload
def anova(
    fit: LMMResult,
    /,
    *,
    type: Literal[1, 2, 3] = 3,
    df: _Df = "satterthwaite",
    nsim: int = 0,
    seed: int | None = None,
    processes: int = 1,
    progress: bool = True,
) -> _Table: ...
@overload
def anova(
    *fits: LMMResult,
    type: Literal[1, 2, 3] = 3,
    df: _Df = "satterthwaite",
    nsim: int = 0,
    seed: int | None = None,
    processes: int = 1,
    progress: bool = True,
) -> Comparison: ...
def drop1(fit: LMMResult, test: str = "F", *, df: _Df = "satterthwaite") -> _Table: ...
def ranova(fit: LMMResult, reduce: bool = True) -> _Table: ...
def compare_table(
    *fits: LMMResult,
    statistic: Literal["se", "ci", "p"] | None = "se",
    stars: bool = False,
    digits: int = 4,
    conf_int: _Interval = "t",
    level: float = 0.95,
    **named: LMMResult,
) -> _Table: ...

# -- many responses --------------------------------------------------------------------------------

class Fits(_Shown):
    names: pd.Index
    formula: str
    setup: _Setup
    @property
    def params(self) -> pd.DataFrame: ...
    @property
    def bse(self) -> pd.DataFrame: ...
    @property
    def tvalues(self) -> pd.DataFrame: ...
    @property
    def df(self) -> pd.DataFrame: ...
    @property
    def pvalues(self) -> pd.DataFrame: ...
    @property
    def qvalues(self) -> pd.DataFrame: ...
    @property
    def theta(self) -> pd.DataFrame: ...
    @property
    def sd(self) -> pd.DataFrame: ...
    @property
    def corr(self) -> pd.DataFrame: ...
    @property
    def sigma(self) -> pd.Series: ...
    @property
    def llf(self) -> pd.Series: ...
    @property
    def nobs(self) -> pd.Series: ...
    @property
    def singular(self) -> pd.Series: ...
    @property
    def converged(self) -> pd.Series: ...
    @property
    def optimum_error(self) -> pd.Series: ...
    @property
    def reml(self) -> bool: ...
    @property
    def dropped(self) -> tuple[str, ...]: ...
    @property
    def alone(self) -> Sequence[str]: ...
    @property
    def failed(self) -> dict[Any, str]: ...
    def __getitem__(self, name: Any) -> LMMResult: ...
    def __len__(self) -> int: ...
    def contrast(
        self, L: Any, rhs: ArrayLike = 0, *, level: float = 0.95
    ) -> pd.DataFrame: ...
    def anova(self, type: Literal[1, 2, 3] = 3) -> pd.DataFrame: ...
    def tidy(self) -> pd.DataFrame: ...

_Responses = Sequence[str] | pd.DataFrame | ArrayLike | None

def lmm_many(
    form: str,
    dat: _Data,
    ref: _Ref = (),
    responses: _Responses = None,
    reml: bool = False,
    weights: _PerRow = None,
    offset: _PerRow = None,
    engine: _Engine = None,
    progress: bool = True,
) -> Fits: ...
def lmer_many(
    formula: str,
    dat: _Data,
    responses: _Responses = None,
    reml: bool = True,
    weights: _PerRow = None,
    offset: _PerRow = None,
    engine: _Engine = None,
    progress: bool = True,
) -> Fits: ...

# -- sums without rows -----------------------------------------------------------------------------

def summarise(
    data: _Data,
    formula: str,
    path: _Path,
    ref: _Ref | None = None,
    *,
    site: str = "",
    least: int = 5,
    small: Literal["refuse", "merge"] = "refuse",
    levels: Mapping[str, Sequence[Any]] | None = None,
    reml: bool | None = None,
    weights: str | None = None,
    offset: str | None = None,
) -> None: ...
def combine(
    files: Iterable[_Path],
    *,
    nested: Sequence[str] = (),
    reml: bool | None = None,
    engine: _Engine = None,
) -> LMMResult: ...
def load_setup(path: _Path) -> _Setup: ...

# -- the data, and judging a submission ------------------------------------------------------------

class _Explanation:
    quantity: str
    conventions: tuple[tuple[str, ...], ...]
    printed: float
    needed: int
    @property
    def sure(self) -> bool: ...

class _Verdict:
    words: str
    lower: Literal["fit", "claim", "neither", ""]
    fit: float
    claim: float
    rounding: float
    @property
    def excess(self) -> float: ...
    def to_dict(self) -> dict[str, Any]: ...

class _Arbitration(_Shown):
    table: pd.DataFrame
    explanations: tuple[_Explanation, ...]
    verdict: _Verdict
    program: str
    criterion: str
    @property
    def agrees(self) -> bool: ...
    @property
    def explained(self) -> bool: ...
    def to_dict(self) -> dict[str, Any]: ...

class _Report(_Shown):
    title: str
    results: tuple[Any, ...]
    problem: str
    notes: tuple[str, ...]
    student: str
    attempt: str
    taken: str
    @property
    def passed(self) -> bool: ...
    @property
    def points(self) -> float: ...
    @property
    def total(self) -> float: ...
    @property
    def cause(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    def shown_results(self) -> list[Any]: ...
    def shown_names(self) -> list[str]: ...
    def failed_together(self) -> list[list[Any]]: ...
    def all_notes(self) -> list[str]: ...
    def to_dict(self) -> dict[str, Any]: ...
    def to_json(self) -> str: ...
    def gradescope(self) -> dict[str, Any]: ...

def load_data(name: str) -> pd.DataFrame: ...
def models() -> pd.DataFrame: ...
def lme4_reference(name: str, part: Literal["fit", "inference"] = "fit") -> pd.DataFrame: ...
def compare(
    fit: LMMResult, claimed: Mapping[str, Any], program: str = "the program"
) -> _Arbitration: ...
def grade(
    given: _Path | ModuleType | Callable[..., Any],
    cases: Iterable[Any] | None = None,
    time_limit: float = 20.0,
    memory_limit: float = 2048.0,
    helpers: bool = True,
) -> _Report: ...
