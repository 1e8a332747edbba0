"""The sound of a film on its way into another: copied bit for bit where the new file can hold it, else as AAC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.media.movie import MovieWriter, decode

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet


class Sound:
    """One sound stream of a film that is read, and its like in one that is written."""

    def __init__(self, source: AudioStream, film: MovieWriter) -> None:
        self._film = film
        self._target, self._copied = film.add_sound(source)

    def take(self, packet: Packet[AudioStream]) -> None:
        """The next packet of the source; an empty one ends it."""
        if not self._copied:
            self._encode(packet)
        elif packet.dts is not None:
            packet.stream = self._target
            self._film.mux(packet)

    def _encode(self, packet: Packet[AudioStream]) -> None:
        for sound in decode(packet):
            self._film.encode(self._target, sound)
        if packet.dts is None:
            self._film.encode(self._target, None)
