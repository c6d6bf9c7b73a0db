"""This package sums rows into figures that merge, and computes from them what a person reads."""
