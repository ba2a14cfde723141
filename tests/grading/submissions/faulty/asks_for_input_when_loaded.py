"""Asks before it can be called. -> cannot be loaded: it asks for input at line 3 of asks_for_input_when_loaded.py, by input(), where"""

METHOD = input("ML or REML? ")


def lmm(form, dat, ref=()):
    return METHOD
