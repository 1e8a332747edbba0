"""LoRAs as people share them, on a model that runs: read under every way of naming, weighted, moved live, taken off."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.errors import BadParam, BadWeights
from engine.loras import parse_loras
from engine.models.build import make_denoiser
from engine.models.lora import LoraSet
from engine.models.lora_file import read_lora
from engine.preset import load_preset
from engine.session import Session
from tests.engine.small import PRESET, film, play, same, small_models

RANK = 3
DIFFUSERS = [
    ("self_attn", "attn1"),
    ("cross_attn", "attn2"),
    (r"\.([qkv])$", r".to_\1"),
    (r"\.o$", ".to_out.0"),
    (r"ffn\.0$", "ffn.net.0.proj"),
    (r"ffn\.2$", "ffn.net.2"),
]


def diffusers_name(layer):
    for ours, theirs in DIFFUSERS:
        layer = re.sub(ours, theirs, layer)
    return f"transformer.{layer}"


STYLES = {
    "comfy": lambda layer, down, up: {
        f"diffusion_model.{layer}.lora_A.weight": down,
        f"diffusion_model.{layer}.lora_B.weight": up,
    },
    "comfy, down and up": lambda layer, down, up: {
        f"diffusion_model.{layer}.lora_down.weight": down,
        f"diffusion_model.{layer}.lora_up.weight": up,
        f"diffusion_model.{layer}.alpha": torch.tensor(float(RANK)),
    },
    "bare": lambda layer, down, up: {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up},
    "peft": lambda layer, down, up: {
        f"base_model.model.{layer}.lora_A.default.weight": down,
        f"base_model.model.{layer}.lora_B.default.weight": up,
    },
    "peft, with a name": lambda layer, down, up: {
        f"diffusion_model.{layer}.lora_A.default_0.weight": down,
        f"diffusion_model.{layer}.lora_B.default_0.weight": up,
    },
    "diffusers": lambda layer, down, up: {
        f"{diffusers_name(layer)}.lora_A.weight": down,
        f"{diffusers_name(layer)}.lora_B.weight": up,
    },
    "kohya": lambda layer, down, up: {
        f"lora_unet_{layer.replace('.', '_')}.lora_down.weight": down,
        f"lora_unet_{layer.replace('.', '_')}.lora_up.weight": up * 2,
        f"lora_unet_{layer.replace('.', '_')}.alpha": torch.tensor(RANK / 2),
    },
    "kohya, two underscores": lambda layer, down, up: {
        f"lora_unet__{layer.replace('.', '_')}.lora_down.weight": down,
        f"lora_unet__{layer.replace('.', '_')}.lora_up.weight": up,
    },
}


def linears(model):
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}


def pairs(model, seed=0, size=0.2):
    draw = torch.Generator().manual_seed(seed)
    for name, layer in linears(model).items():
        if name.startswith("blocks"):
            down = torch.randn(RANK, layer.in_features, generator=draw) * size
            yield name, down, torch.randn(layer.out_features, RANK, generator=draw) * size


def write_lora(path, model, style="comfy", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for layer, down, up in pairs(model, seed):
        tensors |= STYLES[style](layer, down, up)
    save_file(tensors, path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path))
    return tmp_path / "loras"


@pytest.fixture
def models():
    return small_models()


def lora(text):
    return PRESET.params.set("lora", text)


def merged(models, *strengths):
    """The same models with the LoRAs of seeds 0, 1, ... added into the weights."""
    for seed, strength in enumerate(strengths):
        for layer, down, up in pairs(models.denoiser, seed):
            models.denoiser.get_submodule(layer).weight.data += strength * up @ down
    return models


def largest(one, other):
    pixels = zip(one, other, strict=True)
    return max(abs(a.pixels.astype(int) - b.pixels.astype(int)).max() for a, b in pixels)


def streamed(models, text, frames):
    session = Session(models, PRESET)
    session.update(lora(text))
    return play(session, frames)


@pytest.mark.parametrize("style", STYLES)
def test_every_way_of_naming_is_the_same_lora(style, models, tmp_path):
    write_lora(tmp_path / "a.safetensors", models.denoiser, style)
    shapes = {name: (layer.in_features, layer.out_features) for name, layer in linears(models.denoiser).items()}

    read = read_lora(tmp_path / "a.safetensors", shapes)

    for layer, down, up in pairs(models.denoiser):
        assert torch.allclose(read[layer].up @ read[layer].down, up @ down, atol=1e-6)
    assert len(read) == 20


@pytest.mark.parametrize("strengths", [(0.7,), (-0.5,), (0.5, 0.25)])
def test_strengths_add_to_the_weights(strengths, folder):
    frames = film(12)
    for seed in range(len(strengths)):
        write_lora(folder / f"number {seed}.safetensors", small_models().denoiser, seed=seed)
    text = " | ".join(f"number {seed}:{strength}" for seed, strength in enumerate(strengths))

    pictures = streamed(small_models(), text, frames)

    assert largest(pictures, play(Session(merged(small_models(), *strengths), PRESET), frames)) <= 1
    assert largest(pictures, play(Session(small_models(), PRESET), frames)) > 5


def test_strength_nought_is_the_model_itself_to_the_bit(models, folder):
    frames = film(12)
    write_lora(folder / "a.safetensors", models.denoiser)

    assert same(streamed(models, "a:0", frames), play(Session(small_models(), PRESET), frames))


def test_taken_off_nothing_is_left(models, folder):
    frames, before = film(12), {key: value.clone() for key, value in models.denoiser.state_dict().items()}
    write_lora(folder / "a.safetensors", models.denoiser)
    streamed(models, "a:1.5", frames)

    assert same(streamed(models, "", frames), play(Session(small_models(), PRESET), frames))

    after = models.denoiser.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[key], before[key]) for key in before)
    assert not any(layer._forward_hooks for layer in models.denoiser.modules())


def test_a_file_that_is_written_over_in_its_place_changes_nothing_that_is_on(models, folder):
    path, frames = folder / "a.safetensors", film(24)
    write_lora(path, models.denoiser)
    untouched = streamed(small_models(), "a:0.8", frames)
    session, pictures = Session(models, PRESET), []
    session.update(lora("a:0.8"))

    for frame in frames:
        if frame.index == 8:
            with path.open("r+b") as file:  # as `cp` does: the same file, other content
                file.write(bytes(path.stat().st_size))
        session.push(frame)
        pictures += session.step()

    assert same(pictures + session.flush(), untouched)


def test_a_strength_moves_live_and_no_picture_is_lost(models, folder):
    write_lora(folder / "a.safetensors", models.denoiser)
    session, frames, pictures = Session(models, PRESET), film(64), []

    for frame in frames:
        if frame.index in (16, 32, 48):
            session.update(replace(lora(f"a:{frame.index / 64}"), revision=frame.index))
        session.push(frame)
        pictures += session.step()

    assert [p.index for p in pictures + session.flush()] == [f.index for f in frames]
    assert models.loras.attached == {"a": 0.75}
    assert models.loras.changes == 1, "moving a strength attaches nothing"


def test_the_stream_plays_on_while_a_file_is_read(models, folder, monkeypatch):
    write_lora(folder / "a.safetensors", models.denoiser)
    go, read = Event(), models.loras.read
    monkeypatch.setattr(LoraSet, "read", lambda loras, name: go.wait(10) and read(name))
    with ThreadPoolExecutor(2) as aside:
        session, frames = Session(models, PRESET, submit=aside.submit), film(40)
        for frame in frames:
            if frame.index == 12:
                session.update(lora("a:1"))
            if frame.index == 24:
                assert models.loras.attached == {}
                go.set()
                aside.shutdown(wait=True)
            session.push(frame)
            session.step()

    assert models.loras.attached == {"a": 1.0}


def test_from_one_lora_to_the_next_the_plain_model_is_never_seen(models, folder, monkeypatch):
    for seed, name in enumerate("ab"):
        write_lora(folder / f"{name}.safetensors", models.denoiser, seed=seed)
    go, read, on = Event(), models.loras.read, []
    monkeypatch.setattr(LoraSet, "read", lambda loras, name: (name == "a" or go.wait(10)) and read(name))
    with ThreadPoolExecutor(2) as aside:
        session = Session(models, PRESET, submit=aside.submit)
        session.update(lora("a:1"))
        for frame in film(48):
            if frame.index == 16:
                session.update(lora("b:0.5"))
            if frame.index == 32:
                go.set()
                aside.shutdown(wait=True)
            session.push(frame)
            if session.step():
                on.append(dict(models.loras.attached))

    assert [on[0], on[-1]] == [{"a": 1.0}, {"b": 0.5}]
    assert all(one in ({"a": 1.0}, {"b": 0.5}) for one in on), "neither none nor both"


def test_while_another_is_read_the_strength_of_one_that_stays_moves_at_once(models, folder, monkeypatch):
    for seed, name in enumerate("ab"):
        write_lora(folder / f"{name}.safetensors", models.denoiser, seed=seed)
    go, read = Event(), models.loras.read
    monkeypatch.setattr(LoraSet, "read", lambda loras, name: (name == "a" or go.wait(10)) and read(name))
    with ThreadPoolExecutor(2) as aside:
        session, on = Session(models, PRESET, submit=aside.submit), {}
        session.update(lora("a:1"))
        for frame in film(48):
            if frame.index == 16:
                session.update(lora("a:0.25 | b:0.5"))
            if frame.index == 32:
                go.set()
                aside.shutdown(wait=True)
            session.push(frame)
            session.step()
            on[frame.index] = dict(models.loras.attached)

    assert (on[31], on[47]) == ({"a": 0.25}, {"a": 0.25, "b": 0.5})


def test_one_that_cannot_be_read_leaves_on_what_was_on(models, folder):
    write_lora(folder / "a.safetensors", models.denoiser)
    (folder / "broken.safetensors").write_bytes(b"no such thing")
    problems = []
    with ThreadPoolExecutor(2) as aside:
        session = Session(models, PRESET, submit=aside.submit)
        session.update(lora("a:1"))
        for frame in film(48):
            if frame.index == 24:
                session.update(lora("broken:1"))
                aside.shutdown(wait=True)
            session.push(frame)
            if session.step():
                problems.append(session.report.problem)

    assert any("broken" in problem for problem in problems)
    assert models.loras.attached == {"a": 1.0}


def test_two_sessions_on_one_model_have_each_their_own(models, folder):
    frames = film(16)
    write_lora(folder / "a.safetensors", models.denoiser)
    alone = streamed(small_models(), "a:0.5", frames)
    one, other = Session(models, PRESET), Session(models, PRESET)
    one.update(lora("a:0.5"))
    pictures = []

    for frame in frames:
        for session in (one, other):
            session.push(frame)
        pictures += one.step()
        other.step()

    assert same(pictures + one.flush(), alone)


def test_while_its_own_is_read_a_session_does_not_show_that_of_another(models, folder, monkeypatch):
    for seed, name in enumerate("abc"):
        write_lora(folder / f"{name}.safetensors", models.denoiser, seed=seed)
    go, read, on = Event(), models.loras.read, []
    monkeypatch.setattr(LoraSet, "read", lambda loras, name: (name != "c" or go.wait(10)) and read(name))
    with ThreadPoolExecutor(2) as aside:
        one, other = Session(models, PRESET), Session(models, PRESET, submit=aside.submit)
        one.update(lora("a:0.5"))
        other.update(lora("b:1"))
        for frame in film(48):
            if frame.index == 16:
                other.update(lora("c:1"))
            if frame.index == 32:
                go.set()
                aside.shutdown(wait=True)
            for session in (one, other):
                session.push(frame)
            one.step()
            if other.step():
                on.append(dict(models.loras.attached))

    assert [on[0], on[-1]] == [{"b": 1.0}, {"c": 1.0}]
    assert all(one in ({"b": 1.0}, {"c": 1.0}) for one in on), "never what the other session wants"


def test_the_keys_of_the_prompt_change_with_it_too(models, folder):
    """Cross-attention keeps keys and values of the prompt; a LoRA on the layers that make them must reach them."""
    write_lora(folder / "a.safetensors", models.denoiser)
    session = Session(models, PRESET)
    play(session, film(8))
    session.reset()
    session.update(lora("a:1"))
    play(session, film(8))

    expected = merged(small_models(), 1.0).denoiser.context(models.text.encode([PRESET.params.prompt]))

    assert all(
        torch.allclose(a, b, atol=1e-4) for a, b in zip(session._conditioning.context[0], expected[0], strict=True)
    )


def test_one_for_another_model_is_one_sentence_and_the_picture_plays_on(models, folder):
    wide = make_denoiser(replace(PRESET.dit, dim=96))
    write_lora(folder / "wide.safetensors", wide)
    write_lora(folder / "deep.safetensors", make_denoiser(replace(PRESET.dit, layers=3)))
    problems = []
    with ThreadPoolExecutor(1) as aside:
        session = Session(models, PRESET, submit=aside.submit)
        for frame in film(32):
            if frame.index in (8, 16, 24):
                session.update(lora({8: "wide", 16: "deep:0.5", 24: "absent"}[frame.index]))
            session.push(frame)
            if session.step():
                problems += [session.report.problem] if session.report.problem else []
                aside.submit(int).result()

    assert len(problems) == 3
    assert "is [96, 3] x [3, 96], not [48, r] x [r, 48]" in problems[0]
    assert "blocks.2" in problems[1] and "19 more keys" in problems[1]
    assert "there is no LoRA" in problems[2]
    assert all("\n" not in problem for problem in problems)


def test_one_put_there_after_it_was_missed_is_read_when_it_is_named_again(models, folder):
    problems = []
    with ThreadPoolExecutor(1) as aside:
        session = Session(models, PRESET, submit=aside.submit)
        for frame in film(40):
            if frame.index in (8, 16, 24):
                session.update(lora("late:0.5"))
            if frame.index == 20:
                write_lora(folder / "late.safetensors", models.denoiser)
            session.push(frame)
            if session.step() and session.report.problem:
                problems.append(session.report.problem)
            aside.submit(int).result()

    assert models.loras.attached == {"late": 0.5}
    assert len(problems) == 1  # it is not asked for at every control that moves


def test_a_lora_counts_as_applied_once_its_file_is_read(models, folder, monkeypatch):
    write_lora(folder / "a.safetensors", models.denoiser)
    go, read = Event(), models.loras.read
    monkeypatch.setattr(LoraSet, "read", lambda loras, name: go.wait(10) and read(name))
    with ThreadPoolExecutor(1) as aside:
        session, applied = Session(models, PRESET, submit=aside.submit), {}
        for frame in film(40):
            if frame.index == 12:
                session.update(lora("a:1"))
            if frame.index == 24:
                go.set()
                aside.submit(int).result()
            session.push(frame)
            session.step()
            applied[frame.index] = session.report.revision if session.report else 0

    assert (applied[23], applied[39]) == (0, 1)


@pytest.mark.parametrize("damage", ["cut", "half", "nan", "code", "numbers", "alphas", "rankless", "empty"])
def test_a_damaged_file_is_refused(damage, models, tmp_path):
    path = tmp_path / "a.safetensors"
    layer, down, up = next(pairs(models.denoiser))
    tensors = STYLES["comfy"](layer, down * (torch.nan if damage == "nan" else 1), up)
    if damage == "half":
        tensors.pop(f"diffusion_model.{layer}.lora_B.weight")
    if damage == "numbers":
        tensors = {key: torch.tensor(1.0) for key in tensors}
    if damage == "alphas":
        tensors[f"diffusion_model.{layer}.alpha"] = torch.ones(RANK)
    if damage == "rankless":
        tensors = STYLES["comfy"](layer, down[:0], up[:, :0].contiguous())
    save_file({} if damage == "empty" else tensors, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    if damage == "code":
        torch.save(tensors, path)
    shapes = {name: (linear.in_features, linear.out_features) for name, linear in linears(models.denoiser).items()}

    with pytest.raises(BadWeights) as error:
        read_lora(path, shapes)

    assert "\n" not in error.value.sentence


@pytest.mark.parametrize(
    "extra, sentence",
    [
        ("diffusion_model.blocks.0.norm3.diff", "changes more than linear layers by low rank"),
        ("diffusion_model.blocks.0.ffn.0.dora_scale", "changes more than linear layers by low rank"),
        ("diffusion_model.blocks.0.cross_attn.k_img.lora_A.weight", "is for another model"),
        ("blocks.0.ffn.0.lora_A.weight", "twice"),
    ],
)
def test_what_else_a_file_wants_to_change_is_said(extra, sentence, models, tmp_path):
    layers = linears(models.denoiser)
    tensors = {}
    for layer, down, up in pairs(models.denoiser):
        tensors |= STYLES["comfy"](layer, down, up)
    save_file({**tensors, extra: torch.zeros(3, 3)}, tmp_path / "x.safetensors")

    with pytest.raises(BadWeights, match=sentence):
        read_lora(tmp_path / "x.safetensors", {name: (m.in_features, m.out_features) for name, m in layers.items()})


def test_a_lora_in_8_bit_floats_is_read(models, tmp_path):
    layers = {name: (m.in_features, m.out_features) for name, m in linears(models.denoiser).items()}
    tensors = {}
    for layer, down, up in pairs(models.denoiser):
        tensors |= STYLES["comfy"](layer, down.to(torch.float8_e4m3fn), up.to(torch.float8_e4m3fn))
    save_file(tensors, tmp_path / "x.safetensors")

    assert read_lora(tmp_path / "x.safetensors", layers).keys() == {name for name in layers if "blocks" in name}


@pytest.mark.parametrize("name", ["wan-1.3b", "wan-14b"])
def test_the_layers_of_the_large_models_are_known_by_every_name(name, tmp_path):
    model = make_denoiser(load_preset(name).dit)
    shapes = {layer: (linear.in_features, linear.out_features) for layer, linear in linears(model).items()}
    for style in STYLES.values():
        tensors = {}
        for layer, (wide, out) in shapes.items():
            if layer.startswith("blocks.11."):
                tensors |= style(layer, torch.zeros(1, wide), torch.zeros(out, 1))
        save_file(tensors, tmp_path / "a.safetensors")

        assert len(read_lora(tmp_path / "a.safetensors", shapes)) == 10


def test_names_and_strengths_are_read_like_a_blend():
    assert parse_loras("") == ()
    assert parse_loras("film grain") == (("film grain", 1.0),)
    assert parse_loras("a:0.8 | b.v2.safetensors:-0.5 |") == (("a", 0.8), ("b.v2", -0.5))


@pytest.mark.parametrize("text", ["../../etc/passwd", "a/b", "a:loud", "a:9", "a:nan", "a | a:0.5", "C:\\x", ".hidden"])
def test_what_is_no_name_or_strength_is_refused(text):
    with pytest.raises(BadParam):
        PRESET.params.set("lora", text)
