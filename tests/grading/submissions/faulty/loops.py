"""Loops for ever. -> lmm was still running after 3 s, the limit"""


def lmm(form, dat, ref=()):
    print("starting")
    while True:
        pass
