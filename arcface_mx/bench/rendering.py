"""Rendering faces: photos a second in one process."""

from __future__ import annotations

from typing import List

from arcface_mx.bench.timing import Timing, compare


def measure(images: int, repetitions: int) -> List[Timing]:
    """Photos a second: `images` photos of each of people 0, 1, …, drawn and developed, JPEG included."""
    from arcface_mx.data.rendered import chunks
    from arcface_mx.data.rendered.sets import RenderOptions

    options = RenderOptions()
    chunks.renderer(options.supersampling)
    chunk = chunks.chunks_of(options)[0]
    people = iter(range(1 << 20))

    def render() -> int:
        return len(chunks.render_identity(options, chunk.kinds, next(people), images))

    return compare({"arcface-mx data rendered, one process": render}, repetitions)
