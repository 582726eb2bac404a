"""What became of each image of an activation run: activated, scaled back or refused, and why."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrieval.activation.copies import Copy, Job
    from retrieval.collection import activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """What became of one image.

    Attributes:
        path: as it was given.
        output: the copy; None where there is none.
        status: ``activated``; ``scaled_back``, changed less so that it keeps the PSNR asked for; or ``refused``, which with an
            `output` means that an earlier run made this very copy (`already`).
        psnr: of the saved copy against the original, in dB; None for equal pictures.
        ssim: likewise, at most 1.
        linf: largest difference of a pixel, in grey levels.
        cosine_before: cosine of the original's vector to the point where the index keeps it.
        cosine_after: the same of the saved copy's.
        reason: why it was refused, or what is worth knowing; empty otherwise.
    """

    path: str
    output: str | None = None
    status: str
    psnr: float | None = None
    ssim: float | None = None
    linf: int | None = None
    cosine_before: float | None = None
    cosine_after: float | None = None
    reason: str = ""

    @property
    def already(self) -> bool:
        """Whether an earlier run made this copy; the measures are those that it recorded."""
        return self.status == "refused" and self.output is not None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the contract."""
        return asdict(self)


def activated(job: Job, copy: Copy, cosines: tuple[float, float], *, notes: tuple[str, ...]) -> Activated:
    """Say that an image has a copy, how far it is from the original, and what it gained.

    Args:
        job: the image.
        copy: its copy.
        cosines: to the point where the index keeps it: the original's and the copy's.
        notes: what is worth knowing.
    """
    before, after = cosines
    return Activated(
        path=str(job.path),
        output=str(job.output),
        status="scaled_back" if copy.scale < 1 else "activated",
        psnr=None if math.isinf(copy.psnr) else round(copy.psnr, 3),
        ssim=round(copy.ssim, 5),
        linf=copy.linf,
        cosine_before=round(before, 4),
        cosine_after=round(after, 4),
        reason="; ".join(notes),
    )


def refused(
    job: Job, reason: str, *, cosine_before: float | None = None, cosine_after: float | None = None
) -> Activated:
    """Say that an image has no copy, and why."""
    return Activated(
        path=str(job.path),
        status="refused",
        reason=reason,
        cosine_before=None if cosine_before is None else round(cosine_before, 4),
        cosine_after=None if cosine_after is None else round(cosine_after, 4),
    )


def already_activated(job: Job, made: activations.Entry) -> Activated:
    """Say that an earlier run made this very copy, with the measures that it recorded."""
    return Activated(
        path=str(job.path),
        output=str(job.output),
        status="refused",
        psnr=made.psnr,
        ssim=round(made.ssim, 5),
        linf=made.linf,
        cosine_before=round(made.cosine_before, 4),
        cosine_after=round(made.cosine_after, 4),
        reason=f"{job.path}: is already activated for this index, as {job.output}",
    )
