"""Defines no lmm. -> defines no function lmm"""


def lme(form, dat, ref=()):
    return {"beta": [1.0], "theta": [0.0]}
