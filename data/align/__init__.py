"""Face detection, landmarks, and the similarity transform to an aligned crop."""

from arcface_mx.data.align.detector import Detector, Faces
from arcface_mx.data.align.folder import align_folder
from arcface_mx.data.align.image import Alignment, AlignOptions, align_image
from arcface_mx.data.align.landmarks import read_landmarks
from arcface_mx.data.align.transform import REFERENCE, align, similarity_transform

__all__ = [
    "Alignment",
    "AlignOptions",
    "Detector",
    "Faces",
    "REFERENCE",
    "align",
    "align_folder",
    "align_image",
    "read_landmarks",
    "similarity_transform",
]
