"""The options of `serve` that say what other tools are answered with."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..configs.checks import near_names
from ..errors import InputError
from . import console

if TYPE_CHECKING:
    from ..serving.service import Service

TOOLS = ("label-studio", "x-anylabeling")


@dataclass(frozen=True)
class ToolOptions:
    """The options as they were given. device: of the detector."""

    tools: tuple[str, ...]
    pictures: tuple[Path, ...]
    category: str | None
    keypoints: str | None
    noun: str | None
    example: tuple[str, ...]
    detect: str | None
    device: str

    def check(self) -> None:
        """Raise InputError, before anything is loaded, where the options do not fit together."""
        for name in self.tools:
            if name not in TOOLS:
                raise InputError(f"There is no tool {name!r}{near_names(name, TOOLS)}; it is {' or '.join(TOOLS)}.")
        given = [self.category, self.keypoints, self.noun, *self.example, self.detect]
        if not self.tools and any(one is not None for one in given):
            raise InputError(
                "--category, --keypoints, --noun, --example and --detect say what other tools are answered with; "
                f"name one with --tool: {' or '.join(TOOLS)}."
            )
        if "label-studio" in self.tools and len(self.pictures) != 1:
            raise InputError("--tool label-studio needs the one folder that Label Studio serves as --pictures FOLDER.")

    def routers(self, service: "Service") -> list[Any]:
        """The addresses of the tools, on a server's models; loads the detector where one is asked for."""
        if not self.tools:
            return []
        from .. import detector
        from ..detection.search import Search
        from ..example import read_marked, to_example
        from ..images import read_picture
        from ..serving.adapters.label_studio import label_studio_router
        from ..serving.adapters.served import ServedTool
        from ..serving.adapters.tool_adapter import Correction, ToolAdapter
        from ..serving.adapters.x_anylabeling import x_anylabeling_router
        from ..serving.uploads import content_key
        from .predict import choose_category

        marked = [read_marked(text) for text in self.example]
        for note in dict.fromkeys(one.note for one in marked if one.note):
            console.note(note)
        chosen = choose_category(self.category, self.keypoints, self.noun, marked)
        examples = [Correction(to_example(one, chosen), content_key(read_picture(one.picture))) for one in marked]
        search = None if self.detect is None else Search(detector(device=self.device), self.detect)
        tool = ServedTool(service, ToolAdapter(chosen, search, examples))
        made = {
            "label-studio": lambda: label_studio_router(tool, self.pictures[0]),
            "x-anylabeling": lambda: x_anylabeling_router(tool),
        }
        return [made[name]() for name in dict.fromkeys(self.tools)]
