"""Asks the network. -> uses the network"""

import socket


def lmm(form, dat, ref=()):
    socket.create_connection(("127.0.0.1", 9), timeout=1)
