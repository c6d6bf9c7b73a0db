"""How a network learns: its layers, its recipe, the training loop. Start at training.py."""
