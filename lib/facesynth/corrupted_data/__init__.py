"""The experiment on learning from corrupted data: Section 6 of the paper.

`shapes` draws the images, `shape_finding` and `shape_reading` measure what a GAN makes of them, and
`experiments` trains it in many ways.
"""
