"""Nightscore measured beside other ways to do the same work; run from a checkout, on Linux, never installed."""
