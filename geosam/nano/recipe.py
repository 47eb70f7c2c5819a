"""How prompts become masks with the built-in model. Where each value comes from, docs/experiments.md tells."""

from dataclasses import replace

from geosam.segmenter import Boxes, Clicks, Everything, Quality, Recipe, Refinement, SecondPass, Suppression

EVERYTHING = Everything(
    spacing_px=16,
    whole_every=8,
    pred_iou_threshold=0.3,
    stability_threshold=0.0,
    passes=1,
)
"""Its small objects want a dense grid, and its predicted IoUs are lower than those of larger models."""

SUPPRESSION = Suppression(overlap=0.2, consensus=True)
"""Laid out as on a map; that an object is found from anywhere on it says more than its predicted IoU."""

CLICKS = Clicks(
    in_turn=True,
    ambiguity=0.05,
    refined_weight=0.5,
    central_weight=0.3,
    reach=2.0,
)
"""Once masks are refined, which tells good ones from bad ones."""

BOXES = Boxes(bias=0.5, loose=7.5, pull=20.0, outside=10.0)
"""Chosen on pictures that are not trained on (docs/experiments.md, "Box sides")."""

REFINEMENT = Refinement(
    enabled=True,
    passes=2,
    margin=0.25,
    edge=-1.0,
    cut=1 / 6,
    nms_iou=0.7,
    hidden=0.5,
    batch=64,
    sure=4.0,
)

SECOND_PASS = SecondPass(
    clicks=True,
    everything=True,
    expand=0.08,
    bias=0.5,  # as much as masks get in boxes of users
    spill=0.1,
    iou_weights=(0.55, 0.41, 0.42, 0.33),  # least squares over 2,313 answers to one, two and three clicks
)


def nano_recipe(*, refines: bool, scores: bool) -> Recipe:
    """Give the recipe for weights that hold a mask refiner and a quality model, or are not yet so far.

    Examples
    --------
    >>> recipe = nano_recipe(refines=False, scores=True)
    >>> recipe.second_pass.clicks, recipe.second_pass.everything, recipe.quality.enabled
    (False, True, True)
    """
    quality = Quality(enabled=scores, weight=2 / 3)
    if not refines:
        again = SecondPass(everything=True)
        return Recipe(everything=EVERYTHING, suppression=SUPPRESSION, quality=quality, second_pass=again)
    return Recipe(
        clicks=CLICKS,
        boxes=BOXES,
        refinement=REFINEMENT,
        second_pass=SECOND_PASS,
        everything=EVERYTHING,
        suppression=SUPPRESSION,
        quality=quality,
    )


def former_recipe(*, refines: bool) -> Recipe:
    """Give what was done with weights from before there were recipes, where their ``thresholds`` say nothing else."""
    if not refines:
        return Recipe(quality=Quality(weight=2 / 3))
    again, quality = replace(SECOND_PASS, everything=False), Quality(weight=2 / 3)
    return Recipe(clicks=CLICKS, boxes=BOXES, refinement=REFINEMENT, second_pass=again, quality=quality)
