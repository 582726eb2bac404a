"""Describe the towers of an open_clip model: texts are cut where they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.encoders.families.torch_models import as_module
from retrieval.encoders.towers import Tower

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

EXAMPLES = (
    "a dog",
    "a red bus in the snow",
    "two people at a table by the window, late in the evening",
    "北京",
)
"""Texts by which the exported text tower is compared with torch's."""


def text_tower(config: dict[str, Any], *, tokens: Callable[[list[str]], NDArray[np.int64]]) -> Tower:
    """Return the text tower of a model.

    Args:
        config: open_clip's ``model_cfg``.
        tokens: of texts, ``(t, context)``.
    """
    return Tower(
        module=text_module,
        encode=encode_text,
        example=lambda: tokens(list(EXAMPLES)),
        shorten=shortened if is_causal(config) else None,
    )


def encode_image(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Return the features of pixels ``(b, 3, h, w)``, as the model itself computes them."""
    features: torch.Tensor = network.encode_image(pixels)
    return features


def encode_text(network: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Return the features of tokens ``(t, context)``, as the model itself computes them."""
    features: torch.Tensor = network.encode_text(tokens)
    return features


def is_causal(config: dict[str, Any]) -> bool:
    """Say whether what follows the end of a text changes nothing of its vector, and the model is open_clip's class CLIP."""
    text = config.get("text_cfg", {})
    return not (
        config.get("custom_text")
        or "multimodal_cfg" in config
        or text.get("hf_model_name")
        or text.get("no_causal_mask")
        or text.get("embed_cls")
        or text.get("pool_type", "argmax") not in {"argmax", "eos"}
    )


def shortened(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut off the padding after the end of the longest text: with causal attention it changes nothing, and costs most."""
    longest = int(np.flatnonzero(tokens.any(axis=0))[-1]) + 1
    return tokens[:, :longest]


def text_module(network: Any) -> torch.nn.Module:
    """Return the text tower as a module; of a CLIP, one that takes texts of any length up to the model's."""
    from open_clip.model import CLIP
    from open_clip.transformer import text_global_pool

    if type(network) is not CLIP or network.attn_mask is None:
        return as_module(network, encode_text)

    def encode(clip: Any, tokens: torch.Tensor) -> Any:
        length = tokens.shape[1]
        x = clip.token_embedding(tokens) + clip.positional_embedding[:length]  # (t, length, width)
        x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask[:length, :length]))
        x = text_global_pool(x, tokens, clip.text_pool_type, eos_token_id=clip.text_eos_id)  # (t, width)
        projection = clip.text_projection
        if projection is None:
            return x
        return projection(x) if callable(projection) else x @ projection  # (t, d)

    return as_module(network, encode)
