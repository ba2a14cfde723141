"""Raises. -> lmm raises KeyError at line 5 of raises.py, in lmm: 'Score'"""


def lmm(form, dat, ref=()):
    return dat["Score"]
