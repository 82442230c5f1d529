"""Change pictures by what is known of their formats: chunks of PNG and WebP, segments of JPEG.

Parts are doubled, left out, exchanged, added or changed inside. Lengths and checksums are right again behind most
changes, so that the decoder reads on and comes to the changed part.
"""

from __future__ import annotations

import struct
import zlib

from tests.fuzz.mutate import NUMBERS, mutate

PNG = b"\x89PNG\r\n\x1a\n"
PNG_KINDS = b"IHDR PLTE IDAT IEND tRNS gAMA cHRM iCCP sBIT bKGD pHYs zTXt iTXt eXIf acTL fcTL fdAT abcd".split()
WEBP_KINDS = b"VP8 |VP8L|VP8X|ALPH|ANIM|ANMF|ICCP|EXIF|XMP |abcd".split(b"|")
# SOF0 to SOF15 with DHT, JPG and DAC among them; RST0, SOI, EOI, SOS, DQT, DNL, DRI, DHP; APP0, APP1, APP14, COM
JPEG_KINDS = [bytes([code]) for code in (*range(0xC0, 0xD1), *range(0xD8, 0xDF), 0xE0, 0xE1, 0xEE, 0xFE)]
ALONE = {bytes([code]) for code in (0x01, *range(0xD0, 0xDA))}  # markers without a length: TEM, RST, SOI, EOI


def split_png(content):
    """Return the chunks of a PNG as [kind, body]."""
    parts, place = [], len(PNG)
    while place + 8 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        parts.append([content[place + 4 : place + 8], content[place + 8 : place + 8 + length]])
        place += 12 + length
    return parts


def join_png(parts, chance):
    content = PNG
    for kind, body in parts:
        length = chance.choice(NUMBERS) % (1 << 32) if chance.random() < 0.02 else len(body)
        check = zlib.crc32(kind + body) ^ (chance.random() < 0.02)
        content += struct.pack(">I", length) + kind + body + struct.pack(">I", check)
    return content


def split_webp(content):
    """Return the chunks of a WebP as [kind, body]."""
    parts, place = [], 12
    while place + 8 <= len(content):
        (length,) = struct.unpack("<I", content[place + 4 : place + 8])
        parts.append([content[place : place + 4], content[place + 8 : place + 8 + length]])
        place += 8 + length + length % 2
    return parts


def join_webp(parts, chance):
    content = b"WEBP"
    for kind, body in parts:
        length = chance.choice(NUMBERS) % (1 << 32) if chance.random() < 0.02 else len(body)
        content += kind + struct.pack("<I", length) + body + bytes(len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def split_jpeg(content):
    """Return the segments of a JPEG as [marker, body]; the body of a scan contains its data."""
    parts, place = [], 0
    while place + 2 <= len(content):
        marker = content[place + 1 : place + 2]
        end = place + 2
        if marker not in ALONE:
            end += struct.unpack(">H", content[end : end + 2])[0] if end + 2 <= len(content) else 0
        if marker == b"\xda":
            while end + 1 < len(content) and (content[end] != 0xFF or content[end + 1] in (0, *range(0xD0, 0xD8))):
                end += 1
        has_length = marker not in ALONE
        parts.append([marker, content[place + (4 if has_length else 2) : end]])
        place = end
    return parts


def join_jpeg(parts, chance):
    content = b""
    for marker, body in parts:
        content += b"\xff" + marker
        if marker == b"\xda":  # the length is that of the head of the scan
            length = 6 + 2 * body[0] if body else 2
            content += (
                struct.pack(">H", length if chance.random() > 0.02 else chance.choice(NUMBERS) % (1 << 16)) + body
            )
        elif marker not in ALONE:
            length = len(body) + 2 if chance.random() > 0.02 else chance.choice(NUMBERS)
            content += struct.pack(">H", length % (1 << 16)) + body
        else:
            content += body
    return content


FORMATS = (
    (PNG, split_png, join_png, PNG_KINDS),
    (b"RIFF", split_webp, join_webp, WEBP_KINDS),
    (b"\xff\xd8", split_jpeg, join_jpeg, JPEG_KINDS),
)


def changed(content, seeds, chance):
    """Return a picture with one to three changed parts; half of the pictures are changed in any byte instead."""
    known = [entry for entry in FORMATS if content.startswith(entry[0])]
    if not known or chance.random() < 0.5:
        return mutate(content, seeds, chance)
    _, split, join, kinds = known[0]
    parts = split(content)
    for _ in range(chance.choice((1, 1, 2, 3))):
        _change(parts, seeds, kinds, chance)
    return join(parts, chance)


def _change(parts, seeds, kinds, chance):
    """Change one part of a list of them."""
    kind, place = chance.randrange(6), chance.randrange(len(parts) or 1)
    if kind == 0 or not parts:
        body = chance.choice((b"", bytes(4), bytes(26), chance.choice(parts)[1] if parts else b"x"))
        parts.insert(place, [chance.choice(kinds), body])
    elif kind == 1:
        parts.insert(chance.randrange(len(parts) + 1), list(parts[place]))
    elif kind == 2:
        parts.pop(place)
    elif kind == 3:
        other = chance.randrange(len(parts))
        parts[place], parts[other] = parts[other], parts[place]
    elif kind == 4:  # a number near the start: size, depth, type, number of components
        body = bytearray(parts[place][1])
        width = chance.choice((1, 2, 4))
        at = chance.randrange(min(16, len(body)) or 1)
        body[at : at + width] = (chance.choice(NUMBERS) % (1 << 8 * width)).to_bytes(width, "big")
        parts[place][1] = bytes(body)
    else:
        parts[place][1] = mutate(parts[place][1], seeds, chance) if parts[place][1] else b"\0"
