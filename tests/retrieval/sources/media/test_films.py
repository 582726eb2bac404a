"""Pictures come out of films at their times, upright and in their colours, and what cannot be read has a reason."""

import io
import tracemalloc
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from retrieval.errors import ImageError, OptionError
from retrieval.sources.media import moments, picture_at
from retrieval.sources.media.film_frames import picture
from tests.retrieval.sources.media.made import (
    COLOURS,
    RATE,
    film,
    moving,
    quarter_colours,
    quarters,
    sound,
)

av = pytest.importorskip("av", reason="the extra `video` is not installed")

KINDS = {
    "frames in both directions": {"g": 50, "bf": 3},
    "open groups": {"g": 25, "bf": 3, "x264-params": "open-gop=1:b-pyramid=normal"},
    "no frame refers to a later one": {"g": 40, "bf": 0, "container": "matroska"},
    "refreshed piece by piece": {"g": 25, "x264-params": "intra-refresh=1", "container": "mpegts"},
    "interlaced": {"g": 25, "flags": "+ildct", "x264-params": "interlaced=1"},
    "MPEG-4 in AVI": {"codec": "mpeg4", "g": 30, "bf": 2, "container": "avi"},
    "MPEG-2": {"codec": "mpeg2video", "g": 15, "bf": 2, "container": "mpegts"},
    "JPEG pictures": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "container": "matroska"},
    "VP9": {"codec": "libvpx-vp9", "g": 30, "deadline": "realtime", "cpu-used": 8, "container": "webm"},
    "HEVC": {"codec": "libx265", "x265-params": "keyint=25:log-level=none:pools=1:frame-threads=1"},
    "without times": {"g": 25, "bf": 3, "container": "h264"},
}


def plain(data, every):
    """Return seconds and pixels of what `moments` has to give, by decoding every frame."""
    found, slot = [], -1
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        start = Fraction(container.start_time or 0, 1_000_000)
        for number, frame in enumerate(container.decode(stream)):
            seconds = Fraction(number, RATE) if frame.pts is None else frame.pts * stream.time_base - start
            at = (seconds + Fraction(1, 1000)) // Fraction(str(every))
            if at > slot:
                slot = at
                found.append((round(float(seconds), 3), np.asarray(picture(frame))))
    return found


@pytest.fixture(scope="module")
def films():
    """Return films of every kind, by the words for it."""
    return {words: film(moving(6), **dict(options)) for words, options in KINDS.items()}


@pytest.mark.parametrize("words", KINDS)
@pytest.mark.parametrize("every", [0.1, 0.37, 1.0, 2.5])
def test_moments_are_those_of_decoding_every_frame(films, words, every):
    expected = plain(films[words], every)

    for threads in (1, 2):
        found = list(moments(films[words], every=every, distinct=False, threads=threads))
        assert [seconds for seconds, _ in expected] == [moment.seconds for moment in found]
        for (_, pixels), moment in zip(expected, found, strict=True):
            assert np.array_equal(pixels, np.asarray(moment.picture))


@pytest.mark.parametrize("words", KINDS)
def test_a_moment_is_found_again_by_its_time(films, words):
    for moment in moments(films[words], every=1.3, distinct=False):
        assert np.array_equal(
            np.asarray(moment.picture), np.asarray(picture_at(films[words], moment.seconds))
        )


def test_behind_the_end_is_the_last_picture(films):
    data = films["frames in both directions"]
    last = list(moments(data, every=0.04, distinct=False))[-1]

    assert np.array_equal(np.asarray(last.picture), np.asarray(picture_at(data, 100.0)))


def test_a_frame_serves_all_times_that_it_is_first_after():
    times = [0.0, 0.2, 3.7, 3.8, 4.1]
    data = film(islice(moving(1), 5), times=times, container="matroska", g=1)

    assert [moment.seconds for moment in moments(data, every=1.0, distinct=False)] == [0.0, 3.7, 4.1]


def test_every_frame_is_decoded_only_where_one_is_wanted(films, monkeypatch):
    from retrieval.sources.media import film_reading as module

    steps = []
    decoded = module._decoded
    monkeypatch.setattr(
        module, "_decoded", lambda film, packet: (steps.append(packet), decoded(film, packet))[1]
    )
    long = film(moving(40), g=25, bf=2)

    found = list(moments(long, every=10.0, distinct=False))

    assert [moment.seconds for moment in found] == [0.0, 10.0, 20.0, 30.0]
    assert len(steps) < 40 * RATE / 4  # two groups of 25 at the beginning, then one a moment


@pytest.mark.parametrize(
    ("rotation", "order"), [(90, (1, 3, 0, 2)), (180, (3, 2, 1, 0)), (-90, (2, 0, 3, 1))]
)
def test_a_film_that_states_a_rotation_comes_out_upright(rotation, order):
    data = film(
        [quarters()] * 3, prepare=lambda stream: stream.set_display_rotation(rotation), crf=5, colorspace=5
    )

    upright = next(moments(data)).picture

    assert upright.size == ((160, 96) if rotation == 180 else (96, 160))
    assert_near([COLOURS[at] for at in order], quarter_colours(upright))


def assert_near(expected, found, most=6):
    assert np.abs(np.array(expected) - np.array(found)).max() <= most, found


@pytest.mark.parametrize("stated", ["bt709", "smpte170m", None])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("size", [(160, 96), (1280, 720)])
def test_colours_are_those_of_the_matrix_and_range_that_a_film_states(stated, full, size):
    matrix = {"bt709": 1, "smpte170m": 6, None: 1 if size == (1280, 720) else 6}[stated]
    data = coloured(quarters(*size), matrix=matrix, stated=stated is not None, full=full)

    assert_near(COLOURS, quarter_colours(next(moments(data)).picture))


def coloured(pixels, *, matrix, stated, full):
    """Return a lossless film of one picture, converted by a colour matrix that is stated or not."""
    red, blue = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}[matrix]
    r, g, b = (pixels[..., at].astype(float) for at in range(3))
    luma = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)
    if not full:
        luma, cb, cr = luma * 219 / 255 + 16, cb * 224 / 255, cr * 224 / 255
    planes = np.stack([luma, cb + 128, cr + 128]).round().clip(0, 255).astype(np.uint8)  # (3, h, w)
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as made:
        stream = made.add_stream("libx264", rate=RATE, options={"qp": "0"})
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt, stream.codec_context.thread_count = "yuv444p", 1
        stream.color_range = 2 if full else 1
        if stated:
            stream.colorspace = matrix
        frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
        frame.color_range = 2 if full else 1
        if stated:
            frame.colorspace = matrix
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return out.getvalue()


def pq(light):
    """Return the signal of SMPTE ST 2084 for light in cd/m²."""
    power = (np.asarray(light) / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(light):
    """Return the signal of ARIB STD-B67 for light in cd/m² of a display of 1,000."""
    scene = (np.asarray(light) / 1_000) ** (1 / 1.2)
    logarithm = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), logarithm)


@pytest.mark.parametrize(("number", "signal"), [(16, pq), (18, hlg)])
def test_high_dynamic_range_is_shown_as_a_display_has_it(number, signal):
    lights = np.array([0, 5, 20, 50, 100, 203, 1000])  # cd/m²; the last but one is white
    pixels = np.repeat(signal(lights) * 65535, 32).astype(np.uint16)
    pixels = np.tile(pixels[:, np.newaxis], (64, 1, 3))
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as made:
        stream = made.add_stream("libx264", rate=RATE, options={"qp": "0"})
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p10le", 1
        stream.codec_context.color_trc = number
        made.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb48le")))
        made.mux(stream.encode(None))

    shown = np.asarray(next(moments(out.getvalue())).picture)[32, 16::32]  # (7, 3)

    linear = np.minimum(lights / 203, 1)
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert_near(np.repeat(expected[:, np.newaxis], 3, axis=1), shown, most=4)


def test_interlaced_films_lose_their_comb():
    lines = np.where(np.arange(96) % 2, 220, 40).astype(np.uint8)
    combed = np.broadcast_to(lines[:, np.newaxis, np.newaxis], (96, 160, 3)).copy()
    interlaced = film([combed] * 3, qp=0, flags="+ildct+ilme", container="matroska")
    progressive = film([combed] * 3, qp=0, container="matroska")

    shown = np.asarray(next(moments(interlaced)).picture)

    assert shown.shape == (96, 160, 3)
    assert np.ptp(shown) <= 6
    assert np.ptp(np.asarray(next(moments(progressive)).picture)) > 150


def test_pixels_that_are_not_square_are_made_so():
    def wide(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    assert next(moments(film([quarters(120, 96)] * 3, prepare=wide))).picture.size == (160, 96)


def test_pictures_nearly_equal_to_the_one_before_are_left_out():
    noise = np.random.default_rng(0)
    still = quarters(320, 192)
    other = still.copy()
    other[60:120, 200:260] = 250
    frames = [
        np.clip(shown + noise.normal(0, 5, shown.shape), 0, 255).astype(np.uint8)
        for shown in [still] * 3 * RATE + [other] * 3 * RATE
    ]
    data = film(frames, crf=30)

    assert [moment.seconds for moment in moments(data)] == [0.0, 3.0]
    assert len(list(moments(data, distinct=False))) == 6


def test_scenes_begin_at_cuts_not_where_things_move():
    frames = [*moving(3, seed=1), *(255 - frame for frame in moving(2, seed=2)), *moving(3, seed=3)]

    found = [moment.seconds for moment in moments(film(frames, bf=0), every="scenes")]

    assert found == [0.0, 3.0, 5.0]


def test_a_film_whose_beginning_is_missing_starts_with_its_first_keyframe():
    whole = film(moving(6), g=25, bf=0, container="mpegts")
    cut = whole[188 * 40 :]
    assert not next(iter(packets(cut))).is_keyframe

    found = list(moments(cut, every=1.0, distinct=False))

    assert len(found) >= 4
    assert all(np.asarray(moment.picture).max() > 200 for moment in found)


def packets(data):
    with av.open(io.BytesIO(data)) as container:
        yield from container.demux(video=0)


def test_a_film_cut_short_gives_what_is_there_and_then_says_so(tmp_path):
    whole = film(moving(20), tmp_path / "clip.mp4", g=25, muxing={"movflags": "faststart"}).read_bytes()
    found = []

    with pytest.raises(ImageError, match=r"cut short: the last \d+ of 20 seconds are missing") as refused:
        found.extend(moment.seconds for moment in moments(whole[: len(whole) // 2], distinct=False))

    assert refused.value.reason == "truncated"
    assert [float(second) for second in range(len(found))] == found
    assert 5 <= len(found) <= 15


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no film at all" * 100, "unreadable"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n", "unreadable"),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", "unreadable"),
    ],
)
def test_what_is_no_film_is_an_error_with_a_reason(data, reason):
    with pytest.raises(ImageError) as refused:
        next(moments(data, name="clip.mp4"))

    assert reason == refused.value.reason
    assert str(refused.value).startswith("clip.mp4: ")


def test_a_film_without_its_table_is_unreadable(films):
    with pytest.raises(ImageError) as refused:
        next(moments(films["frames in both directions"][:2000]))

    assert refused.value.reason == "unreadable"


def test_sound_alone_is_no_film():
    with pytest.raises(ImageError, match="holds no moving pictures") as refused:
        next(moments(sound()))

    assert refused.value.reason == "no-video"


def test_bits_that_are_wrong_are_an_error_with_a_reason_or_good_pictures(films):
    draw = np.random.default_rng(3)
    whole = films["frames in both directions"]
    reasons = set()
    for _ in range(40):
        data = bytearray(whole)
        for place in draw.integers(0, len(data), 20):
            data[place] ^= 1 << int(draw.integers(8))
        try:
            found = list(moments(bytes(data)))
        except ImageError as error:
            reasons.add(error.reason)
        else:
            assert found

    assert reasons <= {"unreadable", "truncated", "too-large", "no-video", "unsupported"}


def test_frames_of_too_many_pixels_are_not_decoded(films):
    with pytest.raises(ImageError, match="--max-pixels 15360 reads it") as refused:
        next(moments(films["VP9"], max_pixels=15359))

    assert refused.value.reason == "too-large"


def test_a_path_is_opened_and_never_taken_for_an_address(tmp_path):
    odd = film(moving(1), tmp_path / "http:--x|y #é.mp4")

    assert len(list(moments(odd))) == 1
    with pytest.raises(ImageError) as refused:
        next(moments("http://127.0.0.1:1/clip.mp4"))
    assert refused.value.reason == "vanished"


@pytest.mark.parametrize("every", [0, -1, float("nan"), float("inf"), 0.001, "scene", "1"])
def test_spacings_that_cannot_be_are_refused(every):
    with pytest.raises(OptionError, match="every is"):
        moments(b"", every=every)


def test_a_long_film_takes_no_more_memory_than_a_short_one():
    short, long = film(moving(4), g=25), film(moving(40), g=25)
    for _ in moments(short, distinct=False):
        pass

    def peak(data):
        tracemalloc.start()
        for _ in moments(data, every=0.5, distinct=False):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(long) < 2 * peak(short) + (1 << 20)
