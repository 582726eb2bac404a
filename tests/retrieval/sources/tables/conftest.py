from __future__ import annotations

import pytest

pytest.importorskip("pyarrow", reason="the extra `tables` is not installed")
