"""Pictures read safely, crops resampled from them, and the pictures of a folder."""

from .formats import SUFFIXES
from .limits import MAX_PIXELS
from .listing import IN_SUBFOLDERS, FolderPictures, list_pictures
from .opening import ImageSource, UprightPicture, kept_source, picture_size, read_image, read_picture
from .resampling import crop_pixels, warp_pixels

__all__ = [
    "IN_SUBFOLDERS",
    "MAX_PIXELS",
    "SUFFIXES",
    "FolderPictures",
    "ImageSource",
    "UprightPicture",
    "crop_pixels",
    "kept_source",
    "list_pictures",
    "picture_size",
    "read_image",
    "read_picture",
    "warp_pixels",
]
