"""Run the command: ``python -m retrieval.cli``."""

import sys

from retrieval.cli import main

sys.exit(main())
