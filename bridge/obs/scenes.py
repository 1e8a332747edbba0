"""`latentcast obs map`: the table [scenes] of a user's bridge.toml, changed without losing a comment of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridge.config import BadOption, read_config, scene_changes
from bridge.errors import BridgeError

TABLE = "scenes"


def map_scene(path: Path, scene: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Have `scene` make these changes, from the next start of a run on; the rest of the file stays as it is.

    Returns the changes as the file has them now. Raises BadOption or BadParam, and the file is as before then.
    """
    checked = scene_changes({scene: dict(changes)})[scene]
    document = _read(path)
    tables = document.setdefault(TABLE, _tomlkit().table(is_super_table=True))
    tables[scene] = _tomlkit().item(dict(checked))
    _write(path, document)
    return checked


def forget_scene(path: Path, scene: str) -> None:
    """Have `scene` change nothing. Raises BadOption if it did not."""
    document = _read(path)
    if scene not in document.get(TABLE, {}):
        raise BadOption(f"{path} says nothing about a scene {scene!r:.80}", "`latentcast obs map` lists those it knows")
    del document[TABLE][scene]
    if not document[TABLE]:
        del document[TABLE]
    _write(path, document)


def _read(path: Path) -> Any:
    """The document with its comments and blank lines. Raises BadOption for a file with a mistake in it."""
    if not path.exists():
        return _tomlkit().document()
    read_config(path)  # which says in a sentence what is wrong, before anything is added to it
    return _tomlkit().parse(path.read_bytes().decode("utf-8"))


def _write(path: Path, document: Any) -> None:
    """All of it or nothing: a new file takes the old one's place once it is whole."""
    target = path.resolve()  # what a link leads to, not the link
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            with open(handle, "wb") as file:
                file.write(_tomlkit().dumps(document).encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            read_config(Path(name))
            with suppress(OSError):
                os.chmod(name, target.stat().st_mode if target.exists() else 0o644)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BridgeError(f"{path} cannot be written: {error.strerror}", "name another file with --config") from error


def _tomlkit() -> Any:
    try:
        import tomlkit
    except ImportError as error:
        raise BridgeError("mapping scenes needs tomlkit", "pip install 'latentcast[obs]'") from error
    return tomlkit
