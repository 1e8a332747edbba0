"""The whole of training, very small: it learns, it resumes, and the same seed gives the same weights."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.checksum import checksum_path, is_damaged
from engine.models.causal_dit import CausalDiT
from engine.models.small_codec import SmallCodec
from engine.preset import load_preset
from engine.train.__main__ import main
from engine.train.adopt import adopt
from engine.train.attention import write_out
from engine.train.codec_stage import CodecStage
from engine.train.denoiser_stage import DenoiserStage
from engine.train.disk import BadRun, Diverged, read_state
from engine.train.export import export, export_preset, newest
from engine.train.finish_stage import FinishStage
from engine.train.memory import two_lanes
from engine.train.recipe import Recipe
from engine.train.run import train, train_preset
from engine.train.stage import _save
from engine.train.wishes import COLOURS, Wish

CPU = torch.device("cpu")
RECIPE = Recipe(
    codec_steps=4, codec_batch=2, denoiser_steps=4, denoiser_batch=3, finish_steps=3, finish_batch=2,
    crop=32, side=4, codec_stock=3, stock=2, finish_stock=2, fit_clips=30, word_steps=2, words_steps=3, aim_steps=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def preset():
    tiny = load_preset("tiny").resized(64, 48)
    return replace(
        tiny,
        codec=replace(tiny.codec, channels=6, widths=(8, 8), blocks=1),
        dit=replace(tiny.dit, channels=6, dim=24, ffn=32, heads=2, layers=1, text_dim=16, text_len=2),
        text=replace(tiny.text, dim=16, length=2, layers=1, heads=2, ffn=16),
    )


@pytest.fixture(autouse=True)
def few_colours(monkeypatch):
    """Seeking them all takes a minute."""
    monkeypatch.setattr("engine.train.words_stage.COLOURS", {"red": COLOURS["red"]})
    monkeypatch.setattr("engine.train.aims.CLIPS", 1)
    monkeypatch.setattr("engine.train.aims.KEPT", 1)
    monkeypatch.setattr("engine.train.words_stage.draw_wish", lambda look, random, share: Wish(look))


@pytest.fixture(scope="module")
def trained(preset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train_preset(preset, RECIPE, folder, None, 0, CPU)
    return folder


def test_a_run_leaves_weights_that_load_strictly(preset, trained, tmp_path):
    sizes = export(trained, tmp_path)
    weights = load_file(tmp_path / "codec.safetensors")

    assert set(sizes) == {"codec", "dit", "text"}
    assert all(tensor.dtype == torch.float16 for tensor in weights.values())
    assert all(checksum_path(tmp_path / f"{name}.safetensors").is_file() for name in sizes)
    assert not any(is_damaged(tmp_path / f"{name}.safetensors") for name in sizes)
    SmallCodec(preset.codec).load_state_dict(weights)


def test_a_run_that_was_cut_off_ends_with_the_same_weights(preset, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.train.stage.SAVE_SECONDS", 0)
    for stage in (CodecStage, DenoiserStage, FinishStage):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(stage, "step", cut_off_at(2, stage.step))
            train_preset(preset, RECIPE, tmp_path, None, 0, CPU)

    train_preset(preset, RECIPE, tmp_path, None, 0, CPU)

    for name in ("codec", "dit", "text"):
        for key, weight in newest(trained, name).items():
            assert torch.equal(newest(tmp_path, name)[key], weight), key


def test_a_run_that_was_killed_leaves_curves_of_every_step_once(preset, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.train.stage.SAVE_SECONDS", 0)
    monkeypatch.setattr("engine.train.stage.NOTE_STEPS", 1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CodecStage, "step", cut_off_at(3, CodecStage.step))
        train_preset(preset, RECIPE, tmp_path, None, 0, CPU, ("codec",))
    assert (tmp_path / "codec.png").is_file()
    with (tmp_path / "codec.jsonl").open("a") as file:  # what was noted after the last checkpoint, and half a line
        file.write('{"step": 4, "seconds": 1.0, "codec dB": 1.0}\n{"step": 5, "sec')

    train_preset(preset, RECIPE, tmp_path, None, 0, CPU, ("codec",))

    steps = [json.loads(line)["step"] for line in (tmp_path / "codec.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]


def test_in_a_log_a_run_says_how_far_it_is_and_how_long_it_will_take(preset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("engine.train.stage.NOTE_STEPS", 2)
    train_preset(preset, RECIPE, tmp_path, None, 0, CPU, ("codec",))

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["codec: step 2", "codec: step 4"]
    assert " 50%," in lines[0] and " left " in lines[0] and "0:00:00 left" in lines[1]


def test_a_run_begun_with_another_seed_is_refused_in_a_sentence(preset, trained):
    with pytest.raises(BadRun, match="another --seed"):
        train_preset(preset, RECIPE, trained, None, 1, CPU, ("codec",))


def test_a_checkpoint_of_another_model_is_refused_in_a_sentence(preset, trained):
    wider = replace(preset, codec=replace(preset.codec, widths=(16, 8)))

    with pytest.raises(BadRun, match="another model or version"):
        train_preset(wider, RECIPE, trained, None, 0, CPU, ("codec",))


def test_a_run_that_has_not_come_far_enough_changes_no_weights(preset, trained, tmp_path):
    export(trained, tmp_path / "weights")
    before = {path.name: path.read_bytes() for path in (tmp_path / "weights").iterdir()}
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "codec.pt").write_bytes((trained / "codec.pt").read_bytes())

    with pytest.raises(BadRun, match="no trained dit yet"):
        export(tmp_path / "early", tmp_path / "weights")

    assert {path.name: path.read_bytes() for path in (tmp_path / "weights").iterdir()} == before


def test_exported_weights_come_with_a_preset_that_plays_them(tmp_path):
    made = export_preset(tmp_path)

    preset = load_preset(str(made))
    assert preset.dit.weights == (tmp_path / "dit.safetensors").resolve().as_posix()
    assert preset.schedule == load_preset("tiny").schedule


def test_more_words_leave_the_rest_of_a_model_alone(preset, trained, tmp_path):
    export(trained, tmp_path / "weights")
    adopt(tmp_path / "weights", tmp_path / "run", preset)
    train_preset(preset, RECIPE, tmp_path / "run", None, 0, CPU, ("words",))

    before, after = (newest(folder, "text") for folder in (trained, tmp_path / "run"))
    assert any((after[key] != before[key].half().float()).any() for key in before)
    for name in ("codec", "dit"):
        for key, weight in newest(trained, name).items():
            assert torch.equal(newest(tmp_path / "run", name)[key], weight.half().float()), key


def test_a_checkpoint_with_other_parts_is_refused_in_a_sentence(preset, trained):
    stage = FinishStage(preset, RECIPE, SmallCodec(preset.codec), None, 0, CPU)
    state = stage.learner.state_dict()
    del state["modules"]["rival"]

    with pytest.raises(ValueError, match="choose another --run"):
        stage.learner.load_state_dict(state)


@pytest.mark.parametrize("stage", [CodecStage, DenoiserStage, FinishStage])
def test_training_without_numbers_stops_in_a_sentence_and_keeps_its_last_checkpoint(
    stage, preset, tmp_path, monkeypatch
):
    monkeypatch.setattr("engine.train.stage.SAVE_SECONDS", 0)
    monkeypatch.setattr(stage, "step", spoilt_at(2, stage.step))

    with pytest.raises(Diverged, match="astray: the gradient of .* in step 3 holds values that are no") as caught:
        train_preset(preset, RECIPE, tmp_path, None, 0, CPU)

    assert "last checkpoint is kept" in caught.value.hint
    kept = read_state(tmp_path / f"{stage.name}.pt")["learner"]
    assert kept["steps"] == 2
    assert all(w.isfinite().all() for part in kept["averages"].values() for w in part.values())


def spoilt_at(last, step):
    """A stage's step whose loss is, once, not a number."""

    def spoilt(self, number, share):
        if number == last:
            descend = self.learner.descend
            self.learner.descend = lambda loss, share: descend(loss * float("nan"), share)
        return step(self, number, share)

    return spoilt


def test_a_checkpoint_never_holds_what_is_not_a_number(preset, tmp_path):
    stage = CodecStage(preset, RECIPE, 0, CPU)
    _save(stage, tmp_path / "codec.pt", 0.0)
    before = (tmp_path / "codec.pt").read_bytes()
    with torch.no_grad():
        stage.codec.decoder.leave[0].weight[0] = float("inf")

    with pytest.raises(Diverged, match=r"decoder.leave.0.weight of codec after step 0"):
        _save(stage, tmp_path / "codec.pt", 1.0)

    assert (tmp_path / "codec.pt").read_bytes() == before


@pytest.mark.parametrize("number", [float("nan"), 1e6])  # the second is one, but not in the files' float16
def test_weights_that_are_not_numbers_are_not_exported(number, trained, tmp_path):
    export(trained, tmp_path / "weights")
    before = {path.name: path.read_bytes() for path in (tmp_path / "weights").iterdir()}
    spoilt = shutil.copytree(trained, tmp_path / "run")
    state = read_state(spoilt / "finish.pt")
    state["learner"]["averages"]["dit"]["head.head.weight"][0, 0] = number
    torch.save(state, spoilt / "finish.pt")

    with pytest.raises(BadRun, match=r"head.head.weight of dit holds values that are not numbers"):
        export(spoilt, tmp_path / "weights")

    assert {path.name: path.read_bytes() for path in (tmp_path / "weights").iterdir()} == before


def test_weights_given_to_a_run_that_was_begun_from_others_are_refused_in_a_sentence(preset, trained, tmp_path):
    export(trained, tmp_path / "weights")
    shutil.copytree(tmp_path / "weights", tmp_path / "others")
    text = load_file(tmp_path / "others" / "text.safetensors")
    save_file({key: 2 * weight for key, weight in text.items()}, tmp_path / "others" / "text.safetensors")
    checksum_path(tmp_path / "others" / "text.safetensors").unlink()
    adopt(tmp_path / "weights", tmp_path / "run", preset)
    begun = (tmp_path / "run" / "start.pt").read_bytes()

    adopt(tmp_path / "weights", tmp_path / "run", preset)  # as the same command does when it goes on
    for weights, run in ((tmp_path / "others", tmp_path / "run"), (tmp_path / "weights", trained)):
        with pytest.raises(BadRun, match="was begun from something else") as caught:
            adopt(weights, run, preset)
        assert caught.value.hint == "choose another --run"

    assert (tmp_path / "run" / "start.pt").read_bytes() == begun
    assert not (trained / "start.pt").exists()


@pytest.mark.parametrize("from_weights", [True, False])
def test_a_run_begun_from_weights_keeps_their_codec_when_it_goes_on(from_weights, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("engine.train.run.train_preset", lambda *given: asked.extend(given[-1]))
    if from_weights:
        (tmp_path / "start.pt").touch()

    train(tmp_path, None, 0)

    assert asked == ["codec", "denoiser", "finish"][from_weights:]


def cut_off_at(last, step):
    def cut_off(self, number, share):
        if number == last:
            raise KeyboardInterrupt
        return step(self, number, share)

    return cut_off


def test_curves_and_samples_are_drawn(trained):
    curves = {"codec.png", "denoiser.png", "finish.png"}

    assert {path.name for path in trained.glob("*.png")} == curves | {"denoiser-samples.png", "finish-samples.png"}


def test_export_without_a_run_says_what_to_do(tmp_path, capsys):
    assert main(["export", "--run", str(tmp_path)]) == 2
    assert "no trained codec" in capsys.readouterr().err


def test_a_run_can_start_from_weights_and_leaves_their_codec_alone(preset, trained, tmp_path):
    export(trained, tmp_path / "weights")
    adopt(tmp_path / "weights", tmp_path / "run", preset)
    train_preset(preset, RECIPE, tmp_path / "run", None, 0, CPU, ("denoiser",))

    assert not (tmp_path / "run" / "codec.pt").exists()
    before, after = (newest(folder, "dit") for folder in (trained, tmp_path / "run"))
    moved = (after["head.head.weight"] - before["head.head.weight"]).norm() / before["head.head.weight"].norm()
    assert 0 < moved < 0.2
    for key, weight in newest(trained, "codec").items():
        assert torch.equal(newest(tmp_path / "run", "codec")[key], weight.half().float()), key


def test_weights_of_another_model_are_one_sentence(tmp_path, capsys):
    assert main(["tiny", "--run", str(tmp_path / "run"), "--from-weights", str(tmp_path)]) == 2
    assert "weights are missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", ["--hours=0", "--hours=-1", "--hours=nan", "--hours=soon", "--seed=-1", "--threads=-2"]
)
@pytest.mark.parametrize("command", ["tiny", "distill"])
def test_numbers_that_no_run_can_have_are_refused_before_it_starts(command, option, capsys):
    with pytest.raises(SystemExit):
        main([command, option])
    assert f"argument {option.split('=')[0]}" in capsys.readouterr().err


def test_an_unknown_stage_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["tiny", "--stages", "codec,polish"])
    assert "the stages are codec, denoiser, finish" in capsys.readouterr().err


def test_attention_written_out_is_the_same_attention(preset):
    torch.manual_seed(0)
    plain, fused = CausalDiT(preset.dit), CausalDiT(preset.dit)
    fused.load_state_dict(plain.state_dict())
    write_out(plain)
    memory = two_lanes(range(3), 4, preset.window)
    latents, t = torch.randn(1, 6, 6, 4, 4), torch.full((1, 6), 500.0)
    context = fused.context(torch.randn(1, 2, 16))

    assert torch.allclose(plain(latents, t, memory, context), fused(latents, t, memory, context), atol=1e-4)


def test_the_seed_alone_decides(preset, trained, tmp_path):
    codec_only = ("codec",)
    for name, seed in (("same", 0), ("other", 1)):
        train_preset(preset, RECIPE, tmp_path / name, None, seed, CPU, codec_only)
    wanted = newest(trained, "codec", codec_only)["encoder.leave.weight"]

    assert torch.equal(newest(tmp_path / "same", "codec")["encoder.leave.weight"], wanted)
    assert not torch.equal(newest(tmp_path / "other", "codec")["encoder.leave.weight"], wanted)
