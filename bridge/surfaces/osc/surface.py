"""
Knobs over Open Sound Control: UDP in, feedback out. The address space is in addresses.py.

Messages of a bundle become one change of the desk, all or none. A time tag in the near future is waited for without
holding anybody up; one in the past, or further ahead than MAX_AHEAD (a clock that disagrees), means now.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bridge.access.addresses import is_loopback
from bridge.control.control import ControlState
from bridge.errors import BridgeError
from bridge.surfaces.osc.addresses import Arguments, BadAddress, Change, Do, interpret, readable, relative
from bridge.surfaces.osc.feedback import Feedback
from bridge.surfaces.osc.port import Address, OscPort
from bridge.surfaces.osc.wire import BadPacket, Batch, read_packet
from engine.errors import EngineError
from engine.params import Params

MAX_AHEAD = 10.0  # seconds
DIGITS = 5  # behind the point; half a step of a 32-bit float at 30, the largest a control takes, is 1e-6
MAX_WAITING = 1024  # batches with a time tag in the future
HEARTBEAT_EVERY = 1.0  # seconds between heartbeats
log = logging.getLogger(__name__)


class Ask(NamedTuple):
    """A question, answered to whoever sent it; it changes nothing on the desk."""

    question: Callable[..., None]
    arguments: Arguments


class OscSurface:
    """Listens on `host`:`port` and tells `feedback_port` of this machine, and whoever subscribes, what happens."""

    def __init__(
        self,
        control: ControlState,
        host: str = "127.0.0.1",
        port: int = 9510,
        feedback_port: int = 9511,
        root: str = "/latentcast",
    ) -> None:
        self.port = port
        self._control = control
        self._host = host
        self._root = root
        self._standing = ("::1" if ":" in host else "127.0.0.1", feedback_port)
        self._udp: OscPort | None = None
        self._feedback: Feedback | None = None
        self._waiting: set[asyncio.TimerHandle] = set()
        self._beating: asyncio.TimerHandle | None = None
        self._refused: set[str] = set()  # addresses whose mistakes are in the log already

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach the port."""
        return self._udp is not None and not is_loopback(self._udp.host)

    async def start(self) -> None:
        """Bind and begin the heartbeat. Raises BridgeError when the port is taken or the host is not ours."""
        udp = OscPort(self._host, self.port, self.received)
        self.port = udp.port
        if self.port == self._standing[1]:
            await udp.close()
            raise BridgeError(f"OSC cannot talk to itself on port {self.port}", "choose another with --feedback-port")
        self._udp = udp
        udp.start()
        self._feedback = Feedback(self._control, self._root, udp.send, self._standing)
        self._beat()

    async def stop(self) -> None:
        """Close the port and forget what was still to come. Twice is fine."""
        for handle in (self._beating, *self._waiting):
            if handle:
                handle.cancel()
        self._waiting.clear()
        feedback, udp, self._feedback, self._udp = self._feedback, self._udp, None, None
        if feedback and udp:
            feedback.close()
            await udp.close()

    def received(self, data: bytes, sender: Address) -> None:
        """Take one datagram: now, or when its time tag says."""
        try:
            for batch in read_packet(data):
                self._schedule(batch, sender)
        except BadPacket as error:
            self._refuse(error, "", sender)

    def _beat(self) -> None:
        if self._feedback:
            self._feedback.beat()
            self._beating = asyncio.get_running_loop().call_later(HEARTBEAT_EVERY, self._beat)

    def _schedule(self, batch: Batch, sender: Address) -> None:
        delay = batch.time - time.time()
        if not 0 < delay <= MAX_AHEAD:
            return self._carry_out(batch, sender)
        if len(self._waiting) >= MAX_WAITING:
            raise BadPacket("too many bundles are waiting for their time", "send them later")

        def due() -> None:
            self._waiting.discard(handle)
            self._carry_out(batch, sender)

        handle = asyncio.get_running_loop().call_later(delay, due)
        self._waiting.add(handle)
        return None

    def _carry_out(self, batch: Batch, sender: Address) -> None:
        """Set every control of the batch as one change, then do what else it asks for, in order, up to a mistake."""
        changes: dict[str, Any] = {}
        others: list[tuple[str, Do | Ask]] = []
        params = self._control.params  # as the batch leaves them so far: a switch may turn over twice
        address = ""
        try:
            for address, arguments in batch.messages:
                asked = self._read(address, arguments, params)
                if isinstance(asked, Change):
                    values = {name: _meant(value) for name, value in asked.values.items()}
                    params = params.set_all(values)
                    changes |= values
                else:
                    others.append((address, asked))
            if changes:
                self._control.set_all(changes)
            for address, other in others:  # noqa: B007  the handler below names the address
                self._do(other, sender)
        except EngineError as error:
            self._refuse(error, address, sender)

    def _read(self, address: str, arguments: Arguments, params: Params) -> Change | Do | Ask:
        name = relative(address, self._root)
        question = self._questions.get(name.lower())
        return Ask(question, arguments) if question else interpret(name, arguments, params)

    def _do(self, asked: Do | Ask, sender: Address) -> None:
        if isinstance(asked, Do):
            self._control.do(asked.action, *asked.arguments)
        elif self._feedback:
            asked.question(self, self._feedback, asked.arguments, sender)

    def _refuse(self, error: EngineError, address: str, sender: Address) -> None:
        if address not in self._refused and len(self._refused) < 64:  # a fader sends the same mistake all day
            self._refused.add(address)
            log.warning("OSC %r from %s: %s", address, sender[0], error.sentence)
        if self._feedback:
            self._feedback.answer(sender, "error", error.sentence, address)

    def _ping(self, feedback: Feedback, arguments: Arguments, sender: Address) -> None:
        feedback.answer(sender, "pong", *arguments, time.time())

    def _get(self, feedback: Feedback, arguments: Arguments, sender: Address) -> None:
        asked = str(arguments[0]).lower().removeprefix(self._root).lstrip("/") if arguments else ""
        values = readable(self._control.params, self._control.status)
        if asked not in values:
            raise BadAddress(f"{asked!r:.80} cannot be read", f"known: {', '.join(values)}")
        feedback.answer(sender, asked, *values[asked])

    def _subscribe(self, feedback: Feedback, arguments: Arguments, sender: Address) -> None:
        port = arguments[0] if arguments else sender[1]
        if isinstance(port, bool | str) or not 0 < port < 65536 or int(port) == self.port:
            raise BadAddress(f"nobody can listen on port {port!r:.80}", "send the port you listen on, 1 to 65535")
        feedback.subscribe((sender[0], int(port)))

    def _unsubscribe(self, feedback: Feedback, arguments: Arguments, sender: Address) -> None:
        feedback.unsubscribe(sender[0])

    _questions: Mapping[str, Callable[..., None]] = {
        "ping": _ping,
        "get": _get,
        "subscribe": _subscribe,
        "unsubscribe": _unsubscribe,
    }


def _meant(value: Any) -> Any:
    """A number as it was meant: 0.71 in 32 bits is 0.7099999785, and normalised and back something else again."""
    return round(value, DIGITS) if isinstance(value, float) else value
