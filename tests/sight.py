"""How colours look: how far apart (CIEDE2000), to every eye, and how well texts are read."""

import re
from typing import Any

import numpy as np

# What eyes see of linear RGB where one of the three cones is missing: Machado, Oliveira and
# Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009,
# at severity 1.
SIGHT: dict[str, Any] = {
    "all cones": np.eye(3),
    "no L (protanopia)": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no M (deuteranopia)": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no S (tritanopia)": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]


def linear(colour: str) -> Any:
    """Return the light of "#rgb" or "#rrggbb": red, green and blue from 0 to 1."""
    digits = colour.removeprefix("#")
    if not re.fullmatch("[0-9a-fA-F]{3}|[0-9a-fA-F]{6}", digits):
        message = f"no colour: {colour!r}"
        raise ValueError(message)
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    rgb = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return how well one colour is read on another, by WCAG 2: at least 4.5 is asked of texts."""
    low, high = sorted(linear(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other))
    return float((high + 0.05) / (low + 0.05))


def lab(colour: str, sight: str = "all cones") -> Any:
    """Return L*, a*, b* (white D65) of a colour as these eyes see it."""
    seen = (np.asarray(SIGHT[sight]) @ linear(colour)).clip(0, 1)
    xyz = np.asarray(TO_XYZ) @ seen / np.sum(TO_XYZ, axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def ciede2000(one: Any, other: Any) -> float:
    """Return the distance of two colours L*, a*, b*; about 1 is just seen, black to white is 100.

    The names are those of Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference Formula", 2005.
    """
    light, a, b = np.array([one, other], float).T
    mean_chroma = np.hypot(a, b).mean()
    a = a * (1.5 - 0.5 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25**7)))
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a)) % 360
    grey = not chroma.all()

    turn = 0.0 if grey else hue[1] - hue[0]
    turn -= 360 * np.round(turn / 360)  # from -180 to 180
    d_light, d_chroma = light[1] - light[0], chroma[1] - chroma[0]
    d_hue = 2 * np.sqrt(chroma.prod()) * np.sin(np.radians(turn) / 2)

    between = hue.sum() if grey else hue[0] + turn / 2
    c = chroma.mean()
    t = (
        1
        - 0.17 * np.cos(np.radians(between - 30))
        + 0.24 * np.cos(np.radians(2 * between))
        + 0.32 * np.cos(np.radians(3 * between + 6))
        - 0.20 * np.cos(np.radians(4 * between - 63))
    )
    off = (light.mean() - 50) ** 2
    s_light = 1 + 0.015 * off / np.sqrt(20 + off)
    s_chroma, s_hue = 1 + 0.045 * c, 1 + 0.015 * c * t
    blueness = 30 * np.exp(-((((between % 360) - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(c**7 / (c**7 + 25**7)) * np.sin(np.radians(2 * blueness))
    parts = d_light / s_light, d_chroma / s_chroma, d_hue / s_hue
    return float(np.sqrt(np.square(parts).sum() + rotation * parts[1] * parts[2]))


def distance(one: str, other: str, sight: str = "all cones") -> float:
    """Return how far apart two colours look to these eyes."""
    return ciede2000(lab(one, sight), lab(other, sight))
