"""Reads the data of its author's own computer. -> reads a file: """

import pandas as pd


def lmm(form, dat, ref=()):
    dat = pd.read_csv("/home/student/Machines.csv")
    return {"beta": [dat["score"].mean()], "theta": [0.0]}
