"""Becomes another command that dies with its parent: `python tie_to_parent.py PARENT_PID COMMAND ARGUMENT…`

On Linux the kernel is asked to kill this process when its parent ends, however that ends; the request
outlives exec. (It must be made between fork and exec; Popen's `preexec_fn` would do it too, but may
deadlock in a process with threads.) The kernel means the *thread* that started the child, which is the
event loop's. Elsewhere there is no such request: the engine watches for its parent by itself, and an
orphaned store is shut down by the next start.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From <sys/prctl.h>."""


def main() -> None:
    parent_pid, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit("The parent ended before its child began.")
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
