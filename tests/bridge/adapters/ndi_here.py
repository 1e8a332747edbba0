"""NDI for real, on this machine alone: its own settings keep it on the loopback."""

import json
import os

import pytest

CONFIG = {"ndi": {"networks": {"ips": "127.0.0.1"}, "adapters": {"allowed": ["127.0.0.1"]}}}


@pytest.fixture(scope="session")
def ndi_here(tmp_path_factory):
    """Set before the library is loaded, and inherited by every process that a test starts."""
    folder = tmp_path_factory.mktemp("ndi")
    (folder / "ndi-config.v1.json").write_text(json.dumps(CONFIG))
    before = os.environ.get("NDI_CONFIG_DIR")
    os.environ["NDI_CONFIG_DIR"] = str(folder)
    pytest.importorskip("cyndilib", reason="pip install --force-reinstall 'latentcast[ndi]'", exc_type=ImportError)
    yield
    if before is None:
        del os.environ["NDI_CONFIG_DIR"]
    else:
        os.environ["NDI_CONFIG_DIR"] = before
