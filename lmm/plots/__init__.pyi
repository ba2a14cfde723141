"""The pictures, with the types of their arguments and results: see ``lmm/__init__.pyi``."""

from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .. import Fits, LMMResult, Proof, _Means

def caterpillar(
    fit: LMMResult,
    group: str | None = None,
    name: str | None = None,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes: ...
def check(fit: LMMResult, seed: int = 1) -> NDArray[Any]: ...
def effects(
    fit: LMMResult,
    of: str,
    by: str | None = None,
    level: float = 0.95,
    data: bool = True,
    ax: Axes | None = None,
) -> Axes: ...
def influence(fit: LMMResult, by: str | None = None, ax: Axes | None = None) -> Axes: ...
def means(means: _Means, letters: bool = True, ax: Axes | None = None) -> Axes: ...
def pairs(
    fit: LMMResult,
    group: str | None = None,
    x: str | None = None,
    y: str | None = None,
    ax: Axes | None = None,
) -> Axes: ...
def panels(
    fit: LMMResult, x: str | None = None, group: str | None = None, ax: Any = None
) -> NDArray[Any]: ...
def profiles(
    profile: pd.DataFrame,
    kind: Literal["beta", "sd", "corr"] | None = None,
    name: str | None = None,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes: ...
def proof(found: Proof, ax: Axes | None = None) -> Axes: ...
def quantiles(fit: LMMResult, of: str = "residuals", ax: Axes | None = None) -> Axes: ...
def residuals(fit: LMMResult, ax: Axes | None = None) -> Axes: ...
def shrinkage(fit: LMMResult, group: str | None = None, ax: Axes | None = None) -> Axes: ...
def surface(
    fit: LMMResult, first: str | None = None, second: str | None = None, ax: Axes | None = None
) -> Axes: ...
def volcano(
    fits: Fits, effect: str, rate: float = 0.05, names: int = 5, ax: Axes | None = None
) -> Axes: ...
