"""Asks for what was given. -> lmm asks for input at line 6 of asks_for_input.py, in choice, by input(), where nobody answers"""


def choice():
    print("ML or REML?")
    return input("> ")


def lmm(form, dat, ref=()):
    return {"beta": [], "theta": [choice()]}
