"""Becomes another program that dies with its parent: ``launcher.py PARENT SIGNAL UID GID -- PROGRAM…``.

Runs as a script of its own between fork and exec, because code in a forked child of a process with threads
(gRPC, asyncio) is not safe. UID and GID are ``-`` to keep the user. Uses the standard library only; started
with ``-I -S`` it costs about 20 ms.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never returns: exec, or exit status 125 when the parent is gone, 126 when the program cannot be run."""
    parent, death_signal, uid, gid, separator, *program = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if separator != "--" or not program:
        sys.exit("usage: launcher.py PARENT SIGNAL UID GID -- PROGRAM…")
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    # After setuid: the kernel forgets the death signal when the user changes.
    if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        sys.exit(f"launcher: prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        sys.exit(125)
    try:
        os.execvpe(program[0], program, os.environ)  # noqa: S606 - the purpose
    except OSError as error:
        sys.stderr.write(f"launcher: {program[0]}: {error.strerror}\n")
        sys.exit(126)


if __name__ == "__main__":
    main(sys.argv[1:])
