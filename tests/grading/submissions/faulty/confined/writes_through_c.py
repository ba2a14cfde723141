"""Writes into folders that are not its own, through C. -> no file of 4 could be made"""

import ctypes
import os

FILES = GIVEN
libc = ctypes.CDLL(None)


def lmm(form, dat, ref=()):
    made = [libc.open(file.encode(), os.O_CREAT | os.O_WRONLY, 0o600) for file in FILES]
    if max(made) < 0:
        raise OSError(f"no file of {len(FILES)} could be made")
