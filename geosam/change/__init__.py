"""What became of things between two dates."""
