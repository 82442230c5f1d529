"""Each augmentation goes both ways, keeps its limit, and differs between images and between batches."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.reader.augment import Augmentation
from arcface_mx.reader.record_reader import RecordReader
from arcface_mx.reader.samplers import RandomSampler

SIDE, DRAWS = 64, 300


def draws(image, **settings):
    """The image after each of many draws of the augmentation, (draws, SIDE, SIDE, 3) in RGB."""
    content = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    augmentation, found = Augmentation(SIDE, mirror=False, **settings), []
    for number in range(DRAWS):
        out = np.empty((3, SIDE, SIDE), np.uint8)
        augmentation.apply(content, (SIDE, SIDE), False, [0, 3, number], out)
        found.append(out.transpose(1, 2, 0).astype(float))
    return np.stack(found)


def dots(*places):
    """A grey image with a red, a green and a blue dot at places (x, y)."""
    image = np.full((SIDE, SIDE, 3), 127, np.uint8)
    y, x = np.mgrid[:SIDE, :SIDE]
    for channel, (px, py) in enumerate(places):
        image[..., channel] += (120 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8)).astype(np.uint8)
    return image


def found_dots(images):
    """The places (x, y) of the dots, (draws, dots, 2)."""
    light = np.maximum(images - 128, 0)
    y, x = np.mgrid[:SIDE, :SIDE]
    moments = np.stack([(light * values[..., None]).sum((1, 2)) for values in (x, y)], -1)
    return moments / light.sum((1, 2))[..., None]


MIDDLE = (SIDE - 1) / 2
CROSS = dots((MIDDLE - 12, MIDDLE), (MIDDLE + 12, MIDDLE), (MIDDLE, MIDDLE))


def assert_both_ways(values, limit, slack=0.02):
    """Values between −limit and limit reach most of both sides and have a mean near 0."""
    assert -limit - slack <= values.min() < -0.85 * limit and 0.85 * limit < values.max() <= limit + slack
    assert abs(values.mean()) < 4 * limit / np.sqrt(3 * len(values))


def test_shift_moves_by_whole_pixels_in_all_directions():
    moves = found_dots(draws(CROSS, shift=3))[:, 2] - found_dots(draws(CROSS))[:, 2]
    np.testing.assert_allclose(moves, np.round(moves), atol=0.02)
    assert {tuple(move) for move in np.round(moves).astype(int).tolist()} == set(
        itertools.product(range(-3, 4), repeat=2)
    )


def test_rotation_turns_both_ways_about_the_middle():
    points = found_dots(draws(CROSS, rotate=20))
    across = points[:, 1] - points[:, 0]
    assert_both_ways(np.degrees(np.arctan2(across[:, 1], across[:, 0])), 20, slack=0.2)
    np.testing.assert_allclose(np.hypot(*across.T), 24, atol=0.2)
    np.testing.assert_allclose(points[:, 2], MIDDLE, atol=0.1)


def test_zoom_enlarges_up_to_its_limit_and_shows_all_parts():
    points = found_dots(draws(CROSS, zoom=0.3))
    factors = (points[:, 1] - points[:, 0])[:, 0] / 24
    assert 0.995 < factors.min() < 1.03 and 1.27 < factors.max() < 1.305
    for axis in range(2):  # the middle moves by at most half of what the image is larger
        room = 0.5 * (factors - 1.0) * SIDE
        moves = points[:, 2, axis] - MIDDLE
        assert (np.abs(moves) <= room + 0.1).all() and moves.min() < -4 and moves.max() > 4


def flat(*colour):
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def test_brightness_and_contrast_vary_both_ways_and_apart():
    halves = flat(100, 100, 100)
    halves[:, SIDE // 2 :] = 140
    images = draws(halves, jitter=0.3)
    brightness = images.mean((1, 2, 3)) / 120 - 1
    contrast = (images[:, 0, -1, 0] - images[:, 0, 0, 0]) / (40 * (1 + brightness)) - 1
    assert_both_ways(brightness, 0.3)
    assert_both_ways(contrast, 0.3, slack=0.06)
    assert abs(np.corrcoef(brightness, contrast)[0, 1]) < 4 / np.sqrt(DRAWS)


def test_saturation_varies_beside_contrast():
    """Contrast and saturation both multiply the distance of a flat colour from its grey."""
    images = draws(flat(150, 100, 100), jitter=0.3)[:, 0, 0]
    brightness = images @ [0.299, 0.587, 0.114] / (flat(150, 100, 100)[0, 0] @ [0.299, 0.587, 0.114])
    factor = (images[:, 0] - images[:, 1]) / (50 * brightness)
    assert 0.7**2 - 0.05 < factor.min() < 0.65 and 1.35 < factor.max() < 1.3**2 + 0.05


def test_pixels_stay_between_0_and_255():
    assert draws(flat(250, 250, 250), jitter=0.5).min() >= 0.5 * 250 - 1
    assert draws(flat(3, 3, 3), jitter=0.5).max() <= 1.5 * 3 + 1


@pytest.mark.parametrize("setting", [{"shift": 8}, {"rotate": 40}, {"zoom": 0.5}, {"jitter": 0.5}], ids=str)
def test_images_and_batches_and_seeds_draw_anew(tmp_path, setting):
    """A face set of one image many times: no two of its augmented images are equal."""
    image = np.random.RandomState(0).randint(60, 200, (SIDE, SIDE, 3)).astype(np.uint8)
    with RecordWriter(str(tmp_path / "faces"), SIDE, SIDE) as writer:
        for _ in range(4):
            writer.add(0, cv2.imencode(".png", image)[1].tobytes())
    index, seen = RecordIndex.open(str(tmp_path / "faces")), set()
    for seed in (0, 1):
        augmentation = Augmentation(SIDE, mirror=False, **setting)
        reader = RecordReader(index, RandomSampler(4, 0), augmentation, 4, seed, 1)
        for batch in itertools.islice(reader.batches(), 3):
            seen.update(pixels.tobytes() for pixels in batch.pixels.asnumpy())
    assert len(seen) >= 2 * 3 * 4 - ("shift" in setting)  # two of 289 shifts may be equal
