"""A network as a function from pixels to scores, one module an engine."""
