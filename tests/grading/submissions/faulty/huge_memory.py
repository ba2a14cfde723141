"""Asks for a hundred gigabytes. -> lmm needs more memory than it was given at line 7 of huge_memory.py, in lmm"""

import numpy as np


def lmm(form, dat, ref=()):
    return np.ones((100_000, 125_000))
