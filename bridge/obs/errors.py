"""What can be wrong with an OBS that is to be controlled, and what to do about it."""

from __future__ import annotations

from bridge.errors import BridgeError
from bridge.obs.address import PASSWORD, ObsAddress

ENABLE_HINT = "in OBS, Tools, WebSocket Server Settings, tick Enable WebSocket server"


class ObsUnreachable(BridgeError):
    """OBS is not there, does not answer, or has gone. Worth trying again later."""


class ObsPasswordError(BridgeError):
    """The password is wrong. Trying again with the same one is no use."""


class NotObs(BridgeError):
    """What answers is no obs-websocket 5: an OBS before 28, or another program."""


class ObsRefused(BridgeError):
    """OBS answered a question with an error: `code` and `comment` as the protocol has them."""

    def __init__(self, request: str, code: int, comment: str) -> None:
        super().__init__(f"OBS refuses {request}: {comment or 'no reason given'} (code {code})")
        self.code, self.comment = code, comment


def away(address: ObsAddress, what: str = "does not answer") -> ObsUnreachable:
    """The error for an OBS that is not there, with the likeliest cure."""
    cure = f"start OBS, and {ENABLE_HINT}" if address.enabled else ENABLE_HINT
    return ObsUnreachable(f"OBS at {address.host}:{address.port} {what}", cure)


def locked(address: ObsAddress) -> ObsPasswordError:
    """The error for a wrong password, or none where one is needed."""
    what = "takes another password" if address.password else "wants a password"
    hint = f"put the one of OBS's WebSocket Server Settings, Show Connect Info, into {PASSWORD}"
    return ObsPasswordError(f"OBS at {address.host}:{address.port} {what}", hint)


def foreign(address: ObsAddress) -> NotObs:
    """The error for a port where something else answers."""
    what = f"what answers at {address.host}:{address.port} is not OBS 28 or later"
    return NotObs(what, "update OBS, or name the port of its WebSocket server with --obs-port")
