"""Sums over rows that merge, and what is computed from them."""
