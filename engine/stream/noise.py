"""How much noise each chunk gets, from how the picture moves, and its timesteps. Numbers only, no tensors."""

from __future__ import annotations

from dataclasses import dataclass

from engine.preset import ScheduleSpec


@dataclass(frozen=True, slots=True)
class NoisePolicy:
    """Turns measured motion into the noise mixed into a chunk.

    A still picture gets more noise, so that the model changes more; a moving one gets less, to follow the camera.

    still:       noise for a still picture, 0..1.
    pull:        how far full motion pulls the noise below `still`; more than `still` counts as `still`.
    full_motion: the motion (see engine.stream.motion) that counts as full, in pixel units of [-1, 1].
    memory:      share of the previous noise kept, 0..1; 0 follows motion at once.

    Raises ValueError if a number is outside its range.
    Source: StreamDiffusionV2 c5a0f20, streamv2v/inference.py, compute_noise_scale_and_step.
    """

    still: float = 0.8
    pull: float = 0.1
    full_motion: float = 0.2
    memory: float = 0.1

    def __post_init__(self) -> None:
        if not (0 <= self.still <= 1 and self.pull >= 0 and 0 <= self.memory <= 1 and self.full_motion > 0):
            raise ValueError(f"not a usable noise policy: {self}")

    def next(self, motion: float, previous: float) -> float:
        """Noise for the coming chunk, 0..1, given its motion and the noise of the chunk before."""
        target = max(self.still - self.pull * min(motion / self.full_motion, 1.0), 0.0)
        return (1 - self.memory) * target + self.memory * previous


def first_timestep(noise: float, timestep_offset: int) -> int:
    """The timestep given to the model for a chunk mixed with `noise`: `timestep_offset` below, as in the reference."""
    return max(int(1000 * noise) - timestep_offset, 0)


def timesteps_of(noise: float, spec: ScheduleSpec, steps: int) -> list[int]:
    """One for each step of a chunk mixed with `noise`: the first follows it, and no later one is noisier than it."""
    first = first_timestep(noise, spec.lead)
    return [first, *(min(t, first) for t in spec.take(steps)[1:])]
