"""Train the text tower against a fixed image space: words must land among the photographs they mean."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from retrieval.encoders.families.nano_text import GRAM_ROWS, HIDDEN, KINDS, WIDTH, WORD_ROWS, Token, tokens_of
from retrieval.encoders.families.nano_torch import MEANING
from retrieval.encoders.training.losses import MatryoshkaLoss, mean_cosine_gap, similarity_distillation
from tools.train_nano.inputs.corpus import Text
from tools.train_nano.tower.train import nesting_of, own_first

TEMPLATES = (
    "a {}", "the {}", "{}s", "a photo of a {}", "a photograph of the {}", "a picture of {}", "photo of {}", "an image of {}",
    "a close-up of a {}", "a {} in the street", "a {} on a table", "my {}", "one {}", "some {}", "a small {}", "a big {}",
    "a {} outdoors", "a {} in a room", "several {}s", "find {}", "{} photo", "{} picture",
)  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRecipe:
    """Everything that decides a text run but the data."""

    steps: int = 4000
    batch: int = 384
    rate: float = 4e-3
    temperature: float = 0.07
    typo_share: float = 0.15
    template_share: float = 0.4
    caption_rows: int = 64
    bank: int = 3072
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSet:
    """What the text tower learns from.

    ``targets`` ``(t, d)``: where each text should lie; ``sentences`` ``(t, 384)``: the sentence encoder's rows;
    ``images`` ``(n, d)``: the training photographs in nano's space, without the last component (d is one less than nano's width); ``caption_text`` and ``caption_image``: row
    numbers of captions and of their photographs; ``caption_weights`` ``(c,)`` how often a caption is drawn beside its photograph;
    ``weights`` ``(t,)`` how often a text is drawn.
    """

    texts: Sequence[Text]
    targets: NDArray[np.float32]
    sentences: NDArray[np.float32]
    images: NDArray[np.float32]
    caption_text: NDArray[np.int64]
    caption_image: NDArray[np.int64]
    caption_weights: NDArray[np.float64]
    weights: NDArray[np.float64]


class TextStudent(nn.Module):
    """The text tower in training form: the same arithmetic as `retrieval.encoders.families.nano_text.TextTower`."""

    def __init__(self, meaning: int = MEANING) -> None:
        super().__init__()
        self.words = nn.Embedding(WORD_ROWS, WIDTH)
        self.grams = nn.EmbeddingBag(GRAM_ROWS, WIDTH, mode="mean")
        self.word_weight = nn.Embedding(WORD_ROWS, 1)
        self.gram_weight = nn.EmbeddingBag(GRAM_ROWS, 1, mode="mean")
        self.first = nn.Linear(WIDTH, HIDDEN)
        self.second = nn.Linear(HIDDEN, meaning)
        self.skip = nn.Linear(WIDTH, meaning, bias=False)
        for table in (self.words, self.grams):
            nn.init.normal_(table.weight, std=0.1)
        for column in (self.word_weight, self.gram_weight):
            nn.init.constant_(column.weight, 0.2)

    def forward(self, texts: Sequence[list[Token]]) -> torch.Tensor:
        """Embed tokenised texts: ``(t, d - 1)`` raw rows, without the last component, which is the same for all."""
        flat = [(i, token) for i, tokens in enumerate(texts) for token in tokens]
        device = self.words.weight.device
        text = torch.tensor([i for i, _ in flat], device=device)  # (n,)
        rows = torch.tensor([token[0] for _, token in flat], device=device).view(-1, 2)  # (n, 2)
        grams = torch.tensor([g for _, token in flat for g in token[1]], device=device)
        starts = torch.tensor(
            np.cumsum([0] + [len(token[1]) for _, token in flat])[:-1], device=device
        )  # (n,)
        vectors = self.words(rows).sum(1) + self.grams(grams, starts)  # (n, 128)
        logits = self.word_weight(rows).sum(1) + self.gram_weight(grams, starts)  # (n, 1)
        weights = F.softplus(logits) + 1e-3
        total = torch.zeros(len(texts), 1, device=device).index_add(0, text, weights).clamp_min(1e-6)
        pooled = (
            torch.zeros(len(texts), WIDTH, device=device).index_add(0, text, weights * vectors) / total
        )  # (t, 128)
        out: torch.Tensor = self.second(F.relu(self.first(pooled))) + self.skip(pooled)  # (t, d - 1)
        return out


def misspell(text: str, draw: random.Random) -> str:
    """Change one letter of one longer word: drop it, double it, replace it, or swap it with the next."""
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) >= 4]
    if not long:
        return text
    i = draw.choice(long)
    word, at = words[i], draw.randrange(len(words[i]) - 1)
    kind = draw.randrange(5)
    letter = draw.choice(LETTERS)
    words[i] = (
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + letter + word[at:],
    )[kind]
    return " ".join(words)


def with_article(text: str) -> str:
    """Write ``an`` for ``a`` before a vowel, as people ask."""
    return re.sub(r"\ba (?=[aeiou])(?!uni|eu|one\b)", "an ", text)


def vary(text: Text, recipe: TextRecipe, draw: random.Random) -> str:
    """Say the same differently: a name within a template, a sentence with a word left out, a typo."""
    said = text.text
    if text.kind in ("name", "word", "rare"):
        if draw.random() < recipe.template_share:
            said = with_article(draw.choice(TEMPLATES).format(said))
    elif draw.random() < 0.3:
        words = said.split(" ")
        if len(words) > 4:
            words.pop(draw.randrange(len(words)))
        said = " ".join(words)
    return misspell(said, draw) if draw.random() < recipe.typo_share else said


def train_text(
    data: TextSet, recipe: TextRecipe, *, note: Any = print, init: TextStudent | None = None
) -> TextStudent:
    """Train the text tower; minutes on two cores. The image space stays as it is.

    Three losses, each summed over Matryoshka prefixes: the cosine to the text's target, the match of its similarities
    to the training photographs with the target's, and a contrast of captions with their own photographs.
    """
    torch.manual_seed(recipe.seed)
    draw, numbers = random.Random(recipe.seed), np.random.default_rng(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    meaning = data.targets.shape[1]
    student = (init or TextStudent(meaning)).to(device)
    optimiser = torch.optim.Adam(student.parameters(), lr=recipe.rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, recipe.steps, pct_start=0.1)
    targets, images = torch.from_numpy(data.targets).to(device), torch.from_numpy(data.images).to(device)
    prefixes = tuple(min(width, meaning) for width in nesting_of(meaning + 1))
    match = MatryoshkaLoss(mean_cosine_gap, prefixes)
    spread = MatryoshkaLoss(similarity_distillation, prefixes)
    contrast = MatryoshkaLoss(own_first, prefixes)
    for step in range(recipe.steps):
        rows = numbers.choice(len(data.texts), recipe.batch, p=data.weights)
        captions = numbers.choice(
            len(data.caption_text), recipe.caption_rows, replace=False, p=data.caption_weights
        )
        said = [tokens_of(vary(data.texts[i], recipe, draw)) for i in [*rows, *data.caption_text[captions]]]
        out = student(said)
        free, tied = out[: recipe.batch], out[recipe.batch :]
        target = targets[torch.from_numpy(rows).to(device)]
        others = images[torch.from_numpy(numbers.choice(len(images), recipe.bank, replace=False)).to(device)]
        own = images[torch.from_numpy(data.caption_image[captions]).to(device)]
        with torch.no_grad():
            teacher = F.normalize(target, dim=1) @ F.normalize(others, dim=1).T / recipe.temperature
            teacher = teacher.softmax(1)
        loss = match(free, target)
        loss = loss + 0.2 * spread(free, others, teacher, temperature=recipe.temperature)
        loss = loss + 0.1 * contrast(tied, torch.cat([own, others[:1024]]), temperature=recipe.temperature)
        loss = loss + match(tied, targets[torch.from_numpy(data.caption_text[captions]).to(device)])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 250 == 0 or step == recipe.steps - 1:
            note(f"text step {step} of {recipe.steps}: loss {loss.item():.3f}")
    return student


def unquantised(tensors: Mapping[str, NDArray[Any]]) -> TextStudent:
    """Give the training form of shipped tensors, to train on from there."""
    state = {
        name: torch.from_numpy(array.astype(np.float32))
        for name, array in tensors.items()
        if not name.startswith(KINDS)
    }
    for table, column in (("words", "word_weight"), ("grams", "gram_weight")):
        # Shipped, "words.weight" is how much each row counts; in a student it is the table itself.
        state[f"{column}.weight"] = state[f"{table}.weight"][:, None]
        state[f"{table}.weight"] = state.pop(table) * state.pop(f"{table}.scale")[:, None]
    student = TextStudent(len(state["second.bias"]))
    student.load_state_dict(state)
    return student


def quantised(student: TextStudent) -> dict[str, NDArray[Any]]:
    """Give the tensors to ship: tables in 8 bits with a float16 scale a row, the rest in float16."""
    tensors: dict[str, NDArray[Any]] = {}
    for name in ("words", "grams"):
        table = getattr(student, name).weight.detach().cpu().numpy()
        scale = np.maximum(np.abs(table).max(1) / 127, 1e-6).astype(np.float16)
        steps = np.rint(table / scale.astype(np.float32)[:, None])
        tensors[name] = np.clip(steps, -127, 127).astype(np.int8)
        tensors[f"{name}.scale"] = scale
    tensors["words.weight"] = student.word_weight.weight.detach().cpu().numpy()[:, 0].astype(np.float16)
    tensors["grams.weight"] = student.gram_weight.weight.detach().cpu().numpy()[:, 0].astype(np.float16)
    for name in ("first.weight", "first.bias", "second.weight", "second.bias", "skip.weight"):
        tensors[name] = student.get_parameter(name).detach().cpu().numpy().astype(np.float16)
    return tensors
