"""Copies from the files beside it, and beside its folder. -> lmm raises FileNotFoundError"""

from pathlib import Path

NEIGHBOUR = GIVEN


def lmm(form, dat, ref=()):
    raise ValueError(Path(NEIGHBOUR).read_text())
