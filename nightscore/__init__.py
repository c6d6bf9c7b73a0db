"""Nightscore: score large image archives overnight."""
