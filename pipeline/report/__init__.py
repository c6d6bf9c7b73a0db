"""Figures to report.html; also used by the report of a training."""
