"""Examples made elsewhere are the examples made here."""

import os

import numpy as np

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
