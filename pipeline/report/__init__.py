"""This package draws figures as report.html; the report of a training uses it, too."""
