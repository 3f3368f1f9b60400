"""The system user for programs that refuse to run as root."""

import os
import pwd
from pathlib import Path

from services.supervisor.domain import Owner
from services.supervisor.errors import Unrecoverable


def owner_of(folder: Path, system_user: str) -> Owner | None:
    """Who has to run the program that keeps its files in ``folder``; None means the current user.

    As root: the folder's owner if that is an ordinary user (files of an earlier run), else ``system_user``.
    Raises Unrecoverable when the folder belongs to somebody else, or the system user is unknown.
    """
    me = os.geteuid()
    found = folder.stat() if folder.exists() else None
    if me != 0:
        if found is not None and found.st_uid != me:
            raise Unrecoverable(
                f"{folder} belongs to {_name(found.st_uid)}, not to {_name(me)}: "
                f"run as that user or give the folder over (chown -R {_name(me)})"
            )
        return None
    if found is not None and found.st_uid != 0:
        return Owner(found.st_uid, found.st_gid)
    try:
        entry = pwd.getpwnam(system_user)
    except KeyError:
        raise Unrecoverable(
            f"PostgreSQL does not run as root and there is no user {system_user!r}: "
            "name one in MERCATO_SUPERVISOR_SYSTEM_USER"
        ) from None
    if entry.pw_uid == 0:
        raise Unrecoverable("PostgreSQL does not run as root: MERCATO_SUPERVISOR_SYSTEM_USER must be another user")
    return Owner(entry.pw_uid, entry.pw_gid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
