from bridge.process.silence import CHECK_EVERY, MAX_CHECK_GAP, Silence


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_silence_lasts_as_long_as_somebody_listens():
    clock = Clock()
    silence = Silence(clock)
    for _ in range(20):
        clock.now += CHECK_EVERY
        lasted = silence.look()

    assert lasted == 20 * CHECK_EVERY


def test_an_hour_in_which_the_laptop_slept_is_one_look():
    clock = Clock()
    silence = Silence(clock)
    clock.now += 3600.0

    assert silence.look() == MAX_CHECK_GAP


def test_a_sign_of_life_ends_it():
    clock = Clock()
    silence = Silence(clock)
    clock.now += CHECK_EVERY
    silence.look()
    silence.end()
    clock.now += CHECK_EVERY

    assert silence.look() == CHECK_EVERY
