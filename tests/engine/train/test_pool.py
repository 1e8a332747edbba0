from engine.train.pool import Pool


def make(random):
    return int(random.integers(10**9))


def test_a_run_that_resumes_draws_what_it_would_have_drawn():
    whole, resumed = Pool(make, 5, 2, seed=1), Pool(make, 5, 2, seed=1)
    draws = [whole.draw(step, 4)[0] for step in range(20)]

    assert [resumed.draw(step, 4)[0] for step in range(13, 20)] == draws[13:]


def test_old_examples_give_way_to_new_ones():
    pool = Pool(make, 5, 2, seed=1)
    early = set(pool.draw(0, 100)[0])

    assert len(early) == 5
    assert not early & set(pool.draw(10, 100)[0])
