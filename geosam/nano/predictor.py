"""The built-in model behind the port: what it can do beyond SAM's two verbs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from geosam.nano.drawing import PreparedDrawing
from geosam.nano.network import NanoSam
from geosam.nano.pretrained_encoder import PretrainedEncoder
from geosam.nano.refining import refine_masks
from geosam.nano.roi_crop import keep_picture
from geosam.sam.blocks import FeatureMaps
from geosam.sam.model import Canvas, Predictor
from geosam.sam.prepared import Drawing
from geosam.sam.prepared.memory import growth
from geosam.segmenter import Features, PromptBatch, Refined


class NanoPredictor(Predictor):
    """See `geosam.sam.model.Predictor`; decodes in RoI crops, refines masks, and scores them, if the weights say so.

    Parameters
    ----------
    sam, key, how
        As for `Predictor`.
    """

    sam: NanoSam

    def __init__(self, sam: NanoSam, key: str, **how: Any) -> None:
        super().__init__(sam, key, **how)
        refines = sam.mask_sharpener is not None
        self.capabilities = replace(
            self.capabilities,
            roi_px=sam.spec.focus_px,
            picture=refines,
            refines=refines,
            scores=sam.mask_judge is not None,
        )

    def refine(
        self, features: Features, prompts: PromptBatch, iou: Float32[np.ndarray, "n"], *, tight: bool = False
    ) -> Refined:
        """Refine masks beside the picture, at twice their sampling; an empty one stays empty.

        Parameters and errors are those of `geosam.segmenter.Segmenter.refine`.
        """
        refiner = self.sam.mask_sharpener
        if refiner is None or prompts.mask_logits is None:
            return super().refine(features, prompts, iou, tight=tight)
        canvas = self.canvas(features.shape)
        with torch.inference_mode():
            self._check(features, canvas)
            asked = self._to_input(prompts, canvas, masks=False)
            found = refine_masks(refiner, features, prompts.mask_logits, iou, asked, canvas, self.recipe, tight=tight)
        growth.bound()
        return found

    def score(self, measures: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n"]:
        """Give the IoU that masks are expected to have, from the measures that `geosam.masks.quality` takes."""
        if self.sam.mask_judge is None:
            return super().score(measures)
        return self.sam.mask_judge.judge(measures)

    def _prepare(self) -> Callable[[Tensor], FeatureMaps]:
        """Lay a pretrained backbone out for the machine."""
        encoder = self.sam.image_encoder
        if isinstance(encoder, PretrainedEncoder) and self.device.type == "cpu":
            return encoder.prepared(self.dtype)
        return super()._prepare()

    def _keep(self, shown: Sequence[Tensor], canvas: Canvas) -> list[Tensor]:
        """The pictures, for the refiner."""
        if not self.capabilities.picture:
            return []
        return [torch.stack([keep_picture(each, canvas) for each in shown])]  # b 3 _ _

    def _drawing(self) -> Drawing | None:
        """Where prompts lie, and what looks like what they mark."""
        if self.sam.prompt_map is None or self.sam.likeness_map is None:
            return None
        return PreparedDrawing(self.sam.prompt_map, self.sam.likeness_map, self.dtype)
