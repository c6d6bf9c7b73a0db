"""This package makes one scoring run, without Beam: it prepares, plans, tries and scores."""
