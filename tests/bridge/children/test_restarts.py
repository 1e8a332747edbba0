from bridge.children.restarts import FIRST_WAIT, LONGEST_WAIT, MAX_SAME_FAILURES, PROVEN_WAIT, Restarts


def test_of_processes_that_never_worked_each_waits_longer_than_the_one_before():
    restarts = Restarts()

    assert [restarts.wait_after(False, "") for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_WAIT, LONGEST_WAIT]


def test_one_that_worked_is_started_again_at_once_however_often_it_is_killed():
    restarts = Restarts()

    assert {restarts.wait_after(True, "") for _ in range(30)} == {FIRST_WAIT}


def test_one_that_is_killed_again_before_it_works_is_back_soon_if_it_has_worked_before():
    restarts = Restarts()
    restarts.wait_after(True, "")

    assert max(restarts.wait_after(False, "") for _ in range(30)) == PROVEN_WAIT


def test_what_fails_in_the_same_way_at_every_start_is_not_started_again():
    restarts = Restarts()
    waits = [
        restarts.wait_after(False, f"TypeError: <Layer object at 0x7f{life:010x}>") for life in range(MAX_SAME_FAILURES)
    ]

    assert waits[:-1] == [0.2, 0.4]
    assert waits[-1] is None


def test_failures_that_differ_and_ends_without_words_are_tried_again_for_ever():
    differing, killed, proved = Restarts(), Restarts(), Restarts()
    proved.wait_after(True, "")
    for life in range(20):
        assert differing.wait_after(False, f"OSError: attempt {life}") is not None
        assert killed.wait_after(False, "") is not None
        assert proved.wait_after(False, "RuntimeError: CUDA error") is not None, "a driver that fell over comes back"
