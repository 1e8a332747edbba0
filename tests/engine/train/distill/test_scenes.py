import pytest
import torch

from engine.preset import load_preset
from engine.train.__main__ import main
from engine.train.clips import draw_clip
from engine.train.distill.made import MadeClips
from engine.train.distill.scenes import CHECKED, DrawnScenes, Films, frames_for, noise_shares, read_piece
from engine.train.distill.settings import BadSettings, Settings, settings_for
from tests.engine.small import PRESET, small_models
from tests.engine.train.distill.parts import SETTINGS, SMALL, write_film


def test_a_rollout_is_made_of_whole_chunks():
    assert frames_for(7, PRESET) == 28
    assert frames_for(21, load_preset("wan-1.3b")) == 5 + 19 * 4  # the first chunk is two latents


def test_a_still_picture_keeps_its_noise_and_a_moving_one_loses_some():
    still, moving = (noise_shares([None, much, much], 0.8, PRESET) for much in (0.0, 1.0))

    assert still == pytest.approx([0.8, 0.8, 0.8])
    assert moving[0] == 0.8 > moving[1] >= moving[2] > 0.65


def test_a_piece_of_a_video_fills_the_presets_size_from_anywhere_in_it(tmp_path):
    film = write_film(tmp_path / "a.mp4", frames=60, size=(96, 64))

    start, end = (read_piece(film, 8, where, SMALL) for where in (0.0, 1.0))

    assert start.shape == end.shape == (8, 3, 32, 32)
    assert -1 <= start.min() < -0.2 and 0.2 < start.max() <= 1
    assert not torch.equal(start, end)


def test_a_video_that_is_too_short_is_played_to_and_fro(tmp_path):
    piece = read_piece(write_film(tmp_path / "a.mp4", frames=3), 6, 0.5, SMALL)

    assert torch.equal(piece[3], piece[1]) and torch.equal(piece[4], piece[0])


def test_scenes_depend_on_their_number_alone_however_many_processes_draw_them(tmp_path):
    write_film(tmp_path / "a.mp4")
    models = small_models(SMALL)
    films = Films(tmp_path, ["neon", "gold"], models, SMALL, SETTINGS, 0)
    scenes = DrawnScenes(films, models, SMALL, SETTINGS, 0)

    every = scenes.draw(3, range(4))
    ours, theirs = scenes.draw(3, range(0, 4, 2)), scenes.draw(3, range(1, 4, 2))

    for one, other in zip(every, [ours[0], theirs[0], ours[1], theirs[1]], strict=True):
        assert (one.seed, one.noise, one.carry) == (other.seed, other.noise, other.carry)
        assert all(torch.equal(a, b) for a, b in zip(one.chunks, other.chunks, strict=True))
        assert torch.equal(one.prompt, other.prompt)


def test_a_cut_takes_the_same_square_of_every_chunk():
    models, settings = small_models(), Settings(frames=3, side=2, whole=0.0, stock=2)
    clips = MadeClips(models, PRESET, settings, 0)

    cut = DrawnScenes(clips, models, PRESET, settings, 0).draw(0, range(2))
    full = DrawnScenes(clips, models, PRESET, Settings(frames=3, side=0), 0).draw(0, range(2))

    assert cut[0].chunks[0].shape[-2:] == (2, 2)
    windows = full[0].chunks[0].unfold(2, 2, 2).unfold(3, 2, 2)
    found = [(y, x) for y in range(2) for x in range(4) if torch.equal(windows[:, :, y, x], cut[0].chunks[0])]
    assert len(found) == 1
    later = full[0].chunks[2].unfold(2, 2, 2).unfold(3, 2, 2)
    assert torch.equal(later[:, :, *found[0]], cut[0].chunks[2])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("steps = 9", "takes 1 to 4 steps"),
        ("batch = 3", "do not divide by 2"),
        ("noise = [0.9, 0.1]", "noise is a range"),
        ("times = [0]", "times lie between"),
        ("times = ['late']", "times cannot be 'late'"),
        ("side = 3", "side is 0 or a multiple of 2"),
        ("side = -2", "side is 0 or a multiple of 2"),
        ("stock = 0", "stock and check_every"),
        ("rate = -1", "rate, critic_rate and clip"),
        ("matching = -0.1", "weights, warm_up and rows"),
        ("momentum = 1.0", "momentum below 1"),
        ("frames = 'many'", "frames cannot be 'many'"),
        ("pictures = 3", "there is no setting 'pictures'"),
        ("frames = ", "cannot be read"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_a_sentence(tmp_path, line, said):
    file = tmp_path / "settings.toml"
    file.write_text(line)

    with pytest.raises(BadSettings, match=said) as caught:
        settings_for(PRESET, file).check(PRESET, processes=2)

    assert caught.value.hint


def test_what_a_large_model_lacks_is_said_before_anything_is_loaded(capsys, tmp_path):
    assert main(["distill", "--preset", "wan-1.3b", "--run", str(tmp_path), "--device", "cpu"]) == 2
    assert "wan-1.3b needs films" in capsys.readouterr().err


def test_a_folder_without_videos_or_words_is_refused(tmp_path):
    models = small_models(SMALL)
    with pytest.raises(BadSettings, match="holds no video"):
        Films(tmp_path, ["neon"], models, SMALL, SETTINGS, 0)

    write_film(tmp_path / "a.mp4", frames=4)
    with pytest.raises(BadSettings, match="nothing says what a.mp4 should become"):
        Films(tmp_path, [], models, SMALL, SETTINGS, 0).draw(0, range(1))

    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(BadSettings, match="cannot be read as a video"):
        Films(tmp_path, ["neon"], models, SMALL, SETTINGS, 0).draw(0, range(1))


def test_checking_leaves_the_stock_of_clips_alone(monkeypatch):
    made = []
    monkeypatch.setattr("engine.train.distill.made.draw_clip", lambda *call: made.append(call) or draw_clip(*call))
    clips = MadeClips(small_models(), PRESET, Settings(frames=2, batch=1, stock=3), 0)

    for number in (0, CHECKED, 1, CHECKED):
        clips.draw(number, range(1))

    assert len(made) == 3 + 1
