"""Sets: the kinds of images, and the pairs of the verification sets."""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Set, Tuple

from arcface_mx.data.bins.draw_pairs import FOLDS
from arcface_mx.data.rendered import scene
from arcface_mx.data.rendered.options import RenderOptions
from arcface_mx.data.rendered.sampling import Stream, pair_stream
from arcface_mx.data.rendered.scene import Mode
from arcface_mx.util.errors import UserError

YOUNG_AGES = (18.0, 42.0)  # years
AGE_GAP = 30.0  # between the two images of a pair, years
GOLDEN = 0.6180339887498949  # spreads the ages evenly over any number of images


class Kind(NamedTuple):
    """A kind of image."""

    name: str
    identity_part: int  # part of the identities' random streams
    image_part: int  # part of the images' random streams
    mode: Mode
    older: Optional[float] = None  # years added to the image's age; None: no fixed age

    def age(self, number: int) -> Optional[float]:
        """Age in image `number`, years. All identities share it, so it gives no pair away."""
        if self.older is None:
            return None
        share = (GOLDEN * (number + 1)) % 1.0
        return YOUNG_AGES[0] + (YOUNG_AGES[1] - YOUNG_AGES[0]) * share + self.older


# The numbers are part of the definition of the data: changing one changes all bytes.
TRAINING = Kind("train", 1, 1, scene.TRAIN)
MIXED = Kind("mixed", 2, 2, scene.LFW)
FRONTAL = Kind("frontal", 2, 3, scene.FRONTAL)
PROFILE = Kind("profile", 2, 4, scene.PROFILE)
YOUNG = Kind("young", 2, 5, scene.AGES, 0.0)
OLD = Kind("old", 2, 6, scene.AGES, AGE_GAP)
TEST_KINDS = (MIXED, FRONTAL, PROFILE, YOUNG, OLD)


class Comparison(NamedTuple):
    """A verification set: the kinds of the first and of the second images."""

    name: str
    first: Kind
    second: Kind
    part: int  # of the random stream
    same_number: bool  # both images have the same number


COMPARISONS = (
    Comparison("rendered_lfw", MIXED, MIXED, 1, False),
    Comparison("rendered_cfp_fp", FRONTAL, PROFILE, 2, False),
    Comparison("rendered_agedb_30", YOUNG, OLD, 3, True),
)


class Pair(NamedTuple):
    """Two images, each as (kind, identity, number)."""

    first: Tuple[Kind, int, int]
    second: Tuple[Kind, int, int]
    same: bool


def choose_pairs(comparison: Comparison, options: RenderOptions) -> List[Pair]:
    """The pairs of a verification set, fold by fold: half of each fold are of the same identity.

    No identity is in two folds. Raises UserError when there are too few images for the pairs.
    """
    if options.pairs % (2 * FOLDS):
        raise UserError(
            f"`pairs` must be a multiple of {2 * FOLDS} ({FOLDS} folds, half of each the same identity), "
            f"got {options.pairs}"
        )
    rng = pair_stream(options.seed, comparison.part)
    bounds = [fold * options.test_identities // FOLDS for fold in range(FOLDS + 1)]
    return [
        pair
        for first, end in zip(bounds, bounds[1:])
        for pair in _choose_fold(comparison, options, range(first, end), rng)
    ]


def _choose_fold(comparison: Comparison, options: RenderOptions, identities: range, rng: Stream) -> Iterator[Pair]:
    half, count = options.pairs // (2 * FOLDS), len(identities)
    numbers = _number_pairs(comparison, options.test_images)
    if min(count, count * (count - 1) // 2) * len(numbers) < half:
        raise UserError(
            f"{comparison.name}: {count} identities with {options.test_images} images in a fold give fewer than {half} "
            f"different pairs; raise `test_identities` ({options.test_identities}) or `test_images` "
            f"({options.test_images}), or lower `pairs` ({options.pairs})"
        )
    for choice in rng.permutation(count * len(numbers))[:half]:
        identity, (a, b) = identities[int(choice) // len(numbers)], numbers[int(choice) % len(numbers)]
        yield Pair((comparison.first, identity, a), (comparison.second, identity, b), True)
    taken: Set[Tuple[int, int, int, int]] = set()
    while len(taken) < half:
        i, j = sorted(int(k) for k in rng.choice(count, 2, replace=False))
        a, b = numbers[int(rng.integers(len(numbers)))]
        if (i, j, a, b) not in taken:
            taken.add((i, j, a, b))
            # Either identity may be the first, because the kinds of the two images may differ.
            first, second = (i, j) if rng.random() < 0.5 else (j, i)
            yield Pair((comparison.first, identities[first], a), (comparison.second, identities[second], b), False)


def _number_pairs(comparison: Comparison, images: int) -> List[Tuple[int, int]]:
    """Numbers of the two images that may be paired."""
    if comparison.same_number:
        return [(k, k) for k in range(images)]
    return [(a, b) for a in range(images) for b in range(images) if a < b or comparison.first is not comparison.second]
