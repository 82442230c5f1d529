"""An endless stream of training batches whose order is a function of (seed, position) alone.

Each epoch has a native iterator of its own, seeded by (seed, epoch), so that the order of samples
and their augmentation do not depend on threads, devices or what was read before. Batches are
whole: the last images of an epoch and the first of the next share one. `ImageRecordIter`'s own
`pad` is wrong in most epochs, so images are counted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, Optional, Tuple

import numpy as np

from arcface_mx.config import DataConfig
from arcface_mx.reader.image_view import ImageView, join_numbers
from arcface_mx.util.errors import UserError

Rows = Tuple[Any, np.ndarray]  # pixels (NDArray), the four label numbers a row


@dataclass(frozen=True)
class Batch:
    """B training samples.

    pixels: NDArray (B, 3, side, side), float32, RGB, 0–255.  labels, records: int64 (B,).
    """

    pixels: Any
    labels: np.ndarray
    records: np.ndarray


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for one epoch, well apart for neighbouring (seed, epoch)."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0] & 0x7FFFFFFF)


def part_size(images: int, index: int, count: int) -> int:
    """Images in part `index` of `count`, as ImageRecordIter splits a file: of equal size, the last ones shorter."""
    step = -(-images // count)
    return max(0, min(images, step * (index + 1)) - step * index)


def epoch_iterator(
    view: ImageView, config: DataConfig, seed: int, epoch: int, threads: int, part: Tuple[int, int] = (0, 1)
) -> Any:
    """MXNet's ImageRecordIter over one shuffled, augmented epoch, or a part (index, count) of it."""
    import mxnet as mx

    own = epoch_seed(seed, epoch)
    return mx.io.ImageRecordIter(
        path_imgrec=view.record_file,
        path_imgidx=view.index_file,
        data_shape=(3, config.image_size, config.image_size),
        label_width=4,
        batch_size=min(config.batch_size, part_size(view.images, *part)),
        shuffle=True,
        seed=own,
        seed_aug=own,
        preprocess_threads=threads,
        prefetch_buffer=4,
        verbose=False,
        part_index=part[0],
        num_parts=part[1],
        **_augmentation(config, view),
    )


def _augmentation(config: DataConfig, view: ImageView) -> Dict[str, Any]:
    options: Dict[str, Any] = {
        "rand_mirror": config.mirror,
        "resize": config.image_size if min(view.height, view.width) != config.image_size else -1,
        "inter_method": 3,  # area: as verification scales
        "fill_value": 127,
    }
    if config.shift:
        options.update(pad=config.shift, rand_crop=True)
    if config.rotate:
        options.update(max_rotate_angle=config.rotate)
    if config.zoom:
        options.update(min_random_scale=1.0, max_random_scale=1.0 + config.zoom, rand_crop=True)
    if config.jitter:
        options.update(brightness=config.jitter, contrast=config.jitter, saturation=config.jitter)
    return options


class FaceStream:
    """Batches from sample `position` on (counted from the start of the run); an iterator.

    threads: decoding threads (0: MXNet's choice is capped at half of the cores anyway).
    worker: (rank, number of workers). In epoch e worker r reads part (r + e) of the file, so that together
    they read each image once an epoch, and each in turn sees all people; `position` counts its own samples.
    """

    def __init__(
        self,
        view: ImageView,
        config: DataConfig,
        seed: int,
        position: int = 0,
        threads: int = 0,
        worker: Tuple[int, int] = (0, 1),
    ) -> None:
        if not part_size(view.images, worker[1] - 1, worker[1]):
            raise UserError(f"{config.data}: {view.images} images are too few for {worker[1]} workers")
        self.worker = worker
        self.view, self.config, self.seed, self.position = view, config, seed, position
        self._threads = threads or 4
        self._rows = self._stream(position)
        self._spare: Optional[Rows] = None

    @property
    def epoch(self) -> float:
        """Epochs done."""
        return self.position * self.worker[1] / self.view.images

    def __iter__(self) -> FaceStream:
        return self

    def __next__(self) -> Batch:
        import mxnet as mx

        size, parts, have = self.config.batch_size, [], 0
        while have < size:
            rows = self._spare or next(self._rows)
            self._spare = None
            if have + len(rows[1]) > size:
                cut = size - have
                self._spare = (rows[0][cut:], rows[1][cut:])
                rows = (rows[0][:cut], rows[1][:cut])
            parts.append(rows)
            have += len(rows[1])
        pixels = parts[0][0] if len(parts) == 1 else mx.nd.concat(*[part[0] for part in parts], dim=0)
        numbers = np.concatenate([part[1] for part in parts])
        self.position += size
        return Batch(pixels, join_numbers(numbers[:, :2]), join_numbers(numbers[:, 2:]))

    def _stream(self, position: int) -> Iterator[Rows]:
        cycle, skip = divmod(position, self.view.images)  # in as many epochs as workers each reads every image
        epoch = cycle * self.worker[1]
        while skip >= self._images(epoch):
            skip -= self._images(epoch)
            epoch += 1
        current = self._open(epoch)
        while True:
            left, following = self._images(epoch), None
            for rows in _native_rows(current):
                rows = (rows[0][:left], rows[1][:left])
                left -= len(rows[1])
                if following is None and left <= 2 * len(rows[1]):
                    following = self._open(epoch + 1)  # starts decoding while this one ends
                drop, skip = min(skip, len(rows[1])), max(0, skip - len(rows[1]))
                if drop < len(rows[1]):
                    yield (rows[0][drop:], rows[1][drop:]) if drop else rows
                if left <= 0:
                    break
            epoch, current = epoch + 1, following

    def _part(self, epoch: int) -> Tuple[int, int]:
        rank, workers = self.worker
        return (rank + epoch) % workers, workers

    def _images(self, epoch: int) -> int:
        return part_size(self.view.images, *self._part(epoch))

    def _open(self, epoch: int) -> Any:
        return epoch_iterator(self.view, self.config, self.seed, epoch, self._threads, self._part(epoch))


def _native_rows(iterator: Any) -> Iterator[Rows]:
    # The native iterator keeps a batch's memory for `prefetch_buffer` further calls, and waits
    # for the engine's pending reads before it fills it anew.
    for batch in iterator:
        yield batch.data[0], batch.label[0].asnumpy()
