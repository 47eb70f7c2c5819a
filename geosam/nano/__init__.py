"""The built-in model: a tenant of `geosam.sam`, which knows nothing of it.

==============  ===========================================================
module          responsibility
==============  ===========================================================
recipe          how prompts become masks with it, every tuned constant
spec            its weights as data
encoder         a small convolutional image encoder
prompt_map      where points and boxes lie, as maps over the image embedding
likeness        prototype similarity: what looks like what a prompt marks
refiner         the mask refiner; its IoU head is `iou_head`
box_prior       masks drawn to the sides of a user's box
quality_model   re-ranks masks in everything mode by their measures
drawing         `prompt_map` and `likeness`, arranged for speed
roi_crop        what the refiner is shown of a window
refining        masks of a window, refined in batches
network         `NanoSam`, put together
predictor       `NanoPredictor`, behind the port
==============  ===========================================================

Deleting this folder would take away the default model and its training, nothing else.
"""
