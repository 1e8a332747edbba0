"""The plugin's C for Windows, as far as it knows nothing of OBS: built by MinGW, run by Wine. Rings and OSC."""

import os
import shutil
import subprocess
import time

import pytest
from pythonosc.osc_message import OscMessage

from engine.clock import monotonic
from tests.obs.plugin import Ear, build, own

GCC = "x86_64-w64-mingw32-gcc"
WINE = next(filter(None, map(shutil.which, ("wine64", "/usr/lib/wine/wine64", "wine"))), "")
SERVER = next(filter(None, map(shutil.which, ("wineserver", "/usr/lib/wine/wineserver64"))), "")
TOOLCHAIN = f"set(CMAKE_SYSTEM_NAME Windows)\nset(CMAKE_C_COMPILER {GCC})\n"
INSTALL = "apt-get install -y --no-install-recommends cmake make gcc-mingw-w64-x86-64 wine64"
LACKING = [name for name in ("cmake", "make", GCC) if not shutil.which(name)] + ["wine"] * (not WINE or not SERVER)
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(bool(LACKING), reason=f"no {', '.join(LACKING)}; {INSTALL}"),
]


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """Starts ring-peer.exe in a Windows that is gone afterwards."""
    folder = tmp_path_factory.mktemp("windows")
    (folder / "windows.cmake").write_text(TOOLCHAIN)
    built = build(folder / "build", "-DLATENTCAST_PEER=ON", f"-DCMAKE_TOOLCHAIN_FILE={folder / 'windows.cmake'}")
    home = {
        "HOME": str(folder),
        "WINEPREFIX": str(folder / "wine"),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree=",
    }
    environment = {**os.environ, **home}
    environment.pop("DISPLAY", None)

    def start(*words):
        command = [WINE, str(built / "ring-peer.exe"), *map(str, words)]
        return subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True)

    yield start
    subprocess.run([SERVER, "-k"], env=environment, timeout=60, check=False)
    shutil.rmtree(folder / "wine", ignore_errors=True)  # 700 MB, which pytest would keep


@pytest.fixture
def start(windows):
    """The same; whatever a test leaves running is ended."""
    started = []

    def begin(*words):
        started.append(windows(*words))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        if not process.stdout.closed:
            process.communicate(timeout=60)


def ask(start, *words):
    """What it said, and its exit code."""
    process = start(*words)
    said, _ = process.communicate(timeout=120)
    return said.strip(), process.returncode


def test_one_program_reads_what_another_writes_and_nothing_is_torn(start):
    writer = start("write", own("w"), 161, 97, 1)
    assert writer.stdout.readline() == "ready\n"

    said, code = ask(start, "read", own("w"), 300)

    assert code == 0, said
    assert said.startswith("161x97 good 300 overtaken ")
    assert " torn 0 wrong 0 " in said


def test_a_stamp_is_seconds_of_the_performance_counter_which_every_program_reads_alike(start):
    began = monotonic()
    writer = start("stamp", own("w"))
    stamp = float(writer.stdout.readline())

    said, code = ask(start, "age", own("w"))

    assert code == 0, said
    read, now = map(float, said.split())
    assert read == stamp
    assert 0 <= now - stamp <= monotonic() - began + 0.1  # Wine's counter is not slewed as Linux's clock is


def test_a_ring_is_gone_with_its_owner_and_one_that_nobody_made_is_said(start):
    owner = start("create", own("w"), 32, 8)
    assert owner.stdout.readline() == "32x8\n"
    assert ask(start, "open", own("w")) == ("32x8", 0)
    owner.communicate(timeout=60)

    assert ask(start, "open", own("w")) == (f"there is no ring named {own('w')} yet", 1)


def test_a_living_owner_is_not_robbed(start):
    owner = start("create", own("w"), 32, 8)
    assert owner.stdout.readline() == "32x8\n"

    said, code = ask(start, "create", own("w"), 32, 8)

    assert (code, said.partition(" belongs")[0]) == (1, f"ring {own('w')}")
    assert said.endswith("which runs: stop it, or use another name")


@pytest.mark.parametrize("side", [24, 64], ids=["smaller", "as large as before"])
def test_who_reads_a_ring_that_is_made_anew_in_the_same_memory_lets_go_of_it(start, side):
    owner = start("anew", own("w"), 64, side)
    assert owner.stdout.readline() == "64x64\n"
    reader = start("read", own("w"), 10**6)
    time.sleep(2.0)  # it reads
    owner.stdin.write("\n")
    owner.stdin.flush()
    assert owner.stdout.readline() == f"{side}x{side}\n"

    said, _ = reader.communicate(timeout=120)

    assert said.startswith("64x64 good ")
    assert " torn 0 wrong 0 " in said, said
    assert said.strip().endswith(" open 0"), said
    assert ask(start, "open", own("w")) == (f"{side}x{side}", 0)


def test_osc_arrives(start):
    with Ear() as ear:
        assert ask(start, "osc", ear.port, "/latentcast/x", "s", "neon") == ("", 0)
        ear.socket.settimeout(30)
        message = OscMessage(ear.socket.recv(65536))

    assert (message.address, message.params) == ("/latentcast/x", ["neon"])
