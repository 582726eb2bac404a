"""Make image files for tests, good and broken ones, as bytes."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def scene(width: int = 96, height: int = 64, *, seed: int = 0) -> Image.Image:
    """Return a smooth RGB picture without any symmetry: gradients, a dark corner, a bright disc; another for another seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    tints = rng.uniform(40, 200, size=3)
    pixels = np.stack([x * 200, y * 200, (1 - x) * y * 200], axis=-1) * 0.5 + tints * 0.4  # (h, w, 3)
    pixels[(x < 0.3) & (y < 0.25)] *= 0.2
    pixels[(x - 0.75) ** 2 + (y - 0.6) ** 2 < 0.03] = (250, 240, 60)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return a file's bytes in Pillow's format ``form``."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def jpeg(image: Image.Image | None = None, *, orientation: int | None = None, quality: int = 95) -> bytes:
    """Return a JPEG; with ``orientation`` its EXIF says so and the stored pixels stay as they are."""
    options: dict[str, Any] = {}
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    return encoded(image or scene(), "JPEG", quality=quality, subsampling=0, **options)


def jpeg_with_exif(exif: bytes) -> bytes:
    """Return a JPEG with ``exif`` as its EXIF segment, well-formed or not."""
    plain = jpeg()
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]


def png(image: Image.Image | None = None, **options: Any) -> bytes:
    """Return a PNG."""
    return encoded(image or scene(), "PNG", **options)


def stored_turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return the pixels that a camera stores so that a viewer who obeys ``orientation`` (1 to 8) shows ``image``."""
    turn = Image.Transpose
    back = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }
    return image if orientation == 1 else image.transpose(back[orientation])


def animated(form: str) -> bytes:
    """Return an animation ("GIF" or "WEBP"): a red frame, then a blue one."""
    red, blue = Image.new("RGB", (32, 24), (220, 0, 0)), Image.new("RGB", (32, 24), (0, 0, 220))
    return encoded(red, form, save_all=True, append_images=[blue], duration=100)


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """Return a PNG of a few bytes that claims enormous dimensions."""
    chunks = (
        b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0),
        b"IDAT" + zlib.compress(bytes(1000)),
        b"IEND",
    )
    framed = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def broken() -> dict[str, tuple[bytes, str]]:
    """Return kinds of broken files: file name -> (bytes, the reason expected)."""
    whole = jpeg()
    picture = png()
    middle = len(picture) // 2
    return {
        "empty.jpg": (b"", "empty"),
        "half.jpg": (whole[: len(whole) // 2], "truncated"),
        "header-only.jpg": (whole[:20], "truncated"),
        "half.png": (picture[:middle], "truncated"),
        "half.webp": (encoded(scene(), "WEBP")[:400], "truncated"),
        "half.gif": (encoded(scene(), "GIF")[:1500], "truncated"),
        "half.bmp": (encoded(scene(), "BMP")[:3000], "truncated"),
        "flipped.png": (
            picture[:middle]
            + bytes(255 - byte for byte in picture[middle : middle + 64])
            + picture[middle + 64 :],
            "unreadable",
        ),
        "text.jpg": (b"<html><body>404 Not Found</body></html>", "unreadable"),
        "zeros.tif": (bytes(1000), "unreadable"),
        "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unreadable"),
        "bomb.png": (bomb(), "too-large"),
    }


def heic() -> bytes:
    """Return `scene(48, 32)` as HEIC, stored on its side with the rotation stated (Pillow can read but not write HEIC)."""
    return base64.b85decode(_HEIC)


_HEIC = (
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0005VZDn*}000000000XXk=`10000000000aA{+700000000000000000000G-+&a"
    "V*mgE07O6l0ssL300001>;M4(00000005@|0ssI200NT$0RR9100000Bme*aIB98aW&i*H00062000$fZf0cy000000RRAKc4ILB"
    "0000LX>Mj^0ssI300IC2MR;ju000004sdC7Z2$lO00031009SSaB^?}008D`aAR)(004Gqc4I>U18@KU0FVFx0000U@BsY%`1k+-"
    "4+CHT0RR|40Sp2E{{wIU00RJ!0009300RIXx&lC90096hLID8-Z~y=U0FVFx0{{R603M(qfd!W8<fgf}2xu@M00096AOHXZ03l)k"
    "0RRR>0l{;?i2wiq6Ju{|a&BX6cmM$a4FCp!0000KX>)L8000000000$0000$0000eV{Bn?0000W000010000m00001|NsBs00002"
    "|NsB+000020000GaA|mH000000|*ER00009X>xCL0{{R38EJ5BVE_OC000000RRC8fdT^sgoXeB02*m>Wo7^X0000001jhhb7KGk"
    "009620002fZDe6|0001^C;_inS^q)=E#>Gc3eWkg@W4^ZJPMzZ-Fe@7=#j4B`N%xvb78ZF*HcK3tiJyMw>dvWjSd`-1oKp<VV0I!"
    "h$#H|1frOURb0UF>xmQ3sm!iH@Pj+-f`E`0k)838mLczxX4C5Zj_{NQrzKhd8qKsI1B)p4$|)3Rl=%2Y*5X8UR$Avbr}l~0TqAGD"
    "Yb~K;ujL2|ZS;2d<{u8IrfApz000I>cxh$;08LE*DgXcg2mk>A5&#1L000311^@s60000"
)
