"""A camera for machines without one: what `av.open` gives for a device, fed from a film, for ever."""

import time

import av


class FilmedCamera:
    """Stands where FFmpeg's container of a device stands. `unplug` is what happens when a cable is tripped over."""

    def __init__(self, film, fps=60.0):
        self._film, self._gap = film, 1 / fps
        self.plugged, self.damaged = True, ()  # damaged: timestamps of pictures that came broken

    def connect(self):
        """A program opens it."""
        self._container = OPEN(str(self._film))
        self.streams = self._container.streams
        return self

    def demux(self, video):
        while self.plugged:
            with OPEN(str(self._film)) as container:
                for packet in container.demux(video=video):
                    time.sleep(self._gap)
                    if not self.plugged:
                        raise OSError(19, "No such device")
                    yield packet if packet.pts is None or packet.pts not in self.damaged else av.Packet(0)

    def unplug(self):
        self.plugged = False

    def close(self):
        self._container.close()


OPEN = av.open


def plug_in(monkeypatch, cameras):
    """Make `av.open` find `cameras`, by the name that Video4Linux gives them; an exception in one's place is raised."""

    def open_device(name, mode="r", **options):
        if options.get("format") != "v4l2":
            return OPEN(name, mode, **options)
        camera = cameras.get(name, FileNotFoundError(2, "No such file or directory", name))
        if isinstance(camera, Exception):
            raise camera
        return camera.connect()

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("av.open", open_device)
