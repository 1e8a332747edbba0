"""Every switch of engine.accel beside the plain model: the same stream, within what each states."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.accel import attention, compile, fp8
from engine.accel.apply import accelerate, call_shape, graphed, with_codec
from engine.accel.cudagraph import GraphedCodec
from engine.accel.precision import Bfloat16Codec
from engine.errors import BadPreset, DeviceUnavailable
from engine.models.build import Models, build, make_denoiser
from engine.models.causal_dit import Attention, CausalDiT
from engine.models.wan_vae import WanVae
from engine.preset import AccelSpec, load_preset
from engine.session import Session
from tests.engine.accel.tape import Tape, memory_in_use
from tests.engine.models.test_lora import write_lora
from tests.engine.small import PRESET, film, play, same, small_models

CPU = torch.device("cpu")
gpu = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def stream(models, preset=PRESET, count=40, **params):
    session = Session(models, preset)
    session.update(preset.params.set_all(params))
    return play(session, film(count))


def decibels(pictures, others):
    """Peak signal-to-noise ratio between two films, dB."""
    a, b = (np.stack([picture.pixels for picture in film]).astype(float) for film in (pictures, others))
    return 10 * np.log10(255**2 / max(((a - b) ** 2).mean(), 1e-12))


def test_with_every_switch_off_the_models_are_the_plain_ones():
    models = small_models()

    assert accelerate(models, replace(PRESET, accel=AccelSpec())) == models


@pytest.mark.parametrize("accel", [{"channels_last": True}, {"exp_gelu": True}], ids=str)
def test_switches_that_only_choose_how_to_compute_give_the_same_film(accel):
    preset = replace(PRESET, accel=AccelSpec(**accel))

    fast = stream(accelerate(small_models(), preset), preset)

    assert decibels(fast, stream(small_models())) > 70


@pytest.mark.parametrize("name", ["wan-1.3b", "wan-1.3b-t2v", "tiny"])
def test_the_call_that_attention_is_tried_at_is_that_of_a_full_window(name):
    preset = load_preset(name)

    rows, queries, keys = call_shape(preset)

    tokens = preset.tokens
    assert (rows, keys) == ({"wan-1.3b": 2, "wan-1.3b-t2v": 1, "tiny": 1}[name], preset.window.slots * tokens)
    assert queries == tokens * (3 if name == "wan-1.3b-t2v" else 1)


@pytest.mark.parametrize("name", list(attention.kernels(CPU, torch.bfloat16)))
@pytest.mark.parametrize("masked", [False, True])
def test_every_kernel_sees_what_exact_attention_sees(name, masked, monkeypatch):
    monkeypatch.setattr(attention, "QUERY_BLOCK", 2)
    torch.manual_seed(1)
    q, k, v = (torch.randn(2, 3, length, 16) for length in (5, 12, 12))
    mask = torch.arange(12)[None, None, None] < torch.tensor([12, 7])[:, None, None, None] if masked else None
    hidden = torch.zeros(1, dtype=torch.bool) if mask is None else ~mask
    scores = (q.double() @ k.double().mT / 4).masked_fill(hidden, -1e30)
    exact = scores.softmax(-1) @ v.double()

    seen = attention.kernels(CPU, torch.bfloat16)[name](*(part.bfloat16() for part in (q, k, v)), attn_mask=mask)

    assert (seen.double() - exact).norm() / exact.norm() < 0.02


@pytest.mark.parametrize("sharp", [1, 3, 6])
def test_two_products_see_as_exactly_as_half_precision_allows_however_sharp_the_look(sharp):
    torch.manual_seed(1)
    q, k = (sharp * torch.randn(1, 2, length, 64) for length in (80, 512))
    q, k, v = (part.bfloat16() for part in (q, k, torch.randn(1, 2, 512, 64)))
    exact = attention.sdpa(q.double(), k.double(), v.double(), attn_mask=None)

    seen = attention.blocked_matmul(q, k, v, attn_mask=None)

    assert (seen.double() - exact).norm() / exact.norm() < 0.01


def test_where_every_attention_fails_torch_chooses():
    def full(q, k, v, *, attn_mask):
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert attention.fastest({"torch": full, "flash": full}, small_models().denoiser, (1, 8, 48)) == "torch"


def test_auto_takes_the_fastest_and_leaves_out_what_fails():
    model = small_models().denoiser

    def broken(q, k, v, *, attn_mask):
        raise RuntimeError("no kernel image for this card")

    def slow(q, k, v, *, attn_mask):
        return [attention.sdpa(q, k, v, attn_mask=attn_mask) for _ in range(200)][0]

    known = {"broken": broken, "slow": slow, "quick": attention.sdpa}

    assert attention.fastest(known, model, (1, 8, 48)) == "quick"


def test_where_there_is_one_attention_none_is_tried():
    def slow(q, k, v, *, attn_mask):
        raise AssertionError("seconds, at full size on a processor")

    assert attention.fastest({"torch": slow}, small_models().denoiser, (1, 8, 48)) == "torch"


def test_an_attention_or_a_compiler_that_is_not_here_is_said_with_those_that_are():
    model = small_models().denoiser

    with pytest.raises(BadPreset, match="no attention 'cudnn' on cpu") as caught:
        attention.apply(model, "cudnn", (1, 8, 48))
    assert "torch" in caught.value.hint
    with pytest.raises(BadPreset, match="no compiler 'tensorrt'"):
        compile.apply(model, "tensorrt")


# ---- codec in half precision


def test_a_codec_in_half_precision_is_fifty_decibels_from_the_exact_one():
    preset = load_preset("tiny")
    plain = build(preset, CPU, torch.float32)
    half = replace(plain, codec=Bfloat16Codec(copy.deepcopy(plain.codec).to(torch.bfloat16)))
    frames = film(8, size=(preset.width, preset.height))
    films = []

    for models in (plain, half):
        session = Session(models, preset)
        films.append(play(session, frames))

    assert decibels(*films) > 50


# ---- CUDA graphs: the book-keeping, with a tape in the place of the device's own recorder


@pytest.mark.parametrize(
    "params", [{"steps": 1}, {"steps": 2, "rows": 2}, {"steps": 4, "rows": 2, "carry": True}], ids=str
)
def test_a_replayed_stream_is_the_plain_one_to_the_bit(params):
    models, tape = small_models(), Tape()

    assert same(stream(graphed(models, tape), **params), stream(models, **params))
    assert tape.recorded == 3, "a step once the window is full, an encoding and a decoding: once for all"
    assert tape.replayed > 12


def test_prompts_steps_rows_and_reset_reach_a_replayed_stream():
    models, films = small_models(), []

    for each in (models, graphed(models, Tape())):
        session, pictures = Session(each, PRESET), []
        changes = {40: {"prompt": "neon", "fade": 0.5}, 60: {"steps": 4, "rows": 2}, 84: {"steps": 1, "prompt": "ink"}}
        params = PRESET.params
        for frame in film(120):
            if frame.index in changes:
                params = params.set_all(changes[frame.index])
                session.update(params)
            if frame.index == 100:
                session.reset()
            session.push(frame)
            pictures += session.step()
        films.append(pictures + session.flush())

    assert same(*films)


@pytest.mark.parametrize("kind", ["graphed", "fp8"])
def test_a_lora_reaches_a_model_that_was_made_fast(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path))
    plain, films = small_models(), []
    write_lora(tmp_path / "loras" / "one.safetensors", plain.denoiser)
    fast = (
        graphed(small_models(), Tape())
        if kind == "graphed"
        else accelerate(small_models(), replace(PRESET, accel=AccelSpec(fp8=True)))
    )

    for models in (plain, fast):
        session, pictures = Session(models, PRESET), []
        for frame in film(64):
            if frame.index == 40:
                session.update(PRESET.params.set("lora", "one:0.8"))
            session.push(frame)
            pictures += session.step()
        films.append(pictures)

    without = stream(plain if kind == "graphed" else fast, count=64)
    assert same(*films) if kind == "graphed" else decibels(*films) > 20
    assert decibels(films[1][44:], without[44:64]) < decibels(*films), "it is seen"


def test_what_was_recorded_while_warming_up_serves_the_stream_that_begins_anew():
    models, tape = small_models(), Tape()
    session, params = Session(graphed(models, tape), PRESET), PRESET.params.set_all({"steps": 2, "rows": 2})
    session.update(params)
    play(session, film(40, seed=5))
    session.reset()

    assert same(play(session, film(40)), stream(models, steps=2, rows=2))
    assert tape.recorded == 3, "nothing anew"


def test_two_sessions_may_share_a_graphed_codec():
    models = small_models()
    codec = graphed(models, Tape()).codec
    one, other = (Session(replace(models, codec=codec), PRESET) for _ in range(2))
    pictures = []

    for frame, stranger in zip(film(24), film(24, seed=9), strict=True):
        one.push(frame)
        other.push(stranger)
        pictures += one.step()
        other.step()

    assert same(pictures + one.flush(), play(Session(models, PRESET), film(24)))


def test_a_graphed_codec_forgets_the_pictures_of_another_size():
    tape = Tape()
    codec = GraphedCodec(small_models().codec, tape)

    def run(width, height):
        frames = torch.zeros(4, 3, height, width)
        latents, encoding = codec.encode(frames, None)
        _, decoding = codec.decode(latents, None)
        for _ in range(2):
            latents, encoding = codec.encode(frames, encoding)
            _, decoding = codec.decode(latents, decoding)

    recorded, held = [], []
    for size in ((64, 32), (64, 32), (32, 32), (64, 32)):
        run(*size)
        recorded.append(tape.recorded)
        held.append(tape.held)

    assert recorded == [2, 2, 4, 6]
    assert held == [2, 2, 2, 2], "one to encode, one to decode"


def test_what_was_recorded_of_a_stream_is_gone_with_the_first_chunk_of_a_smaller_one():
    """Else there would be no room for the smaller one either, where memory ran out over the larger."""
    tape = Tape()

    def watched(models):
        """Bytes and recordings that are held after a stream, and with a smaller one's first chunk."""
        before = memory_in_use()
        play(Session(models, PRESET), film(40))
        after = memory_in_use() - before, tape.held
        session = Session(models, PRESET.resized(32, 32))
        for frame in film(PRESET.chunk.first, size=(32, 32)):
            session.push(frame)
        session.step()
        return after, (memory_in_use() - before, tape.held)

    watched(small_models())  # what is made once for all is not counted below
    after, smaller = watched(small_models())
    recorded, smaller_then = watched(graphed(small_models(), tape))

    assert after == (0, 0)
    assert recorded[0] > 0 and recorded[1] == 3
    assert smaller_then == smaller, "to the byte what a plain one holds"


@pytest.mark.parametrize("accel", [{}, {"half_codec": True}, {"channels_last": True}], ids=str)
def test_another_codec_is_made_as_fast_as_the_one_before_and_the_same_one_is_kept(accel, monkeypatch):
    monkeypatch.setattr("engine.accel.apply.bfloat16_is_faster", lambda: True)
    monkeypatch.setattr("engine.models.build.load_weights", lambda module, *_: module.to_empty(device="cpu"))
    preset = replace(PRESET, accel=AccelSpec(**accel))
    models = accelerate(small_models(), preset)
    wider = replace(preset, codec=replace(preset.codec, widths=(16, 16)))

    other = with_codec(models, wider)

    assert with_codec(models, preset.resized(32, 32)) is models, "a size alone loads nothing"
    assert type(other.codec) is type(models.codec) and other.codec.spec == wider.codec
    assert with_codec(other, wider) is other


def test_another_codec_is_recorded_as_the_one_before_was(monkeypatch):
    monkeypatch.setattr("engine.accel.apply.uses_graphs", lambda *_: True)  # as on a GPU
    monkeypatch.setattr("engine.models.build.load_weights", lambda module, *_: module.to_empty(device="cpu"))
    preset = replace(PRESET, accel=AccelSpec(graphs=True))
    models = accelerate(small_models(), preset)
    wider = replace(preset, codec=replace(preset.codec, widths=(16, 16)))

    assert isinstance(models.codec, GraphedCodec) and with_codec(models, preset) is models
    assert isinstance(with_codec(models, wider).codec, GraphedCodec)


# ---- compiled blocks


@pytest.mark.skipif(bool(compile._lacking(CPU)), reason="torch.compile needs a C++ compiler here")
@pytest.mark.filterwarnings("ignore")  # of the compiler, about itself
def test_compiled_blocks_give_the_same_film():
    shallow = replace(PRESET, dit=replace(PRESET.dit, layers=1))
    preset = replace(shallow, accel=AccelSpec(compiler="inductor"))

    fast = stream(accelerate(small_models(shallow), preset), preset, count=12, rows=1)

    assert decibels(fast, stream(small_models(shallow), shallow, count=12, rows=1)) > 70


@pytest.mark.filterwarnings("ignore")  # of the compiler, about itself
def test_compiled_blocks_are_given_prompts_of_one_length(monkeypatch):
    """A length that comes for the first time would be compiled while the stream waits, and the engine taken to hang."""
    monkeypatch.setattr(compile, "_lacking", lambda device: "")
    wordy = replace(PRESET, dit=replace(PRESET.dit, text_len=96))
    plain, compiled = (small_models(wordy).denoiser for _ in range(2))
    compile.apply(compiled, "inductor")

    def shapes(model):
        draw = torch.randn(1, 96, wordy.dit.text_dim)
        spoken = [torch.cat([draw[:, :words], torch.zeros_like(draw[:, words:])], 1) for words in (5, 40, 96)]
        return {tuple(part.shape for part in text) for each in spoken for text in model.context(each)}

    assert (len(shapes(plain)), len(shapes(compiled))) == (3, 1)


# ---- 8-bit floats


def test_rounding_to_8_bits_is_the_exact_rounding_of_e4m3():
    """Against the format, written out: 3 bits after the leading one, exponents from -6, subnormals below."""
    x = torch.randn(64, 48, dtype=torch.float64) * torch.logspace(-3, 3, 64, dtype=torch.float64)[:, None]
    q, scale = fp8.quantise(x.float())
    scaled = x.float().double() / scale.double()
    exponent = scaled.abs().clamp(min=2.0**-20).log2().floor().clamp(min=-6)
    step = 2.0 ** (exponent - 3)
    exact = (scaled / step).round() * step

    assert torch.equal(scale, x.float().abs().amax(-1, keepdim=True) / 448)
    off = q.double() != exact.clamp(-448, 448)
    assert off.double().mean() < 1e-3, "a tie after a division in float32 may fall to the other side"
    assert ((q.double() - exact).abs() <= step).all()


def test_an_8_bit_layer_is_the_product_of_what_was_rounded():
    torch.manual_seed(2)
    plain = torch.nn.Linear(96, 64)
    layer, x = fp8.Linear8(plain), torch.randn(2, 3, 5, 96)
    (qx, sx), (qw, sw) = fp8.quantise(x.reshape(-1, 96)), fp8.quantise(plain.weight.detach())
    exact = ((qx.double() * sx.double()) @ (qw.double() * sw.double()).T + plain.bias.double()).view(2, 3, 5, 64)

    torch.testing.assert_close(layer(x).double(), exact, atol=1e-4, rtol=1e-5)
    error = (layer(x) - plain(x)).norm() / plain(x).norm()
    assert 0.001 < error < 0.05, "8 bits are seen, and are small"


def test_8_bit_layers_replace_those_inside_the_blocks_alone_and_the_film_stays():
    models = small_models()
    wide = CausalDiT(PRESET.dit)
    wide.load_state_dict(models.denoiser.state_dict())
    wide.eval().requires_grad_(False)

    count = fp8.apply(wide)

    assert count == PRESET.dit.layers * 10
    assert isinstance(wide.head.head, torch.nn.Linear) and isinstance(wide.time_projection[1], torch.nn.Linear)
    assert decibels(stream(replace(models, denoiser=wide)), stream(models)) > 25


# ---- on the device itself


def test_a_compiler_that_lacks_its_own_compiler_is_refused_before_the_stream(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    models = small_models()

    with pytest.raises(BadPreset, match="needs no-such-compiler"):
        compile.apply(models.denoiser, "inductor")

    assert same(play(Session(models, PRESET), film(8)), play(Session(small_models(), PRESET), film(8)))


def test_8_bit_floats_are_refused_where_no_device_has_them():
    with pytest.raises(DeviceUnavailable, match="meta has no 8-bit floats"):
        fp8.apply(make_denoiser(PRESET.dit))  # on the meta device, which stands in for MPS


def test_8_bit_floats_are_refused_in_a_sentence_where_torch_lacks_their_product(monkeypatch):
    def lacking(*_):
        raise RuntimeError("Rowwise scaling is not currently supported on your device\nException raised from ...")

    monkeypatch.setattr(fp8, "scaled_product", lacking)  # as torch's builds for Windows
    models = small_models()

    with pytest.raises(DeviceUnavailable, match="Rowwise scaling is not currently supported on your device"):
        fp8.apply(models.denoiser)
    assert not any(isinstance(layer, fp8.Linear8) for layer in models.denoiser.modules()), "nothing was changed"


@gpu
@needs_gpu
@pytest.mark.parametrize(
    "accel", [{"graphs": True}, {"attention": "auto"}, {"attention": "math"}, {"fp8": True}], ids=str
)
def test_on_a_gpu_every_switch_gives_the_plain_film(accel):
    preset = replace(PRESET, accel=AccelSpec(**accel))

    def made(preset):
        models = small_models()
        for module in (models.codec, models.denoiser, models.text):
            module.to("cuda", torch.bfloat16)
        return accelerate(
            Models(models.codec, models.denoiser, models.text, torch.device("cuda"), torch.bfloat16), preset
        )

    assert decibels(stream(made(preset), preset), stream(made(PRESET))) > (25 if "fp8" in accel else 35)


@gpu
@needs_gpu
def test_on_a_gpu_the_8_bit_kernel_is_what_is_emulated_elsewhere():
    torch.manual_seed(2)
    plain, x = torch.nn.Linear(256, 128), torch.randn(64, 256)

    there = fp8.Linear8(plain).to("cuda")(x.cuda()).cpu()

    torch.testing.assert_close(there, fp8.Linear8(plain)(x), atol=0.02, rtol=0.01)


def test_the_kernels_that_were_chosen_serve_every_attention():
    model = small_models().denoiser

    attention.apply(model, "torch", (1, 8, 48))

    assert {module.kernel for module in model.modules() if isinstance(module, Attention)} == {attention.sdpa}


def test_the_wan_codec_is_the_same_with_its_weights_laid_out_otherwise():
    spec = replace(load_preset("wan-1.3b").codec, widths=(8, 8, 8, 8), blocks=1)
    torch.manual_seed(4)
    codec = WanVae(spec).eval().requires_grad_(False)
    models = replace(small_models(), codec=copy.deepcopy(codec))
    accelerate(models, replace(PRESET, accel=AccelSpec(channels_last=True)))
    frames, films = torch.rand(9, 3, 32, 32) * 2 - 1, []

    for one in (codec, models.codec):
        first, state = one.encode(frames[:5], None)
        second, _ = one.encode(frames[5:], state)
        films.append(torch.cat([first, second]))

    torch.testing.assert_close(*films, atol=1e-5, rtol=0)


# ---- overlap: pictures one call later, and nothing else


@pytest.mark.parametrize("params", [{"steps": 1}, {"steps": 2, "rows": 2}], ids=str)
def test_overlap_gives_the_same_film_one_call_later(params):
    preset, films, first = replace(PRESET, accel=AccelSpec(overlap=True)), [], []

    for each in (PRESET, preset):
        session, pictures = Session(small_models(), each), []
        session.update(each.params.set_all(params))
        for frame in film(22):
            session.push(frame)
            made = session.step()
            if made and not pictures:
                first.append(frame.index)
            if made:
                assert session.report.frame == made[-PRESET.chunk.later].index, "a report speaks of what came out"
            pictures += made
        films.append(pictures + session.flush())

    assert same(*films)
    assert first == [PRESET.chunk.first - 1, PRESET.chunk.first + PRESET.chunk.later - 1]
