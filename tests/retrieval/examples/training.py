"""Train a small head on stored vectors, with hard negatives that the workers of a data loader search for."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import retrieval


class Triplets(Dataset):
    """An image's vector, that of its mirror image, and that of the image of another folder that looks most like it."""

    def __init__(self, photos: retrieval.Collection) -> None:
        self.photos = photos  # travels to the workers, forked or spawned
        self.keys = list(photos)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        row = self.photos[self.keys[place]]
        mirrored = row.open().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        own = self.photos.mask(under=Path(row.key).parent)
        negative = self.photos.search(row.id, k=1, mask=~own)[0]
        found = (row.vector, self.photos.encode(mirrored)[0], self.photos.vectors(negative.id)[0])
        return tuple(torch.from_numpy(vector) for vector in found)


def train(epochs: int = 3, workers: int = 1) -> list[float]:
    """Return the loss of each epoch."""
    with retrieval.open("photos/") as photos:
        loader = DataLoader(
            Triplets(photos),
            batch_size=4,
            num_workers=workers,
            multiprocessing_context="spawn",
            persistent_workers=True,
        )
        head = torch.nn.Linear(photos.space.dim, 32, bias=False)
        optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
        losses = []
        for _ in range(epochs):
            total = 0.0
            for batch in loader:
                anchor, positive, negative = (head(vectors) for vectors in batch)
                loss = torch.nn.functional.triplet_margin_loss(anchor, positive, negative)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
            losses.append(total)
        return losses


if __name__ == "__main__":
    print(train())
