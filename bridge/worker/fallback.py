"""What the engine runs with, and smaller fallbacks when memory runs out; the output keeps its size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from bridge.media.picture import cover_pixels
from bridge.process.pipe import Pipe
from bridge.process.protocol import Failure, Message
from engine.errors import EngineError
from engine.frame import Frame
from engine.memory import TooLarge, step_down
from engine.params import Params
from engine.paths import locate
from engine.preset import CodecSpec, Preset, load_preset

if TYPE_CHECKING:
    from bridge.worker.roles import Session


class FallbackRun:
    """The preset that runs now, and its next smaller fallback. Implements the worker's `Control`.

    preset: what runs; smaller, and with lower limits, after each time that memory ran out.
    params: the newest controls, as requested.
    """

    def __init__(self, preset: Preset, pipe: Pipe) -> None:
        self.preset, self.pipe, self.params = preset, pipe, preset.params
        self._reason = ""

    @property
    def stopping(self) -> bool:
        return self.pipe.stopping

    def latest(self) -> Params | None:
        params = self.pipe.latest()
        self.params = params or self.params
        return params

    def all_controls(self) -> Params:
        """The newest controls, changed or not."""
        self.latest()
        return self.params

    def take_reset(self) -> bool:
        return self.pipe.take_reset()

    def beat(self, deadline: float) -> None:
        self.pipe.beat(deadline)

    def say(self, message: Message) -> None:
        self.pipe.say(message)

    def check(self, error: BaseException) -> None:
        """Remember an out-of-memory error as the reason to step down; raise any other error again."""
        from engine.measure import is_out_of_memory  # torch is there already, or there would be no such error

        if not is_out_of_memory(error):
            raise error
        self._reason = f"out of memory ({str(error).strip().splitlines()[0]:.120})" if str(error) else "out of memory"

    def step_down(self) -> None:
        """Go to the next smaller fallback, and report it. Raises TooLarge if there is none."""
        from engine.measure import release

        release()
        step = step_down(self.preset, self.params, self._small_codec())
        if step is None:
            raise TooLarge(
                f"{self._reason}, and nothing more can be reduced", "use a smaller --preset, or a larger card"
            )
        self.preset, done = step
        self.say(
            Failure(f"{self._reason}: {done} from now on", "a smaller --size or --preset leaves the choice to you")
        )

    def _small_codec(self) -> CodecSpec | None:
        if not self.preset.leaner:
            return None
        try:
            codec = load_preset(self.preset.leaner).codec
        except EngineError:
            return None
        return codec if locate(codec.weights).is_file() else None


class ScaledSession:
    """A session that runs at `inner` size, while its caller uses `outer`: frames are scaled in, pictures scaled out."""

    def __init__(self, session: Session, inner: tuple[int, int], outer: tuple[int, int]) -> None:
        self._session, self._inner, self._outer = session, inner, outer

    @property
    def device(self) -> str:
        return self._session.device

    @property
    def report(self) -> Any:
        return self._session.report

    def update(self, params: Params) -> None:
        self._session.update(params)

    def reset(self) -> None:
        self._session.reset()

    def push(self, frame: Frame) -> None:
        self._session.push(self._scaled(frame, self._inner))

    def step(self) -> Iterable[Frame]:
        return self._scale_all(self._session.step())

    def _scale_all(self, pictures: Iterable[Frame]) -> Iterator[Frame]:
        for picture in pictures:
            yield self._scaled(picture, self._outer)

    def _scaled(self, frame: Frame, size: tuple[int, int]) -> Frame:
        return frame if frame.size == size else Frame(cover_pixels(frame.pixels, *size), frame.time, frame.index)
