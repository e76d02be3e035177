"""Run a command that ends when its starter ends, however the starter ends.

usage: tether.py STARTER_PID DEATH_SIGNAL UID GID COMMAND...    (UID -1: stay who we are)

A program of its own because the same in `preexec_fn` may deadlock in a process with threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the command, as the given user, tied to the starter."""
    starter, signal, uid, gid = (int(argument) for argument in sys.argv[1:5])
    command = sys.argv[5:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After setuid, which clears it. Elsewhere than on Linux the pid file lets the next start
    # end what is left.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
        if os.getppid() != starter:
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
