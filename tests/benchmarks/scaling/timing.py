"""Functions timed side by side in one process."""

import time

import numpy as np


def interleaved(*functions, rounds=40, seconds=0.02):
    """The median time of a call of each function, measured in turns so that a noisy machine hits all alike."""
    repeats = []
    for f in functions:
        f()
        start = time.perf_counter()
        f()
        repeats.append(max(1, int(seconds / (time.perf_counter() - start + 1e-9) / rounds * 10)))
    times = np.empty((rounds, len(functions)))
    for i in range(rounds):
        for j, f in enumerate(functions):
            start = time.perf_counter()
            for _ in range(repeats[j]):
                f()
            times[i, j] = (time.perf_counter() - start) / repeats[j]
    return np.median(times, axis=0)
