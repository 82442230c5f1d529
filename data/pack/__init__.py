"""Pack folders of images into face sets, and write face sets as files again."""

from arcface_mx.data.pack.encode import PackOptions
from arcface_mx.data.pack.pack import pack_images
from arcface_mx.data.pack.unpack import unpack_images

__all__ = ["PackOptions", "pack_images", "unpack_images"]
