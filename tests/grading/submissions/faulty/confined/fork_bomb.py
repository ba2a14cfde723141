"""Forks again and again, and so does each child. -> lmm started more than 256 processes, and was ended with them"""

import ctypes

libc = ctypes.CDLL(None)


def lmm(form, dat, ref=()):
    while True:
        libc.fork()
