"""The report of a training: one page and its pictures. Start at page.py."""
