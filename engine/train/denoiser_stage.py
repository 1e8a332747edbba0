"""Stage two: the denoiser and the text encoder learn to turn a noised source into a look, and to refine a look."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.byte_text import ByteText
from engine.models.causal_dit import CausalDiT
from engine.models.interfaces import Context, Memory
from engine.models.small_codec import SmallCodec
from engine.preset import Preset, ScheduleSpec
from engine.stream.schedule import Schedule
from engine.train.attention import write_out
from engine.train.examples import NAMES, Batch, Examples, Maker
from engine.train.learner import Learner, Rates, rate_at
from engine.train.memory import one_lane, two_lanes
from engine.train.phrases import draw_phrase
from engine.train.pictures import Random
from engine.train.pool import Ahead
from engine.train.recipe import Recipe
from engine.train.start import prepare
from engine.train.wishes import COLOURS, STRENGTHS, Wish, draw_wish

LONG_FROM = 0.5  # share of the stage after which six batches in ten are as long as the window
OWN_FROM = 0.1  # share of the stage after which a later step may start from the model's own guess
SPLIT = (len(NAMES), 1 + len(COLOURS), 1 + len(STRENGTHS))  # what is told from a phrase: look, colour, strength
WORDY = 0.35  # share of these with a colour, and of those with a strength
KEEP = 20.0  # worth of an embedding that stays, against a look told from words
PHRASES = 64  # phrases a step, beside those that come with pictures
WHOLE_FROM = 0.6  # share of the stage after which four batches in ten are full pictures instead of crops


class DenoiserStage:
    """Denoising translation, supervised: noised source + prompt -> look, and noised look + prompt -> look."""

    name = "denoiser"

    def __init__(
        self, preset: Preset, recipe: Recipe, codec: SmallCodec, make: Maker, seed: int, device: torch.device,
        ahead: Ahead | None = None,
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)
        self.recipe, self.seed, self.device = recipe, seed, device
        self.start: dict[str, dict[str, Tensor]] = {}  # weights of dit and text to go on from, if any
        self.codec = codec.to(device).eval()
        self.translator = Translator(preset, codec).to(device)
        self.namer = nn.Linear(preset.text.dim, sum(SPLIT)).to(device)  # teaches the text encoder, and is not shipped
        self.examples = Examples(preset, make, recipe.stock, seed, device, ahead)
        modules = {"dit": self.translator.dit, "text": self.translator.text, "namer": self.namer}
        self.learner = Learner(
            modules, Rates(rest=6e-4, matrices=1.5e-3, slow=1e-4, gentle=("patch_embedding",)), decay=0.998
        )

    def begin(self) -> None:
        """Before the first picture: learn the words, and start the denoiser as the best linear one."""
        torch.manual_seed(self.seed)
        batch, random = self.examples.draw(0, self.recipe.stock, self.recipe.side, long=0.0, whole=0.0)
        prepare(self.translator.dit, batch.source.square().mean((0, 1, 3, 4)), self.translator.schedule)
        for name, weights in self.start.items():
            self.learner.modules[name].load_state_dict(weights)
        self._learn_words(random)
        self.learner.settle()

    def step(self, step: int, share: float) -> dict[str, float]:
        """One optimiser step. Returns what to plot."""
        torch.manual_seed(1_000_003 * self.seed + step)
        long, whole = 0.2 + 0.4 * (share > LONG_FROM), 0.4 * (share > WHOLE_FROM)
        batch, random = self.examples.draw(step, self.recipe.denoiser_batch, self.recipe.side, long, whole)
        with torch.autocast(self.device.type, torch.bfloat16):
            embedding = self.translator.text.encode(batch.prompts)
            naming = self._name(random)
            early, last = self.translator.guess(batch, embedding, random, own=share > OWN_FROM)
            losses = {
                "early": self.translator.loss(early, batch.target),
                "last": self.translator.loss(last, batch.target),
            }
        self.learner.descend(losses["early"] + losses["last"] + 0.4 * naming, share)
        return {name: loss.item() for name, loss in (losses | {"naming": naming}).items()}

    def _learn_words(self, random: Random) -> None:
        """The text encoder alone. What a denoiser at hand already understands must go on meaning the same to it."""
        text, known = self.translator.text, copy.deepcopy(self.translator.text).requires_grad_(False)
        words = torch.optim.AdamW([*text.parameters(), *self.namer.parameters()], lr=1e-3)
        for step in range(self.recipe.word_steps):
            for group in words.param_groups:
                group["lr"] = 1e-3 * rate_at(step / self.recipe.word_steps)
            words.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16):
                loss = self._name(random)
                if self.start:
                    plain = [draw_phrase(Wish(NAMES[look]), random) for look in random.integers(len(NAMES), size=32)]
                    loss = loss + KEEP * F.mse_loss(text.encode(plain).float(), known.encode(plain).float())
            loss.backward()  # type: ignore[no-untyped-call]
            words.step()

    def _name(self, random: Random) -> Tensor:
        """How badly looks are told from phrases: many more phrases than pictures are needed, and they cost little."""
        wishes = [draw_wish(NAMES[look], random, WORDY) for look in random.integers(len(NAMES), size=PHRASES)]
        embedding = self.translator.text.encode([draw_phrase(wish, random) for wish in wishes])
        places = torch.tensor([_places(wish) for wish in wishes], device=self.device)  # [PHRASES, 3]
        parts = self.namer(embedding.mean(1)).float().split(SPLIT, dim=1)
        return torch.stack([F.cross_entropy(part, place) for part, place in zip(parts, places.T, strict=True)]).sum()


def _places(wish: Wish) -> tuple[int, int, int]:
    """Index of the look, of the colour (0 for none) and of the strength (0 for none)."""
    return NAMES.index(wish.look), ("", *COLOURS).index(wish.colour), ("", *STRENGTHS).index(wish.strength)


class Translator(nn.Module):
    """The denoiser and the text encoder in training: what goes in at which timestep, and what an error is worth."""

    worth: Tensor

    def __init__(self, preset: Preset, codec: SmallCodec) -> None:
        super().__init__()
        self.dit, self.text = CausalDiT(preset.dit), ByteText(preset.text)
        self.window, self.schedule = preset.window, preset.schedule
        self.register_buffer("worth", channel_worth(codec))
        write_out(self.dit)

    def guess(self, batch: Batch, embedding: Tensor, random: Random, own: bool) -> tuple[Tensor, Tensor]:
        """Clean estimates of an early step, from the source, and of a later one, from the look: [B, T, C, h, w] each.

        Half of the time the early step sees the past at the later step, as a stream with one row does; else each sees
        the past at its own, and with `own` the later one starts from what the early one made, not from the true look.
        """
        context = self.dit.context(embedding)
        early, last = mix_source(batch.source, self.schedule, random), mix_look(batch.target, self.schedule, random)
        if random.random() < 0.5:
            return self.guess_both(batch, early, last, context)
        memory = one_lane(batch.positions, batch.tokens, self.window).to(early[0].device)
        first = self.clean(*early, memory, context)
        if own:
            last = self.again(first.detach(), last[1], random), last[1]
        return first, self.clean(*last, memory, context)

    def again(self, guess: Tensor, t: Tensor, random: Random) -> Tensor:
        """A guess noised again, for the next step."""
        return Schedule(self.schedule, guess.device).add_noise(guess, noise_like(guess, random), t)

    def guess_both(
        self, batch: Batch, early: tuple[Tensor, Tensor], last: tuple[Tensor, Tensor], context: Context
    ) -> tuple[Tensor, Tensor]:
        """Both steps in one call; `early` and `last` are noisy latents and their timesteps."""
        memory = two_lanes(batch.positions, batch.tokens, self.window).to(early[0].device)
        noisy, t = (torch.cat(parts, dim=1) for parts in zip(early, last, strict=True))
        frames = early[0].shape[1]
        clean = self.clean(noisy, t, memory, context)
        return clean[:, :frames], clean[:, frames:]

    def clean(self, noisy: Tensor, t: Tensor, memory: Memory, context: Context) -> Tensor:
        flow = self.dit(noisy, t, memory, context)
        return Schedule(self.schedule, noisy.device).to_clean(noisy, flow.float(), t)

    def loss(self, guess: Tensor, target: Tensor) -> Tensor:
        """Squared error of latents [B, T, C, h, w], each channel by what it is worth in the picture.

        Dark or flat looks have little energy: half of that (in decibels) is made up for, or nobody would learn them.
        """
        error = (self.worth * (guess - target).square()).mean((1, 2, 3, 4))
        spread = (self.worth * (target - target.mean((1, 3, 4), keepdim=True)).square()).mean((1, 2, 3, 4))
        return (error / (0.3 + spread).sqrt()).mean()


def mix_source(source: Tensor, spec: ScheduleSpec, random: Random) -> tuple[Tensor, Tensor]:
    """Noise a source [B, T, C, h, w] as the stream does; also the timesteps [B, T] the model is told, `lead` below it.

    Half of the time the usual 0.8, lowered by up to 0.2 as if by motion or by hand; else any share from 0.3 to 0.85, or
    exactly one that is told as a later step's timestep: a source must not be taken for a look because of its number.
    """
    (batch, frames), device = source.shape[:2], source.device
    chance = torch.rand(batch, 1, device=device)
    moved = 0.2 * torch.rand(batch, frames, device=device) * (torch.rand(batch, 1, device=device) < 0.5)
    later = torch.tensor(spec.timesteps[1:], device=device)[torch.randint(len(spec.timesteps) - 1, (batch, 1))]
    anything = 0.3 + 0.55 * torch.rand(batch, 1, device=device)
    share = torch.where(chance < 0.5, 0.8 - moved, torch.where(chance < 0.75, anything, (later + spec.lead) / 1000))
    mixed = torch.lerp(source, noise_like(source, random), share[..., None, None, None])
    return mixed, (1000 * share + 1e-3).floor() - spec.lead


def mix_look(look: Tensor, spec: ScheduleSpec, random: Random) -> tuple[Tensor, Tensor]:
    """Noise a look [B, T, C, h, w] to one of the later timesteps [B, T], mostly the first of them."""
    later = torch.tensor(spec.timesteps[1:], dtype=torch.float32, device=look.device)
    odds = torch.tensor([3.0] + [1.0] * (len(later) - 1), device=look.device)
    t = later[torch.multinomial(odds, look.shape[0], replacement=True)][:, None].expand(look.shape[:2])
    return Schedule(spec, look.device).add_noise(look, noise_like(look, random), t), t


def noise_like(latents: Tensor, random: Random) -> Tensor:
    """Gaussian noise [B, T, C, h, w]: one field per clip that stays, or (one time in three) anew for every frame."""
    if random.random() < 0.35:
        return torch.randn_like(latents)
    return torch.randn_like(latents[:, :1]).expand_as(latents)


@torch.no_grad()
def channel_worth(codec: SmallCodec) -> Tensor:
    """[C, 1, 1]: how much of a picture's energy one unit of each latent channel is, to the power 0.7.

    0.7 rather than 1, so that edges count for more than their few pixels.
    """
    energy = codec.decoder.skip.weight.square().sum((0, 2, 3)) ** 0.7
    return (energy / energy.mean() / codec.spec.scale**2 * 4).view(-1, 1, 1)
