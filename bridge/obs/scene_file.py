"""`latentcast obs map`: the table [scenes] of a user's bridge.toml, changed without losing a comment of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridge.errors import BridgeError
from bridge.options import BadOption, read_config, scene_changes
from engine.errors import EngineError

TABLE = "scenes"


def map_scene(path: Path, scene: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Have `scene` make these changes, from the next start of a run on; the rest of the file stays as it is.

    Returns the changes as the file has them now. Raises BadOption or BadParam, and the file is as before then.
    """
    checked = scene_changes({scene: dict(changes)})[scene]
    document, known = _read(path), read_config(path).scenes if path.exists() else {}
    tables = document.setdefault(TABLE, _tomlkit().table(is_super_table=True))
    try:
        tables[scene] = _tomlkit().item(dict(checked))
        _write(path, document, {**known, scene: checked})
    except ValueError as error:  # `scenes = {...}` takes no tables
        raise _unsupported_form(path) from error
    return checked


def forget_scene(path: Path, scene: str) -> None:
    """Have `scene` change nothing. Raises BadOption if it did not."""
    document = _read(path)
    if scene not in document.get(TABLE, {}):
        raise BadOption(f"{path} says nothing about a scene {scene!r:.80}", "`latentcast obs map` lists those it knows")
    del document[TABLE][scene]
    if not document[TABLE]:
        del document[TABLE]
    _write(path, document, {name: rest for name, rest in read_config(path).scenes.items() if name != scene})


def _read(path: Path) -> Any:
    """The document with its comments and blank lines. Raises BadOption for a file with a mistake in it."""
    if not path.exists():
        return _tomlkit().document()
    read_config(path)  # which says in a sentence what is wrong, before anything is added to it
    return _tomlkit().parse(path.read_bytes().decode("utf-8-sig"))


def _write(path: Path, document: Any, scenes: Mapping[str, Any]) -> None:
    """All of it or nothing: a new file takes the old one's place once it is whole, and says just these scenes."""
    target = path.resolve()  # what a link leads to, not the link
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            with open(handle, "wb") as file:
                file.write(_tomlkit().dumps(document).encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            _check(Path(name), path, scenes)
            with suppress(OSError):
                os.chmod(name, target.stat().st_mode if target.exists() else 0o644)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BridgeError(f"{path} cannot be written: {error.strerror}", "name another file with --config") from error


def _check(written: Path, path: Path, scenes: Mapping[str, Any]) -> None:
    """Raises BadOption if what was written reads otherwise than meant."""
    try:
        right = read_config(written).scenes == scenes
    except EngineError as error:
        raise _unsupported_form(path) from error
    if not right:
        raise _unsupported_form(path)


def _unsupported_form(path: Path) -> BadOption:
    sentence = f"{path} writes its scenes in a form that this command cannot change"
    return BadOption(sentence, 'give each scene a table of its own there, such as [scenes."Break"], and try again')


def _tomlkit() -> Any:
    try:
        import tomlkit
    except ImportError as error:
        raise BridgeError("mapping scenes needs tomlkit", "pip install 'latentcast[obs]'") from error
    return tomlkit
