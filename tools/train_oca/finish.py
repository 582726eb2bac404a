"""From a trained tower to the files of nano@2: words, the bank of texts, and the maps back to nano@1's space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from indexes.vectors.space import Space
from retrieval.encoders.families.nano import WEIGHTS, NanoEncoder
from retrieval.encoders.families.nano_text import TextTower, map_tensors
from retrieval.encoders.families.nano_torch import SIZE, ImageTower, Querybank, folded_tower
from tools.train_nano.export import FACTS, export_image, save_tensors
from tools.train_nano.inputs.corpus import plain_name
from tools.train_nano.inputs.data import CLUTTER, Photo
from tools.train_nano.measure import unit
from tools.train_nano.targets.joint import ridge
from tools.train_nano.tower.train import TrainingSet, nesting_of
from tools.train_nano.words.hypernyms import kind_targets, members, read_nouns
from tools.train_nano.words.text import TextRecipe, TextSet, TextStudent, quantised, train_text, unquantised
from tools.train_nano.words.text_run import fit_querybank
from tools.train_oca.data import OLD_WEIGHT, Lesson, told
from tools.train_oca.head import HeadRecipe, Known, compose, fit_rest, look, placed, tune
from tools.train_oca.train import LOOKS

Rows = NDArray[np.float32]
# The bank of texts as in nano@1, with the popularity twice as large in photographs and half as large in texts: the same order of
# photographs, and half of the length that texts lose to it. Codes of few bits then tell texts' neighbours nearly as well as images'.
POPULARITY, TEXT_LAST = 1.0, 0.5
BACK_STRENGTH = 300.0  # 30 finds 0.008 less of crops and 0.002 less of classes
TEXT_STRENGTH = 30.0
COPIES = 6000  # altered copies that the head is tuned on
KIND_SHARE, KIND_DRAWN = (
    1.0,
    4.0,
)  # of a word for a kind: its members' place beside its own, and how much oftener it is drawn
TEXT_RECIPE = TextRecipe(steps=2000, rate=2e-3, caption_rows=128, bank=2048)


def first_text(data: TextSet) -> TextStudent:
    """Return nano@1's text tower with its last layer turned into the new space by the texts' targets."""
    old = unquantised(map_tensors(WEIGHTS / "nano-1" / "text.safetensors"))
    rows = TextTower(WEIGHTS / "nano-1" / "text.safetensors").encode([text.text for text in data.texts])[
        :, :-1
    ]
    turn = torch.from_numpy(ridge(unit(rows), unit(data.targets), 10.0))  # (255, d)
    student = TextStudent(data.targets.shape[1])
    state = {
        name: value for name, value in old.state_dict().items() if not name.startswith(("second", "skip"))
    }
    length = 1 / np.linalg.norm(rows, axis=1).mean()
    state["second.weight"] = turn.T @ old.second.weight * length
    state["second.bias"] = turn.T @ old.second.bias * length
    state["skip.weight"] = turn.T @ old.skip.weight * length
    student.load_state_dict(state)
    return student


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """Maps from nano@2's vectors to nano@1's space: ``image`` ``(d, 256)``, ``text`` ``(d, 256)`` and its offset ``(256,)``."""

    image: Rows
    text: Rows
    text_offset: Rows

    def save(self, path: Path) -> None:
        """Write them beside the weights."""
        save_tensors({"image": self.image, "text": self.text, "text.offset": self.text_offset}, path)


def read_back(path: Path) -> Back:
    """Read what `Back.save` wrote."""
    image, text, offset = (
        np.array(map_tensors(path)[name], np.float32) for name in ("image", "text", "text.offset")
    )
    return Back(image=image, text=text, text_offset=offset)


def fit_text(
    lesson: Lesson, rows: Rows, recipe: TextRecipe, *, init: TextStudent | None = None, note: Callable[[str], None] = print
) -> tuple[TextStudent, TextSet]:  # fmt: skip
    """Train words against photographs at ``rows`` ``(n, d)``, of all photographs of the lesson; without their last component."""
    train = lesson.data.train
    meant = told(
        lesson.texts, lesson.sentences, lesson.photos, lesson.features, rows[:, :-1], lesson.extension, train
    )
    meant = with_kinds(meant, lesson, rows)
    return train_text(meant, recipe, note=note, init=init or first_text(meant)), meant


def with_kinds(meant: TextSet, lesson: Lesson, rows: Rows) -> TextSet:
    """Draw words for kinds (fish, vehicle) to where photographs of all their members lie, and let them be drawn more often.

    Members are ImageNet's names as the teachers see them, and the collections' own labels.
    """
    train = lesson.data.train
    said = [plain_name(lesson.photos[i].label) for i in train]
    own = sorted(
        {name for name, i in zip(said, train, strict=True) if name and lesson.photos[i].label != CLUTTER}
    )
    labels = np.array([[name == label for label in own] for name in said], np.float32)
    seen = lesson.extension.taught.alignment.photo_words.shares(lesson.features[train])
    kinds = members(read_nouns(lesson.wordnet), [*lesson.classes, *([name] for name in own)])
    found = kind_targets(np.concatenate([seen, labels], 1), unit(rows[train][:, :-1]), kinds)
    targets, weights = unit(meant.targets), meant.weights.copy()
    for i, text in enumerate(meant.texts):
        if text.text in found and text.kind in ("name", "word", "rare"):
            targets[i] = unit((targets[i] + KIND_SHARE * found[text.text])[None])[0]
            weights[i] *= KIND_DRAWN
    return replace(meant, targets=targets, weights=weights / weights.sum())


def fit_back(
    lesson: Lesson, plain_rows: Rows, altered_rows: Rows, own: NDArray[np.int64], *, meant: TextSet
) -> Back:
    """Fit the maps by which new queries ask old galleries, on training photographs, altered copies of them, and texts.

    The fixed map of the targets is where it starts; least squares add what the other components tell of old vectors, so that a query
    need not repeat the old encoder's own errors.

    Args:
        plain_rows: ``(n, d)`` new vectors of the photographs ``own``.
        altered_rows: ``(n, d)`` of altered copies of the same.
    """
    data = lesson.data
    assert data.old is not None and data.back is not None  # noqa: PT018, S101 - nano@2's lesson has both
    x, y = np.concatenate([plain_rows, altered_rows]), np.tile(unit(data.old[own]), (2, 1))
    start = data.back
    scale = np.float32(1 / np.linalg.norm(x @ start, axis=1).mean())
    image = start * scale + ridge(x, y - x @ start * scale, BACK_STRENGTH)
    old_text = TextTower(WEIGHTS / "nano-1" / "text.safetensors")
    said = old_text.encode([text.text for text in meant.texts])
    meaning, z = said[:, :-1], unit(meant.targets)
    turned = start[:-1, :-1] * scale
    text = np.zeros_like(image)
    # Half of it turns new words, which know more, half says what old words would: the latter alone finds fewer everyday scenes.
    learnt = turned + ridge(z, unit(meaning) - z @ turned, TEXT_STRENGTH)
    text[:-1, :-1] = sum(part / np.linalg.norm(z @ part, axis=1).mean() for part in (turned, learnt))
    offset = np.zeros(image.shape[1], np.float32)
    # So that it is half of the length, as nano@1 has it; a text's other components are shorter than one by its last one.
    offset[-1] = np.linalg.norm(z @ text[:-1], axis=1).mean() / (1 + TEXT_LAST**2) ** 0.5
    return Back(image=image, text=text, text_offset=offset)


def fit_new_head(
    lesson: Lesson,
    tower: ImageTower,
    *,
    recipe: HeadRecipe | None = None,
    note: Callable[[str], None] = print,
) -> Known:
    """Tune the tower's head on what it sees of photographs and copies; a tower of nano@1 first gets one that is wide enough.

    Returns what the tower sees of all training photographs, and of copies of some.
    """
    recipe, data, extension = recipe or HeadRecipe(), lesson.data, lesson.extension
    assert data.old is not None  # noqa: S101 - nano@2's lesson has it
    rows = data.train
    known = seen_by(tower, data, lesson.photos)
    if tower.head.out_features != data.targets.shape[1]:
        rest = fit_rest(known, extension.taught.joined(lesson.features[rows]), LOOKS, recipe.strength)
        tower.head = compose(
            tower.head, known, rest, extension.axes, extension.mean, share=recipe.rest, weight=OLD_WEIGHT
        )
    tune(tower.head, known, extension.back, LOOKS, recipe, note=note)
    return known


def seen_by(tower: ImageTower, data: TrainingSet, photos: Sequence[Photo]) -> Known:
    """Look at all training photographs, and at copies of some."""
    assert data.old is not None  # noqa: S101 - nano@2's training has it
    rows = data.train
    own = np.sort(np.random.default_rng(1).permutation(len(rows))[:COPIES])
    return Known(
        seen=look(tower, data.pixels, rows, LOOKS),
        copies=look(tower, data.pixels, rows[own], LOOKS, altered=True),
        own=own,
        targets=data.targets[rows],
        old=unit(data.old[rows]),
        weights=data.weights,
        labels=data.label_codes[rows],
        groups=label_groups([photos[i] for i in rows], data.label_codes[rows]),
    )


def label_groups(photos: Sequence[Photo], labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Give the rows of each collection that has several labels; of these only the labelled ones."""
    names = np.array([photo.group for photo in photos])
    found = [np.flatnonzero((names == name) & (labels >= 0)) for name in np.unique(names)]
    return [rows for rows in found if len(np.unique(labels[rows])) > 1]


def finish(
    lesson: Lesson, tower: ImageTower, folder: Path, *, old: Space, samples: int, recipe: TextRecipe = TEXT_RECIPE,
    note: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Fit head, words, bank and maps, and write every file of nano@2 into ``folder``; words go on from those that lie there."""
    data, train = lesson.data, lesson.data.train
    tower = folded_tower(fold_state(tower))
    known = fit_new_head(lesson, tower, note=note)
    note("fitted the head")
    seen = placed(tower.head, known.seen, LOOKS)
    rows = np.zeros((len(data.pixels), seen.shape[1]), np.float32)
    # The tower knows these photographs better than others: where its rows differ from the targets they say how these in particular are taken.
    rows[train, :-1] = unit(unit(seen[:, :-1]) + unit(data.targets[train][:, :-1]))
    words = folder / "text.safetensors"
    init = unquantised(map_tensors(words)) if words.exists() else None
    student, meant = fit_text(lesson, rows, recipe, init=init, note=note)
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(quantised(student), words)
    bank = fit_querybank(TextTower(words), lesson.texts, unit(seen[:, :-1]))
    bank.weight = POPULARITY
    copies = placed(tower.head, known.copies, LOOKS)
    plain_rows, altered_rows = (bank(torch.from_numpy(part)).numpy() for part in (seen[known.own], copies))
    back = fit_back(lesson, plain_rows, altered_rows, train[known.own], meant=meant)
    write(tower, folder, bank=bank, back=back, old=old, samples=samples)


def write(tower: ImageTower, folder: Path, *, bank: Querybank, back: Back, old: Space, samples: int) -> None:
    """Write the image tower, its bank and the maps back; words lie there already."""
    back.save(folder / "back.safetensors")
    width = tower.head.out_features
    facts: dict[str, Any] = FACTS | {
        "name": "nano@2",
        "width": width,
        "nesting": list(nesting_of(width)),
        "looks": [[look.size, look.side, look.weight] for look in LOOKS],
        "popularity": POPULARITY,
        "text_last": TEXT_LAST,
        "extends": [old.to_json()],
        "back": "back.safetensors",
    }
    export_image(tower, folder, note={"samples": str(samples)}, facts=facts, querybank=bank)
    NanoEncoder(folder, threads=1).encode_pixels(np.zeros((1, 3, SIZE, SIZE), np.float32))


def fold_state(tower: ImageTower) -> dict[str, torch.Tensor]:
    """Return a tower's weights with the norms folded into the convolutions, in float32."""
    from tools.train_nano.export import fold

    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in fold(tower).items()}
