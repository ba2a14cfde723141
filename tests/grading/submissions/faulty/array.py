"""Returns one array. -> lmm returned one array of 6 numbers, where beta and theta were asked"""

import numpy as np


def lmm(form, dat, ref=()):
    return np.zeros(6)
