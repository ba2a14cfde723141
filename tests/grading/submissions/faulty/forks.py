"""Forks children that leave the session and live on, and returns in each of them. -> starts a process (os.fork)"""

import os
import time


def lmm(form, dat, ref=()):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
            return {"beta": [0.0], "theta": [0.0]}
    return None
