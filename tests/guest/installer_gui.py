# SPDX-License-Identifier: MIT
"""What Debian's graphical installer shows, recognised in pictures of its screen.

The page with the languages is docs/desktop.png, the README's picture: the tests compare with it, but for the mouse
pointer. Of the page behind it, installer/location.png has the title and the question.
"""
import os

from machine import ROOT
from pictures import crop, difference, read_png

SIZE = 1280, 800
LANGUAGES = os.path.join(ROOT, "docs", "desktop.png")
LOCATION = os.path.join(ROOT, "tests", "guest", "installer", "location.png")
LOCATION_AT = 0, 75  # where that one is in its page
POINTER = 1000  # pixels, at two places; a line of the list has 27,000


def wrong(picture, path, at=(0, 0)):
    """How many pixels of the part of picture that begins at `at` are not those of the file."""
    want = read_png(path)
    said = difference(crop(picture, *at, *want[:2]), want) if picture[:2] == SIZE else str(SIZE[0] * SIZE[1])
    return int(said.split()[0]) if said else 0


def languages(picture):
    return wrong(picture, LANGUAGES) < POINTER


def location(picture):
    return wrong(picture, LOCATION, LOCATION_AT) == 0


def highlighted(picture):
    """The first row and the height of the list's highlighted line: the rows that are green from side to side."""
    width, height, pixels = picture
    if (width, height) != SIZE:
        return None
    rows = []
    for y in range(height):
        green = 0
        for x in (400, 600, 800, 1000, 1200):
            at = (y * width + x) * 3
            r, g, b = pixels[at:at + 3]
            green += r < 80 and 100 < g < 160 and 100 < b < 160
        if y > 170 and green >= 4:  # below the banner; the pointer may be on one
            rows.append(y)
    return (rows[0], len(rows)) if rows and rows[-1] - rows[0] < 30 else None
