"""The plugin in a real OBS: exact pixels both ways, the dry picture whenever there is no effect, and no end to OBS."""

import numpy as np
import pytest

from tests.obs.lab import SCENE, until
from tests.obs.plugin import (
    Writer,
    add_filter,
    add_source,
    attach,
    build,
    cannot_build,
    card,
    filter_settings,
    newest,
    own,
)


@pytest.fixture(scope="session")
def library(display, tmp_path_factory):
    """The plugin, built as a user builds it."""
    if reason := cannot_build():
        pytest.skip(reason)
    return build(tmp_path_factory.mktemp("plugin")) / "latentcast.so"


@pytest.fixture
def obs(make_obs, library):
    lab = make_obs()
    lab.install_plugin(library)
    lab.start()
    return lab


def near(pixels, wanted, off=1):
    """Equal, but for `off` steps of 255."""
    return pixels.shape == wanted.shape and np.abs(pixels.astype(int) - wanted).max() <= off


def test_the_source_shows_a_ring_pixel_for_pixel(obs):
    wanted = card(321, 181)
    with Writer(own("show"), wanted) as ring:
        add_source(obs, "show", ring=ring.ring.name)

        obs.shows(lambda seen: near(seen[..., :3], wanted[..., :3], 0), "show")


def test_the_source_keeps_what_is_transparent(obs):
    wanted = card(320, 180, alpha=True)
    with Writer(own("clear"), wanted) as ring:
        add_source(obs, "clear", ring=ring.ring.name)

        obs.shows(lambda seen: near(seen, wanted), "clear")


def test_the_filter_writes_what_it_filters_and_shows_the_answer_in_its_place(obs):
    shown, wanted = card(320, 180), 255 - card(320, 180)
    wanted[..., 3] = 255
    with Writer(own("dry"), shown) as ring, Writer(own("wet"), wanted) as answer:
        add_source(obs, "camera", ring=ring.ring.name)
        add_filter(obs, "camera", ring=own("out"), answer=answer.ring.name)
        with attach(own("out")) as out:
            until(lambda: near(newest(out)[0], shown, 0), what="never the picture that is filtered")
            obs.shows(lambda seen: near(seen[..., :3], wanted[..., :3], 0), "camera")
    obs.shows(lambda seen: seen.shape[:2] == (180, 320), "camera")
    assert filter_settings(obs, "camera")["command"].startswith("latentcast run --in obs-filter:")
