"""Leaves a program behind, in a session of its own, without an environment. -> lmm returned None"""

import ctypes
import os

MARK = GIVEN
libc = ctypes.CDLL(None)


def lmm(form, dat, ref=()):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            arguments = (ctypes.c_char_p * 3)(b"sleep", MARK.encode(), None)
            libc.execve(b"/bin/sleep", arguments, (ctypes.c_char_p * 1)(None))
        os._exit(0)
    os.wait()
