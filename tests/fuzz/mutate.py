"""Make broken copies of valid files, with a random number generator."""

from __future__ import annotations

import random
import re
from typing import List

WORD = rb'-?\d+|"[^"]*"'  # a number or a quoted text
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
NUMBERS += (1 << 40, (1 << 63) - 1, (1 << 64) - 1)
WORDS = (b"0", b"-1", b"1", b"65536", b"2147483648", b"99999999999999999999", b"1e400", b"NaN", b"Infinity")
WORDS += (b"null", b"true", b"[]", b"{}", b'""', b"(0, 0)", b"()", b"[" * 3000, b"a" * 300, b"%s")
WORDS += (b'"../../../etc/passwd"', b"../", b'"_Native"', b'"Custom"', b"\x00", b"\xff", b"\t", b"\n")


def mutate(content: bytes, seeds: List[bytes], chance: random.Random) -> bytes:
    """Make one to four changes: flipped bits, other numbers and words, lost, repeated and foreign pieces."""
    broken = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        kind, at = chance.randrange(8), chance.randrange(len(broken) + 1)
        if kind == 0 and broken:
            broken[at % len(broken)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            width = chance.choice((1, 2, 4, 8))
            broken[at : at + width] = (chance.choice(NUMBERS) % (1 << 8 * width)).to_bytes(
                width, chance.choice(("little", "big"))
            )
        elif kind == 2:
            del broken[at : at + chance.choice((1, 2, 4, 16, len(broken)))]
        elif kind == 3:
            start = chance.randrange(len(broken) + 1)
            broken[at:at] = broken[start : start + chance.choice((1, 8, 64))]
        elif kind == 4:
            other = chance.choice(seeds)
            start = chance.randrange(len(other))
            broken[at : at + 16] = other[start : start + chance.choice((4, 16, 64))]
        elif kind == 5:
            broken[at:at] = chance.choice(WORDS)
        elif kind == 6:
            words = list(re.finditer(WORD, bytes(broken)))
            if words:
                match = chance.choice(words)
                broken[match.start() : match.end()] = chance.choice(WORDS)
        else:
            words = list(re.finditer(WORD, bytes(broken)))
            if len(words) > 1:
                first, second = sorted(chance.sample(words, 2), key=lambda match: match.start())
                between = bytes(broken[first.end() : second.start()])
                broken[first.start() : second.end()] = second.group() + between + first.group()
    return bytes(broken)
