"""Losses are least for the truth, and judge an answer by the right mask."""

import pytest
import torch

from geosam.sam.blocks import FeatureMaps
from geosam.training.dense import DenseHead, dense_loss
from geosam.training.losses import (
    answer_loss,
    choice_loss,
    cross_entropy,
    dice,
    focal,
    mask_losses,
    reached_iou,
    weigh_pixels,
)

TRUTH = torch.zeros(2, 16, 16)
TRUTH[:, 4:10, 5:12] = 1
WEIGHTS = torch.ones(2, 16, 16)


@pytest.mark.parametrize("late", [False, True])
def test_the_truth_costs_least(late):
    right = (TRUTH * 2 - 1)[:, None] * 12
    shifted = right.roll(2, -1)
    empty = torch.full_like(right, -12)
    costs = [float(mask_losses(each, TRUTH, WEIGHTS, late=late).mean()) for each in (right, shifted, empty)]
    assert costs[0] < 0.01
    assert costs[0] < min(costs[1:])


def test_cross_entropy_of_ignorance_is_ln_2():
    torch.testing.assert_close(cross_entropy(torch.zeros(2, 1, 16, 16), TRUTH, WEIGHTS), torch.full((2, 1), 0.693147))


def test_focal_counts_what_is_already_right_for_less():
    sure, unsure = TRUTH[:, None] * 8 - 4, TRUTH[:, None] * 2 - 1
    drop = focal(sure, TRUTH, WEIGHTS) / focal(unsure, TRUTH, WEIGHTS)
    plain = cross_entropy(sure, TRUTH, WEIGHTS) / cross_entropy(unsure, TRUTH, WEIGHTS)
    assert (drop < plain).all()


def test_dice_of_disjoint_masks_is_almost_1():
    other = (1 - TRUTH)[:, None] * 40 - 20
    assert (dice(other, TRUTH) > 0.98).all()


def test_iou_is_counted_in_pixels():
    logits = torch.full((2, 1, 16, 16), -1.0)
    logits[:, :, 4:10, 5:8] = 1  # 18 of 42 pixels
    torch.testing.assert_close(reached_iou(logits, TRUTH), torch.full((2, 1), 18 / 42))


def test_weights_are_1_on_average_and_high_around_the_object():
    weights = weigh_pixels(torch.tensor([[20.0, 20.0, 36.0, 40.0]]), 32, stride=4)
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
    assert weights[0, 7, 7] > 3 * weights[0, 31, 31]


def test_a_lone_click_is_judged_by_the_best_of_three_and_others_by_the_first():
    losses, predicted = torch.tensor([[9.0, 3.0, 2.0, 5.0], [4.0, 3.0, 2.0, 1.0]]), torch.eye(4)[[3, 3]]
    assert answer_loss(losses, torch.tensor([True, False]), predicted=predicted).tolist() == [2.0, 4.0]


def test_a_share_of_the_judgement_on_a_lone_click_goes_to_what_a_user_gets():
    losses, predicted = torch.tensor([[9.0, 3.0, 2.0, 5.0], [4.0, 3.0, 2.0, 1.0]]), torch.eye(4)[[3, 3]]
    asked = {"ambiguous": torch.tensor([True, False]), "predicted": predicted}
    assert answer_loss(losses, **asked, chosen=1.0).tolist() == [5.0, 4.0]
    assert answer_loss(losses, **asked, chosen=0.5).tolist() == [3.5, 4.0]


def features_with(embedding: torch.Tensor) -> FeatureMaps:
    """FeatureMaps whose finest level is given."""
    return FeatureMaps(torch.zeros(len(embedding), 8, 4, 4), (torch.zeros(len(embedding), 6, 8, 8), embedding))


@torch.no_grad()
def test_affinity_costs_little_where_features_tell_objects_apart():
    torch.manual_seed(0)
    head, clicks = DenseHead(4), torch.full((2, 1, 2), 30.0)
    blind, telling = torch.zeros(2, 4, 16, 16), TRUTH[:, None].repeat(1, 4, 1, 1) * 4
    costs = [
        float(cross_entropy(head.affinity(features_with(each), clicks).flatten(0, 1)[:, None], TRUTH, WEIGHTS).mean())
        for each in (blind, telling)
    ]
    assert costs[1] < costs[0] / 2


def dense_cost(head: DenseHead, features: FeatureMaps, edges: torch.Tensor, *, known: bool) -> torch.Tensor:
    count = len(edges)
    return dense_loss(
        head, features, clicks=torch.full((count, 1, 2), 30.0), targets=TRUTH[:count, None],
        weights=WEIGHTS[:count, None], edges=edges, known=torch.full((count,), known),
    )  # fmt: skip


def test_everything_in_the_dense_head_learns():
    torch.manual_seed(0)
    head = DenseHead(4)
    dense_cost(head, features_with(torch.randn(2, 4, 16, 16)), torch.zeros(2, 16, 16), known=True).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_borders_that_are_not_known_cost_nothing():
    torch.manual_seed(0)
    head, features = DenseHead(4), features_with(torch.randn(1, 4, 16, 16))
    none, all_of_it = torch.zeros(1, 16, 16), torch.ones(1, 16, 16)
    torch.testing.assert_close(
        dense_cost(head, features, none, known=False), dense_cost(head, features, all_of_it, known=False)
    )
    assert dense_cost(head, features, none, known=True) != dense_cost(head, features, all_of_it, known=True)


def test_choice_costs_least_where_the_order_is_right_and_the_fourth_answer_does_not_count():
    reached = torch.tensor([[0.9, 0.1, 0.8, 0.5]])
    right, wrong = reached.clone(), torch.tensor([[0.9, 0.8, 0.1, 0.5]])
    assert choice_loss(right, reached) < choice_loss(wrong, reached)
    assert choice_loss(right + torch.tensor([[5.0, 0, 0, 0]]), reached) == choice_loss(right, reached)
