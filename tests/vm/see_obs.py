"""What runs inside the machine: a real OBS between our pictures and a real v4l2loopback."""

from contextlib import contextmanager

from bridge.adapters import virtualcam
from bridge.adapters.base import list_devices, load_sink, load_source
from bridge.adapters.testcard import read_number
from bridge.children.blocking_child import BlockingChild
from bridge.obs import client
from bridge.obs.address import ObsAddress
from bridge.obs.client import ObsClient
from bridge.obs.setup import SCENE, SetupOptions, set_up
from tests.obs import lab, remote
from tests.obs.lab import SCENE as LAB
from tests.obs.lab import Display, Lab, free_port, until
from tests.obs.remote import Refused
from tests.vm.inside import ALIKE, OTHER_MATRIX, SIZE, TIMEOUT, Player, Seen, corners, failure, watch

RING = "lc-vm-obs"
SLOW = {"Video": {"FPSType": 1, "FPSInt": 5}}  # pictures a second of OBS, whose drawing is emulated too
seen = Seen()


def look():
    virtualcam.OPEN_TIMEOUT = TIMEOUT
    lab.READY_TIMEOUT = remote.ANSWER_TIMEOUT = remote.OPEN_TIMEOUT = TIMEOUT
    client.TIMEOUT = client.READY_TIMEOUT = TIMEOUT
    Player(RING)
    display = Display("640x480")
    obs = Lab(display, size=SIZE, profile=SLOW)
    try:
        obs.start()
        seen["ready"] = True
        our_camera_in_its_scene(obs)
        our_picture_in_its_camera(obs)
    except BaseException:
        seen["log"] = obs.log[-3000:]
        raise
    finally:
        if obs.alive:
            obs.kill()  # it may take its time, and the machine ends with us
        display.close()


def our_camera_in_its_scene(obs):
    """Out of `--out virtualcam`, and chosen in OBS's camera source as any other camera."""
    with sending(f"virtualcam:{SIZE[0]}x{SIZE[1]}@15,/dev/video9"):
        settings = {"device_id": "/dev/video9", "input": 0, "pixelformat": -1, "resolution": -1, "framerate": -1}
        obs.call("CreateInput", sceneName=LAB, inputName="ours", inputKind="v4l2_input", inputSettings=settings)
        numbers = []

        def live():
            picture = may_show(obs, "ours")
            if picture is None or not is_card(picture, OTHER_MATRIX):
                return None
            numbers.append(read_number(picture[..., :3]))
            return len(set(numbers)) > 2 and corners(picture)

        seen["our camera"] = {"corners": until(live, TIMEOUT), "numbers": numbers}
        seen["given up for a moment"] = obs.log.count("select timed out")
        obs.call("RemoveInput", inputName="ours")


def may_show(obs, source):
    """A screenshot; None of a camera that has sent no picture yet."""
    try:
        return obs.screenshot(source)
    except Refused:
        return None


def our_picture_in_its_camera(obs):
    """Out of `--out obs`, into OBS's Media source, out of OBS's virtual camera, and in by --in camera:N."""
    port = free_port()
    with sending(f"obs:{port}"):
        with ObsClient(ObsAddress(port=obs.port, password=obs.password)) as asked:
            set_up(asked, SetupOptions(port=port))
        obs.call("SetCurrentProgramScene", sceneName=SCENE)
        seen["picture in OBS"] = corners(obs.shows(is_card, SCENE, TIMEOUT))
        obs.call("StartVirtualCam")
        (camera,) = until(cameras, TIMEOUT)
        seen["its camera"] = show(camera)
        name = camera.replace("camera:", "virtualcam:/dev/video")
        seen["a second sender"] = failure(lambda: load_sink(name).open(*SIZE, 5))


@contextmanager
def sending(uri):
    """A sink's process, which has opened."""
    with BlockingChild("bridge.adapters.sink_main", "--ring", RING, "--", uri) as child:
        child.opened(TIMEOUT)
        yield


def cameras():
    return [device.uri for device in list_devices("camera")]


def is_card(picture, off=ALIKE):
    return max(corners(picture).values()) < off


def show(uri):
    """What a program that chooses this camera sees: some pictures' numbers, and the corners of the last of them."""
    source, numbers = load_source(uri), []
    source.open(*SIZE, 5)

    def more():
        ((_, picture),) = watch(source, 0, 1)
        numbers.append(read_number(picture))
        return len(set(numbers)) > 2 and corners(picture)

    found = until(more, TIMEOUT)
    source.close()
    return {"corners": found, "numbers": numbers}


if __name__ == "__main__":
    seen.tell(look)
