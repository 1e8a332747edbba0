"""A range of the denoiser's blocks is a model: built, loaded, measured and run alone, or one after another."""

import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import BadPreset, BadWeights
from engine.measure import memory_estimate, size_of
from engine.models.build import build_denoiser, make_denoiser
from engine.models.causal_dit import CausalDiT
from engine.preset import DitSpec, load_preset
from engine.session import Session
from engine.stream.batch import StreamBatch
from engine.stream.kvcache import KVCache
from engine.stream.noise_source import NoiseSource
from engine.stream.pace import plan_steps
from engine.stream.schedule import Schedule
from tests.engine.small import PRESET, film, play, same, small_models
from tests.engine.stream.planned import PlannedBatch

CPU, FLOAT = torch.device("cpu"), torch.float32
DIT = replace(PRESET.dit, layers=5)
TIMES, TOKENS = [700, 500, 400, 200], 8


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(5)
    model = CausalDiT(DIT).eval().requires_grad_(False)
    torch.nn.init.normal_(model.head.head.weight, std=0.05)
    return model


def part_of(whole, layers):
    part = CausalDiT(DIT, layers).eval().requires_grad_(False)
    part.load_state_dict({key: value for key, value in whole.state_dict().items() if key in part.state_dict()})
    return part


class Stage:
    """A part and what it remembers. It is given nothing but the planned batch, and what is on the wire."""

    def __init__(self, model, embedding):
        self._model, self._context = model, model.context(embedding)
        self.cache = KVCache(PRESET.window, DIT, TOKENS, CPU, FLOAT, model.layers)

    def run(self, x, timesteps):
        return self._model(x, timesteps, self.cache, self._context)


class Stages:
    """Stages in one process in the place of a denoiser and its cache; the wire is a variable."""

    def __init__(self, stages):
        self._stages, self.device = stages, CPU

    def fits(self, row):
        return all(stage.cache.fits(row) for stage in self._stages)

    def begin(self, batch):
        return [stage.cache.begin(batch) for stage in self._stages][0]

    def __call__(self, wire, timesteps, memory, context):
        for stage in self._stages:
            wire = stage.run(wire, timesteps)
        return wire


def still(like, step):
    return NoiseSource(1, CPU).draw(like, step, carry=True)


def chunks(count, first=1):
    draw = torch.Generator().manual_seed(4)
    return [torch.randn(1 if number else first, 8, 4, 8, generator=draw) for number in range(count)]


@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (2, 2), (4, 2), (3, 1), (4, 4)])
@pytest.mark.parametrize("cuts", [(0, 2, 5), (0, 1, 4, 5)], ids=str)
def test_parts_one_after_another_are_the_whole(whole, steps, rows, cuts):
    """Through a window that fills, rolls and slides, and the renewal of its sinks."""
    embedding, plan = torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(1)), plan_steps(steps, rows)
    schedule, context = Schedule(PRESET.schedule), whole.context(embedding)
    alone = PlannedBatch(whole, schedule, PRESET.window, KVCache(PRESET.window, DIT, TOKENS, CPU, FLOAT))
    stages = Stages([Stage(part_of(whole, range(*ends)), embedding) for ends in zip(cuts, cuts[1:], strict=False)])
    wanted, latents = [], chunks(16, first=2)
    for tag, latent in enumerate(latents):
        if tag == 9:
            alone.renew_sinks()
        wanted += alone.step(latent, tag, TIMES[:steps], plan, context, still)
    wanted += alone.drain(TIMES[:steps], plan, context, still)

    staged, done = StreamBatch(stages, schedule, stages), []
    for tag, batch in enumerate(alone.batches):
        done += staged.run(batch, latents[tag] if tag < len(latents) else None, (), still)

    assert [chunk.tag for chunk in done] == list(range(16))
    assert all(torch.equal(a.latent, b.latent) for a, b in zip(done, wanted, strict=True))


class InTwo(torch.nn.Module):
    """A `Denoiser` of two parts."""

    def __init__(self, whole, cut):
        super().__init__()
        layers = range(whole.spec.layers)
        self._cut, parts = cut, [CausalDiT(whole.spec, layers[:cut]), CausalDiT(whole.spec, layers[cut:])]
        for part in parts:
            part.load_state_dict({key: value for key, value in whole.state_dict().items() if key in part.state_dict()})
            part.eval().requires_grad_(False)
        self.parts = torch.nn.ModuleList(parts)

    def context(self, embedding, min_tokens=0):
        return [each for part in self.parts for each in part.context(embedding, min_tokens)]

    def forward(self, latents, timesteps, memory, context):
        wire = self.parts[0](latents, timesteps, memory, context[: self._cut])
        return self.parts[1](wire, timesteps, memory, context[self._cut :])


def test_a_session_plays_two_parts_as_it_plays_the_whole():
    models, frames = small_models(), film(60)
    params = PRESET.params.set_all({"steps": 4, "rows": 2})
    films = []

    for denoiser in (models.denoiser, InTwo(models.denoiser, 1)):
        session = Session(replace(models, denoiser=denoiser, loras=None), PRESET)
        session.update(params)
        films.append(play(session, frames))

    assert same(*films)


# ---- its weights


WIDE = DitSpec("", channels=8, dim=256, ffn=1024, heads=4, layers=8, text_dim=16, text_len=4)
SECOND = range(4, 8)


@pytest.fixture
def halves(tmp_path):
    """A file of weights whose second half holds no numbers: whoever looks at it says so."""
    weights = {key: torch.full(part.shape, 0.01) for key, part in make_denoiser(WIDE).state_dict().items()}
    for key in weights:
        if key.startswith("head") or key.split(".")[1:2] and key.split(".")[1] in map(str, SECOND):
            weights[key].fill_(torch.nan)
    save_file(weights, tmp_path / "dit.safetensors")
    return replace(WIDE, weights=str(tmp_path / "dit.safetensors"))


def test_loading_a_part_reads_its_own_weights_and_no_others(halves, monkeypatch):
    import engine.weights

    fetched = []

    class Counted:
        def __init__(self, *given, **how):
            self._file = safe_open(*given, **how)

        def __enter__(self):
            return self

        def __exit__(self, *why):
            return self._file.__exit__(*why)

        def keys(self):
            return self._file.keys()

        def get_tensor(self, key):
            fetched.append(self._file.get_tensor(key))
            return fetched[-1]

    safe_open = engine.weights.safe_open
    monkeypatch.setattr(engine.weights, "safe_open", Counted)

    part = build_denoiser(halves, CPU, FLOAT, range(4))

    assert size_of(fetched) == size_of(part.state_dict().values())
    assert size_of(fetched) < 0.55 * size_of(make_denoiser(WIDE).state_dict().values())
    with pytest.raises(BadWeights, match="not numbers"):
        build_denoiser(halves, CPU, FLOAT, SECOND)


@pytest.mark.skipif(sys.platform != "linux", reason="which pages of a file are in memory is read from Linux's /proc")
def test_the_pages_of_other_parts_stay_on_disk(halves):
    part = build_denoiser(halves, CPU, FLOAT, range(2))
    own, whole = (size_of(model.state_dict().values()) for model in (part, make_denoiser(WIDE)))

    assert own <= pages_in_memory(halves.weights) < 1.2 * own < 0.5 * whole


def pages_in_memory(path):
    """Bytes of the mapped file that this process has touched."""
    size, counts = 0, False
    with open("/proc/self/smaps") as maps:
        for line in maps:
            if "-" in line.split(" ")[0]:
                counts = line.rstrip().endswith(path)
            elif counts and line.startswith("Rss:"):
                size += int(line.split()[1]) * 1024
    return size


def test_a_file_of_another_model_is_noticed_by_a_part_too(halves):
    deeper = replace(halves, layers=9)

    with pytest.raises(BadWeights, match="does not fit"):
        build_denoiser(deeper, CPU, FLOAT, range(7, 9))
    with pytest.raises(BadWeights, match=r"blocks.7.* is not part of it"):
        build_denoiser(replace(halves, layers=7), CPU, FLOAT, range(2))


@pytest.mark.parametrize("layers", [range(0), range(6), range(-1, 2), range(0, 4, 2)], ids=str)
def test_what_is_no_part_is_refused(layers):
    with pytest.raises(BadPreset, match="is no part of 5 blocks"):
        make_denoiser(DIT, layers)


def test_a_denoiser_of_an_unknown_kind_is_refused_with_those_that_are_known():
    with pytest.raises(BadPreset, match="no model of kind 'unet'") as error:
        make_denoiser(replace(DIT, kind="unet"))

    assert "wan" in error.value.hint


# ---- what it takes


def test_the_parts_of_a_large_model_take_what_the_whole_takes_and_what_they_share_twice():
    pytest.importorskip("transformers")
    preset = load_preset("wan-1.3b")
    whole, *parts = (memory_estimate(preset, torch.bfloat16, 2, layers) for layers in (None, range(15), range(15, 30)))
    first, last = (make_denoiser(preset.dit, layers) for layers in (range(1), range(29, 30)))
    shared = {key: value for key, value in first.state_dict().items() if key in last.state_dict()}

    assert sum(part.window for part in parts) == whole.window
    assert sum(part.denoiser for part in parts) == whole.denoiser + 2 * sum(each.numel() for each in shared.values())
    assert max(part.denoiser for part in parts) < 0.55 * whole.denoiser
