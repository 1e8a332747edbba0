"""The authors' layouts, with the real key lists at small sizes, become files that load."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.checksum import checksum_line, checksum_path, digest
from engine.convert.__main__ import main
from engine.convert.fit import KINDS
from engine.preset import load_preset
from engine.weights import load_weights

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "tests" / "golden" / "manifests"
PRESET = """
extends = "wan-1.3b"
[codec]
{codec}
[dit]
dim = 48
ffn = 64
heads = 2
text_dim = 32
[text]
dim = 32
heads = 4
ffn = 48
vocab = 64
"""
CODECS = {"vae": "widths = [8, 16, 32, 32]", "taehv": 'kind = "taehv"\nwidths = [8, 8, 8, 16]\nblocks = 3'}
MANIFEST_OF = {"dit": "wan2.1_t2v_1.3b", "vae": "wan2.1_vae", "umt5": "umt5_xxl_enc", "taehv": "taehv"}


@pytest.fixture
def small(tmp_path):
    """The path of a preset file with the depth of the published model and small widths, by kind."""

    def path(kind):
        file = tmp_path / f"small-{kind}.toml"
        file.write_text(PRESET.format(codec=CODECS.get(kind, CODECS["vae"])))
        return str(file)

    return path


@pytest.fixture
def weights(small):
    """Random tensors under the published keys, by kind."""

    def make(kind):
        shapes = KINDS[kind].shapes(load_preset(small(kind)))
        assert set(shapes) == set(json.loads((MANIFESTS / f"{MANIFEST_OF[kind]}.json").read_text()))
        return {key: torch.randn(shape, dtype=torch.bfloat16) for key, shape in shapes.items()}

    return make


@pytest.fixture
def convert(small, tmp_path):
    """Convert a file of the test's folder as one of the small models; the exit status."""

    def run(source, target, kind):
        return main([str(tmp_path / source), str(tmp_path / target), "--kind", kind, "--preset", small(kind)])

    return run


def wrapped(key):
    return key.replace("blocks.", "_fsdp_wrapped_module.blocks.").replace(".ffn", "._fsdp_wrapped_module.ffn")


LAYOUTS = {
    "plain": lambda tensors: tensors,
    "generator": lambda tensors: {"generator": {f"model.{k}": v for k, v in tensors.items()}, "step": 3},
    "generator_ema": lambda tensors: {"generator_ema": tensors},
    "state_dict": lambda tensors: {"state_dict": {f"model.{k}": v for k, v in tensors.items()}, "epoch": 1},
    "sharded": lambda tensors: {"generator": {f"model.{wrapped(k)}": v for k, v in tensors.items()}},
}


@pytest.mark.parametrize("kind", ["dit", "vae", "taehv", pytest.param("umt5", marks=pytest.mark.extra("wan"))])
def test_a_published_layout_becomes_a_file_that_loads(convert, kind, small, weights, tmp_path, capsys):
    tensors = weights(kind)
    torch.save(tensors, tmp_path / "in.pth")

    assert convert("in.pth", "out.safetensors", kind) == 0

    model = KINDS[kind].make(load_preset(small(kind)))
    load_weights(model, str(tmp_path / "out.safetensors"))
    assert all(torch.equal(value, tensors[key]) for key, value in model.state_dict().items())
    report = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in report[:-1]] == list(tensors)
    assert f"{len(tensors)} matched" in report[-1]


def test_a_converted_file_has_its_checksum_beside_it_and_one_that_is_written_over_has_the_new_one(
    convert, weights, tmp_path
):
    target, tensors = tmp_path / "out.safetensors", weights("dit")
    for number in range(2):
        torch.save({key: value + number for key, value in tensors.items()}, tmp_path / "in.pth")
        assert convert("in.pth", "out.safetensors", "dit") == 0

        assert checksum_path(target).read_text() == checksum_line(digest(target), target)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("out")) == [
        "out.safetensors",
        "out.safetensors.sha256",
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_training_left_around_the_model_is_taken_off(layout, convert, weights, tmp_path):
    tensors = weights("dit")
    torch.save(LAYOUTS[layout](tensors), tmp_path / "model.pt")

    assert convert("model.pt", "dit.safetensors", "dit") == 0

    written = load_file(tmp_path / "dit.safetensors")
    assert written.keys() == tensors.keys()
    assert all(torch.equal(written[key], tensors[key]) for key in tensors)


def test_a_safetensors_file_and_an_old_pickle_are_read_too(convert, weights, tmp_path):
    tensors = weights("taehv")
    save_file(tensors, tmp_path / "in.safetensors")
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)

    for name in ("in.safetensors", "old.pth"):
        assert convert(name, "out.safetensors", "taehv") == 0


def test_a_checkpoint_in_8_bit_floats_becomes_a_file_that_loads(convert, small, weights, tmp_path):
    tensors = {key: value.to(torch.float8_e4m3fn) for key, value in weights("dit").items()}
    save_file(tensors, tmp_path / "in.safetensors")

    assert convert("in.safetensors", "out.safetensors", "dit") == 0

    model = KINDS["dit"].make(load_preset(small("dit")))
    load_weights(model, str(tmp_path / "out.safetensors"))
    assert all(torch.equal(value, tensors[key].float()) for key, value in model.state_dict().items())


@pytest.mark.parametrize("how", ["sparse", "integers"])
def test_what_is_not_stored_as_plain_numbers_is_reported(how, convert, weights, tmp_path, capsys):
    tensors = weights("dit")
    bias = tensors["head.head.bias"]
    torch.save({**tensors, "head.head.bias": bias.to_sparse() if how == "sparse" else bias.int()}, tmp_path / "in.pth")

    assert convert("in.pth", "out.safetensors", "dit") == 2

    said = capsys.readouterr()
    assert "not numbers  head.head.bias" in said.out and "1 not numbers" in said.err


def test_tensors_under_numbers_are_unexpected(convert, tmp_path, capsys):
    torch.save({0: torch.zeros(2), 1: torch.zeros(3)}, tmp_path / "in.pth")

    assert convert("in.pth", "out.safetensors", "dit") == 2
    assert "unexpected   0 [2]" in capsys.readouterr().out


def test_time_layers_stored_too_large_keep_their_last_channels(convert, weights, tmp_path, capsys):
    tensors = weights("taehv")
    stored = torch.cat([torch.zeros_like(tensors["decoder.7.conv.weight"]), tensors["decoder.7.conv.weight"]])
    torch.save(tensors | {"decoder.7.conv.weight": stored}, tmp_path / "in.pth")

    assert convert("in.pth", "out.safetensors", "taehv") == 0

    written = load_file(tmp_path / "out.safetensors")["decoder.7.conv.weight"]
    assert torch.equal(written, tensors["decoder.7.conv.weight"])
    assert "the last of 32 channels" in capsys.readouterr().out


def lose(tensors):
    return {key: value for key, value in tensors.items() if key != "head.head.bias"}


def add(tensors):
    return tensors | {"img_emb.proj.0.weight": torch.zeros(3)}


def stretch(tensors):
    return tensors | {"head.head.bias": torch.zeros(3)}


def spoil(tensors):
    return tensors | {"head.head.bias": tensors["head.head.bias"] * torch.nan}


@pytest.mark.parametrize(
    "damage, line, sentence",
    [
        (lose, "missing      head.head.bias [64]", "1 missing"),
        (add, "unexpected   img_emb.proj.0.weight [3]", "1 unexpected"),
        (stretch, "wrong shape  head.head.bias [3], not [64]", "1 of a wrong shape"),
        (spoil, "not numbers  head.head.bias", "1 not numbers"),
    ],
)
def test_a_file_that_does_not_fit_is_reported_and_not_written(
    damage, line, sentence, convert, weights, tmp_path, capsys
):
    (tmp_path / "out.safetensors").write_bytes(b"what was there before")
    torch.save(damage(weights("dit")), tmp_path / "in.pt")

    assert convert("in.pt", "out.safetensors", "dit") == 2

    said = capsys.readouterr()
    assert line in said.out.splitlines()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert (tmp_path / "out.safetensors").read_bytes() == b"what was there before"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.extra("wan")
def test_a_text_encoder_where_a_codec_belongs_is_recognised(convert, weights, tmp_path, capsys):
    torch.save(weights("umt5"), tmp_path / "in.pth")

    assert convert("in.pth", "out.safetensors", "vae") == 2

    assert "it looks like --kind umt5" in capsys.readouterr().err


def test_a_transformer_of_another_size_is_pointed_to_its_preset(weights, tmp_path, capsys):
    torch.save(weights("dit"), tmp_path / "in.pth")

    assert main([str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors"), "--kind", "dit"]) == 2

    assert "choose the --preset" in capsys.readouterr().err


class Trap:
    """What a hostile checkpoint would hold: unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("content", ["code", "cut", "text", "empty", "numbers", "absent", "zip", "split", "popped"])
def test_a_file_that_is_no_checkpoint_is_one_sentence_and_never_run(content, convert, tmp_path, capsys):
    path = tmp_path / "in.pt"
    write_bad(content, path, tmp_path)

    assert convert("in.pt", "out.safetensors", "dit") == 2

    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "sprung").exists()
    assert not (tmp_path / "out.safetensors").exists()


def write_bad(content, path, folder):
    if content == "code":
        torch.save({"generator": Trap(str(folder / "sprung"))}, path)
    elif content == "cut":
        torch.save({"generator": {"a": torch.zeros(1000)}}, path)
        path.write_bytes(path.read_bytes()[:2000])
    elif content == "numbers":
        torch.save({"generator": {"step": 3}}, path)
    elif content in ("zip", "split"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", b"junk")
            archive.writestr("x/version", "3")
        if content == "split":  # a zip file that says it goes on elsewhere
            path.write_bytes(path.read_bytes()[:-18] + b"\1\0" + path.read_bytes()[-16:])
    elif content == "popped":  # a pickle that takes more from its stack than there is
        path.write_bytes(b"\x80\x02" + b"0000000.")
    elif content in ("text", "empty"):
        path.write_text("<html>not found</html>" if content == "text" else "")


def test_out_must_be_a_new_safetensors_file(weights, tmp_path, capsys):
    save_file(weights("dit"), tmp_path / "dit.safetensors")

    for target in ("dit.safetensors", "dit.pt"):
        assert main([str(tmp_path / "dit.safetensors"), str(tmp_path / target), "--kind", "dit"]) == 2
        assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("dtype, stored", [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)])
def test_numbers_are_stored_as_asked(dtype, stored, small, weights, tmp_path):
    tensors = {key: value.float() for key, value in weights("taehv").items()}
    torch.save(tensors, tmp_path / "in.pth")
    target = tmp_path / "out.safetensors"

    asked = [str(tmp_path / "in.pth"), str(target), "--kind", "taehv", "--preset", small("taehv"), "--dtype", dtype]
    assert main(asked) == 0

    written = load_file(target)
    assert written.keys() == tensors.keys()
    assert all(torch.equal(written[key], tensors[key].to(stored)) for key in tensors)
    assert target.stat().st_size < 20_000 + sum(value.numel() for value in tensors.values()) * stored.itemsize


def test_a_value_too_large_for_the_numbers_asked_for_is_refused(small, weights, tmp_path, capsys):
    tensors = weights("taehv")
    tensors["encoder.0.bias"][0] = 1e9
    torch.save(tensors, tmp_path / "in.pth")
    asked = [str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors"), "--kind", "taehv"]

    assert main([*asked, "--preset", small("taehv"), "--dtype", "fp16"]) == 2

    assert "too large" in capsys.readouterr().err
    assert list(tmp_path.glob("out*")) == []


MEMORY = """
import sys, threading, time
from pathlib import Path

def own():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1]) * 1024

from engine.convert.__main__ import KINDS, convert, load_preset
KINDS["umt5"].shapes(load_preset(sys.argv[3]))  # libraries are loaded now
before, most = own(), [0]
def watch():
    while True:
        most[0] = max(most[0], own())
        time.sleep(0.002)
threading.Thread(target=watch, daemon=True).start()
convert(Path(sys.argv[1]), Path(sys.argv[2]), "umt5", sys.argv[3], "bf16")
print(most[0] - before)
"""


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_a_large_file_is_never_in_memory_as_a_whole(small, tmp_path):
    preset = tmp_path / "many.toml"
    preset.write_text(
        'extends = "wan-1.3b"\n[dit]\ntext_dim = 512\n[text]\ndim = 512\nffn = 1024\nheads = 8\nvocab = 512\n'
    )
    shapes = KINDS["umt5"].shapes(load_preset(str(preset)))
    torch.save({key: torch.ones(shape) for key, shape in shapes.items()}, tmp_path / "in.pth")
    size = (tmp_path / "in.pth").stat().st_size
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors"), str(preset)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    taken = int(done.stdout.splitlines()[-1])
    assert size > 240e6
    assert taken < size / 4, f"{taken / 2**20:.0f} MiB of its own for a file of {size / 2**20:.0f}"


class Full:
    free = 100


def test_a_full_disk_is_noticed_before_writing(convert, weights, tmp_path, monkeypatch, capsys):
    torch.save(weights("taehv"), tmp_path / "in.pth")
    monkeypatch.setattr("engine.convert.write.shutil.disk_usage", lambda _folder: Full)

    assert convert("in.pth", "out.safetensors", "taehv") == 2

    assert "make room" in capsys.readouterr().err


def test_an_out_that_cannot_exist_is_one_sentence(convert, weights, tmp_path, capsys):
    torch.save(weights("taehv"), tmp_path / "in.pth")

    assert convert("in.pth", "in.pth/out.safetensors", "taehv") == 2

    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.process
def test_it_runs_as_a_module(small, weights, tmp_path):
    torch.save({"generator": {f"model.{k}": v for k, v in weights("dit").items()}}, tmp_path / "model.pt")
    command = [sys.executable, "-m", "engine.convert", "model.pt", "new/dit.safetensors"]

    done = subprocess.run(
        [*command, "--kind", "dit", "--preset", small("dit")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "new" / "dit.safetensors").is_file()


@pytest.mark.process
def test_a_report_that_nobody_reads_on_is_no_traceback(tmp_path):
    tiny = ROOT / "engine" / "assets" / "tiny" / "dit.safetensors"
    command = [sys.executable, "-m", "engine.convert", str(tiny), "out.safetensors", "--kind", "dit"]  # of 702 keys
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, **pipes) as running:
        running.stdout.close()
        said = running.stderr.read()

    assert running.returncode == 2
    assert said.count("\n") == 1 and "nothing was written" in said
    assert list(tmp_path.iterdir()) == []
