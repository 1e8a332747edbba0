"""Why a virtual camera does not start: a sentence and the line that cures it, for what pyvirtualcam's backends say."""

from __future__ import annotations

from typing import NamedTuple

from bridge.errors import AdapterUnavailable

_OWN = "install OBS Studio, whose virtual camera this uses"
_FREE = "stop the virtual camera in OBS, and end other programs that send to it"


class Refusal(NamedTuple):
    """said: what the backend says, in part. The first row that fits counts, so what is there but taken comes first."""

    said: str
    sentence: str
    cure: str


TAKEN = "resource busy"  # what v4l2loopback means when it says that its device is no output
REFUSALS = (
    # Linux, v4l2loopback
    Refusal(
        "missing permissions",
        "the virtual camera may not be opened",
        "sudo usermod -a -G video $USER, then log in again",
    ),
    Refusal(
        TAKEN,
        "another program sends to the virtual camera",
        "end that program, or make two: sudo modprobe -r v4l2loopback;"
        " sudo modprobe v4l2loopback devices=2 exclusive_caps=1,1",
    ),
    Refusal(
        "could not be configured",
        "the virtual camera does not take this size",
        "close the programs that show it, or give it the size it has, as in virtualcam:640x480",
    ),
    Refusal(
        "No v4l2 loopback device found",
        "there is no virtual camera on this machine",
        "sudo apt install v4l2loopback-dkms; sudo modprobe v4l2loopback exclusive_caps=1 card_label=latentcast",
    ),
    Refusal(
        "does not exist",
        "that virtual camera is not there",
        "`latentcast devices` lists those that are; sudo modprobe v4l2loopback exclusive_caps=1 makes one",
    ),
    Refusal("could not be queried", "that device is no virtual camera", "`latentcast devices` lists those that are"),
    Refusal("is not a V", "that device is no virtual camera", "`latentcast devices` lists those that are"),
    Refusal("not a video output device", "that is a real camera", "`latentcast devices` lists the virtual ones"),
    # Windows and macOS, OBS
    Refusal("output could not be started", "another program sends to the OBS Virtual Camera", _FREE),
    Refusal("Couldn't start stream", "another program sends to the OBS Virtual Camera", _FREE),
    Refusal("Multiple cameras", "this program sends to the OBS Virtual Camera already", "switch the other output off"),
    Refusal("already in use", "all Unity Video Capture cameras are taken", "end a program that sends to one"),
    Refusal("version is not supported", "this OBS is too old", "install OBS 30 or later, and start its camera once"),
    Refusal(
        "not installed in your system",
        "the OBS Virtual Camera is not installed",
        "install OBS 30 or later, press Start Virtual Camera once, and allow its extension in System Settings",
    ),
    Refusal("Did you install OBS", "there is no virtual camera on this machine", _OWN),
    Refusal("supports only the 'OBS", "no virtual camera has that name", 'use "OBS Virtual Camera", or none'),
    Refusal("No camera registered", "there is no virtual camera on this machine", _OWN),
)


# what its backends say on each system if there is no virtual camera at all
NONE = {
    "linux": "No v4l2 loopback device found",
    "darwin": "not installed in your system",
    "win32": "Did you install OBS",
}


def refusal(said: str) -> AdapterUnavailable:
    """The error to raise when the backends, one a line, said this."""
    for row in REFUSALS:
        if row.said in said:
            return AdapterUnavailable(row.sentence, row.cure)
    first = said.strip().splitlines() or ["it does not say why"]
    return AdapterUnavailable(
        f"the virtual camera does not start: {first[0]:.200}", "restart the computer, then try again"
    )
