from shared.client.breaker import CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened() -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    breaker = CircuitBreaker("peer", threshold=3, first_pause_seconds=1.0, longest_pause_seconds=4.0, clock=clock)
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    return breaker, clock


def test_opens_after_the_threshold_and_fails_at_once() -> None:
    breaker, _ = opened()
    assert breaker.is_open
    assert not breaker.allows()
    assert breaker.retry_after_seconds() == 1.0


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = CircuitBreaker("peer", threshold=2, clock=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()


def test_one_probe_a_pause() -> None:
    breaker, clock = opened()
    clock.now = 1.0
    assert breaker.allows()
    assert not breaker.allows()


def test_a_probe_that_succeeds_closes() -> None:
    breaker, clock = opened()
    clock.now = 1.0
    assert breaker.allows()
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.allows()
    assert breaker.allows()


def test_pauses_double_up_to_the_longest() -> None:
    breaker, clock = opened()
    pauses = []
    for _ in range(4):
        clock.now += breaker.retry_after_seconds()
        assert breaker.allows()
        breaker.failed()
        pauses.append(breaker.retry_after_seconds())
    assert pauses == [2.0, 4.0, 4.0, 4.0]


def test_a_probe_that_never_ends_does_not_block_for_ever() -> None:
    breaker, clock = opened()
    clock.now = 1.0
    assert breaker.allows()
    clock.now = 2.0
    assert breaker.allows()
