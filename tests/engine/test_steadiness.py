"""Controls that move again before the last move is done: nothing jumps, and nothing is left half done."""

from dataclasses import replace

import pytest
import torch

from engine.frame import Frame
from engine.models.causal_dit import CausalDiT
from engine.session import Session
from tests.engine.small import PRESET, film, same, small_models


class Listening(CausalDiT):
    """Remembers every embedding that it was given."""

    def __init__(self, plain):
        super().__init__(plain.spec)
        self.load_state_dict(plain.state_dict())
        self.eval().requires_grad_(False)
        self.heard = []

    def context(self, embedding, min_tokens=0):
        self.heard.append(embedding)
        return super().context(embedding, min_tokens)


@pytest.mark.parametrize("turned_at", [16, 24, 32])
def test_a_fade_turned_round_midway_goes_on_from_where_the_picture_is(turned_at):
    models, fade, changes = small_models(), 2.0, {8: "gold", turned_at: "ink"}
    heard = Listening(models.denoiser)
    session = Session(replace(models, denoiser=heard, loras=None), PRESET)
    params = PRESET.params.set_all({"prompt": "neon", "fade": fade})
    session.update(params)

    for frame in film(80):
        if frame.index in changes:
            session.update(params := params.set("prompt", changes[frame.index]))
        session.push(frame)
        session.step()

    prompts = [models.text.encode([text]) for text in ("neon", "gold", "ink")]
    farthest = max(float((a - b).abs().max()) for a in prompts for b in prompts)
    moves = [float((a - b).abs().max()) for a, b in zip(heard.heard, heard.heard[1:], strict=False)]
    a_chunk = PRESET.chunk.later / PRESET.fps
    assert len(moves) > 10
    assert max(moves) <= farthest * a_chunk / fade + 1e-6
    assert torch.equal(heard.heard[-1], prompts[-1])


def shots(scenes):
    """A film of still chunks: scene "a" or "b" for each."""
    pictures = {scene: film(1, seed=seed)[0].pixels for seed, scene in enumerate("ab")}
    frames = [pictures[scene] for scene in scenes for _ in range(PRESET.chunk.later)]
    return [Frame(pixels, index / PRESET.fps, index) for index, pixels in enumerate(frames)]


def test_a_scene_that_is_seen_for_a_moment_does_not_cut_the_renewal_after_a_new_prompt_short():
    """It is shown while the rolling slots settle. All sinks are renewed all the same, as where none is ever compared;
    a renewal given up for the one sink that resembles the moment least would leave the others as they were.
    """
    films, prompt_at = [], 8
    for refresh in (0.98, -1.0):  # the same scene is above 0.99 here, the other one below 0.97
        session = Session(small_models(), replace(PRESET, window=replace(PRESET.window, refresh=refresh)))
        pictures = []
        for frame in shots("a" * (prompt_at + 2) + "b" + "a" * 8):
            if frame.index == prompt_at * PRESET.chunk.later:
                session.update(replace(PRESET.params, prompt="neon", fade=0.0))
            session.push(frame)
            pictures += session.step()
        films.append(pictures)

    assert same(*films)
