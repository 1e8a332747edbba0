from bridge.process.silence import LONGEST_LOOK, LOOK, Silence


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_silence_lasts_as_long_as_somebody_listens():
    clock = Clock()
    silence = Silence(clock)
    for _ in range(20):
        clock.now += LOOK
        lasted = silence.look()

    assert lasted == 20 * LOOK


def test_an_hour_in_which_the_laptop_slept_is_one_look():
    clock = Clock()
    silence = Silence(clock)
    clock.now += 3600.0

    assert silence.look() == LONGEST_LOOK


def test_a_sign_of_life_ends_it():
    clock = Clock()
    silence = Silence(clock)
    clock.now += LOOK
    silence.look()
    silence.end()
    clock.now += LOOK

    assert silence.look() == LOOK
