"""Who is in the sets, how many photos of each, and which photos make the verification pairs."""

from __future__ import annotations

import dataclasses
from typing import List, NamedTuple, Optional, Set, Tuple

from arcface_mx.data.rendered import scene
from arcface_mx.data.rendered.sampling import pair_stream
from arcface_mx.data.rendered.scene import Mode
from arcface_mx.util.errors import UserError

FOLDS = 10
YOUNG_AGES = (18.0, 42.0)  # years
AGE_GAP = 30.0  # between the two photos of a pair, years
GOLDEN = 0.6180339887498949  # spreads the slots' ages evenly, however many there are


class Kind(NamedTuple):
    """A kind of photo: its identities's part of the random streams, its photos' part, its ranges."""

    name: str
    identity_part: int
    image_part: int
    mode: Mode
    older: Optional[float] = None  # years added to the slot's age; None: the identity's own age

    def age(self, photo: int) -> Optional[float]:
        """The age of photo number `photo`: the same for all identities, so that no gap gives a pair away."""
        if self.older is None:
            return None
        share = (GOLDEN * (photo + 1)) % 1.0
        return YOUNG_AGES[0] + (YOUNG_AGES[1] - YOUNG_AGES[0]) * share + self.older


# The numbers are part of the data's definition: changing one changes all bytes.
TRAINING = Kind("train", 1, 1, scene.TRAIN)
MIXED = Kind("mixed", 2, 2, scene.LFW)
FRONTAL = Kind("frontal", 2, 3, scene.FRONTAL)
PROFILE = Kind("profile", 2, 4, scene.PROFILE)
YOUNG = Kind("young", 2, 5, scene.AGES, 0.0)
OLD = Kind("old", 2, 6, scene.AGES, AGE_GAP)
TEST_KINDS = (MIXED, FRONTAL, PROFILE, YOUNG, OLD)


class Comparison(NamedTuple):
    """A verification set: the kinds of its first and second photos."""

    name: str
    first: Kind
    second: Kind
    number: int  # of its random stream
    same_slot: bool  # both photos have the same number


COMPARISONS = (
    Comparison("rendered_lfw", MIXED, MIXED, 1, False),
    Comparison("rendered_cfp_fp", FRONTAL, PROFILE, 2, False),
    Comparison("rendered_agedb_30", YOUNG, OLD, 3, True),
)

Photo = Tuple[Kind, int, int]  # kind, identity, photo


class Pair(NamedTuple):
    first: Photo
    second: Photo
    same: bool


@dataclasses.dataclass(frozen=True)
class RenderOptions:
    """What is made. A photo depends on `seed` and `supersampling` and on its own numbers only."""

    identities: int = 1000
    images: int = 20  # a training identity
    seed: int = 0
    test_identities: int = 300  # 0: no verification sets
    test_images: int = 5  # a test identity and kind of photo
    pairs: int = 3000  # a verification set
    supersampling: float = 1.5

    def check(self) -> None:
        """Raise UserError naming the flag that cannot be."""
        for flag, value, least in (
            ("--identities", self.identities, 1),
            ("--images", self.images, 1),
            ("--seed", self.seed, 0),
            ("--test-identities", self.test_identities, 0),
            ("--test-images", self.test_images, 1),
            ("--pairs", self.pairs, 1),
        ):
            if value < least:
                raise UserError(f"{flag} {value}: give at least {least}")
        if not 1 <= self.supersampling <= 4:
            raise UserError(f"--supersampling {self.supersampling:g}: give a number from 1 to 4")
        if self.identities >= 2**24:
            raise UserError(f"--identities {self.identities}: labels are float32, exact below {2**24} only")
        if self.test_identities:
            for comparison in COMPARISONS:
                choose_pairs(comparison, self)


def choose_pairs(comparison: Comparison, options: RenderOptions) -> List[Pair]:
    """The pairs of a set in folds, one after the other: no identity in two folds, half of each fold same.

    Raises UserError when there are too few photos for so many distinct pairs.
    """
    if options.pairs % (2 * FOLDS):
        raise UserError(
            f"--pairs {options.pairs}: give a multiple of {2 * FOLDS} ({FOLDS} folds, half of each the same identity)"
        )
    half = options.pairs // (2 * FOLDS)
    rng = pair_stream(options.seed, comparison.number)
    pairs: List[Pair] = []
    for fold in range(FOLDS):
        identities = range(fold * options.test_identities // FOLDS, (fold + 1) * options.test_identities // FOLDS)
        slots = _slots(comparison, options.test_images)
        if min(len(identities) * len(slots), len(identities) * (len(identities) - 1) // 2 * len(slots)) < half:
            raise UserError(
                f"{comparison.name}: {len(identities)} identities with {options.test_images} photos a fold give "
                f"fewer than {half} different pairs; raise --test-identities ({options.test_identities}) "
                f"or --test-images ({options.test_images}), or lower --pairs ({options.pairs})"
            )
        for number in rng.permutation(len(identities) * len(slots))[:half]:
            identity, (a, b) = identities[int(number) // len(slots)], slots[int(number) % len(slots)]
            pairs.append(Pair((comparison.first, identity, a), (comparison.second, identity, b), True))
        taken: Set[Tuple[int, int, int, int]] = set()
        while len(taken) < half:
            i, j = sorted(int(k) for k in rng.choice(len(identities), 2, replace=False))
            a, b = slots[int(rng.integers(len(slots)))]
            if (i, j, a, b) not in taken:
                taken.add((i, j, a, b))
                # Either may be the first: in two sets the kinds of the two photos differ.
                one, two = (identities[i], identities[j]) if rng.random() < 0.5 else (identities[j], identities[i])
                pairs.append(Pair((comparison.first, one, a), (comparison.second, two, b), False))
    return pairs


def _slots(comparison: Comparison, photos: int) -> List[Tuple[int, int]]:
    """Numbers of the two photos that may be paired."""
    if comparison.same_slot:
        return [(k, k) for k in range(photos)]
    if comparison.first is comparison.second:
        return [(a, b) for a in range(photos) for b in range(a + 1, photos)]
    return [(a, b) for a in range(photos) for b in range(photos)]
