"""What the recorder does to the file system, one operation a method, so that tests can make each of them fail."""

import contextlib
import os
import sys
from pathlib import Path

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


class Disk:
    """The real file system."""

    def make_directory(self, path: Path) -> None:
        """Make a directory that only its owner can enter; tighten one that others can."""
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        if path.stat().st_mode & 0o077:
            path.chmod(DIRECTORY_MODE)

    def create(self, path: Path) -> int:
        """Create a file that must not exist, for appending; its descriptor."""
        return os.open(
            path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE
        )

    def open(self, path: Path) -> int:
        """Open a file to mend it."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def write(self, fd: int, data: bytes) -> None:
        """Append all of ``data``; after an error some of it may be there."""
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def sync(self, fd: int) -> None:
        """Wait until a file's data is on disk. After a failure nothing is known about what is."""
        if sys.platform == "darwin":
            os.fsync(fd)
        else:
            os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(fd, size)

    def close(self, fd: int) -> None:
        """Let go of a file; what matters was synced before."""
        with contextlib.suppress(OSError):
            os.close(fd)

    def sync_directory(self, path: Path) -> None:
        """Wait until the names in a directory are on disk."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def reserve(self, path: Path, size: int) -> None:
        """Make a file that occupies ``size`` bytes, or nothing."""
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(fd, 0, size)
            else:
                self.write(fd, bytes(size))
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(fd)

    def remove(self, path: Path) -> None:
        """Remove a file that may be gone already."""
        path.unlink(missing_ok=True)

    def rename(self, old: Path, new: Path) -> None:
        """Rename a file."""
        old.rename(new)
