"""Find how many images to encode together."""

from __future__ import annotations

_CPU_BATCH = 32  # large enough to fill the cores, small enough that a commit is never far
_BATCH_BYTES = 256 << 20  # of preprocessed pixels in one batch
_TRIALS = 3  # batches of one size before judging it
_WORTHWHILE = 1.05  # the gain in images per second for which a batch of twice the size is kept


class BatchSize:
    """How many images to encode together: grows while that makes it faster, halves when memory runs out.

    Attributes:
        images: the present size.
    """

    images: int

    def __init__(self, images: int | None = None, *, largest: int | None = None) -> None:
        """Start at ``images``; grow up to ``largest``, or not at all without it."""
        self.images = _CPU_BATCH if images is None else max(1, images)
        self._largest = self.images if largest is None else largest
        self._rates: list[float] = []
        self._best = 0.0  # images per second at half the present size

    def limit(self, bytes_per_image: int) -> None:
        """Keep a batch of preprocessed images below `_BATCH_BYTES`."""
        fitting = max(1, _BATCH_BYTES // max(1, bytes_per_image))
        self._largest = min(self._largest, fitting)
        self.images = min(self.images, fitting)

    def record(self, images: int, seconds: float, *, of: int | None = None) -> None:
        """Learn that a batch took so long; batches of another size than the present tell nothing.

        Args:
            images: encoded.
            seconds: that they took.
            of: how many were to be: some were copies, or could not be read. By default as many.
        """
        if (images if of is None else of) != self.images or self.images >= self._largest or images < 1:
            return
        self._rates.append(images / max(seconds, 1e-9))
        if len(self._rates) < _TRIALS:
            return
        rate = max(self._rates)  # the first batch of a size often pays for set-up
        self._rates.clear()
        if rate > _WORTHWHILE * self._best:
            self._best = rate
            self.images = min(2 * self.images, self._largest)
        else:
            self.images //= 2
            self._largest = self.images

    def shrink(self) -> bool:
        """Halve after memory ran out, for good; `False` at a single image, where there is nothing left to halve."""
        if self.images == 1:
            return False
        self.images = self._largest = self.images // 2
        self._rates.clear()
        return True
