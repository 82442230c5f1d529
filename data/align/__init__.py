"""Face detection, landmarks, and the similarity transform to an aligned crop."""

from arcface_mx.data.align.detector import Detector, Faces
from arcface_mx.data.align.folder import align_folder
from arcface_mx.data.align.image import Alignment, AlignOptions, align_faces, align_image
from arcface_mx.data.align.landmarks import read_landmarks
from arcface_mx.data.align.transform import REFERENCE, align, similarity_transform
from arcface_mx.data.align.yunet import YuNet

__all__ = [
    "Alignment",
    "AlignOptions",
    "Detector",
    "Faces",
    "REFERENCE",
    "YuNet",
    "align",
    "align_faces",
    "align_folder",
    "align_image",
    "read_landmarks",
    "similarity_transform",
]
