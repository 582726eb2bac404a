"""Give nano@1's tower a head for nano@2's targets: its own head as it is beside a map to the rest, then tuned by contrast.

The tower stays as it is, so that what it sees of a photograph, and of altered copies, is computed once; minutes then do what hours of
training do to a head alone. Queries of nano@1's galleries find most where the old head is kept and the looks are nano@1's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from retrieval.encoders.families.nano_torch import SIZE, Crop, Head, ImageTower, cut
from retrieval.encoders.training.losses import MatryoshkaLoss, mean_cosine_gap
from tools.train_nano.inputs.augment import augment, normalised, plain
from tools.train_nano.targets.joint import ridge
from tools.train_nano.tower.start import LEAST_SPREAD
from tools.train_nano.tower.train import nesting_of, own_first

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRecipe:
    """Everything that decides the head but the data.

    ``rest`` is how much the map to what nano@1 does not hold counts beside its own head; ``contrast`` and ``old`` weigh that copies find
    their photographs among new and among old vectors, ``alike`` that photographs of one label find each other in ``labelled`` ones of
    their collection.
    """

    rest: float = 1.3
    strength: float = 300.0
    steps: int = 300
    rate: float = 1.5e-3
    contrast: float = 0.1
    old: float = 0.3
    alike: float = 0.3
    temperature: float = 0.1  # of ``alike``
    labelled: int = 256
    photographs: int = 192
    others: int = 768


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the head is made from.

    ``seen`` ``(n, looks, c)`` is what the tower sees of photographs, ``copies`` ``(m, looks, c)`` of altered copies of those at ``own``
    ``(m,)``; ``targets`` ``(n, d)``; ``old`` ``(n, e)`` unit rows; ``weights`` ``(n,)`` how often each is drawn; ``labels`` ``(n,)`` int64,
    -1 for none, and ``groups``, the rows of each collection that has several labels.
    """

    seen: Rows
    copies: Rows
    own: NDArray[np.int64]
    targets: Rows
    old: Rows
    weights: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: list[NDArray[np.int64]]


@torch.inference_mode()
def look(
    tower: ImageTower, pixels: NDArray[np.uint8], rows: NDArray[np.int64], looks: Sequence[Crop], *, altered: bool = False
) -> Rows:  # fmt: skip
    """Return what the head reads of each look at stored photographs, or at altered copies of them, in bfloat16: ``(n, looks, c)``."""
    tower, cpu, found = tower.eval().to(memory_format=torch.channels_last), torch.device("cpu"), []  # type: ignore[call-overload,unused-ignore]
    for at in range(0, len(rows), 64):
        part = pixels[rows[at : at + 64]]
        x = normalised(augment(part, SIZE, seed=at, device=cpu) if altered else plain(part, SIZE, device=cpu))
        with torch.autocast("cpu", torch.bfloat16):
            seen = [tower.means(cut(x, crop).contiguous(memory_format=torch.channels_last)) for crop in looks]
        found.append(torch.stack(seen, 1).float().numpy())
    return np.concatenate(found)


@torch.inference_mode()
def placed(head: nn.Linear, seen: Rows, looks: Sequence[Crop]) -> Rows:
    """Embed what the tower saw, ``(n, looks, c)``: ``(n, d)`` unit rows, without a bank."""
    shares, found = torch.tensor([look.weight for look in looks])[:, None], []
    for at in range(0, len(seen), 4096):
        rows = F.normalize(head(torch.from_numpy(seen[at : at + 4096])), dim=2)  # (b, looks, d)
        found.append(F.normalize((shares * rows).sum(1), dim=1).numpy())
    return np.concatenate(found)


def fit_rest(known: Known, rest: Rows, looks: Sequence[Crop], strength: float) -> tuple[Rows, Rows]:
    """Fit a map from what the tower sees to ``rest`` ``(n, j)``, copies and photographs alike: ``(c, j)`` and its offset."""
    x = np.concatenate(
        [known.seen.reshape(-1, known.seen.shape[-1]), known.copies.reshape(-1, known.copies.shape[-1])]
    )
    y = np.concatenate([np.repeat(rest, len(looks), 0), np.repeat(rest[known.own], len(looks), 0)])
    shares = (known.weights / known.weights.min())[:, None] * [look.weight**2 for look in looks]
    weights = np.concatenate([shares.ravel(), shares[known.own].ravel()]).astype(np.float32)
    middle, spread, mean = x.mean(0), x.std(0) + LEAST_SPREAD, y.mean(0)
    fitted = ridge((x - middle) / spread, y - mean, strength, weights) / spread[:, None]
    return fitted, mean - middle @ fitted


def compose(
    old: nn.Linear,
    known: Known,
    rest: tuple[Rows, Rows],
    axes: Rows,
    mean: Rows,
    *,
    share: float,
    weight: float,
) -> Head:
    """Join the old head and the map to the rest and turn both by ``axes`` ``(e + j, d)``; ``weight`` is the old vectors' in the targets."""
    width = len(old.bias)
    w, b = old.weight.detach().numpy().T, old.bias.detach().numpy()
    scale = weight / np.linalg.norm(known.seen[:, 0] @ w + b, axis=1).mean()
    fitted, offset = rest
    head = Head(len(w), axes.shape[1])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy((scale * w @ axes[:width] + share * fitted @ axes[width:]).T))
        head.bias.copy_(
            torch.from_numpy(scale * b @ axes[:width] + share * (offset - mean[width:]) @ axes[width:])
        )
    return head


def tune(
    head: Head, known: Known, back: Rows, looks: Sequence[Crop], recipe: HeadRecipe, *, note: Callable[[str], None] = print
) -> None:  # fmt: skip
    """Tune the head on whole vectors, all looks together: targets, copies among new vectors and old ones, labels, at every prefix."""
    seen, copies, own = (
        torch.from_numpy(known.seen),
        torch.from_numpy(known.copies),
        torch.from_numpy(known.own),
    )
    targets, old, turn = torch.from_numpy(known.targets), torch.from_numpy(known.old), torch.from_numpy(back)
    middle, spread = seen.mean((0, 1)), seen.std((0, 1)) + LEAST_SPREAD
    evened = deepcopy(head)  # reads channels that speak as loud as each other
    reading = [layer for layer in (evened, evened.inner) if layer is not None]
    with torch.no_grad():
        for layer in reading:
            layer.bias.add_(layer.weight @ middle)
            layer.weight.mul_(spread)
    shares = torch.tensor([look.weight for look in looks])[:, None]
    optimiser = torch.optim.Adam(evened.parameters(), lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    nesting = nesting_of(head.out_features)
    match, contrast = MatryoshkaLoss(mean_cosine_gap, nesting), MatryoshkaLoss(own_first, nesting)
    alike = MatryoshkaLoss(same_label_first, nesting)
    labels, groups = torch.from_numpy(known.labels), [torch.from_numpy(rows) for rows in known.groups]
    draws, weights = torch.Generator().manual_seed(0), torch.from_numpy(known.weights).float()

    def place(x: torch.Tensor) -> torch.Tensor:
        return F.normalize((shares * F.normalize(evened((x - middle) / spread), dim=2)).sum(1), dim=1)

    for step in range(recipe.steps):
        plain_, others = (
            torch.multinomial(weights, n, generator=draws) for n in (recipe.photographs, recipe.others)
        )
        picked = torch.randint(len(copies), (recipe.photographs,), generator=draws)
        z, copied, of = place(seen[plain_]), place(copies[picked]), own[picked]
        loss = match(z, targets[plain_]) + match(copied, targets[of])
        names = torch.cat([of, others])
        loss = loss + recipe.contrast * contrast(
            copied, place(seen[names]), temperature=0.07, skip=same(of, names)
        )
        asked = torch.cat([plain_, of])
        names = torch.cat([asked, others])
        query = F.normalize(torch.cat([z, copied]) @ turn, dim=1)
        loss = loss + recipe.old * own_first(query, old[names], temperature=0.05, skip=same(asked, names))
        if groups:
            group = groups[step % len(groups)]
            few = group[torch.randperm(len(group), generator=draws)[: recipe.labelled]]
            z = place(seen[few])
            loss = loss + recipe.alike * alike(z, z, labels[few], temperature=recipe.temperature)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            note(f"head step {step} of {recipe.steps}: loss {loss.item():.3f}")
    with torch.no_grad():
        for layer in reading:
            layer.weight.div_(spread)
            layer.bias.sub_(layer.weight @ middle)
    head.load_state_dict(evened.state_dict())


def same_label_first(
    x: torch.Tensor, y: torch.Tensor, labels: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    """Tell photographs of each row's label from all others (neighbourhood components: Goldberger et al., 2004).

    Args:
        x, y: ``(n, d)`` unit rows of the same photographs; no row finds itself.
        labels: ``(n,)``; a row whose label no other has does not count.
    """
    logits = x @ y.T / temperature
    logits.fill_diagonal_(-torch.inf)
    marked = labels[:, None] == labels
    marked.fill_diagonal_(fill_value=False)
    counted = marked.any(1)
    own = logits.masked_fill(~marked, -torch.inf)[counted].logsumexp(1)
    return (logits[counted].logsumexp(1) - own).sum() / max(1, int(counted.sum()))


def same(own: torch.Tensor, names: torch.Tensor) -> torch.Tensor:
    """Mark the other places of each row's own photograph, ``(b, n)``: those are not to be told from it."""
    marked = names == own[:, None]
    marked.fill_diagonal_(fill_value=False)
    return marked
