"""Draw the pairs of a verification set from identities and their images."""

from __future__ import annotations

import collections
import itertools
from typing import Dict, List, NamedTuple, Sequence, Set, Tuple

import numpy as np

from arcface_mx.data.bins.write import write_pairs
from arcface_mx.util.errors import UserError

FOLDS = 10
MAX_DRAWS = 20  # draws of images of two identities before the next identity is taken

Image = Tuple[int, int]  # identity, image of this identity


class Pair(NamedTuple):
    """Two images, as (identity, image of this identity), and whether they show one identity."""

    first: Image
    second: Image
    same: bool


def draw_pairs(counts: Sequence[int], limit: int = 3000, seed: int = 0) -> List[Pair]:
    """Draw as many pairs of the same identity as of different identities, in ten equal folds.

    Parameters
    ----------
    counts : sequence of int
        Number of images of each identity.
    limit : int
        Largest number of same pairs. If there are more, they are drawn evenly over the identities.
    seed : int
        Seed of the draw.

    Returns
    -------
    list of Pair
        Fold by fold; the same pairs of a fold come first, as in LFW. No pair comes twice.

    Raises
    ------
    UserError
        If there are fewer than ten same pairs, or too few different pairs.

    Notes
    -----
    The same pairs are ordered by identity and cut into ten folds. A fold therefore shares no
    identity with another fold, except for the identity at the cut. Each same pair comes with a
    different pair, which shows the same pair's identity and another one. An identity meets the others
    in turn.
    """
    random = np.random.RandomState(seed)  # its streams are the same in every version of NumPy
    same = _same_pairs(counts, limit, random)
    if len(same) < FOLDS:
        raise UserError(
            f"{len(counts)} identities have only {len(same)} pairs of images of the same identity; {FOLDS} are needed"
        )
    different = _different_pairs(counts, [first[0] for first, _ in same], random)
    pairs: List[Pair] = []
    size = len(same) // FOLDS
    for start in range(0, len(same), size):
        pairs += [Pair(*images, True) for images in same[start : start + size]]
        pairs += [Pair(*images, False) for images in different[start : start + size]]
    return pairs


def write_drawn_pairs(path: str, images: Sequence[Sequence[bytes]], seed: int = 0) -> None:
    """Draw pairs from the encoded images of each identity and write them as a verification set."""
    pairs = draw_pairs([len(of_identity) for of_identity in images], seed=seed)
    sides = (side for pair in pairs for side in (pair.first, pair.second))
    write_pairs(path, (images[identity][number] for identity, number in sides), [pair.same for pair in pairs])


def _same_pairs(counts: Sequence[int], limit: int, random: np.random.RandomState) -> List[Tuple[Image, Image]]:
    candidates = []
    for count in counts:
        pairs = list(itertools.combinations(range(count), 2))
        candidates.append([pairs[k] for k in random.permutation(len(pairs))])
    total = min(limit, sum(map(len, candidates))) // FOLDS * FOLDS
    # Each round takes one pair of every identity, so that identities with many images do not dominate.
    turns = sorted((turn, identity) for identity, pairs in enumerate(candidates) for turn in range(len(pairs)))
    shares = collections.Counter(identity for _, identity in turns[:total])
    return [
        ((identity, i), (identity, j))
        for identity, pairs in enumerate(candidates)
        for i, j in sorted(pairs[: shares[identity]])
    ]


def _different_pairs(
    counts: Sequence[int], identities: Sequence[int], random: np.random.RandomState
) -> List[Tuple[Image, Image]]:
    """Draw for each of `identities` a pair of its image and another identity's image."""
    available = [identity for identity, count in enumerate(counts) if count]
    if len(available) < 2:
        raise UserError(f"pairs of different identities need two identities, got {len(available)}")
    queues: Dict[int, List[int]] = {}  # identity -> the others, in the order in which it meets them
    drawn: Set[Tuple[Image, ...]] = set()
    pairs: List[Tuple[Image, Image]] = []
    for identity in identities:
        if identity not in queues:
            others = [other for other in available if other != identity]
            queues[identity] = [others[k] for k in random.permutation(len(others))]
        queue = queues[identity]
        for attempt in range(MAX_DRAWS * len(queue)):
            other = queue[attempt // MAX_DRAWS]
            pair = (identity, random.randint(counts[identity])), (other, random.randint(counts[other]))
            if tuple(sorted(pair)) not in drawn:
                break
        else:
            raise UserError(f"too few identities for {len(identities)} pairs of different ones (found {len(pairs)})")
        queue.append(queue.pop(attempt // MAX_DRAWS))
        drawn.add(tuple(sorted(pair)))
        pairs.append(pair)
    return pairs
