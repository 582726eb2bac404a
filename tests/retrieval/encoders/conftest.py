import pytest


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep fingerprints and exported graphs apart from the user's; encoders of a whole module too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield
