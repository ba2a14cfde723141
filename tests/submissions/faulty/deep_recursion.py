"""Calls itself until the stack overflows. -> ended the process by SIGSEGV: too deep a recursion, as a rule"""

import sys

sys.setrecursionlimit(10**9)


def lmm(form, dat, ref=()):
    return max([0], key=lambda x: lmm(form, dat, ref))
