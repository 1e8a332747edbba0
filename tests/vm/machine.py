"""A small virtual machine: Debian's kernel with v4l2loopback, and this machine's own files, read-only, as its disk.

The kernel's modules lie in an initial RAM disk with busybox; the rest, Python with everything installed and this
repository, is the host's root folder by 9p under a layer of memory. It runs without KVM, slowly. What is not on this
machine is downloaded by apt, about 85 MB, into the user's cache folder, once.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "latentcast" / "vm"
PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "cpio": "cpio", "modprobe": "kmod"}
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "videodev")
CAMERAS = "devices=3 video_nr=9,10,11 exclusive_caps=1,1,1"
LIMIT = 3000  # seconds for one run; a minute on an idle machine
MARK = "RESULT "

INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in {modules}; do insmod $module || echo "no $module"; done
insmod /modules/v4l2loopback.ko {cameras} 'card_label=Latentcast,OBS Virtual Camera,Third' || echo "no cameras"
mkdir -p /host /layer /new
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,ro,cache=loose hostroot /host
mount -t tmpfs layer /layer; mkdir /layer/up /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/up,workdir=/layer/work overlay /new
mount --move /proc /new/proc; mount --move /sys /new/sys; mount --move /dev /new/dev
mkdir -p /new/dev/shm /new/dev/pts
mount -t tmpfs shm /new/dev/shm; mount -t devpts pts /new/dev/pts; mount -t tmpfs tmp /new/tmp
ip link set lo up
chroot /new /bin/sh -c {command}
poweroff -f
"""


class Machine:
    """Made once; `run` starts it anew each time."""

    def __init__(self, folder):
        lacking = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
        if lacking:
            pytest.skip(f"apt-get install {' '.join(lacking)}")
        self._folder = folder
        self._release = _release()
        self._kernel, self._loopback = _unpacked(self._release), _built(self._release)

    def run(self, script):
        """Run a Python script of this repository in there; what its last line said after MARK, from JSON."""
        command = f"cd {shlex.quote(str(ROOT))} && PYTHONPATH=. {shlex.quote(sys.executable)} {shlex.quote(script)}"
        disk = self._make_disk(command)
        qemu = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "Nehalem-v1"]
        qemu += ["-smp", "2", "-m", "4096", "-nographic", "-nic", "none", "-no-reboot"]
        qemu += ["-kernel", str(self._kernel / "boot" / f"vmlinuz-{self._release}"), "-initrd", str(disk)]
        qemu += ["-append", "console=ttyS0 quiet panic=-1"]
        qemu += ["-fsdev", "local,id=fs0,path=/,security_model=none,readonly=on,multidevs=remap"]
        qemu += ["-device", "virtio-9p-pci,fsdev=fs0,mount_tag=hostroot"]
        done = subprocess.run(qemu, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT)
        said = done.stdout.decode(errors="replace")
        for line in said.splitlines():
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        raise AssertionError(f"{script} came to no result:\n{said[-6000:]}{done.stderr.decode()[-500:]}")

    def _make_disk(self, command):
        inside = self._folder / "disk"
        shutil.rmtree(inside, ignore_errors=True)
        for name in ("bin", "modules", "proc", "sys", "dev"):
            (inside / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), inside / "bin" / "busybox")
        modules = _in_order(self._kernel, self._release)
        for module in (*modules, self._loopback):
            shutil.copy(module, inside / "modules")
        names = " ".join(f"/modules/{module.name}" for module in modules)
        init = inside / "init"
        init.write_text(INIT.format(modules=names, cameras=CAMERAS, command=shlex.quote(command)))
        init.chmod(0o755)
        disk = self._folder / "disk.img"
        with disk.open("wb") as file:
            subprocess.run("find . | cpio --quiet -o -H newc", shell=True, cwd=inside, stdout=file, check=True)
        return disk


def _release():
    """Debian's newest kernel, such as 6.1.0-56-amd64."""
    try:
        depends = _output("apt-cache", "depends", "linux-image-amd64")
        return depends.split("linux-image-")[2].split()[0]
    except (FileNotFoundError, IndexError, subprocess.CalledProcessError):
        pytest.skip("takes Debian, after apt-get update")


def _unpacked(release):
    folder = CACHE / release
    if not (folder / "lib" / "modules" / release / "modules.dep").is_file():
        _unpack(f"linux-image-{release}", folder)
        subprocess.run(["depmod", "-b", folder, release], check=True)
    return folder


def _built(release):
    """v4l2loopback.ko for this kernel."""
    headers = Path(f"/usr/src/linux-headers-{release}")
    if not headers.is_dir():
        pytest.skip(f"apt-get install linux-headers-{release}")
    folder = CACHE / f"v4l2loopback-{release}"
    (source,) = [*folder.glob("usr/src/v4l2loopback-*")] or _unpack("v4l2loopback-dkms", folder)
    if not (source / "v4l2loopback.ko").is_file():
        subprocess.run(["make", "-C", headers, f"M={source}", "modules"], check=True, capture_output=True)
    return source / "v4l2loopback.ko"


def _unpack(package, folder):
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", package], cwd=folder, check=True, capture_output=True)
    (archive,) = folder.glob(f"{package}_*.deb")
    subprocess.run(["dpkg", "-x", archive, folder], check=True)
    archive.unlink()
    return [*folder.glob("usr/src/v4l2loopback-*")]


def _in_order(kernel, release):
    """The files of MODULES and of all that they need, each after what it needs."""
    lines = []
    for name in MODULES:
        lines += _output("modprobe", "-d", kernel, "-S", release, "--show-depends", name).splitlines()
    return [Path(line.split()[1]) for line in dict.fromkeys(lines) if line.startswith("insmod")]


def _output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
