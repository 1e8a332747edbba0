"""Stage two: the denoiser and the text encoder learn to turn a noised source into a look, and to sharpen a look."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.byte_text import ByteText
from engine.models.causal_dit import CausalDiT
from engine.models.small_codec import SmallCodec
from engine.preset import Preset
from engine.stream.schedule import Schedule
from engine.train.clips import draw_clip
from engine.train.codec_stage import to_tensor
from engine.train.learner import Learner, Rates
from engine.train.looks import LOOKS, render
from engine.train.losses import slopes
from engine.train.memory import one_lane, two_lanes
from engine.train.phrases import draw_phrase
from engine.train.pictures import Random
from engine.train.pool import Pool

NAMES = tuple(LOOKS)
LATENTS = 9  # latent frames in a clip of the pool
RUN = 7  # latent frames in a training example: as far as the window looks
PER_CLIP = 3  # looks rendered of each clip


@dataclass(frozen=True)
class Pair:
    """One clip's latents [LATENTS, C, h, w], as filmed and in some looks. float16: it is a large stock."""

    source: Tensor
    looks: dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """source, target: latents [B, T, C, h, w].   looks: [B] index into NAMES.   prompts: B texts."""

    source: Tensor
    target: Tensor
    looks: Tensor
    prompts: list[str]


class DenoiserStage:
    """Denoising translation, supervised: noised source + prompt -> look, and noised look + prompt -> look.

    Half of the batches hold the clip twice (early step and last step, as a stream with one row keeps them), half once.
    """

    name = "denoiser"

    def __init__(self, preset: Preset, codec: SmallCodec, seed: int, batch: int = 8, side: int = 16, stock: int = 110) -> None:
        torch.manual_seed(seed)
        self.preset, self.codec, self.seed, self.batch, self.side = preset, codec.eval(), seed, batch, side
        self.schedule = Schedule(preset.schedule)
        self.dit, self.text = CausalDiT(preset.dit), ByteText(preset.text)
        prepare(self.dit)
        self.namer = nn.Linear(preset.text.dim, len(NAMES))  # trains the text encoder, and is not shipped
        self.pool: Pool[Pair] = Pool(self._make, stock, 4, seed)
        rates = Rates(rest=1e-3, matrices=1.5e-3)
        self.learner = Learner({"dit": self.dit, "text": self.text, "namer": self.namer}, rates, decay=0.998)

    def begin(self) -> None:
        """Nothing to fit."""

    def step(self, step: int, share: float) -> dict[str, float]:
        """One optimiser step. Returns what to plot."""
        torch.manual_seed(1_000_003 * self.seed + step)
        pairs, random = self.pool.draw(step, self.batch)
        batch = self.cut(pairs, random, None if share > 0.85 and random.random() < 0.4 else self.side)
        with torch.autocast("cpu", torch.bfloat16):
            embedding = self.text.encode(batch.prompts)
            naming = F.cross_entropy(self.namer(embedding.mean(1)).float(), batch.looks)
            losses = self.translate(batch, embedding, random)
        self.learner.descend(losses["early"] + losses["last"] + 0.1 * naming, share)
        return {name: float(loss) for name, loss in losses.items()} | {"naming": float(naming)}

    def translate(self, batch: Batch, embedding: Tensor, random: Random) -> dict[str, Tensor]:
        """The losses of an early step (from the source) and of a later one (from the look), at what live mixing gives."""
        context = self.dit.context(embedding)
        frames, tokens = batch.source.shape[1], batch.source.shape[-1] * batch.source.shape[-2] // 4
        window = self.preset.window
        early, early_t = self.mix_source(batch.source, random)
        last, last_t = self.mix_look(batch.target, random)
        if random.random() < 0.6:
            memory = two_lanes(frames, tokens, window.slots, window.sinks)
            noisy, t = torch.cat([early, last], 1), torch.cat([early_t, last_t], 1)
            clean = self.clean(noisy, t, memory, context)
            guesses = clean[:, :frames], clean[:, frames:]
        else:
            memory = one_lane(frames, tokens, window.slots, window.sinks)
            guesses = (self.clean(early, early_t, memory, context), self.clean(last, last_t, memory, context))
        return {"early": self.loss(guesses[0] - batch.target), "last": self.loss(guesses[1] - batch.target)}

    def clean(self, noisy: Tensor, t: Tensor, memory, context) -> Tensor:  # type: ignore[no-untyped-def]
        flow = self.dit(noisy, t, memory, context)
        return noisy - self.schedule.sigma(t)[..., None, None, None] * flow.float()

    def mix_source(self, source: Tensor, random: Random) -> tuple[Tensor, Tensor]:
        """Noise the source as the stream does: a share of noise, and a timestep `lead` below it. Mostly the usual 0.8 and 0.7."""
        batch, frames = source.shape[:2]
        share = torch.rand(batch, 1) * 0.55 + 0.3
        usual = torch.rand(batch, 1) < 0.6
        share = torch.where(usual, 0.8 - 0.1 * torch.rand(batch, frames) * (torch.rand(batch, 1) < 0.5), share)
        t = (1000 * share).floor() - self.preset.schedule.lead
        share = share[..., None, None, None]
        return (1 - share) * source + share * noise_like(source, random), t

    def mix_look(self, look: Tensor, random: Random) -> tuple[Tensor, Tensor]:
        """Noise the look to one of the later timesteps, mostly the first of them."""
        later = torch.tensor(self.preset.schedule.timesteps[1:], dtype=torch.float32)
        pick = torch.multinomial(torch.tensor([0.6, 0.2, 0.2]), look.shape[0], replacement=True)
        t = later[pick][:, None].expand(look.shape[:2])
        return self.schedule.add_noise(look, noise_like(look, random), t), t

    def loss(self, error: Tensor) -> Tensor:
        """What a latent error looks like: through the linear part of the decoder, as pixels and edges."""
        skip = self.codec.decoder.skip
        flat = F.pad(error.flatten(0, 1) / self.codec.spec.scale, (1, 1, 1, 1), mode="replicate")
        seen = self.codec.decoder.unfold(F.conv2d(flat, skip.weight)).float()
        return 8 * seen.square().mean() + slopes(seen) + 0.002 * error.square().mean()

    def cut(self, pairs: list[Pair], random: Random, side: int | None) -> Batch:
        """Cut the same place from a clip and its look: RUN latent frames, in a row or with a gap after the sinks."""
        picks = [NAMES.index(list(pair.looks)[random.integers(len(pair.looks))]) for pair in pairs]
        if side is None:
            pairs, picks = pairs[:2], picks[:2]
        sources, targets = [], []
        for pair, pick in zip(pairs, picks, strict=True):
            time = self._frames(random)
            height, width = pair.source.shape[-2:]
            y = 0 if side is None else 2 * int(random.integers((height - side) // 2 + 1))
            x = 0 if side is None else 2 * int(random.integers((width - side) // 2 + 1))
            box = (slice(y, y + (side or height)), slice(x, x + (side or width)))
            sources.append(pair.source[time][:, :, *box])
            targets.append(pair.looks[NAMES[pick]][time][:, :, *box])
        prompts = [draw_phrase(NAMES[pick], random) for pick in picks]
        return Batch(torch.stack(sources).float(), torch.stack(targets).float(), torch.tensor(picks), prompts)

    def _frames(self, random: Random) -> list[int]:
        sinks, start = self.preset.window.sinks, int(random.integers(LATENTS - RUN + 1))
        if random.random() < 0.5:
            return list(range(start, start + RUN))
        return [*range(sinks), *range(sinks + start, RUN + start)]

    @torch.inference_mode()
    def _make(self, random: Random) -> Pair:
        clip = draw_clip(LATENTS * self.codec.spec.temporal, self.preset.width, self.preset.height, random)
        names = random.choice(len(NAMES), PER_CLIP, replace=False)
        looks = {NAMES[i]: self._encode(render(NAMES[i], clip)) for i in names}
        return Pair(self._encode(clip), looks)

    def _encode(self, clip) -> Tensor:  # type: ignore[no-untyped-def]
        with torch.autocast("cpu", torch.bfloat16):
            return self.codec.encode(to_tensor(clip), None)[0].half()


def noise_like(latents: Tensor, random: Random) -> Tensor:
    """Gaussian noise [B, T, C, h, w]: anew for every frame, or (two times in three) one field per clip that stays."""
    if random.random() < 0.35:
        return torch.randn_like(latents)
    return torch.randn_like(latents[:, :1]).expand_as(latents)


@torch.no_grad()
def prepare(dit: CausalDiT) -> None:
    """A start that small models learn from at once: open gates, a bias that survives the norms, no flow yet."""
    for block in dit.blocks:
        block.modulation[:, [2, 5]] = 1.0
        for name in ("self_attn", "cross_attn"):
            getattr(block, name).o.weight.mul_(0.3)
        block.ffn[2].weight.mul_(0.3)
    dit.time_projection[1].weight.mul_(0.1)
    dit.patch_embedding.weight.mul_(0.3)
    dit.patch_embedding.bias.normal_()
    dit.head.head.weight.zero_()
    dit.head.head.bias.zero_()
