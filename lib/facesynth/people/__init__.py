"""Beside real people: public photographs and a scan, and what tells drawn faces from them."""
