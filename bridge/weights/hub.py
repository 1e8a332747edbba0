"""Files from a model hub, huggingface.co or the one HF_ENDPOINT names: looked up, fetched, resumed, verified.

The hub's own library finds, signs in, redirects and retries. What it does not do any more is to go on with a file
where an earlier try was cut off; so the part that arrived is kept here, under the name of the content it will have.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bridge.errors import BridgeError
from engine.preset import HubFile, HubSource

RESUME_HINT = "run the same command again: it goes on where it stopped"
HUB_URL = "https://huggingface.co"
BLOCK = 2**20  # bytes
_DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
OnBytes = Callable[[int], None]  # how much of a file is here


class HubError(BridgeError):
    """A file could not be had from the hub."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the hub offers it. digest: sha256 of a large file, git's name of a small one, in hex."""

    name: str
    url: str
    size: int
    digest: str

    def digester(self) -> Any:
        """What computes `digest` from the content."""
        if len(self.digest) == 64:
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)


def look_up(source: HubSource, file: HubFile) -> RemoteFile:
    """What the hub has under that name. Raises HubError."""
    hub = _library()
    url = hub.hf_hub_url(source.repo, file.path, revision=source.revision or None)
    name = f"{source.repo}/{file.path}"
    with _hub_errors(name):
        found = hub.get_hf_file_metadata(url)
    if not (found.commit_hash and found.etag and found.size is not None and len(found.etag) in (40, 64)):
        raise HubError(f"{_host(url)} does not answer like a hub", "look at HF_ENDPOINT, or log in to your network")
    if file.sha256 and len(found.etag) == 64 and found.etag != file.sha256:
        raise HubError(f"{_host(url)} offers another {name} than this preset is made for", "look at HF_ENDPOINT")
    return RemoteFile(name, url, found.size, file.sha256 or found.etag)


def cached(source: HubSource, file: HubFile) -> Path | None:
    """The file where other programs have already put it, the hub library's own cache, if its digest is known.

    Where there are no links, as on many a Windows, what lies there does not say its digest.
    """
    path = _library().try_to_load_from_cache(source.repo, file.path, revision=source.revision or None)
    if not isinstance(path, str):
        return None
    return Path(path) if file.sha256 or _DIGEST.fullmatch(Path(path).resolve().name) else None


def fetch(offer: RemoteFile, target: Path, on_bytes: OnBytes) -> None:
    """Bring the file to `target`, whole and verified, going on with what an earlier try left in `target`.part.

    Raises HubError. A file that arrived damaged is removed.
    """
    part = target.with_name(target.name + ".part")
    with _hub_errors(offer.name):
        target.parent.mkdir(parents=True, exist_ok=True)
        with PartialFile(part, offer, on_bytes) as file:
            if file.tell() < offer.size:
                _transfer(offer, file)
        if file.spoiled or file.digest != offer.digest:
            part.unlink()
            raise HubError(f"{offer.name} arrived damaged and was removed", "run the same command again")
        os.replace(part, target)


def _transfer(offer: RemoteFile, file: PartialFile) -> None:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get  # internal: no public function goes on with a part of a file

    headers = _library().utils.build_hf_headers()
    try:
        http_get(offer.url, file, resume_size=file.tell(), headers=headers, expected_size=offer.size)  # type: ignore[arg-type]
    except OSError as error:
        if isinstance(error, HfHubHTTPError | ConnectionError) or error.strerror:
            raise
        file.spoiled = True  # the answer was complete and of another length: an error page, say


class PartialFile:
    """The part of a file that is here, digested while it grows. The hub library writes to it like to a file.

    spoiled: what arrived cannot be a beginning of it.
    """

    def __init__(self, path: Path, offer: RemoteFile, on_bytes: OnBytes) -> None:
        self._file = path.open("a+b")
        self._offer, self._on_bytes = offer, on_bytes
        if self._file.tell() > offer.size:  # another file's
            self._file.truncate(0)
        self._digest_anew()
        self.spoiled = False

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @property
    def digest(self) -> str:
        """Of what is here, in hex."""
        digest: str = self._digester.hexdigest()
        return digest

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._digester.update(data)
        self._on_bytes(self._file.tell())
        return written

    def seek(self, place: int) -> int:
        return self._file.seek(place)

    def truncate(self) -> int:
        """A server that cannot go on in the middle begins anew: so do we."""
        size = self._file.truncate()
        self._digest_anew()
        return size

    def _digest_anew(self) -> None:
        self._digester = self._offer.digester()
        self._file.seek(0)
        while block := self._file.read(BLOCK):
            self._digester.update(block)
        self._on_bytes(self._file.tell())


def verify(offer: RemoteFile, path: Path) -> None:
    """Raises HubError if the file at `path` is not what the hub offers."""
    digester = offer.digester()
    with _hub_errors(offer.name), path.open("rb") as file:
        while block := file.read(BLOCK):
            digester.update(block)
    if digester.hexdigest() != offer.digest:
        raise HubError(f"{path} is damaged", "remove it and run the same command again")


def _library() -> Any:
    """The hub's library, quiet: what there is to say is said by us."""
    _check_address(os.environ.get("HF_ENDPOINT", HUB_URL))
    try:
        import huggingface_hub.utils

        library: Any = huggingface_hub
        library.utils.disable_progress_bars()
        library.utils.logging.set_verbosity_error()
    except ImportError as error:
        raise HubError("downloads need huggingface_hub", "pip install 'latentcast[wan]'") from error
    except ValueError as error:  # it reads numbers from the environment when it is first used
        what = f"huggingface_hub cannot start: {_first_line(error)}"
        raise HubError(what, "look at your environment variables whose names begin with HF_") from error
    return library


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Whatever the library raises becomes one sentence."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    transport: type[Exception] = HfHubHTTPError.__mro__[1]  # base of the errors of the HTTP library beneath it
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubError(f"{name} is not here, and HF_HUB_OFFLINE forbids to fetch it", "unset HF_HUB_OFFLINE") from error
    except HfHubHTTPError as error:
        raise HubError(f"{name}: {_refusal(error)}", _way_out(error)) from error
    except (transport, OSError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise HubError(f"{name} cannot be stored: {error.strerror}", "choose another folder with --to") from error
        raise HubError(f"{name}: the connection to the hub failed ({_first_line(error)})", RESUME_HINT) from error


def _refusal(error: Any) -> str:
    status = error.response.status_code
    return {
        401: "the hub wants to know who asks (401)",
        403: "the hub does not let you have it (403)",
        404: "the hub has no such file (404)",
        429: "the hub is asked too often (429)",
    }.get(status, f"the hub cannot answer now ({status})")


def _way_out(error: Any) -> str:
    status = error.response.status_code
    if status in (401, 403):
        return "sign in with `hf auth login` or HF_TOKEN, and accept the model's terms on its page"
    if status == 404:
        return "look at HF_ENDPOINT; a mirror may not have everything"
    return f"wait some minutes, then {RESUME_HINT}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _check_address(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return
    except ValueError:  # a port that is none
        pass
    raise HubError(f"HF_ENDPOINT is no web address: {endpoint!r:.80}", f"write it like {HUB_URL}, or unset it")


def _host(url: str) -> str:
    return url.split("/")[2]
