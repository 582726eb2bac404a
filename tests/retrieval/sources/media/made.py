"""Films, documents and raw photographs that the tests make for themselves."""

import io
import struct
from fractions import Fraction

import numpy as np
from PIL import Image

RATE = 25
COLOURS = ((200, 30, 40), (30, 180, 60), (40, 50, 210), (230, 230, 225))
"""Of the four quarters of `quarters`, line by line."""


def quarters(width=160, height=96):
    """Return a picture ``(h, w, 3)`` whose four quarters have `COLOURS`."""
    picture = np.zeros((height, width, 3), np.uint8)
    for at, colour in enumerate(COLOURS):
        down, right = divmod(at, 2)
        picture[down * height // 2 :, right * width // 2 :][: height // 2, : width // 2] = colour
    return picture


def quarter_colours(image):
    """Return the colours in the middle of an image's quarters."""
    width, height = image.size
    return [image.getpixel((int(width * x), int(height * y))) for y in (0.25, 0.75) for x in (0.25, 0.75)]


def moving(seconds, *, width=160, height=96, seed=0):
    """Yield the frames of a film in which a bright square moves over a coloured ground."""
    ground = np.random.default_rng(seed).integers(0, 120, (6, 10, 3), np.uint8)
    ground = np.asarray(Image.fromarray(ground).resize((width, height)))
    for number in range(int(seconds * RATE)):
        picture = ground.copy()
        x, y = number * 3 % (width - 32), number * 2 % (height - 32)
        picture[y : y + 32, x : x + 32] = (255, 250 - number % 200, 40)
        yield picture


def film(
    frames,
    target=None,
    *,
    codec="libx264",
    container="mp4",
    rate=RATE,
    times=None,
    prepare=None,
    muxing=None,
    **options,
):
    """Write frames ``(h, w, 3)`` as a film; return its bytes, or the path that was given.

    Args:
        frames: in the order of showing.
        target: a path; None returns bytes.
        times: seconds of each frame, if they are not ``rate`` apart.
        prepare: called with the stream before the first frame.
        muxing: options of the container.
        options: of the encoder; ``pix_fmt`` too.
    """
    import av

    out = io.BytesIO() if target is None else str(target)
    pix_fmt = options.pop("pix_fmt", "yuv420p")
    with av.open(out, "w", format=container, options=muxing or {}) as made:
        stream = made.add_stream(
            codec, rate=rate, options={name: str(value) for name, value in options.items()}
        )
        stream.pix_fmt, stream.codec_context.thread_count = pix_fmt, 1
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(frames):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
                if prepare is not None:
                    prepare(stream)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[number] * 1000), Fraction(1, 1000)
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return out.getvalue() if target is None else target


def sound(seconds=1):
    """Return the bytes of a film that holds only sound."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as made:
        stream = made.add_stream("aac", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 8000 * seconds), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return out.getvalue()


def pdf(*sizes):
    """Return a PDF document of red pages with a blue square at the lower left; sizes in points."""
    parts = [b"%PDF-1.4\n"]
    places = []

    def add(number, body):
        places.append(sum(map(len, parts)))
        parts.append(b"%d 0 obj\n%b\nendobj\n" % (number, body))

    add(1, b"<< /Type /Catalog /Pages 2 0 R >>")
    kids = b" ".join(b"%d 0 R" % (3 + 2 * at) for at in range(len(sizes)))
    add(2, b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, len(sizes)))
    for at, (width, height) in enumerate(sizes):
        drawing = b"1 0 0 rg 0 0 %g %g re f 0 0 1 rg 0 0 %g %g re f" % (width, height, width / 4, height / 4)
        add(
            3 + 2 * at,
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %g %g] /Contents %d 0 R >>"
            % (width, height, 4 + 2 * at),
        )
        add(4 + 2 * at, b"<< /Length %d >>\nstream\n%b\nendstream" % (len(drawing), drawing))
    start = sum(map(len, parts))
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(places) + 1, table))
    parts.append(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, start))
    return b"".join(parts)


def dng(picture, *, orientation=1):
    """Return a DNG: a JPEG preview of a picture in its first directory, raw samples of a sensor in another."""
    out = bytearray(b"II*\0\0\0\0\0")

    def put(data):
        place = len(out)
        out.extend(data + b"\0" * (len(data) % 2))
        return place

    def directory(entries):
        fields = b""
        for tag, kind, values in entries:
            data, count = _field(kind, values)
            place = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", put(data))
            fields += struct.pack("<HHI", tag, kind, count) + place
        return put(struct.pack("<H", len(entries)) + fields + bytes(4))

    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=95)
    preview, (width, height) = put(encoded.getvalue()), (64, 48)
    samples = put(np.full((height, width), 512, "<u2").tobytes())
    sensor = directory(
        [
            (254, 4, [0]),
            (256, 4, [width]),
            (257, 4, [height]),
            (258, 3, [16]),
            (259, 3, [1]),
            (262, 3, [32803]),
            (273, 4, [samples]),
            (277, 3, [1]),
            (278, 4, [height]),
            (279, 4, [2 * width * height]),
            (33421, 3, [2, 2]),
            (33422, 1, [0, 1, 1, 2]),
        ]
    )
    first = directory(
        [
            (254, 4, [1]),
            (256, 4, [picture.width]),
            (257, 4, [picture.height]),
            (258, 3, [8, 8, 8]),
            (259, 3, [7]),
            (262, 3, [6]),
            (271, 2, b"Maker"),
            (272, 2, b"Model 1"),
            (273, 4, [preview]),
            (274, 3, [orientation]),
            (277, 3, [3]),
            (278, 4, [picture.height]),
            (279, 4, [len(encoded.getvalue())]),
            (330, 4, [sensor]),
            (50706, 1, [1, 4, 0, 0]),
            (50708, 2, b"Maker Model 1"),
            (50721, 10, [1, 0, 0, 0, 1, 0, 0, 0, 1]),
        ]
    )
    out[4:8] = struct.pack("<I", first)
    return bytes(out)


def _field(kind, values):
    """Return the bytes of a TIFF field, and how many values these are."""
    if kind == 2:
        return values + b"\0", len(values) + 1
    if kind == 10:
        return b"".join(struct.pack("<2i", value, 1) for value in values), len(values)
    return struct.pack(f"<{len(values)}{ {1: 'B', 3: 'H', 4: 'I'}[kind] }", *values), len(values)
