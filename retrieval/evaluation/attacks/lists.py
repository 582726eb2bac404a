"""Name every attack, in lists that have a version; alter an image by one of them, or choose some by name.

A list that results were published with stays as it is; what is new makes a new list. ``attacks-1`` is that of active indexing
(Fernandez et al. 2023, arXiv 2210.10620), which took it from the image similarity challenge (Douze et al. 2021, arXiv
2106.09672). ``nano-attacks-1`` is that of the report of the built-in encoder. ``attacks-2`` has all of both and more.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from retrieval.errors import OptionError
from retrieval.evaluation.attacks import drawings, geometry, pixels, screens

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    Attack = Callable[[Picture, np.random.Generator], Picture]

BLUR = 0.01  # of the short side: the Gaussian's deviation

LONGEST = 4096
"""Pixels a side, as much as is passed on as a rule; JPEG ends at 65,500, and memory before that."""

CURRENT = "attacks-2"
"""The list that is used where none is named."""


def attack(name: str, image: Picture, *, seed: int, of: str = CURRENT) -> Picture:
    """Return an altered copy.

    Args:
        name: an attack of the list.
        image: RGB; left unchanged. One that is longer than `LONGEST` is altered at that length.
        seed: of what is random in it; the same copy for the same seed.
        of: the list, one of `LISTS`.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    if max(image.size) > LONGEST:
        scale = LONGEST / max(image.size)
        width, height = (max(1, round(scale * side)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return LISTS[of][name](image, rng)


def chosen(names: bool | str | Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return a list and the attacks of it that are meant.

    Args:
        names: True for all of the current list; or the name of a list; or names of attacks of the current list, as a sequence or
            as one text with commas.
    Raises:
        OptionError: there is no such attack or list.
    """
    wanted = [names] if isinstance(names, bool) else _words(names)
    if wanted == [True]:
        return CURRENT, tuple(LISTS[CURRENT])
    if len(wanted) == 1 and wanted[0] in LISTS:
        return str(wanted[0]), tuple(LISTS[str(wanted[0])])
    known = LISTS[CURRENT]
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(str(name), [*known, *LISTS], n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}? There" if near else "there"
            raise OptionError(f"no attack is called {name!r}; {hint} are {', '.join([*known, *LISTS])}")
    if not wanted:
        raise OptionError(f"no attack is named; there are {', '.join(known)}")
    return CURRENT, tuple(dict.fromkeys(map(str, wanted)))


def _words(names: str | Sequence[str]) -> list[bool | str]:
    if isinstance(names, str):
        names = names.split(",")
    return [name.strip() for name in names if name.strip()]


def _chain(image: Picture, rng: np.random.Generator) -> Picture:
    """Apply one to four of the others in a row, each of a random strength."""
    links: list[Callable[[], Attack]] = [
        lambda: pixels.contrast(float(2 ** rng.uniform(-1, 1))),
        lambda: pixels.brightness(float(2 ** rng.uniform(-1, 1))),
        lambda: pixels.hue(float(rng.uniform(-0.2, 0.2))),
        lambda: pixels.blur(float(rng.uniform(0, BLUR))),
        lambda: pixels.jpeg(int(rng.integers(30, 91))),
        lambda: geometry.rotation(float(rng.uniform(-25, 25))),
        lambda: geometry.crop(float(rng.uniform(0.5, 1))),
        lambda: geometry.resize(float(rng.uniform(0.3, 1))),
        lambda: drawings.meme,
        lambda: screens.screenshot,
    ]
    count = int(rng.choice(4, p=(0.1, 0.2, 0.3, 0.4))) + 1
    for number in rng.permutation(len(links))[:count]:
        image = links[int(number)]()(image, rng)
    return image


_FIRST: Mapping[str, Attack] = {
    "none": pixels.none,
    "contrast 0.5": pixels.contrast(0.5),
    "contrast 2": pixels.contrast(2.0),
    "brightness 0.5": pixels.brightness(0.5),
    "brightness 2": pixels.brightness(2.0),
    "hue 0.2": pixels.hue(0.2),
    "blur": pixels.blur(BLUR),
    "jpeg 50": pixels.jpeg(50),
    "rotation 25": geometry.rotation(25),
    "rotation 90": geometry.rotation(90),
    "crop 0.5": geometry.crop(0.5),
    "resize 0.5": geometry.resize(0.5),
    "screenshot": screens.screenshot,
    "meme": drawings.meme,
    "chain": _chain,
}

_SECOND: Mapping[str, Attack] = {
    "none": pixels.none,
    "contrast 0.5": pixels.contrast(0.5),
    "contrast 2": pixels.contrast(2.0),
    "brightness 0.5": pixels.brightness(0.5),
    "brightness 1.8": pixels.brightness(1.8),
    "brightness 2": pixels.brightness(2.0),
    "hue 0.2": pixels.hue(0.2),
    "grey": pixels.grey,
    "blur 0.008": pixels.blur(0.008),
    "blur": pixels.blur(BLUR),
    "jpeg 50": pixels.jpeg(50),
    "jpeg 10": pixels.jpeg(10),
    "flip": geometry.flip,
    "rotation 15": geometry.rotation(15, expand=False),
    "rotation 25": geometry.rotation(25),
    "rotation 90": geometry.rotation(90),
    "crop 0.5": geometry.crop(0.5),
    "crop 0.2": geometry.crop(0.2),
    "crop 0.1": geometry.crop(0.1),
    "part 0.2": geometry.part(0.2),
    "part 0.1": geometry.part(0.1),
    "resize 0.5": geometry.resize(0.5),
    "64 pixels": geometry.square(64),
    "border": geometry.border,
    "text": drawings.text,
    "meme": drawings.meme,
    "emoji": drawings.emoji,
    "overlay": drawings.overlay,
    "collage": drawings.collage,
    "screenshot": screens.screenshot,
    "screen photo": screens.photographed,
    "chain": _chain,
}

# Names of the report of `nano`, and of the same attack in the current list.
_OF_NANO = {
    "flip": "flip",
    "rotation 15°": "rotation 15",
    "rotation 90°": "rotation 90",
    "centre crop 50 %": "crop 0.5",
    "centre crop 20 %": "crop 0.2",
    "brightness ×1.8": "brightness 1.8",
    "grey": "grey",
    "JPEG 10": "jpeg 10",
    "blur": "blur 0.008",
    "64 × 64": "64 pixels",
}

LISTS: Mapping[str, Mapping[str, Attack]] = {
    "attacks-1": _FIRST,
    "nano-attacks-1": {name: _SECOND[same] for name, same in _OF_NANO.items()},
    "attacks-2": _SECOND,
}
"""Attacks by list and name; numbers are factors, shares of the colour circle or of the short side, qualities, degrees, and areas."""
