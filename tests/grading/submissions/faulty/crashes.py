"""Crashes the interpreter. -> ended the process by SIGSEGV: a crash of compiled code, or too deep a recursion"""

import ctypes


def lmm(form, dat, ref=()):
    return ctypes.string_at(0)
