"""Files that come with the package, as `facesynth.data`: see README.md."""
