"""`python -m facesynth` is the command `facesynth`."""

from facesynth.command import main

raise SystemExit(main())
