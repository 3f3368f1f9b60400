from shared.client.retry import RetryBudget, RetryPolicy


def test_the_budget_runs_out_and_refills_by_successes() -> None:
    budget = RetryBudget(tokens=2, refill=0.5)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    budget.succeeded()
    assert not budget.take()
    budget.succeeded()
    assert budget.take()


def test_the_budget_never_holds_more_than_at_first() -> None:
    budget = RetryBudget(tokens=1, refill=1)
    for _ in range(5):
        budget.succeeded()
    assert [budget.take() for _ in range(2)] == [True, False]


def test_only_idempotent_methods_are_repeated() -> None:
    policy = RetryPolicy(methods={"Get"}, attempts=3)
    assert policy.attempts_for("/p.S/Get") == 3
    assert policy.attempts_for("/p.S/Write") == 1
    assert RetryPolicy(attempts=3).attempts_for("/p.S/Write") == 3


def test_pauses_grow() -> None:
    policy = RetryPolicy(first_pause_seconds=1.0)
    assert 0.5 <= policy.pause_seconds(0) <= 1.5
    assert 2.0 <= policy.pause_seconds(2) <= 6.0
