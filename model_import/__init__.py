"""A model from elsewhere to a model directory that scores on the pixels it was trained on."""
