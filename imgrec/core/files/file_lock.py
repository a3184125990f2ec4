"""Exclusive locks on open files, kept by the operating system and released with the process that holds them."""

import sys

__all__ = ["lock", "try_lock", "unlock"]

if sys.platform == "win32":
    import msvcrt
    import os
    import time

    def try_lock(descriptor: int) -> bool:
        """Take the exclusive lock of an open file without waiting; False when another holds it."""
        # Windows locks bytes, and nobody else can read them: take one far behind the text that names the holder.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def lock(descriptor: int) -> None:
        """Take the exclusive lock of an open file, and wait for it."""
        while not try_lock(descriptor):
            time.sleep(0.05)

    def unlock(descriptor: int) -> None:
        """Release the lock."""
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Take the exclusive lock of an open file without waiting; False when another holds it.

        The lock ends when every copy of the descriptor is closed, and so at the latest with the process.

        Raises:
            OSError: The file system has no locks.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def lock(descriptor: int) -> None:
        """Take the exclusive lock of an open file, and wait for it.

        Raises:
            OSError: The file system has no locks.
        """
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def unlock(descriptor: int) -> None:
        """Release the lock, also for copies of the descriptor in processes forked meanwhile."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)
