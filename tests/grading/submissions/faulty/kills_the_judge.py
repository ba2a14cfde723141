"""Ends the process that judges it. -> tries to end the judge (os.kill), which is refused"""

import os
import signal


def lmm(form, dat, ref=()):
    os.kill(os.getppid(), signal.SIGTERM)
