"""What the scripts that run inside the machine have in common: a ring in which the card plays, and eyes."""

import json
import sys
import threading
import time

import numpy as np

from bridge.adapters.testcard import CORNERS, TestCard
from bridge.rings.ring import RingWriter
from engine.clock import monotonic
from engine.errors import EngineError

SIZE = 320, 192  # small: there is no hurry in here
ALIKE = 40  # of 255, how far a colour may be off after OBS has made YUV of it, and another program RGB of that
OTHER_MATRIX = 48  # the same for a camera in OBS, which takes the BT.601 of cameras for BT.709: green is 40 off
TIMEOUT = 900.0  # seconds for a process to start; every instruction is emulated


class Player(threading.Thread):
    """A run's ring, in which the test card plays while `on`."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.ring, self.on = RingWriter.create(name, *SIZE), True
        self.start()

    def run(self):
        card = TestCard()
        card.open(*SIZE, 15)
        while True:
            frame = card.read(0)
            time.sleep(max(0.0, frame.time - monotonic()))
            if self.on:
                self.ring.write(frame)


def watch(source, seconds, least=12):
    """What a call sees in so many seconds, or longer until it has seen some: pictures, whole, as they come."""
    pictures, until = [], monotonic() + seconds
    while monotonic() < until or len(pictures) < least:
        if (frame := source.read(0.5)) is not None:
            pictures.append((monotonic(), frame.pixels))
    return pictures


def corners(card):
    """How far each corner of the card [H, W, 3] is from its colour."""
    height, width = card.shape[:2]
    top, low, left, right = height // 20, height * 25 // 32, width // 32, width - width // 32
    places = {"red": card[top, left], "green": card[top, right], "blue": card[low, left], "white": card[low, right]}
    return {name: int(np.abs(places[name][:3].astype(int) - CORNERS[name]).max()) for name in CORNERS}


def failure(work):
    """Sentence and hint of what `work` raised, or two empty ones."""
    try:
        work()
    except EngineError as error:
        return [str(error), error.hint]
    return ["", ""]


class Seen(dict):
    """What was seen, by name; said as it comes, since a machine may come to no end."""

    def __setitem__(self, name, value):
        super().__setitem__(name, value)
        sys.stdout.write(f"\nSEEN {monotonic():.0f} s {name}: {json.dumps(value)}\n")
        sys.stdout.flush()

    def tell(self, *steps):
        """Run the steps, and print all that they have seen as one line of JSON, which Machine.run returns."""
        for step in steps:
            step()
        sys.stdout.write("\nRESULT " + json.dumps(self) + "\n")
