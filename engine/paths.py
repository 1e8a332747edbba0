"""Where weight files lie on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs

ASSETS = Path(__file__).resolve().parent / "assets"
PACKAGE = "package:"  # begins the location of what ships with latentcast
MODELS_VARIABLE = "LATENTCAST_MODELS"  # the environment variable that names another folder


def models_folder() -> Path:
    """Where downloaded weights live: LATENTCAST_MODELS, else the system's cache folder for this user."""
    chosen = os.environ.get(MODELS_VARIABLE)
    return Path(chosen) if chosen else cache_folder()


def cache_folder() -> Path:
    """Our part of the system's cache folder for this user; an earlier version's, if only that is there."""
    usual, former = platformdirs.user_cache_path("latentcast", appauthor=False, opinion=False), _former_cache_folder()
    return former if former.is_dir() and not usual.is_dir() else usual


def _former_cache_folder() -> Path:
    """Where it was before platformdirs said where: the same place, unless environment variables are unusual."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "latentcast"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home)) / "latentcast"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "latentcast"


def locate(location: str) -> Path:
    """A preset's `weights` entry as a path: `package:` ships with latentcast, a relative path is a downloaded file."""
    inside = location.removeprefix(PACKAGE)
    return models_folder() / location if inside == location else ASSETS / inside
