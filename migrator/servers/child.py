"""What stands between us and a program of PostgreSQL: drop root, tie the two lives, become it.

Run as a program of its own, never imported: between fork and exec a process with threads may do
almost nothing safely, and after an exec of our own everything is allowed again.

Arguments: how (self, namespace or user), uid, gid, the process id of the parent, the program and
its arguments; or, for what only the owner may do, the word `forget` and a shared memory segment.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
IPC_RMID = 0
FORGET = "forget"


def enter_namespace(uid: int, gid: int) -> None:
    """Be another user in a user namespace: still root's files outside, but not root inside."""
    outside = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace")
    maps = f"{uid} {outside[0]} 1", f"{gid} {outside[1]} 1"
    for name, line in zip(("setgroups", "uid_map", "gid_map"), ("deny", *maps), strict=True):
        Path("/proc/self", name).write_text(line, encoding="ascii")


def become(uid: int, gid: int) -> None:
    """Be another user, for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def die_with(parent: int) -> None:
    """Ask the kernel for a fast shutdown (SIGINT) when the parent goes, even by SIGKILL."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:  # it went before the kernel was asked
        sys.exit("the parent is gone")


def main(how: str, uid: str, gid: str, parent: str, *command: str) -> None:
    """Become the program that was asked for, or do the one thing that needs none."""
    if how == "namespace":
        enter_namespace(int(uid), int(gid))
    elif how == "user":
        become(int(uid), int(gid))
    if sys.platform == "linux":  # after the change of user, which would undo it
        die_with(int(parent))
    if command[0] == FORGET:
        ctypes.CDLL(None).shmctl(int(command[1]), IPC_RMID, None)
        return
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
