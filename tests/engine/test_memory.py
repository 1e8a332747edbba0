"""What a preset takes, counted without taking it, equals what a real one takes; and what is given up in which order."""

import sys
from dataclasses import replace

import pytest
import torch

from engine import measure as measuring
from engine.accel.apply import accelerate
from engine.errors import BadWeights
from engine.measure import AllocationCounter, free_bytes, is_out_of_memory, memory_estimate, size_of
from engine.memory import MemoryNeed, TooLarge, check_room, gib, step_down
from engine.models.build import build_text
from engine.params import Params
from engine.preset import AccelSpec, LimitSpec, load_preset
from engine.stream.kvcache import KVCache
from engine.stream.pace import Plan, plan_of
from tests.engine.small import PRESET, film, play, same, small_models, small_session
from tests.engine.stream.planned import begin

FLOAT = torch.float32


def test_weights_window_prompt_and_codec_take_what_the_count_says():
    session, need = small_session(params={"steps": 2, "rows": 2}), memory_estimate(PRESET, FLOAT, rows=2)
    play(session, film(20))
    models, cache = session._models, session._cache
    state = {part.untyped_storage()._cdata: part.untyped_storage() for part in session._encoding + session._decoding}

    assert need.denoiser == size_of(models.denoiser.state_dict().values())
    assert need.codec == size_of(models.codec.state_dict().values())
    assert need.text == size_of(models.text.state_dict().values())
    assert need.window == cache.size
    embedding = PRESET.dit.text_len * PRESET.dit.text_dim * FLOAT.itemsize
    context = size_of(part for pair in session._conditioning.context for part in pair)
    assert need.prompt == context + measuring.FADE_EMBEDDINGS * embedding
    assert need.stream == sum(store.nbytes() for store in state.values())


def test_the_work_of_a_chunk_is_what_a_real_one_takes():
    """Counted on tensors that are really there, a pass takes what it takes on tensors that are not."""
    models, real = small_models(), {}
    for device in ("meta", "cpu"):
        models.denoiser.to(device) if device == "cpu" else None
        cache = measuring.KVCache(PRESET.window, PRESET.dit, 8, torch.device(device), FLOAT)
        cache.rows(2)
        begin(cache, [[5]] * 2, [[5]] * 2, [6] * 2)
        denoiser = models.denoiser if device == "cpu" else measuring.make_denoiser(PRESET.dit)
        context = denoiser.context(torch.zeros(1, 4, 16, device=device))
        x = torch.zeros(2, 1, 8, 4, 8, device=device)
        t = torch.zeros(2, 1, device=device, dtype=torch.int64)
        with torch.no_grad(), AllocationCounter(device) as count, measuring.FusedAttention():
            denoiser(x, t, cache, context)
        real[device] = count.most

    assert real["meta"] == real["cpu"] > 0


def test_weights_in_8_bits_are_counted_as_they_are_loaded_and_as_they_stay():
    """The layers are rounded one after the other, and what they were before is gone then."""
    rounded = replace(PRESET, accel=AccelSpec(fp8=True))
    need, plain = memory_estimate(rounded, FLOAT), memory_estimate(PRESET, FLOAT)
    with AllocationCounter("cpu") as count:
        models = small_models(rounded)
        before, count.most = count.now, count.now
        models = accelerate(models, rounded)

    assert need.denoiser == size_of(models.denoiser.state_dict().values()) < plain.denoiser
    assert before == plain.denoiser + plain.codec + plain.text < count.most <= need.loading
    assert count.now == need.denoiser + need.codec + need.text
    assert plain.loading == 0 and plain.least == plain.fixed


def test_a_preset_that_could_stay_but_not_be_loaded_is_refused_and_the_sentence_says_which():
    need = MemoryNeed(9, 0, 0, 0, 0, 0, 5, loading=17)

    with pytest.raises(TooLarge, match="while its weights are loaded and rounded to 8 bits") as loading:
        check_room(PRESET, need, 16, "cuda:0", {})
    assert "--size" not in loading.value.hint, "weights are no smaller for smaller pictures"
    check_room(PRESET, need, 17, "cuda:0", {})
    with pytest.raises(TooLarge) as error:
        check_room(PRESET, MemoryNeed(9, 0, 0, 0, 0, 0, 5, loading=8), 8, "cuda:0", {"rounded": need})
    assert "loaded" not in str(error.value) and "rounded" not in error.value.hint, "which would not load either"


@pytest.mark.extra("wan")
@pytest.mark.parametrize("name, parameters", [("wan-1.3b", 1_418_996_800), ("wan-14b", 14_288_491_584)])
def test_full_size_is_counted_without_a_byte(name, parameters):
    preset = load_preset(name)

    one, two = (memory_estimate(preset, torch.bfloat16, rows) for rows in (1, 2))

    assert one.denoiser == 2 * parameters
    assert one.codec == 2 * 126_892_531
    assert one.text == 0, "it stays with the processor"
    assert (
        memory_estimate(replace(preset, text=replace(preset.text, place="device")), torch.bfloat16).text
        == 2 * 5_680_910_336
    )
    keys = 2 * preset.dit.layers * 6 * 1560 * preset.dit.dim * 2  # keys and values, slots, tokens, width, bytes
    sinks = preset.dit.layers * 3 * 1560 * preset.dit.heads * 44 * 2  # the channels of a head that turn with time: 44
    assert keys + sinks <= one.window < 1.01 * (keys + sinks)
    assert two.window == 2 * one.window
    assert 0 < one.work <= two.work


def test_what_is_too_large_is_refused_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr(measuring, "free_bytes", lambda _device: 2**20)
    large = PRESET.resized(1024, 1024)

    with pytest.raises(TooLarge) as error:
        measuring.preflight(large, torch.device("cpu"), FLOAT)

    assert "1024x1024 takes" in str(error.value) and "1.0 MiB are free" in str(error.value)


def test_what_recordings_hold_is_counted_where_there_are_any(monkeypatch):
    recorded = replace(PRESET, accel=replace(PRESET.accel, graphs=True))
    plain, need = memory_estimate(PRESET, FLOAT), memory_estimate(recorded, FLOAT)
    monkeypatch.setattr(measuring, "free_bytes", lambda _device: plain.total)

    assert plain.graphs == 0 and need.graphs > 2 * plain.stream + plain.prompt + plain.work
    assert need.fixed == plain.fixed + need.graphs
    measuring.preflight(recorded, torch.device("cpu"), FLOAT)
    with pytest.raises(TooLarge):
        measuring.preflight(recorded, torch.device("cuda"), FLOAT)


@pytest.mark.parametrize("size", [(320, 192), (1024, 1024)])
def test_where_there_is_plenty_of_room_nothing_is_counted(size, monkeypatch):
    preset, counted = load_preset("tiny").resized(*size), []
    need, seen = memory_estimate(preset, FLOAT), measuring.quick_estimate(preset)
    monkeypatch.setattr(measuring, "memory_estimate", lambda *_: counted.append(1) or need)

    for free in (measuring.AMPLE_FACTOR * seen, measuring.AMPLE_FACTOR * seen + 1):
        monkeypatch.setattr(measuring, "free_bytes", lambda _device, free=free: free)
        measuring.preflight(preset, torch.device("cpu"), FLOAT)

    assert counted == [1], "once, where there was hardly less"
    assert seen < need.total < measuring.AMPLE_FACTOR / 4 * seen


def test_weights_that_are_not_there_yet_are_counted(monkeypatch, tmp_path):
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path))

    assert measuring.quick_estimate(load_preset("wan-1.3b")) is None


def test_what_fits_is_named():
    need = MemoryNeed(9, 0, 0, 0, 0, 0, 5)
    others = {"small": MemoryNeed(3, 0, 0, 0, 0, 0, 3), "middle": MemoryNeed(5, 0, 0, 0, 0, 0, 9)}

    with pytest.raises(TooLarge) as error:
        check_room(PRESET, need, 8, "cuda:0", others)

    assert "--preset small" in error.value.hint and "middle" not in error.value.hint
    check_room(PRESET, need, 9, "cuda:0", others)
    check_room(PRESET, need, None, "cuda:0", others)


def test_size_goes_before_the_codec_and_the_codec_before_steps():
    preset = replace(PRESET, width=832, height=480)
    small, params = replace(preset.codec, kind="taehv", widths=(8, 8, 8, 8)), Params(steps=3)
    way, said = preset, []
    while step := step_down(way, params, small):
        way, done = step
        said.append(done)

    assert said == [
        "chunks are denoised one at a time",
        "pictures are made at 624x352",
        "pictures are made at 464x256",
        "pictures are made at 336x192",
        "pictures are made at 240x144",
        "the small codec taehv is used",
        "one step is made",
    ]
    assert plan_of(way, Params(steps=4, rows=2)) == Plan(rows=1, passes=1)
    assert plan_of(preset, params) == Plan(rows=3, passes=1)


def test_rows_that_do_not_divide_the_steps_are_one_row_and_none_is_given_up():
    way, done = step_down(replace(PRESET, width=832, height=480), Params(steps=3, rows=2), None)

    assert done == "pictures are made at 624x352"
    assert way.limits == LimitSpec()


@pytest.mark.parametrize(
    "error, is_it",
    [
        (torch.OutOfMemoryError("x"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (MemoryError(), True),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_a_lack_of_memory_is_known_by_every_name(error, is_it):
    assert is_out_of_memory(error) is is_it


def test_what_is_free_is_known_here():
    assert 2**20 < free_bytes(torch.device("cpu")) < 2**46
    assert gib(3 * 2**30) == "3.0 GiB"


def text_encoder(place, folder):
    return build_text(replace(PRESET.text, weights=str(folder / "text.safetensors"), place=place), *CPU)


CPU = (torch.device("cpu"), FLOAT)


@pytest.fixture
def saved_text(tmp_path):
    from safetensors.torch import save_file

    save_file(small_models().text.state_dict(), tmp_path / "text.safetensors")
    return tmp_path


@pytest.mark.parametrize("place", ["device", "cpu", "drop"])
def test_wherever_the_text_encoder_lives_it_says_the_same(place, saved_text):
    wanted = small_models().text.encode(["neon city"])

    assert torch.equal(text_encoder(place, saved_text).encode(["neon city"]), wanted)


def test_dropped_it_is_loaded_anew_for_each_prompt_and_gone_after(saved_text):
    encoder = text_encoder("drop", saved_text)
    encoder.encode(["neon"])
    assert encoder._encoder is None
    (saved_text / "text.safetensors").unlink()

    with pytest.raises(BadWeights, match="missing"):
        encoder.encode(["ink"])


@pytest.mark.parametrize("place", ["device", "cpu", "drop"])
def test_a_missing_text_encoder_is_noticed_at_the_start(place, tmp_path):
    with pytest.raises(BadWeights, match="missing"):
        text_encoder(place, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
def test_mapped_weights_take_no_memory_of_their_own(tmp_path):
    from safetensors.torch import save_file

    spec = replace(PRESET.text, dim=1024, ffn=4096, layers=4, place="cpu", weights=str(tmp_path / "text.safetensors"))
    with torch.no_grad():
        wide = measuring.make_text(spec).to_empty(device="cpu")
        for value in wide.parameters():
            value.fill_(0.01)
    save_file(wide.state_dict(), spec.weights)
    size = size_of(wide.state_dict().values())
    del wide
    before = own_memory()

    encoder = build_text(spec, *CPU)
    encoder.encode(["neon"])

    assert size > 150e6
    assert own_memory() - before < size / 4


def own_memory():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("RssAnon")).split()[1]) * 1024


def test_rows_there_is_no_room_for_are_held_back_said_once_and_the_stream_plays_on(monkeypatch):
    session = small_session(params={"steps": 1})
    play(session, film(9))
    have, each = session._cache.row_bytes
    asked, problems, pictures = PRESET.params.set_all({"steps": 4, "rows": 4}), [], []
    session.reset()
    left = lambda _device: (3 - session._cache.row_bytes[0]) * each  # noqa: E731
    monkeypatch.setattr("engine.session.free_bytes", left)

    for frame in film(40):
        if frame.index % 8 == 0:  # a knob that moves sends all controls again
            session.update(replace(asked, noise=0.5 + frame.index / 100, revision=frame.index))
        session.push(frame)
        if made := session.step():
            pictures += made
            problems += [session.report.problem] if session.report.problem else []
    assert session._cache.row_bytes == (2, each)
    monkeypatch.setattr("engine.session.free_bytes", lambda _device: None)
    session.update(asked)
    pictures += play(session, film(48)[40:])

    assert have == 1
    assert session._cache.row_bytes == (4, each), "where there is room, they come"
    assert len(problems) == 1 and problems[0].startswith("4 rows take")
    assert problems[0].endswith("there are 2, and a smaller --size has room for more")
    assert [picture.index for picture in pictures] == list(range(48))


def test_a_row_takes_what_is_counted_for_it():
    one, two = (memory_estimate(PRESET, FLOAT, rows).window for rows in (1, 2))

    assert small_session()._cache.row_bytes == (1, two - one)


@pytest.mark.parametrize("have, wanted", [(1, 2), (1, 4), (3, 4)])
def test_more_rows_take_no_more_on_the_way_than_in_the_end(have, wanted):
    dit = replace(PRESET.dit, layers=30)
    with AllocationCounter() as count:
        cache = KVCache(PRESET.window, dit, 8, torch.device("meta"), FLOAT)
        cache.rows(have)
        before, each = count.now, cache.row_bytes[1]
        count.most = 0
        cache.rows(wanted)

    assert count.now - before == pytest.approx((wanted - have) * each, rel=0.01)
    assert count.most - before < (wanted - have + 0.1) * each


def test_a_prompt_that_nearly_fills_its_place_is_counted_with_its_scores():
    preset = replace(PRESET, dit=replace(PRESET.dit, text_len=64))
    bare = replace(PRESET, dit=replace(PRESET.dit, text_len=measuring.LENGTH_STEP))
    tokens = preset.tokens

    most = []
    for each in (bare, preset):
        cache = KVCache(each.window, each.dit, tokens, torch.device("meta"), FLOAT)
        cache.rows(4)
        denoiser = measuring.make_denoiser(each.dit)
        context = denoiser.context(torch.empty(1, each.dit.text_len, each.dit.text_dim, device="meta"))
        with torch.no_grad():
            most.append(measuring._denoising_bytes(denoiser, each, cache, context, rows=4))

    scores = 4 * tokens * preset.dit.heads * 64 * 4  # rows, tokens, heads, words, bytes
    assert most[1] - most[0] >= scores


def test_a_stream_that_begins_anew_takes_no_more_memory():
    """Else a card that is nearly full steps down after warming up, for a window that is there twice for a moment."""
    session = small_session(params={"steps": 4, "rows": 4})
    play(session, film(40))
    each = session._cache.row_bytes[1]

    with AllocationCounter("cpu") as count:
        session.reset()

    assert count.most < each / 10
    assert same(play(session, film(24)), play(small_session(params={"steps": 4, "rows": 4}), film(24)))


def test_what_ran_out_of_memory_is_known_behind_the_error_it_led_to():
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
    except RuntimeError as error:
        assert is_out_of_memory(error)


def test_the_table_has_a_line_for_each_preset_and_number_of_rows(monkeypatch):
    monkeypatch.setattr(measuring, "preset_names", lambda: ["tiny"])

    header, rule, *lines = measuring.table(FLOAT)

    assert len(lines) == 2
    assert {line.count("|") for line in (header, rule, *lines)} == {header.count("|")}
