"""Twenty minutes of use: everything is turned, recorded, left and opened again, and nothing grows."""

import asyncio
import contextlib
import json
import random
import threading
import time

from pythonosc.udp_client import SimpleUDPClient
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from engine.clock import monotonic

PROMPTS = ("watercolor", "ink", "neon:0.7 | gold:0.3", "thermal", "pixel art", "雪", "red mosaic")


def test_twenty_minutes_of_use(attack, figures, scaled):
    chance = random.Random(4)
    over = threading.Event()
    memory, states = [], {}
    with attack() as show, SimpleUDPClient("127.0.0.1", show.osc) as desk:
        heard = threading.Thread(target=lambda: asyncio.run(look_on(show.web, over, figures)))
        heard.start()
        end = monotonic() + scaled(1200)
        while monotonic() < end:
            turn(show, desk, chance)
            state = show.status["state"]
            states[state] = states.get(state, 0) + 1
            memory.append(show.anonymous())
            time.sleep(1)
        over.set()
        heard.join()
        show.ask("actions/record", {"arguments": [False]}, "POST")
    figures.update(states=states, bridge_mib=[memory[0], max(memory), memory[-1]])
    assert "Traceback" not in show.log.read_text(errors="replace")


def turn(show, desk, chance):
    """Something that a person does."""
    what = chance.randrange(12)
    if what < 4:
        desk.send_message("/latentcast/prompt", [chance.choice(PROMPTS), chance.uniform(0, 2)])
    elif what < 6:
        desk.send_message("/latentcast/steps", chance.randint(1, 4))
    elif what < 8:
        desk.send_message(f"/latentcast/norm/{chance.choice(['noise', 'mix', 'motion'])}", chance.random())
    elif what == 8:
        desk.send_message("/latentcast/seed", chance.randrange(100))
    elif what == 9:
        show.ask("actions/record", {"arguments": [chance.random() < 0.5]}, "POST")
    elif what == 10:
        show.ask("actions/reset", {"arguments": []}, "POST")
    else:
        show.ask("controls/carry", {"value": chance.random() < 0.5}, "PUT")


async def look_on(port, over, figures):
    """A browser with the page open, which comes and goes."""
    events = pictures = 0
    while not over.is_set():
        with contextlib.suppress(WebSocketException, OSError):
            async with connect(f"ws://127.0.0.1:{port}/ws") as told, connect(f"ws://127.0.0.1:{port}/ws/out") as shown:
                until = monotonic() + 20
                while monotonic() < until and not over.is_set():
                    with contextlib.suppress(TimeoutError):
                        json.loads(await asyncio.wait_for(told.recv(), 0.1))
                        events += 1
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(shown.recv(), 0.1)
                        pictures += 1
    figures.update(events=events, jpegs=pictures)
