"""A smooth line through points: local straight lines, robustly.

Source: Cleveland (1979), "Robust locally weighted regression and smoothing scatterplots", J. Am.
Stat. Assoc. 74.
"""

import numpy as np

FEWEST = 4              # distinct x, below which there is no line
SHARE = 2 / 3           # of the points, that each local line is fitted to
ROUNDS = 3              # of weights by residuals
MOST_PLACES = 80        # where the line is evaluated
MOST_SMOOTHED = 2000      # beyond which means of as many neighbours stand for the points
OUTLYING = 6.0          # median absolute residuals, from which a point has no weight


def smooth_line(x, y):
    """``(places, heights)`` of the line, both (m,); empty where x has too few distinct values."""
    x = np.asarray(x, float)
    y = np.asarray(y, float)
    if len(np.unique(x)) < FEWEST:
        return np.zeros(0), np.zeros(0)
    x, y = _thinned(x, y)
    places = np.unique(np.quantile(x, np.linspace(0, 1, MOST_PLACES)))
    robust = np.ones(len(x))
    for _ in range(ROUNDS):
        heights = _local_lines(x, y, robust, places)
        left = np.abs(y - np.interp(x, places, heights))
        typical = np.median(left)
        if typical == 0:
            break
        robust = np.maximum(1 - (left / (OUTLYING * typical)) ** 2, 0) ** 2
    return places, _local_lines(x, y, robust, places)


def _thinned(x, y):
    """The points in the order of x; of many, means of neighbours."""
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    if len(x) <= MOST_SMOOTHED:
        return x, y
    parts = np.linspace(0, len(x), MOST_SMOOTHED + 1).astype(int)
    counts = np.diff(parts)
    return tuple(np.add.reduceat(values, parts[:-1]) / counts for values in (x, y))


def _local_lines(x, y, robust, places):
    """At each place the height of a straight line through its neighbours, tricube weights."""
    number = max(int(np.ceil(SHARE * len(x))), 2)
    heights = np.empty(len(places))
    for k, place in enumerate(places):
        away = np.abs(x - place)
        width = np.partition(away, number - 1)[number - 1]
        width = width if width > 0 else away.max()
        weights = np.maximum(1 - (away / (1.0001 * width)) ** 3, 0) ** 3 * robust
        total = weights.sum()
        if total <= 0:
            weights, total = np.ones(len(x)), float(len(x))
        centre = weights @ x / total
        spread = weights @ (x - centre) ** 2
        mean = weights @ y / total
        slope = weights @ ((x - centre) * (y - mean)) / spread if spread > 0 else 0.0
        heights[k] = mean + slope * (place - centre)
    return heights
