"""Image encoders by name.

A new encoder is one file with a class derived from `image_encoder.ImageEncoder`, and one line here. The classes are
named by text, so that a network's code is imported when it is first used.
"""

from typing import Any

from ...configs.checks import check_choice
from ...configs.lazy import resolve

_HERE = "anykeypoint.models.towers"

# Name of an encoder -> "module:class"; the class has an entry of that name in `published`.
IMAGE_ENCODERS: dict[str, str] = {
    **dict.fromkeys(("dinov2-s", "dinov2-b", "dinov2-l", "dinov2-g"), f"{_HERE}.dinov2:Dinov2Encoder"),
    **dict.fromkeys(
        ("dinov2-reg-s", "dinov2-reg-b", "dinov2-reg-l", "dinov2-reg-g"), f"{_HERE}.dinov2:Dinov2RegistersEncoder"
    ),
    **dict.fromkeys(("hiera-t", "hiera-s", "hiera-b", "hiera-bplus", "hiera-l"), f"{_HERE}.hiera:HieraEncoder"),
    "clip-vit-l-336": f"{_HERE}.clip:ClipEncoder",
    "clip-vit-b16": f"{_HERE}.clip:ClipLayersEncoder",
    **dict.fromkeys(("swinv2-t", "swinv2-s", "swinv2-b", "swinv2-l"), f"{_HERE}.swinv2:Swinv2Encoder"),
    "resnet50": f"{_HERE}.resnet:ResNetEncoder",
    "efficientnet-lite2": f"{_HERE}.efficientnet:EfficientNetEncoder",
    "efficientnet-lite2+clip-vit-b16": f"{_HERE}.joined:JoinedEncoder",
}


def encoder_class(name: str) -> type[Any]:
    """The class of the image encoder of that name; InputError that lists the known names for any other."""
    return resolve(IMAGE_ENCODERS[check_choice(name, "The name of an image encoder", IMAGE_ENCODERS)])
