"""Calls itself without end. -> lmm calls itself without end"""


def lmm(form, dat, ref=()):
    return lmm(form, dat, ref)
