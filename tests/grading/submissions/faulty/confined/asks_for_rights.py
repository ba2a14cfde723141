"""Changes the clock, its limits, its user and its view of the disk, and traces others. -> all is refused"""

import ctypes
import os
import resource
import signal
import stat
import time

PACKAGE, JUDGE = GIVEN
NEW_USERS = 0x10000000
TRACE = 16
libc = ctypes.CDLL(None)
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
DISK = os.makedev(8, 0)

ATTEMPTS = {
    "clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "limit": lambda: resource.setrlimit(resource.RLIMIT_AS, UNLIMITED),
    "user": lambda: os.setuid(os.getuid() + 1),
    "root": lambda: os.chroot("."),
    "device": lambda: os.mknod("disk", stat.S_IFBLK | 0o600, DISK),
    "sysctl": lambda: os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
    "mount": lambda: libc.mount(b"tmpfs", b"/usr", b"tmpfs", 0, None),
    "uncover": lambda: libc.umount2(PACKAGE.encode(), 2),
    "namespace": lambda: libc.unshare(NEW_USERS),
    "trace the judge": lambda: libc.ptrace(TRACE, JUDGE, None, None),
    "trace the init": lambda: libc.ptrace(TRACE, 1, None, None),
    "signal the init": lambda: os.kill(1, signal.SIGKILL) or -os.path.exists("/proc/1"),
}


def is_refused(attempt):
    try:
        return attempt() == -1
    except (OSError, ValueError):
        return True


def lmm(form, dat, ref=()):
    got = [name for name, attempt in ATTEMPTS.items() if not is_refused(attempt)]
    raise PermissionError(f"got {got}" if got else "all is refused")

