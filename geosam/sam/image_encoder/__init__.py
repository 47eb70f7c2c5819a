"""Image encoders: the vision transformer of the published checkpoints (`vit`), a small convolutional one (`conv`)."""
