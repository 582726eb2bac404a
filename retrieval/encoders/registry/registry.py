"""Load an encoder by its spec: built-in families and plugins."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypedDict, cast, overload

from indexes import DISTRIBUTION
from indexes.distribution import claimants_of, entry_points_of
from indexes.engine import cuda_devices
from retrieval.encoders.devices import ALL_CARDS, require_device
from retrieval.encoders.registry.encoder_objects import encoder_object
from retrieval.errors import EncoderConflict, EncoderError, MissingExtra, RetrievalError, UnknownEncoder

if TYPE_CHECKING:
    from retrieval.encoders import Encoder, EncoderFamily, EncoderLike
    from retrieval.encoders.families import NanoEncoder

GROUP = "retrieval.encoders"
# Known here as well as in pyproject.toml, so that a source tree without installed metadata has them too.
BUILT_IN = {
    "nano": "retrieval.encoders.families.nano",
    "open_clip": "retrieval.encoders.families.open_clip",
    "timm": "retrieval.encoders.families.timm",
    "onnx": "retrieval.encoders.families.onnx",
}


class FamilyInfo(TypedDict):
    """One line of ``retrieve encoders``.

    ``install`` is `None` or says what is missing. ``text`` and ``differentiable`` are `None` where only loading would tell.
    """

    spec: str
    available: bool
    image: bool
    text: bool | None
    differentiable: bool | None
    install: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A parsed spec: ``scheme``, ``scheme@version`` or ``scheme:model``."""

    scheme: str
    model: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        if self.model is not None:
            return f"{self.scheme}:{self.model}"
        return self.scheme if self.version is None else f"{self.scheme}@{self.version}"


@overload
def load_encoder(spec: Literal["nano"], *, device: str = "auto") -> NanoEncoder: ...


@overload
def load_encoder(spec: EncoderLike, *, device: str = "auto") -> Encoder: ...


def load_encoder(spec: EncoderLike, *, device: str = "auto") -> Encoder:
    """Return the encoder that ``spec`` names; an encoder object is returned as it is, of a class one is made.

    The built-in families' encoders also take images and words as they are: ``encoder(image)``, ``encoder.encode([…])``
    (see `retrieval.encoders.encode`).

    Args:
        spec: ``scheme`` (its newest version), ``scheme@version``, ``scheme:model``, an encoder, or a class of encoders.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``cuda:all`` is one process for each card. An encoder
            object stays where it is.
    Raises:
        UnknownEncoder: no such scheme, version or model.
        EncoderConflict: two installed distributions claim the scheme.
        WeightsNotFound: the weights are neither cached nor reachable.
        MissingExtra: the family needs a package that is not installed.
        OptionError: the device is not there.
        EncoderError: a plugin cannot be imported, or what it returns is no encoder.
    """
    if not isinstance(spec, str):
        return encoder_object(spec, what=f"the object given as encoder ({type(spec).__name__})")
    if device.strip() == ALL_CARDS:
        require_device(device)
        cards = [f"cuda:{number}" for number in range(cuda_devices())]
        if len(cards) > 1:
            from retrieval.encoders.devices import on_cards

            return on_cards(partial(_on_device, spec), cards)
        device = cards[0]
    parsed = parse_spec(spec)
    family, owner = _find(parsed.scheme)
    if parsed.model is None:
        parsed = Spec(scheme=parsed.scheme, version=parsed.version or _newest(family))
    try:
        encoder = family.open(parsed.model, parsed.version, device=device)
    except RetrievalError:
        raise
    except Exception as error:
        if owner == DISTRIBUTION:
            raise
        if isinstance(error, ImportError):
            cure = family.install or (f"pip install {error.name}" if error.name else "install it")
            raise MissingExtra(
                f"encoder {parsed}: the plugin {owner!r} needs more ({error}); {cure}"
            ) from error
        raise EncoderError(f"encoder {parsed}: the plugin {owner!r} failed to open it: {error!r}") from error
    return encoder_object(encoder, what=f"what the distribution {owner!r} opened for {parsed}")


def _on_device(spec: str, device: str) -> Encoder:
    return load_encoder(spec, device=device)


def canonical_spec(spec: str) -> str:
    """Return the spec as a manifest records it: no surrounding spaces, a bare scheme with its newest version.

    A relative path of a model becomes absolute, so that the encoder is found from any working directory.

    Raises:
        UnknownEncoder: the spec is malformed, or no such scheme exists.
    """
    parsed = parse_spec(spec)
    if parsed.version is not None:
        return str(parsed)
    family, _ = _find(parsed.scheme)
    if parsed.model is not None:
        canonical = getattr(family, "canonical", None)
        return f"{parsed.scheme}:{canonical(parsed.model) if canonical else parsed.model}"
    return str(Spec(scheme=parsed.scheme, version=_newest(family)))


def installed_families() -> list[FamilyInfo]:
    """Return what is installed and what could be, built-in first; a broken plugin is listed, not raised."""
    result: list[FamilyInfo] = []
    for scheme in _schemes():
        try:
            family, _ = _find(scheme)
            available = family.available()
            result.extend(
                FamilyInfo(
                    spec=spec,
                    available=available,
                    image=family.image,
                    text=family.text,
                    differentiable=family.differentiable,
                    install=None if available else family.install,
                )
                for spec in family.models() or [scheme]
            )
        except Exception as error:  # noqa: BLE001 - one broken plugin must not hide the others
            result.append(
                FamilyInfo(
                    spec=scheme,
                    available=False,
                    image=False,
                    text=False,
                    differentiable=False,
                    install=str(error),
                )
            )
    return result


def parse_spec(spec: str) -> Spec:
    """Split a spec at its first ``:`` or ``@``; spaces around the parts do not count.

    Raises:
        UnknownEncoder: a part is empty.
    """
    match = re.fullmatch(r"\s*([^:@]*?)\s*(?:([:@])\s*(.*?)\s*)?", spec, flags=re.DOTALL)
    scheme, separator, rest = match.groups() if match else ("", None, None)
    if not scheme or (separator is not None and not rest):
        raise UnknownEncoder(
            f"encoder {spec!r}: expected SCHEME, SCHEME@VERSION or SCHEME:MODEL, such as nano or timm:resnet18"
        )
    if separator == "@":
        return Spec(scheme=scheme, version=rest)
    return Spec(scheme=scheme, model=rest)


def _find(scheme: str) -> tuple[EncoderFamily, str]:
    """Return the family of a scheme and the distribution that provides it."""
    value, owners = claimants_of(scheme, GROUP, _built_in())
    if len(owners) > 1:
        raise EncoderConflict(
            f"encoder scheme {scheme!r} is claimed by the distributions {' and '.join(map(repr, owners))}; "
            f"uninstall all but one"
        )
    if not owners:
        raise UnknownEncoder(_unknown(scheme))
    module, _, attribute = value.partition(":")
    try:
        family = getattr(importlib.import_module(module.strip()), attribute.strip())
    except Exception as error:
        if scheme in BUILT_IN:
            raise
        raise EncoderError(
            f"encoder scheme {scheme!r}: {value} of the distribution {owners[0]!r} cannot be imported: {error!r}"
        ) from error
    if scheme in BUILT_IN:
        return cast("EncoderFamily", family), owners[0]
    from retrieval.encoders.registry.plugin_family import whole_family

    whole = whole_family(family, scheme=scheme, where=f"{value} of {owners[0]!r}")
    return cast("EncoderFamily", whole), owners[0]


def _built_in() -> dict[str, str]:
    """Return what the entry points of our own schemes lead to."""
    return {scheme: f"{module}:FAMILY" for scheme, module in BUILT_IN.items()}


def _schemes() -> list[str]:
    plugins = sorted({point.name for point in entry_points_of(GROUP, _built_in())} - BUILT_IN.keys())
    return [*BUILT_IN, *plugins]


def _newest(family: EncoderFamily) -> str | None:
    """Return the highest version among the specs ``scheme@N``, or `None` where a family has no versions."""
    versions = [spec.partition("@")[2] for spec in family.models() if spec.startswith(f"{family.scheme}@")]
    numbers = [int(version) for version in versions if version.isdecimal()]
    return str(max(numbers)) if numbers else None


def _unknown(scheme: str) -> str:
    import difflib

    known = _schemes()
    close = difflib.get_close_matches(scheme.lower().replace("-", "_"), known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if not close and re.search(r"[-/.\d]", scheme):  # a bare model's name
        tagged = scheme if "/" in scheme else f"{scheme}/TAG"
        hint = f"for a model of open_clip or timm write open_clip:{tagged} or timm:{scheme}. "
    listed = f"{'Known' if hint else 'known'}: {', '.join(known)} (see `installed_families`)"
    return f"no encoder scheme {scheme!r}: {hint}{listed}"
