"""Segment Anything, written for reading: an image encoder, a prompt encoder, a mask decoder, and a registry of weights.

Read `spec` and `blocks`, then the parts (`image_encoder`, `prompt_encoder`, `mask_decoder`), then `model`, which
composes them, then `registry`, which knows the checkpoints. Nothing here knows of maps.
"""
