from retrieval.testing import FakeEncoder


class Faulty(FakeEncoder):
    """A fake whose results pass through ``spoil``."""

    def __init__(self, spoil):
        super().__init__(dim=8)
        self.spoil = spoil

    def encode_pixels(self, batch):
        return self.spoil(super().encode_pixels(batch))
