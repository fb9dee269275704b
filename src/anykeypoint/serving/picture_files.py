"""Decoded pictures of files, kept while the files stay as they are, within a number of bytes."""

import time
from pathlib import Path

from ..images import read_picture
from ..labelling.kept import file_state
from ..models.bounded_cache import BoundedCache
from .uploads import Uploaded, content_key

# A file that was written within this time before it was read may be written again without another time or size, as
# file systems count time in steps of up to two seconds.
SETTLED = 2 * 10**9  # nanoseconds


class PictureFiles:
    """Reads pictures, each once while its file is the same. Safe to use from several threads.

    A file is the same by its path, size, inode, and the times of its last change. most: bytes of decoded pixels.
    """

    def __init__(self, most: int) -> None:
        self._kept: BoundedCache[Uploaded] = BoundedCache(most)

    def read(self, path: Path) -> Uploaded:
        """The picture of a file with the key of its pixels. Raises InputError as `images.read_picture` does."""
        before = file_state(path)
        if before is not None and (found := self._kept.find((path, before))) is not None:
            return found
        picture = read_picture(path)
        read = Uploaded(picture, content_key(picture))
        if before is not None and before == file_state(path) and time.time_ns() - max(before[-2:]) > SETTLED:
            self._kept.put((path, before), read, read.size_in_memory)
        return read
