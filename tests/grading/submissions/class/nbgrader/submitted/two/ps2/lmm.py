"""Returns nothing."""


def lmm(form, dat, ref=()):
    pass
