"""Writes into the folder it lies in. -> writes a file: """

from pathlib import Path


def lmm(form, dat, ref=()):
    with open(Path(__file__).with_name("log.txt"), "w") as file:
        file.write("fitting")
