"""Make a whole family of what a plug-in's entry point names: a loader is enough."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_type_hints

from retrieval.errors import EncoderError, OptionError, UnknownEncoder

_GIVEN = ("model", "version", "device")
_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def whole_family(named: Any, *, scheme: str, where: str) -> PluginFamily:
    """Return the family that an entry point names, with a default for each member that it lacks.

    Args:
        named: a family; or its loader alone: a function that returns an encoder, an encoder class, or an encoder.
        scheme: the entry point's name.
        where: names it in messages.
    Raises:
        EncoderError: it is none of these, or the loader needs an argument that nobody gives.
    """
    if isinstance(named, type) and hasattr(named, "open") and not hasattr(named, "encode_pixels"):
        named = named()  # the class of a family
    is_encoder = hasattr(named, "encode_pixels") and not isinstance(named, type)
    loader = _returning(named) if is_encoder else getattr(named, "open", named)
    if not callable(loader):
        raise EncoderError(
            f"encoder scheme {scheme!r}: {where} has no loader: it is no function that returns an encoder, no encoder class, "
            "and has no attribute 'open'; `help(retrieval.Encoder)` shows a template"
        )
    made = named if is_encoder or isinstance(named, type) else _annotated(loader)
    return PluginFamily(
        scheme=getattr(named, "scheme", scheme),
        install=getattr(named, "install", None),
        image=getattr(named, "image", True),
        text=getattr(named, "text", _can(made, "encode_text")),
        differentiable=getattr(named, "differentiable", _can(made, "torch_module")),
        loader=loader,
        takes=_Arguments.of(loader, scheme=scheme, where=where, of_family=loader is not named),
        declared=named if hasattr(named, "open") else None,
    )


def _returning(encoder: Any) -> Callable[[], Any]:
    return lambda: encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arguments:
    """Which of a spec's parts, and whether the device, a loader takes, and by which name.

    Attributes:
        names: the loader's name of each of ``model``, ``version`` and ``device`` that it takes.
        required: those among the three that it cannot do without.
        whole: it is the `open` of a family, which takes all three and None for what a spec does not say.
    """

    names: dict[str, str]
    required: frozenset[str] = frozenset()
    whole: bool = False

    @classmethod
    def of(cls, loader: Callable[..., Any], *, scheme: str, where: str, of_family: bool) -> _Arguments:
        """Read a loader's signature.

        Raises:
            EncoderError: it needs an argument that no spec gives.
        """
        try:
            signature = inspect.signature(loader)
        except (TypeError, ValueError):  # written in C, say
            return cls(names={})
        if of_family:
            with suppress(TypeError):
                signature.bind(None, None, device="auto")
                return cls(names=dict(zip(_GIVEN, _GIVEN, strict=True)), whole=True)
        parameters = list(signature.parameters.values())
        names = {one.name: one.name for one in parameters if one.name in _GIVEN}
        needed = [one for one in parameters if one.default is one.empty and one.kind not in _MANY]
        others = [one for one in needed if one.name not in _GIVEN]
        if others and "model" not in names and others[0].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            names["model"] = others.pop(0).name  # `def load(name)`
        if others:
            raise EncoderError(
                f"encoder scheme {scheme!r}: {where} needs the argument {others[0].name!r}, which a spec does not give; "
                "a loader may take `model`, `version` and `device`"
            )
        required = {one.name for one in needed}
        return cls(names=names, required=frozenset(part for part, name in names.items() if name in required))


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFamily:
    """A family of which only the loader had to be written (see `retrieval.encoders.EncoderFamily`).

    Attributes:
        loader: returns an encoder.
        takes: what it is given.
        declared: the plug-in's own family, which may have more members.
        text, differentiable: None where only loading would tell.
    """

    scheme: str
    install: str | None
    image: bool
    text: bool | None
    differentiable: bool | None
    loader: Callable[..., Any]
    takes: _Arguments
    declared: Any

    def available(self) -> bool:
        """Ask the plug-in; one that says nothing is taken to work, as its module could be imported."""
        said = getattr(self.declared, "available", True)
        return bool(said() if callable(said) else said)

    def models(self) -> list[str]:
        """Return the specs that the plug-in lists, or the forms that its loader takes."""
        listed = getattr(self.declared, "models", None)
        if listed is not None:
            return list(listed() if callable(listed) else listed)
        forms = [] if self.takes.required & {"model", "version"} else [self.scheme]
        forms += [f"{self.scheme}:MODEL"] if "model" in self.takes.names else []
        return forms + ([f"{self.scheme}@VERSION"] if "version" in self.takes.names else [])

    def canonical(self, model: str) -> str:
        """Return a model's name as a manifest should record it: as it is, unless the plug-in says otherwise."""
        own = getattr(self.declared, "canonical", None)
        return model if own is None else str(own(model))

    def open(self, model: str | None, version: str | None, *, device: str) -> Any:
        """Call the loader with what it takes.

        Raises:
            UnknownEncoder: the spec names a model or version and the loader takes none, or none and it needs one.
            OptionError: a device was asked for, the loader takes none, and its encoder runs elsewhere.
        """
        if self.takes.whole:
            return self.loader(model, version, device=device)
        parts = {"model": model, "version": version, "device": device}
        for part in ("model", "version"):
            if parts[part] is not None and part not in self.takes.names:
                raise UnknownEncoder(f"{self.scheme} has no {part}s; write one of {', '.join(self.models())}")
            if parts[part] is None and part in self.takes.required:
                raise UnknownEncoder(f"{self.scheme} needs a {part}; write one of {', '.join(self.models())}")
        arguments = {
            name: parts[part]
            for part, name in self.takes.names.items()
            if parts[part] is not None or part in self.takes.required
        }
        encoder = self.loader(**arguments)
        if "device" not in self.takes.names and device != "auto":
            _require_on(encoder, device, scheme=self.scheme)
        return encoder


def _annotated(loader: Callable[..., Any]) -> Any:
    """Return the class that a function says it returns, None if it does not."""
    try:
        made = get_type_hints(loader).get("return")
    except Exception:  # noqa: BLE001 - an annotation may be anything, and tells no more than a column of a list
        return None
    return made if hasattr(made, "encode_pixels") else None


def _can(made: Any, method: str) -> bool | None:
    """Say whether what is loaded has a method; None where only loading would tell."""
    if hasattr(made, method):
        return True
    return None if made is None or getattr(made, "_is_protocol", False) else False


def _require_on(encoder: Any, device: str, *, scheme: str) -> None:
    place = str(getattr(encoder, "device", "cpu"))
    if place.partition(":")[0] != device.strip().partition(":")[0]:
        raise OptionError(
            f"device {device}: {scheme} runs on {place}, and its loader takes no `device`; use {place} or auto"
        )
