"""Does not parse. -> does not parse: line 5: """


def lmm(form, dat, ref=()):
    return {"beta": [1.0, "theta": [0.0]}
