"""Prints megabytes, and returns nothing. -> lmm returned None"""


def lmm(form, dat, ref=()):
    for i in range(200_000):
        print("evaluation", i, "of many, with theta and everything else")
