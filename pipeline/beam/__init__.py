"""A run as an Apache Beam job: the only package that imports Beam."""
