"""The matrices of a model, and their cross-products."""

import numpy as np
import patsy


def matrices(form, dat, ref):
    y, X = patsy.dmatrices(form, dat, return_type="dataframe")
    blocks = [np.asarray(patsy.dmatrix("0+" + ":".join(names), dat.loc[y.index])) for names in ref]
    return np.ravel(y), np.asarray(X), blocks


def pieces(y, X, blocks):
    T = np.column_stack([*blocks, X, y])
    return {"n": len(y), "k": X.shape[1], "sizes": [Z.shape[1] for Z in blocks], "TT": T.T @ T, "sd": y.std()}
