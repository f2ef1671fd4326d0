"""Scans become a data set: Section 5 of the paper, one step after another."""
