"""GANs of faces: Sections 7.1 and 8 of the paper."""
