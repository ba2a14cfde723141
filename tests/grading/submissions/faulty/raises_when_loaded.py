"""Raises when it is imported. -> cannot be loaded: it raises NameError at line 3 of raises_when_loaded.py"""

library(nlme)  # noqa: F821
