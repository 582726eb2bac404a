"""The commands, a module each."""

from __future__ import annotations

from retrieval.cli.commands.activate import activate
from retrieval.cli.commands.build_index import build_index
from retrieval.cli.commands.demo import demo
from retrieval.cli.commands.encoders import encoders
from retrieval.cli.commands.evaluate import evaluate
from retrieval.cli.commands.export import export
from retrieval.cli.commands.info import info
from retrieval.cli.commands.query import query
from retrieval.cli.commands.rollback import rollback
from retrieval.cli.commands.upgrade import upgrade
from retrieval.cli.commands.verify import verify

__all__ = [
    "activate",
    "build_index",
    "demo",
    "encoders",
    "evaluate",
    "export",
    "info",
    "query",
    "rollback",
    "upgrade",
    "verify",
]
