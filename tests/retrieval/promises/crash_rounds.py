"""The commands that `test_growth` kills, served (`tests.killing`): the words are a folder and a command's name."""

from __future__ import annotations

from pathlib import Path

import retrieval
from tests.killing import serve
from tests.retrieval.upgrades.killed_steps import prepare


def command(folder: str, name: str) -> None:
    """Run one command; those that have nothing to do say so and do nothing."""
    home = Path(folder)
    try:
        if name == "build":
            retrieval.build_index(home)
        elif name == "upgrade":
            retrieval.upgrade(home, encoder="drift:new", sample=50, method="ridge", force=True)
        elif name == "backfill":
            retrieval.backfill(home, count=10)
        elif name == "rollback":
            retrieval.rollback(home)
    except retrieval.RetrievalError:
        pass  # under way already, or nothing to undo


if __name__ == "__main__":
    prepare()
    serve(command)
