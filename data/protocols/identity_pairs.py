"""Verification pairs from people and their photos: balanced, in ten folds, the same every time."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Set, Tuple

import numpy as np

from arcface_mx.util.errors import UserError

FOLDS = 10
TRIES = 20  # draws of photos for two people before the next person is taken

Photo = Tuple[int, int]  # person, photo of that person


class Pair(NamedTuple):
    """Two photos, and whether they show one person."""

    first: Photo
    second: Photo
    same: bool


def choose_pairs(photos: Sequence[int], most: int = 3000, seed: int = 0) -> List[Pair]:
    """Pairs of people with photos[i] photos of person i: as many same as different ones, in ten equal folds.

    All same pairs are taken, a multiple of ten, at most `most` (then drawn evenly over people). They
    are ordered by person and cut into ten folds, so that a fold's same pairs show people that, but
    for the one at the cut, no other fold's do. With each same pair goes a different pair that has
    that person on one side and the next of the others on the other; no pair comes twice. A fold
    holds its same pairs first, as in LFW's set.

    Raises UserError where there are fewer than ten same pairs or too few different ones.
    """
    random = np.random.RandomState(seed)  # its streams are frozen: the same in every version of numpy
    same = _same_pairs(photos, most, random)
    if len(same) < FOLDS:
        raise UserError(f"{len(photos)} people have {len(same)} pairs of photos of one person; {FOLDS} are needed")
    different = _different_pairs(photos, [first[0] for first, _ in same], random)
    pairs: List[Pair] = []
    size = len(same) // FOLDS
    for start in range(0, len(same), size):
        pairs += [Pair(first, second, True) for first, second in same[start : start + size]]
        pairs += [Pair(first, second, False) for first, second in different[start : start + size]]
    return pairs


def _same_pairs(photos: Sequence[int], most: int, random: np.random.RandomState) -> List[Tuple[Photo, Photo]]:
    people = [person for person, count in enumerate(photos) if count > 1]
    waiting = {}
    for person in people:
        count = photos[person]
        own = [(i, j) for i in range(count) for j in range(i + 1, count)]
        waiting[person] = [own[k] for k in random.permutation(len(own))] if len(own) > 1 else own
    total = min(most, sum(map(len, waiting.values()))) // FOLDS * FOLDS
    # A round gives each person one pair, so that people with many photos do not push out the others.
    share, dealt = {person: 0 for person in people}, 0
    while dealt < total:
        for person in people:
            if share[person] < len(waiting[person]) and dealt < total:
                share[person] += 1
                dealt += 1
    return [((person, i), (person, j)) for person in people for i, j in sorted(waiting[person][: share[person]])]


def _different_pairs(
    photos: Sequence[int], owners: Sequence[int], random: np.random.RandomState
) -> List[Tuple[Photo, Photo]]:
    """For each owner a pair of one of their photos and one of somebody else's."""
    everybody = [person for person, count in enumerate(photos) if count]
    if len(everybody) < 2:
        raise UserError(f"pairs of different people need two people; there is {len(everybody)}")
    order: Dict[int, List[int]] = {}  # owner -> the others, in the order in which they are paired
    taken: Set[Tuple[Photo, ...]] = set()
    pairs: List[Tuple[Photo, Photo]] = []
    for turn, owner in enumerate(owners):
        if owner not in order:
            others = [person for person in everybody if person != owner]
            order[owner] = [others[k] for k in random.permutation(len(others))]
        for attempt in range(TRIES * len(order[owner])):
            other = order[owner][attempt // TRIES]
            pair = (owner, random.randint(photos[owner])), (other, random.randint(photos[other]))
            if tuple(sorted(pair)) not in taken:
                break
        else:
            raise UserError(f"too few people for {len(owners)} pairs of different ones (found {turn})")
        order[owner].append(order[owner].pop(attempt // TRIES))
        taken.add(tuple(sorted(pair)))
        pairs.append(pair)
    return pairs
