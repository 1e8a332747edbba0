"""Whole updates, very small: the student comes to its teacher, and stopping in between changes nothing."""

from dataclasses import replace

import pytest
import torch

from engine.preset import load_preset
from engine.train.disk import BadRun, Diverged
from engine.train.distill.checkpoint import export, load
from engine.train.distill.distiller import Distiller
from engine.train.distill.generator import Generator
from engine.train.distill.loss import flow_matching
from engine.train.distill.parallel import World
from engine.train.distill.run import run
from engine.train.distill.score import Scores
from engine.train.distill.settings import BadSettings
from tests.engine.train.distill.parts import SETTINGS, SMALL, SameScenes, generator, write_preset

HERE = World(0, 1, torch.device("cpu"))


def distiller(student, teacher, settings, preset=SMALL):
    learning = [Generator(preset.dit) for _ in range(1 + settings.study)]
    for network in learning:
        network.load_state_dict(teacher.state_dict())
    scenes = SameScenes(preset, settings.frames)
    return Distiller((student, teacher.requires_grad_(False), *learning), scenes, preset, settings, HERE, seed=0)


def updated(work, times):
    return [work.update(0.5) for _ in range(times)]


def test_a_student_of_fewer_steps_comes_close_to_its_teachers_rollouts():
    settings = replace(SETTINGS, warm_up=100, rate=6e-3, decay=0.8)
    teacher, student = generator(SMALL), generator(SMALL)
    with torch.no_grad():
        student.head.head.bias += torch.randn_like(student.head.head.bias)
    work = distiller(student, teacher, settings)
    before = work.distance()

    losses = [update["regression"] for update in updated(work, 40)]

    after = work.distance()
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert all(after[name] < 0.6 * before[name] for name in ("apart 1", "apart 2"))


@pytest.mark.parametrize("study", [False, True])
def test_by_matching_alone_a_student_comes_to_where_its_teachers_videos_are(study):
    """The teacher knows one video, the same in every frame; the student begins a long way off and sees only scores."""
    torch.manual_seed(0)
    settings = replace(
        SETTINGS,
        momentum=0.0,
        frames=3,
        steps=1,
        warm_up=0,
        regression=0.0,
        rate=5e-3,
        critic_rate=1e-2,
        critic_updates=2,
        batch=1,
        study=study,
    )
    truth = torch.linspace(-1, 1, 4).view(1, 1, 4, 1, 1).expand(2, 3, 4, 4, 4)
    teacher = taught(truth, settings)
    student = Generator(SMALL.dit)
    student.load_state_dict(teacher.state_dict())
    with torch.no_grad():
        student.head.head.bias += 2 * torch.randn_like(student.head.head.bias)
    work = distiller(student, teacher, settings)

    def off():
        scene = work._draw(0)[0]
        with torch.no_grad():
            return (work._roll(student, scene, 1) - truth[0]).square().mean().item()

    before = off()
    updated(work, 60)

    assert off() < 0.4 * before


def taught(truth, settings):
    """A model trained by flow matching on one video [B, T, C, h, w]."""
    model, scores = generator(SMALL), Scores(SMALL, settings, SMALL.params.carry, HERE.device)
    optimiser, random = torch.optim.AdamW(model.parameters(), lr=3e-3), torch.Generator().manual_seed(1)
    for _ in range(100):
        noisy, noise, t = scores.noised(truth, random)
        flow = scores.flow(model, noisy, t, torch.randn(1, SMALL.dit.text_len, SMALL.dit.text_dim))
        optimiser.zero_grad()
        flow_matching(flow, noise, truth).backward()
        optimiser.step()
    return model


def test_a_run_that_was_cut_off_ends_with_the_same_weights_to_the_bit(tmp_path, monkeypatch):
    settings = replace(SETTINGS, frames=3, save_seconds=0.0, critic_updates=2, study=True)

    def start():
        return distiller(generator(SMALL, seed=1), generator(SMALL, seed=0), settings)

    straight = start()
    run(straight, tmp_path / "straight", settings, HERE, None)
    for last in (2, 4):  # once in the warm-up, once after it
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Distiller, "update", cut_off_at(last, Distiller.update))
            run(start(), tmp_path / "cut", settings, HERE, None)
    again = start()
    run(again, tmp_path / "cut", settings, HERE, None)

    assert again.updates == straight.updates == settings.updates
    for name, weight in straight.averaged().items():
        assert torch.equal(again.averaged()[name], weight), name
    assert (tmp_path / "cut" / "distill.png").is_file() and (tmp_path / "cut" / "apart.png").is_file()


def test_a_checkpoint_of_a_run_that_studied_nothing_is_refused_in_a_sentence():
    plain, studying = (
        distiller(generator(SMALL), generator(SMALL), replace(SETTINGS, study=study)) for study in (False, True)
    )
    with pytest.raises(BadSettings, match="another `study`"):
        studying.load_state_dict(updated_state(plain))


@pytest.mark.parametrize("change", [{"steps": 1}, {"rate": 1e-3}, {"times": (300,)}])
def test_a_run_goes_on_as_it_was_begun_or_not_at_all(change, tmp_path):
    settings = replace(SETTINGS, frames=2, updates=1, warm_up=1)
    run(distiller(generator(SMALL), generator(SMALL), settings), tmp_path, settings, HERE, None)
    other = replace(settings, **change)

    with pytest.raises(BadSettings, match=f"another `{next(iter(change))}`"):
        run(distiller(generator(SMALL), generator(SMALL), other), tmp_path, other, HERE, None)


@pytest.mark.parametrize("network", ["student", "critic"])
def test_a_run_without_numbers_stops_in_a_sentence_and_keeps_its_last_checkpoint(network, tmp_path):
    settings = replace(SETTINGS, frames=2, updates=1, warm_up=0)
    run(distiller(generator(SMALL), generator(SMALL), settings), tmp_path, settings, HERE, None)
    [before] = tmp_path.glob("state-*/*")
    kept, longer = before.read_bytes(), replace(settings, updates=3, save_seconds=0.0)
    work = distiller(generator(SMALL), generator(SMALL), longer)
    load_state = work.load_state_dict

    def spoilt(saved):
        load_state(saved)
        with torch.no_grad():
            getattr(work, f"_{network}").network.head.head.bias[0] = float("nan")

    work.load_state_dict = spoilt
    with pytest.raises(Diverged, match="the gradient of the student holds values that are not numbers") as caught:
        run(work, tmp_path, longer, HERE, None)

    assert "lower rates" in caught.value.hint
    assert [path.read_bytes() for path in tmp_path.glob("state-*/*")] == [kept]


def test_a_student_that_is_not_numbers_is_not_exported(tmp_path):
    preset = load_preset(str(write_preset(tmp_path, SMALL)))
    weights = {name: weight.detach() for name, weight in generator(SMALL).named_parameters()}
    weights["head.head.bias"] = torch.full_like(weights["head.head.bias"], float("inf"))

    with pytest.raises(BadRun, match=r"head.head.bias of the student holds values that are not numbers"):
        export(tmp_path / "run", HERE, weights, preset, 2)

    assert not (tmp_path / "run").exists()


def test_a_run_may_be_made_longer(tmp_path):
    settings = replace(SETTINGS, frames=2, updates=1, warm_up=1)
    run(distiller(generator(SMALL), generator(SMALL), settings), tmp_path, settings, HERE, None)
    longer = replace(settings, updates=2)
    again = distiller(generator(SMALL), generator(SMALL), longer)
    run(again, tmp_path, longer, HERE, None)

    assert again.updates == 2


def test_a_checkpoint_of_another_model_is_refused_in_a_sentence():
    settings = replace(SETTINGS, frames=2)
    wider = replace(SMALL, dit=replace(SMALL.dit, ffn=64))
    other = distiller(generator(wider), generator(wider), settings, wider)

    with pytest.raises(BadSettings, match="another model"):
        other.load_state_dict(updated_state(distiller(generator(SMALL), generator(SMALL), settings)))


def test_half_a_checkpoint_that_a_kill_left_is_cleared_away(tmp_path):
    half = tmp_path / "state-0000004.part"
    half.mkdir()
    (half / "0-of-1.pt").write_bytes(b"half")

    assert load(tmp_path, HERE) is None and not half.exists()


def updated_state(work):
    work.update(0.5)
    return work.state_dict()


def cut_off_at(last, update):
    def cut_off(self, share):
        if self.updates == last:
            raise KeyboardInterrupt
        return update(self, share)

    return cut_off


def test_computing_blocks_twice_gives_the_same_student():
    students = [generator(SMALL, recompute, seed=1) for recompute in (False, True)]

    for student in students:
        updated(distiller(student, generator(SMALL), replace(SETTINGS, frames=2, warm_up=1)), 2)

    assert all(torch.equal(a, b) for a, b in zip(*(student.parameters() for student in students), strict=True))


def test_bfloat16_teaches_every_weight_too():
    student = generator(SMALL, seed=1)
    before = [weight.detach().clone() for weight in student.parameters()]

    updated(distiller(student, generator(SMALL), replace(SETTINGS, frames=2, warm_up=0, bf16=True)), 2)

    assert all((now != then).any() for now, then in zip(student.parameters(), before, strict=True))
