"""Writing files whole or not at all."""

import os
import secrets
import stat
from pathlib import Path

from .errors import InputError


def write_bytes(path: str | Path, data: bytes) -> None:
    """Put a file in its place at once: a temporary file in the same folder, then os.replace.

    A symbolic link is followed. Raises InputError if the place is a folder or a device, or cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise InputError(f"Cannot write {path}: it is not a file; give a file name.")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except FileNotFoundError:
        raise InputError(f"Cannot write {path}: there is no folder {target.parent}; make it first.") from None
    except OSError as error:
        raise InputError(f"Cannot write {path}: {(error.strerror or str(error)).rstrip('.')}.") from error
