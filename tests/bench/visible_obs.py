"""What the pictures of OBS in the documentation share: an OBS whose window shows its preview, and a photo of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2

from bridge.media.picture import Picture
from tests.obs.lab import Display, Lab

SCREEN = (1280, 800)
WINDOW = (1078, 728)  # what OBS's window covers of the screen, at its first start
WIDTH = 900  # of a picture in the documentation


class Visible(Lab):
    """An OBS whose window shows its preview, as a person's does."""

    def _globals(self) -> dict[str, dict[str, object]]:
        return super()._globals() | {"BasicWindow": {"PreviewEnabled": "true", "SysTrayEnabled": "false"}}


@contextmanager
def visible_obs(size: tuple[int, int]) -> Iterator[Visible]:
    """One that is not started yet, on a screen of its own; ended with it, whatever happens."""
    display = Display("{}x{}".format(*SCREEN))
    obs = Visible(display, size=size)
    try:
        yield obs
    finally:
        obs.close()
        display.close()


def options(description: str | None) -> argparse.Namespace:
    """folder, wait, settle: where the pictures go, seconds the engine gets to start, seconds before each picture."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wait", type=float, default=240.0, help="seconds the engine gets to start")
    parser.add_argument("--settle", type=float, default=12.0, help="seconds before each picture")
    return parser.parse_args()


def photograph(obs: Visible, path: Path) -> None:
    """OBS's window as a small JPEG."""
    size = "{}x{}".format(*SCREEN)
    with av.open(obs.display.name, format="x11grab", options={"video_size": size, "draw_mouse": "0"}) as screen:
        seen = next(screen.decode(video=0)).to_ndarray(format="bgr24")
    save(seen[: WINDOW[1], : WINDOW[0]], path)


def save(picture: Picture, path: Path) -> None:
    small = cv2.resize(
        picture, (WIDTH, round(picture.shape[0] * WIDTH / picture.shape[1])), interpolation=cv2.INTER_AREA
    )
    cv2.imwrite(str(path), small, [cv2.IMWRITE_JPEG_QUALITY, 80])
