"""The OUTPUT folder: what lies in it, how it is committed, finished, checked and told of."""
