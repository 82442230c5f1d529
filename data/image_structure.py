"""Check the structure of an encoded image before a decoder sees it.

Decoders are written in C, and strangers' files crash them: OpenCV 4.11 corrupts its memory on an
animated PNG of 127 bytes. So only a few formats are accepted, their structure is read here first,
and everything else is refused by name.
"""

from __future__ import annotations

import re
import struct
from typing import Callable, Dict, List, NamedTuple, Tuple

# How files of other formats begin. A dot stands for any byte.
_OTHERS: Tuple[Tuple[bytes, str], ...] = (
    (rb"GIF8[79]a", "GIF"),
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", "TIFF (or a raw file of a camera)"),
    (rb"....ftyp(hei[cxms]|hev[cmsx]|mif1|msf1)", "HEIC"),
    (rb"....ftypavi[fs]", "AVIF"),
    (rb"....ftyp", "a film (MP4 or QuickTime)"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"\0\0\0\x0cJXL |\xff\x0a", "JPEG XL"),
    (rb"\x76\x2f\x31\x01", "OpenEXR"),
    (rb"#\?R", "Radiance HDR"),
    (rb"\x59\xa6\x6a\x95", "Sun raster"),
    (rb"P[12347Ff]\s", "PNM that is neither binary PGM nor binary PPM"),
    (rb"%PDF", "PDF"),
    (rb"8BPS", "Photoshop"),
    (rb"\s*<(\?xml|svg)", "SVG"),
)


class RefusedImage(ValueError):
    """An image that need not be damaged, but has a format or a size that is not read."""


class Structure(NamedTuple):
    """What the headers of an image state.

    Attributes
    ----------
    format : str
        ``"JPEG"``, ``"PNG"``, ``"BMP"``, ``"WebP"`` or ``"PNM"``.
    height, width : int
        The size in pixels; the largest, if the file states several.
    scans : int
        How often a decoder goes over all pixels: the scans of a JPEG, otherwise 1.
    end : int
        Where the image ends, in bytes. It is cut off if there are fewer. A decoder needs no more.
    """

    format: str
    height: int
    width: int
    scans: int
    end: int


def read_structure(image: bytes) -> Structure:
    """Read the structure of an encoded image.

    Parameters
    ----------
    image : bytes
        The content of an image file.

    Returns
    -------
    Structure
        Format, size and length.

    Raises
    ------
    RefusedImage
        If the format is not JPEG, PNG, BMP, WebP, or binary PGM or PPM, or if the image is animated. The
        message names it.
    ValueError
        If the bytes are no image, or if the parts of an image contradict each other.
    """
    for start, read in _READERS.items():
        if image.startswith(start):
            try:
                return read(image)
            except struct.error:
                raise ValueError(f"is a {start.decode('latin-1').strip()!r} image that is cut off") from None
    for pattern, name in _OTHERS:
        if re.match(pattern, image[:64], re.DOTALL):
            raise RefusedImage(f"is {name}, which is not read; convert it to JPEG or PNG")
    raise ValueError(f"{len(image)} bytes that are no readable image (they begin with {bytes(image[:8])!r})")


_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers that hold the size
_JPEG_DECODED = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, with Huffman codes
_PROGRESSIVE = 0xC2
_PROGRESSIVE_COST = 8  # scans that a progressive JPEG counts for at least: its coefficients are held in memory


# A marker with a segment behind it, or D8 and D9. In the data of a scan, FF is followed by 00 or D0 to D7.
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])", re.DOTALL)


def _read_jpeg(image: bytes) -> Structure:
    """The walk goes from marker to marker, as decoders do, which skip bytes that are no marker."""
    height, width, scans, progressive = 0, 0, 0, False
    end = len(image) + 2  # two bytes, FF D9, are missing until they are seen
    match = _JPEG_MARKER.search(image, 2)
    while match and end > len(image):
        marker, at = match[1][0], match.end()
        if marker in _JPEG_FRAMES and at + 7 <= len(image):
            if marker not in _JPEG_DECODED:
                raise RefusedImage(f"is a JPEG of a rare kind (frame {marker:02X}), which is not read")
            rows, columns = struct.unpack_from(">HH", image, at + 3)
            progressive = progressive or marker == _PROGRESSIVE
            if rows * columns >= height * width:
                height, width = rows, columns
        scans += marker == 0xDA
        end = at if marker == 0xD9 else end
        if marker not in (0xD8, 0xD9) and at + 2 <= len(image):
            at += max(2, struct.unpack_from(">H", image, at)[0])
        match = _JPEG_MARKER.search(image, at)
    if not height * width:
        raise ValueError("is a JPEG without a size")
    return Structure("JPEG", height, width, max(scans, _PROGRESSIVE_COST) if progressive else scans, end)


_ANIMATED_PNG = (b"acTL", b"fcTL", b"fdAT")


def _read_png(image: bytes) -> Structure:
    at = 8
    kinds: List[bytes] = []
    while not kinds or kinds[-1] != b"IEND":
        length, kind = struct.unpack_from(">I4s", image, at)
        if kind in _ANIMATED_PNG:
            raise RefusedImage("is an animated PNG, which is not read; save one frame of it")
        if (kind == b"IHDR") == bool(kinds) or (kind == b"IHDR" and length != 13):
            raise ValueError("is a PNG whose header is not at its start")
        kinds.append(kind)
        at += 12 + length
        if at > len(image):
            raise ValueError(f"is a PNG that is cut off in its chunk {kind!r}")
    width, height = struct.unpack_from(">II", image, 16)
    return Structure("PNG", height, width, 1, at)


def _read_bmp(image: bytes) -> Structure:
    data, head = struct.unpack_from("<II", image, 10)
    if head not in (40, 52, 56, 108, 124):
        raise RefusedImage(f"is a BMP of a rare kind (header of {head} bytes), which is not read")
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", image, 18)
    if bits not in (1, 4, 8, 16, 24, 32) or compression not in (0, 3):
        raise RefusedImage(f"is a BMP of a rare kind ({bits} bits, compression {compression}), which is not read")
    height = abs(height)
    if width < 1 or height < 1 or data < 14 + head:
        raise ValueError(f"is a BMP whose header makes no sense ({width}×{height} pixels, data at {data})")
    return Structure("BMP", height, width, 1, data + (width * bits + 31) // 32 * 4 * height)


def _read_webp(image: bytes) -> Structure:
    end = 8 + struct.unpack_from("<I", image, 4)[0]
    if image[8:12] != b"WEBP":
        raise ValueError(f"is a RIFF file of kind {bytes(image[8:12])!r} and no image")
    if end > len(image):
        raise ValueError("is a WebP image that is cut off")
    sizes: List[Tuple[int, int]] = []
    at, frames = 12, 0
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", image, at)
        body = image[at + 8 : at + 8 + min(length, 10)]
        if kind in (b"ANIM", b"ANMF") or (kind == b"VP8X" and body and body[0] & 2):
            raise RefusedImage("is an animated WebP image, which is not read; save one frame of it")
        frames += kind in (b"VP8 ", b"VP8L")
        if kind in _WEBP_SIZES:
            sizes.append(_WEBP_SIZES[kind](body))
        at += 8 + length + length % 2
    if at > end or frames != 1:
        raise ValueError(f"is a WebP image whose parts do not fit its length ({frames} frames)")
    height, width = max(sizes, key=lambda size: size[0] * size[1])
    return Structure("WebP", height, width, 1, end)


def _vp8_size(body: bytes) -> Tuple[int, int]:
    width, height = struct.unpack_from("<HH", body, 6)
    return height & 0x3FFF, width & 0x3FFF


def _vp8l_size(body: bytes) -> Tuple[int, int]:
    bits = struct.unpack_from("<I", body, 1)[0]
    return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1


def _vp8x_size(body: bytes) -> Tuple[int, int]:
    width, height = (int.from_bytes(body[k : k + 3], "little") + 1 for k in (4, 7))
    return height, width


_WEBP_SIZES: Dict[bytes, Callable[[bytes], Tuple[int, int]]] = {
    b"VP8 ": _vp8_size,
    b"VP8L": _vp8l_size,
    b"VP8X": _vp8x_size,
}
_PNM = re.compile(rb"P([56])(?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,5})\s")


def _read_pnm(image: bytes) -> Structure:
    match = _PNM.match(image[:1000])
    if not match:
        raise ValueError("is a PGM or PPM image whose header makes no sense")
    channels, (width, height, highest) = 3 if match[1] == b"6" else 1, map(int, match.groups()[1:])
    if not 0 < highest < 1 << 16 or not width * height:
        raise ValueError(f"is a PGM or PPM image whose header makes no sense ({width}×{height}, up to {highest})")
    end = match.end() + width * height * channels * (2 if highest > 255 else 1)
    return Structure("PNM", height, width, 1, end)


_READERS: Dict[bytes, Callable[[bytes], Structure]] = {
    b"\xff\xd8\xff": _read_jpeg,
    b"\x89PNG\r\n\x1a\n": _read_png,
    b"BM": _read_bmp,
    b"RIFF": _read_webp,
    b"P5": _read_pnm,
    b"P6": _read_pnm,
}
