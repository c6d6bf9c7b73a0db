"""A trained network as the beginning of a new one: found, read and cut before its last layer. Start at opening.py."""
