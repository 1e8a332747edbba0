"""Examples made elsewhere are the examples made here."""

import os
import signal
import sys

import numpy as np
import pytest

from engine.train.ahead import Workers
from engine.train.pool import Pool


def number(random):
    return int(random.integers(10**9))


def process(random):
    return os.getpid()


def test_what_is_drawn_does_not_depend_on_workers():
    workers = Workers(number, 1)
    try:
        helped, alone = Pool(number, 5, 2, 1, workers), Pool(number, 5, 2, 1)
        assert [helped.draw(step, 4)[0] for step in range(12)] == [alone.draw(step, 4)[0] for step in range(12)]
    finally:
        workers.close()


def test_a_worker_is_a_process_of_its_own():
    workers = Workers(process, 1)
    try:
        assert workers.start(np.random.default_rng(0)).result(60) != os.getpid()
    finally:
        workers.close()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_ctrl_c_is_left_to_the_process_that_trains():
    workers = Workers(process, 1)
    try:
        first = workers.start(np.random.default_rng(0)).result(60)
        os.kill(first, signal.SIGINT)
        assert workers.start(np.random.default_rng(1)).result(60) == first
    finally:
        workers.close()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_a_worker_that_is_killed_costs_no_example():
    workers = Workers(number, 1)
    try:
        helped, alone = Pool(number, 5, 2, 1, workers), Pool(number, 5, 2, 1)
        for step in range(24):
            if step == 8:
                for worker in list(workers._processes._processes):
                    os.kill(worker, signal.SIGKILL)
            assert helped.draw(step, 4)[0] == alone.draw(step, 4)[0]
        late = (workers.start(np.random.default_rng(3)) for _ in range(100))  # a death is not noticed at once
        made = next(future.result() for future in late if future.exception(60) is None)
        assert made == number(np.random.default_rng(3))
    finally:
        workers.close()
