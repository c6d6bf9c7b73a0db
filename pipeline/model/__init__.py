"""From encoded images to predictions, the same in training and in scoring."""
