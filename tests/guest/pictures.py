# SPDX-License-Identifier: MIT
"""PPM and PNG files as (width, height, RGB bytes)."""
import os
import struct
import tempfile
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_ppm(path):
    with open(path, "rb") as f:
        data = f.read()
    magic, size, depth, rgb = data.split(b"\n", 3)
    width, height = (int(n) for n in size.split())
    if magic != b"P6" or depth != b"255" or len(rgb) != width * height * 3:
        raise ValueError(f"{path}: no whole PPM picture")
    return width, height, rgb


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path, picture):
    """As a palette picture where there are few enough colours, since that is smaller."""
    width, height, rgb = picture
    pixels = [rgb[i : i + 3] for i in range(0, len(rgb), 3)]
    colors = sorted(set(pixels))
    if len(colors) <= 256:
        index = {c: i for i, c in enumerate(colors)}
        body = bytes(index[p] for p in pixels)
        kind, palette = 3, chunk(b"PLTE", b"".join(colors))
        pitch = width
    else:
        body, kind, palette, pitch = rgb, 2, b"", 3 * width
    rows = b"".join(b"\0" + body[y * pitch : (y + 1) * pitch] for y in range(height))
    with open(path, "wb") as f:
        f.write(SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)) + palette
                + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def keep(name, picture):
    """Writes a picture that a test did not expect to where somebody may look at it; returns its path."""
    handle, path = tempfile.mkstemp(".png", f"ring3-{name}-")
    os.close(handle)
    write_png(path, picture)
    return path


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def unfilter(kind, row, above, step):
    row = bytearray(row)
    for i, value in enumerate(row):
        left = row[i - step] if i >= step else 0
        up = above[i]
        if kind == 1:
            value += left
        elif kind == 2:
            value += up
        elif kind == 3:
            value += (left + up) // 2
        elif kind == 4:
            value += paeth(left, up, above[i - step] if i >= step else 0)
        row[i] = value & 255
    return row


def read_png(path):
    """8 bits a channel, RGB or palette: what write_png and ring3 write."""
    with open(path, "rb") as f:
        data = f.read()
    if not data.startswith(SIGNATURE):
        raise ValueError(f"{path}: no PNG file")
    at, body, palette, head = 8, b"", b"", None
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + size]
        if zlib.crc32(kind + content) != struct.unpack_from(">I", data, at + 8 + size)[0]:
            raise ValueError(f"{path}: a checksum is wrong")
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", content)
        elif kind == b"PLTE":
            palette = content
        elif kind == b"IDAT":
            body += content
        at += 12 + size
    width, height, depth, color = head[:4]
    if depth != 8 or color not in (2, 3) or head[6]:
        raise ValueError(f"{path}: not the kind of PNG this reads")
    step = 3 if color == 2 else 1
    raw, rows = zlib.decompress(body), []
    above = bytes(width * step)
    for y in range(height):
        start = y * (width * step + 1)
        row = raw[start + 1 : start + 1 + width * step]
        above = unfilter(raw[start], row, above, step) if raw[start] else row
        rows.append(bytes(above))
    if color == 3:
        rows = [b"".join(palette[3 * p : 3 * p + 3] for p in row) for row in rows]
    return width, height, b"".join(rows)


def crop(picture, x, y, w, h):
    width, _, pixels = picture
    return w, h, b"".join(pixels[((y + j) * width + x) * 3:((y + j) * width + x + w) * 3] for j in range(h))


def difference(a, b):
    """None, or a sentence."""
    if a[:2] != b[:2]:
        return f"{a[0]}x{a[1]}, not {b[0]}x{b[1]}"
    if a[2] == b[2]:
        return None
    wrong = [i for i in range(0, len(a[2]), 3) if a[2][i : i + 3] != b[2][i : i + 3]]
    x, y = wrong[0] // 3 % a[0], wrong[0] // 3 // a[0]
    got, want = a[2][wrong[0] : wrong[0] + 3].hex(), b[2][wrong[0] : wrong[0] + 3].hex()
    return f"{len(wrong)} pixels of {a[0]}x{a[1]} differ, first {x},{y}: {got}, not {want}"
