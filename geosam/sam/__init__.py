"""Segment Anything, the published family, written for reading: an image encoder, a prompt encoder, a mask decoder.

Read `spec` and `blocks`, then the parts (`image_encoder`, `prompt_encoder`, `mask_decoder`), then `model`, which
composes them. `prepared` holds the same functions, arranged for speed. Nothing here knows of maps, nor of the built-in
model (`geosam.nano`); `geosam.models` loads weights by name.
"""
