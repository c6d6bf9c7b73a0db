"""Score large image archives: plan -> read -> preprocess -> predict -> commit -> summarize -> report."""
