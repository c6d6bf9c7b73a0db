"""Two OUTPUTs beside each other: which images they share, and what has changed."""
