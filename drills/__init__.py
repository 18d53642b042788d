"""Faults on purpose, and whether a study recovers from them."""
