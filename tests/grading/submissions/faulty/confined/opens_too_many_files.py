"""Opens files until there are no more to be had. -> [Errno 24] Too many open files"""

import os


def lmm(form, dat, ref=()):
    while True:
        os.open(os.devnull, os.O_RDONLY)
