from services.supervisor.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=5, stable_seconds=30)
    assert [backoff.after(0) for _ in range(5)] == [1, 2, 4, 5, 5]


def test_a_stable_life_begins_anew() -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=8, stable_seconds=30)
    for _ in range(3):
        backoff.after(29.9)
    assert backoff.after(30) == 1
    assert backoff.after(0) == 2
