"""Ends the program politely. -> lmm ends the program at line 7 of exits.py, in lmm, by sys.exit or quit"""

import sys


def lmm(form, dat, ref=()):
    sys.exit("done")
