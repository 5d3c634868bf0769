"""The data folder: made for its owner alone, and held by one process at a time. Shell.

Two services on one folder would each end the other's live calls at the start and deliver every webhook twice. So
whoever serves holds a lock on a file in it (`flock`: the system lets go of it when the process ends, however it ends)
before anything else in the folder is read; the file says who it is. It stays when the service has gone: taken away,
two could each lock a file of that name.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from pathlib import Path

from fsbridge.store.base import StoreError

LOCK_FILE = "lock"
OWNER_ONLY = 0o700
_SHARED = stat.S_IRWXG | stat.S_IRWXO


class DataFolder:
    """One folder from `hold` to `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def hold(self) -> None:
        """Make the folder if there is none, and take it for this process.

        Raises StoreError if it cannot be made, or if another process has it; the message says who.
        """
        try:
            # The parents are somebody else's; the folder is ours, and so nobody else's to read.
            self.path.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
            handle = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; service.data_dir must be a folder of ours") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = _told(handle)
            os.close(handle)
            raise StoreError(
                f"{self.path}: held by another fsbridge ({holder}); stop that one first, or give this one a "
                "service.data_dir of its own"
            ) from error
        except OSError as error:
            os.close(handle)
            raise StoreError(
                f"{self.path}: cannot be locked: {error.strerror}; service.data_dir must be on a file system that can"
            ) from error
        self._handle = handle

    def release(self) -> None:
        """Let go of it; once is enough."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _told(handle: int) -> str:
    words = os.pread(handle, 200, 0).decode("ascii", "replace").strip()
    return words if words.isprintable() and words else "it has not said which"


def exposed(folder: Path) -> list[Path]:
    """The folder and the files in it that others than its owner may get at; empty when all is well.

    What lies in a closed folder is safe whatever its own mode.
    """
    try:
        if not folder.stat().st_mode & _SHARED:
            return []
        return [path for path in (folder, *sorted(folder.iterdir())) if path.lstat().st_mode & _SHARED]
    except OSError:
        return []
