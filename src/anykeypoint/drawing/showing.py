"""A picture before the user's eyes: in a notebook below its cell, else in the system's picture viewer."""

import os
import sys

from PIL import Image, ImageShow

from ..errors import InputError


def show_picture(picture: Image.Image) -> None:
    """Show a picture where the user looks; InputError where there is neither a notebook nor a screen."""
    if _in_notebook():
        from IPython.display import display

        display(picture)
        return
    if not _has_screen() or not ImageShow.show(picture, title="anykeypoint"):
        raise InputError(
            "There is neither a notebook nor a screen to show a picture on; write it to a file, as in "
            "pose.draw('out.png')."
        )


def _in_notebook() -> bool:
    """Whether this runs in a cell of a notebook, which has a kernel, and not in a shell."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _has_screen() -> bool:
    """Whether windows can be opened: on Linux a display says so, elsewhere there is one."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
