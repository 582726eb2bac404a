"""TIFF files of every kind of sample come out as the picture, with tifffile as the oracle, or are refused by name."""

import io
import itertools
import random
import sys

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import ImageError
from retrieval.sources.decoding.decoder import decode
from tests.retrieval.pictures import scene
from tests.retrieval.sources.differences import difference

tifffile = pytest.importorskip("tifffile", reason="the extra `tiff` is not installed")
pytest.importorskip("imagecodecs", reason="the extra `tiff` is not installed")

SAMPLES = ["u8", "u10", "u12", "u16", "u32", "i8", "i16", "i32", "f16", "f32", "f64"]
COLOURS = ["minisblack", "miniswhite", "rgb", "palette", "separated", "ycbcr", "rgba", "premultiplied", "la"]
COMPRESSIONS = [None, "lzw", "deflate", "packbits", "jpeg", "zstd", "webp", "lzma", "jpeg2000"]
SIDES = (48, 32)
PICTURE = scene(*SIDES)


def whole(values, sample):
    """Return 0 to 255 as samples that use all of their range."""
    kind, bits = sample[0], int(sample[1:])
    part = np.asarray(values, dtype=np.float64) / 255
    if kind == "f":
        return part.astype(f"f{bits // 8}")
    top = 2**bits - 1
    if kind == "i":
        return (np.rint(part * top) - 2 ** (bits - 1)).astype(f"i{bits // 8}")
    return np.rint(part * top).astype(f"u{1 if bits == 8 else 2 if bits <= 16 else 4}")


def stored(colours, sample):
    """Return the samples of `PICTURE`, ``(h, w)`` or ``(h, w, s)``, and tifffile's options for them."""
    grey = np.asarray(PICTURE.convert("L"))
    options = {"photometric": colours}
    if sample in ("u10", "u12"):
        options["bitspersample"] = int(sample[1:])
    if colours == "minisblack":
        return whole(grey, sample), options
    if colours == "miniswhite":
        return whole(255 - grey, sample), options
    if colours == "la":
        values = np.stack([grey, np.full_like(grey, 255)], axis=-1)
        return whole(values, sample), options | {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
    if colours == "palette":
        table = np.zeros((3, 2 ** int(sample[1:])), np.uint16)
        table[:, :256] = np.arange(256) * 257
        return grey.astype(f"u{int(sample[1:]) // 8}"), options | {"colormap": table}
    mode = {"separated": "CMYK", "ycbcr": "YCbCr", "rgba": "RGBA", "premultiplied": "RGBA"}.get(
        colours, "RGB"
    )
    if mode == "RGBA":
        alpha = "unassalpha" if colours == "rgba" else "assocalpha"
        options |= {"photometric": "rgb", "extrasamples": [alpha]}
    if mode == "YCbCr":
        options["subsampling"] = (1, 1)
    return whole(np.asarray(PICTURE.convert(mode)), sample), options


def written(values, options):
    file = io.BytesIO()
    tifffile.imwrite(file, values, metadata=None, **options)
    return file.getvalue()


def combinations():
    everything = itertools.product(
        SAMPLES, COLOURS, ["contig", "separate"], "<>", [False, True], COMPRESSIONS, [None, (16, 16)], [False, True]
    )  # fmt: skip
    for sample, colours, planes, order, big, compression, tile, predictor in everything:
        if colours == "palette" and sample not in ("u8", "u16"):
            continue
        if planes == "separate" and colours in ("minisblack", "miniswhite", "palette"):
            continue
        if predictor and compression in (None, "jpeg", "webp", "jpeg2000"):
            continue
        if sample in ("u10", "u12") and (
            compression is not None or order == ">"
        ):  # tifffile writes no others right
            continue
        if compression in ("jpeg", "webp", "jpeg2000") and sample != "u8":
            continue
        yield sample, colours, planes, order, big, compression, tile, predictor


def read_back(data):
    """Return what tifffile makes of the first page, samples last."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        values = page.asarray()
        return np.moveaxis(values, 0, -1) if page.axes.startswith("S") else values


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_combination_is_the_picture(sample):
    chosen = [each for each in combinations() if each[0] == sample]
    rng = random.Random(sample)
    rng.shuffle(chosen)
    read = 0
    for _sample, colours, planes, order, big, compression, tile, predictor in chosen[:160]:
        values, options = stored(colours, sample)
        if planes == "separate":
            values = np.moveaxis(values, -1, 0)
        if values.ndim == 3:
            options["planarconfig"] = planes
        options |= {
            "byteorder": order,
            "bigtiff": big,
            "compression": compression,
            "predictor": predictor or None,
        }
        options |= {"tile": tile} if tile else {"rowsperstrip": 16}
        try:
            data = written(values, options)
        except (ValueError, RuntimeError):
            continue  # tifffile does not write this combination
        case = f"{sample} {colours} {options}"
        if compression is None or compression in ("lzw", "deflate", "packbits", "zstd", "lzma"):
            back = read_back(data)
            expected = np.moveaxis(values, 0, -1) if planes == "separate" else values
            assert np.array_equal(back, expected.reshape(back.shape)), case  # the file is what was meant
        image = decode(data)
        expected = (
            PICTURE if colours not in ("minisblack", "miniswhite", "la", "palette") else PICTURE.convert("L")
        )
        tolerance = (
            8
            if compression in ("jpeg", "webp", "jpeg2000")
            else 3
            if colours in ("separated", "ycbcr")
            else 1
        )
        assert difference(image, expected.convert("RGB")) <= tolerance, case
        read += 1
    assert read >= 40


@pytest.mark.parametrize("colours", ["minisblack", "miniswhite", "rgb"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("container", [np.uint16, np.int16, np.uint32, np.int32, np.float32])
def test_fewer_bits_in_larger_samples_are_not_nearly_black(colours, bits, container):
    if bits == 16 and container is np.int16:
        pytest.skip("does not fit")
    top = 2**bits - 1
    grey = np.asarray(PICTURE.convert("L")) if colours != "rgb" else np.asarray(PICTURE)
    values = np.rint(grey / 255 * top)
    if colours == "miniswhite":
        values = top - values

    image = decode(written(values.astype(container), {"photometric": colours}))

    assert difference(image, Image.fromarray(grey).convert("RGB")) <= 1


@pytest.mark.parametrize("tag", [281, 341])
def test_a_range_that_the_file_declares_is_taken_if_it_holds_the_values(tag):
    values = np.array([[0, 100, 200, 300]] * 4, np.uint16)
    for declared, expected in ((1000, [0, 26, 51, 76]), (250, [0, 25, 50, 75])):
        data = written(values, {"photometric": "minisblack", "extratags": [(tag, "H", 1, declared, True)]})

        shown = np.asarray(decode(data))[0, :, 0].tolist()
        assert np.abs(np.array(shown) - expected).max() <= 1


def test_alpha_of_deep_samples_lies_over_white():
    values = np.zeros((2, 2, 4), np.uint16)
    values[..., 0] = 50_000
    values[..., 3] = [[65_535, 0], [32_768, 65_535]]
    straight = np.asarray(decode(written(values, {"photometric": "rgb", "extrasamples": ["unassalpha"]})))
    values[..., :3] = values[..., :3] * (values[..., 3:] / 65_535)
    multiplied = np.asarray(decode(written(values, {"photometric": "rgb", "extrasamples": ["assocalpha"]})))

    assert np.abs(straight.astype(int) - multiplied).max() <= 2
    assert straight[0, 1].tolist() == [255, 255, 255]
    assert straight[1, 0].tolist() == pytest.approx([225, 127, 127], abs=2)


def test_without_the_extra_a_kind_that_pillow_misreads_is_refused_by_name(monkeypatch):
    grey = np.asarray(PICTURE.convert("L"))
    deep = written(grey.astype(np.uint16) << 4, {"photometric": "minisblack"})
    white = written((255 - grey).astype(np.uint16) << 8, {"photometric": "miniswhite"})
    colour = written(np.asarray(PICTURE).astype(np.uint16) << 8, {"photometric": "rgb"})
    refused = {
        "planes": written(np.moveaxis(np.asarray(PICTURE), -1, 0).astype(np.uint16), {"photometric": "rgb"}),
        "twelve": written(np.asarray(PICTURE).astype(np.uint16) << 4, {"photometric": "rgb"}),
        "double": written(grey / 255, {"photometric": "minisblack"}),
    }
    monkeypatch.setitem(sys.modules, "tifffile", None)

    assert difference(decode(deep), PICTURE.convert("L").convert("RGB")) <= 1
    assert difference(decode(white), PICTURE.convert("L").convert("RGB")) <= 1
    assert difference(decode(colour), PICTURE) <= 1
    for name, data in refused.items():
        with pytest.raises(ImageError, match=rf"{name}.*16|64.*pip install .*\[tiff\]") as caught:
            decode(data, name=name)
        assert caught.value.reason == "needs-tiff"


def test_kinds_that_nobody_reads_are_called_unsupported():
    for options in ({"photometric": "cfa"}, {"photometric": 34892}, {"photometric": "cielab"}):
        values = (
            np.asarray(PICTURE).astype(np.uint16)
            if options["photometric"] != "cfa"
            else np.zeros((32, 48), np.uint16)
        )
        with pytest.raises(ImageError, match=r"a kind of TIFF that is not read \(") as caught:
            decode(written(values, options))
        assert caught.value.reason == "unsupported"
    with pytest.raises(ImageError) as caught:
        decode(written(np.zeros((8, 8), np.complex64), {"photometric": "minisblack"}))
    assert caught.value.reason == "unsupported"
