"""Ends the process. -> lmm ended the whole process, with exit status 0"""

import os


def lmm(form, dat, ref=()):
    os._exit(0)
