"""Connects to servers of this machine, through C. -> 2 of 2 are refused"""

import ctypes
import socket
import struct

PORT, SOCKET_FILE = GIVEN
libc = ctypes.CDLL(None, use_errno=True)


def refused(family, address):
    file = libc.socket(family, socket.SOCK_STREAM, 0)
    return libc.connect(file, address, len(address)) != 0


def lmm(form, dat, ref=()):
    internet = struct.pack("=H", socket.AF_INET) + struct.pack("!H4B8x", PORT, 127, 0, 0, 1)
    local = struct.pack("=H", socket.AF_UNIX) + SOCKET_FILE.encode() + b"\0"
    tries = [refused(socket.AF_INET, internet), refused(socket.AF_UNIX, local)]
    raise ConnectionError(f"{sum(tries)} of {len(tries)} are refused")
