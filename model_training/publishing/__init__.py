"""A trained network becomes a model directory that scoring can load. Start at export.py."""
