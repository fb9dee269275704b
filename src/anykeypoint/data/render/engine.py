"""MuJoCo, imported when it is needed, and its pictures without a screen.

`import mujoco` fixes the way to draw (`MUJOCO_GL`), so `mujoco_module` chooses it before.
"""

import ctypes.util
import importlib
import os
import sys
from types import ModuleType
from typing import Any

import numpy as np

from ...errors import InputError

_LIBRARIES = {"osmesa": "OSMesa", "egl": "EGL"}  # value of MUJOCO_GL -> the system's library


def mujoco_module() -> ModuleType:
    """The package mujoco, set up to draw without a screen.

    $MUJOCO_GL is kept where it is set; else OSMesa is taken, and EGL where OSMesa is missing. Raises InputError where
    mujoco or both libraries are missing.
    """
    if "mujoco" not in sys.modules:
        chosen = os.environ.get("MUJOCO_GL")
        if chosen is None:
            there = [way for way, library in _LIBRARIES.items() if ctypes.util.find_library(library)]
            if not there and sys.platform == "linux":
                raise InputError(
                    "Rendering needs OSMesa or EGL, and neither is installed; "
                    "on Debian and Ubuntu run `apt-get install libosmesa6` (or libegl1)."
                )
            if there:
                os.environ["MUJOCO_GL"] = there[0]
    try:
        return importlib.import_module("mujoco")
    except ImportError as error:
        raise InputError(
            f"Rendering needs the package mujoco ({error}); install it with `pip install anykeypoint[render]`."
        ) from error


class Renderer:
    """Pictures, depths and the numbers of geoms of a model, from its first camera.

    model: an mujoco.MjModel with a camera.
    size: side of the pictures in pixels, at most the model's offscreen buffer.
    shown: MuJoCo's groups of geoms that are drawn.
    Raises InputError where no picture can be drawn on this machine.
    """

    def __init__(self, model: Any, size: int, shown: frozenset[int]) -> None:
        self._mujoco = mujoco_module()
        self._model = model
        try:
            self._renderer = self._mujoco.Renderer(model, size, size)
        except Exception as error:  # each way to draw has errors of its own
            raise InputError(
                f"MuJoCo cannot draw here with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')} "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
                "install libosmesa6 and set MUJOCO_GL=osmesa."
            ) from error
        self._option = self._mujoco.MjvOption()
        self._option.geomgroup[:] = [group in shown for group in range(len(self._option.geomgroup))]
        self._option.sitegroup[:] = 0
        self._option.flags[self._mujoco.mjtVisFlag.mjVIS_STATIC] = True

    def upload(self, texture: int) -> None:
        """Bring a texture whose pixels were changed in the model to the renderer."""
        self._mujoco.mjr_uploadTexture(self._model, self._renderer._mjr_context, texture)

    def draw(self, data: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The picture (H, W, 3), the depths (H, W) and the numbers of the geoms (H, W), -1 for the background.

        data: the mujoco.MjData that goes with the model, with its positions computed.
        """
        renderer = self._renderer
        renderer.update_scene(data, camera=0, scene_option=self._option)
        picture = renderer.render()
        renderer.enable_depth_rendering()
        depth = renderer.render()
        renderer.enable_segmentation_rendering()
        numbers, types = np.moveaxis(renderer.render(), -1, 0)
        renderer.disable_segmentation_rendering()
        geoms = np.where(types == int(self._mujoco.mjtObj.mjOBJ_GEOM), numbers, -1)  # an enum would compare slowly
        return picture, depth, geoms

    def close(self) -> None:
        """Give the memory of the drawing library back."""
        self._renderer.close()
