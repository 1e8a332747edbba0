"""What the extras of pyproject.toml bring, and how tests say that they need one."""

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
EXTRAS = {name: rows for name, rows in PYPROJECT["project"]["optional-dependencies"].items() if name != "dev"}
IMPORTED_AS = {
    "transformers": "transformers",
    "sentencepiece": "sentencepiece",
    "ftfy": "ftfy",
    "huggingface_hub": "huggingface_hub",
    "filelock": "filelock",
    "tomlkit": "tomlkit",
    "scikit-image": "skimage",
    "opencv-python-headless": "cv2",
    "matplotlib": "matplotlib",
    "diffusers": "diffusers",
    "pyvirtualcam": "pyvirtualcam",
    "SpoutGL": "SpoutGL",
    "syphon-python": "syphon",
    "cyndilib": "cyndilib",
}


def packages(extra):
    """The names by which Python imports what this extra installs."""
    for requirement in EXTRAS[extra]:
        name, nested = re.match(r"([\w.-]+)(?:\[(\w+)\])?", requirement).groups()
        if name == PYPROJECT["project"]["name"]:
            yield from packages(nested)
        else:
            yield IMPORTED_AS[name]


def need(extra):
    """Skip the test or the module that calls this where a package of the extra is not installed."""
    if not all(find_spec(package) for package in packages(extra)):
        pytest.skip(f"pip install 'latentcast[{extra}]'", allow_module_level=True)
