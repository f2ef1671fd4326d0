"""Non-rigid alignment of a template with a scan: Section 5.2 of the paper.

`registration` minimises the energy, `deformation` is its prior on deformations.
"""
