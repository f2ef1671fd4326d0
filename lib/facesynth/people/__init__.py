"""Comparison with real people: public photographs, a scan, and statistics of both."""
