"""How good generated faces are: Section 10 of the paper."""
