"""Training: the procedural world, prompts sampled from its masks, and the loop that turns both into weights."""
