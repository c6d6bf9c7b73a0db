"""One run, without Beam: prepared, planned, tried, scored."""
