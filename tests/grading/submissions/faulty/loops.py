"""Loops for ever. -> lmm was still running after 1 s, the limit"""


def lmm(form, dat, ref=()):
    print("starting")
    while True:
        pass
