"""Options of a rendered data set."""

from __future__ import annotations

import dataclasses

from arcface_mx.util.errors import UserError


@dataclasses.dataclass(frozen=True)
class RenderOptions:
    """What a data set contains.

    Parameters
    ----------
    identities : int, default 1000
        Training identities.
    images : int, default 20
        Images of a training identity.
    seed : int, default 0
        Another seed gives other identities.
    test_identities : int, default 300
        Identities of the verification sets, which are not trained on; 0 for no verification sets.
    test_images : int, default 5
        Images of a test identity and kind (mixed, frontal, profile, young, old).
    pairs : int, default 3000
        Pairs of each verification set, a multiple of 20.
    supersampling : float, default 1.5
        Pixels drawn for each pixel of an image, along each side, from 1 to 4.

    Notes
    -----
    An image depends on `seed`, `supersampling`, its kind and its numbers. A larger data set
    therefore contains a smaller one.
    """

    identities: int = 1000
    images: int = 20
    seed: int = 0
    test_identities: int = 300
    test_images: int = 5
    pairs: int = 3000
    supersampling: float = 1.5

    def check(self) -> None:
        """Raise UserError if a value is out of its range."""
        minima = dict(identities=1, images=1, seed=0, test_identities=0, test_images=1, pairs=1)
        for name, minimum in minima.items():
            if getattr(self, name) < minimum:
                raise UserError(f"`{name}` must be at least {minimum}, got {getattr(self, name)}")
        if not 1 <= self.supersampling <= 4:
            raise UserError(f"`supersampling` must be from 1 to 4, got {self.supersampling:g}")
        if self.identities >= 2**24:
            raise UserError(f"`identities` must be below {2**24} (labels are float32), got {self.identities}")
