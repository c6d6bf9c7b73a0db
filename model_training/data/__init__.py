"""What a network learns from: images with labels, in splits that share no picture. Start at datasets.py."""
