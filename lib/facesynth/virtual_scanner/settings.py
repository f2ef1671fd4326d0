"""The parameters of the virtual scanner, with their units."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scanner:
    """A scanner of two cameras that see about 180 degrees of a face between them.

    Cameras and pose. The head's middle lies near the origin of the scan's frame.

    yaw          degrees from the front to each camera
    pitch        degrees by which the cameras stand lower than the face
    distance     mm from the origin to each camera
    field        mm that the side of a square photograph shows at the origin
    photograph   pixels along that side
    shift, turn  deviations in mm and degrees of the head's pose

    Geometry. Noise grows with the slant of the surface, as that of a stereo camera does.

    spacing      mm between neighbouring samples, as the camera sees them
    jitter       how far samples stray from their grid, in parts of the spacing
    noise        deviation in mm of depth where the surface faces the camera
    smoothing    deviation of the noise's blur, in samples: errors of neighbours are correlated
    depth_step   mm between distinguishable depths at the origin
    misfit       deviation in mm of each camera's calibration along its line of sight
    eye_noise    deviation in mm of the surface on the wet, shining eyeballs
    grazing      cosine between normal and line of sight below which nothing is measured
    longest      length of the longest edge bridged, in parts of the spacing

    Holes.

    hair_loss    deviations by which hair is measured worse than skin
    dropouts     mean number in a scan of larger losses anywhere
    dropout      their radius in mm, from and to

    Photographs.

    shading      contrast of the light that still differs between cameras and scans
    exposure     deviation of the logarithm of a photograph's brightness
    white        deviation of the logarithm of each of its colours
    background   linear grey of the backdrop, from and to
    lens_blur    deviation in pixels of the lens's point spread
    photons      electrons of a white pixel: their number is the noise
    read_noise   deviation of a dark pixel, in parts of white
    strands      share of scans in which locks of hair fall over the skin
    """

    yaw: float = 50.0
    pitch: float = 7.0
    distance: float = 1000.0
    field: float = 290.0
    photograph: int = 1024
    shift: float = 8.0
    turn: float = 4.0

    spacing: float = 1.4
    jitter: float = 0.3
    noise: float = 0.09
    smoothing: float = 1.2
    depth_step: float = 0.06
    misfit: float = 0.08
    eye_noise: float = 0.6
    grazing: float = 0.22
    longest: float = 4.5

    hair_loss: float = 2.2
    dropouts: float = 0.5
    dropout: tuple[float, float] = (5.0, 18.0)

    shading: float = 0.10
    exposure: float = 0.08
    white: float = 0.025
    background: tuple[float, float] = (0.003, 0.05)
    lens_blur: float = 0.6
    photons: float = 4000.0
    read_noise: float = 0.002
    strands: float = 0.35


DEFAULTS = Scanner()
