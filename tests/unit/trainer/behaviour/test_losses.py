from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from services.trainer.behaviour.dropout import Dropout
from services.trainer.behaviour.losses import full_softmax, gbce, gbce_power, sampled_softmax
from services.trainer.behaviour.optimisation import OptimiserConfig, rate_at
from services.trainer.behaviour.users import age_buckets


def test_the_chunked_loss_and_its_gradients_are_those_of_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    users = torch.randn(1100, 8, generator=generator, requires_grad=True)
    items = torch.randn(30, 8, generator=generator, requires_grad=True)
    targets = torch.randint(30, (1100,), generator=generator)
    weights = torch.rand(1100, generator=generator)
    full_softmax(users, items, targets, weights).backward()
    ours = (users.grad.clone(), items.grad.clone())  # type: ignore[union-attr]
    users.grad = items.grad = None
    expected = (functional.cross_entropy(users @ items.T, targets, reduction="none") * weights).sum()
    expected.backward()
    loss = full_softmax(users, items, targets, weights)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(ours[0], users.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours[1], items.grad, atol=1e-4, rtol=1e-4)


def test_excluded_candidates_do_not_compete_and_the_target_always_does() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    loss = full_softmax(torch.ones(1, 1), logits.T, torch.tensor([1]), torch.ones(1), torch.tensor([[3, 1, 3]]))
    expected = functional.cross_entropy(logits[:, :3], torch.tensor([1]))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_corrected_sampled_softmax_estimates_the_full_one() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, generator=generator)
    chances = torch.rand(200, generator=generator) + 0.1
    chances /= chances.sum()
    drawn = torch.multinomial(chances, 200_000, replacement=True, generator=generator)
    expected = (chances[drawn] * len(drawn)).log()
    loss = sampled_softmax(logits[:1], logits[drawn].unsqueeze(0), torch.ones(1), expected)
    full = torch.cat([logits[:1], logits]).logsumexp(0) - logits[0]
    assert loss.item() == pytest.approx(full.item(), abs=0.01)


def test_gbce_with_its_power_at_zero_calibration_is_binary_cross_entropy() -> None:
    positive, negatives = torch.tensor([0.7]), torch.tensor([[-0.2, 1.0, 0.1]])
    labels = torch.tensor([1.0, 0.0, 0.0, 0.0])
    expected = functional.binary_cross_entropy_with_logits(torch.cat([positive, negatives[0]]), labels)
    loss = gbce(positive, negatives, torch.ones(1), gbce_power(0.0, 3, 100))
    assert loss.item() == pytest.approx(expected.item())


def test_dropout_keeps_the_mean_and_drops_the_share() -> None:
    torch.manual_seed(0)
    layer = Dropout(0.3)
    dropped = layer(torch.ones(1001, 100))
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
    assert (layer.eval()(torch.ones(3)) == 1).all()


def test_the_rate_rises_then_falls() -> None:
    config = OptimiserConfig(rate=1.0, warmup_share=0.1, final_share=0.05)
    assert rate_at(0.0, config) == 0.0
    assert rate_at(0.1, config) == pytest.approx(1.0)
    assert rate_at(1.0, config) == pytest.approx(0.05)
    assert rate_at(0.3, config) > rate_at(0.7, config)


def test_buckets_of_durations_grow_with_them_and_have_a_last_one() -> None:
    day = 86_400.0
    buckets = age_buckets(torch.tensor([-5.0, 0.0, 60.0, 3600.0, day, 7 * day, 300 * day, 1e12])).tolist()
    assert buckets == sorted(buckets)
    assert buckets[0] == 0
    assert len(set(buckets[1:7])) == 6
    assert buckets[-1] == 31
