"""The parameters of the virtual scanner, with their units."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scanner:
    """A scanner of two cameras that see about 180 degrees of a face between them.

    The head's middle lies near the origin of the scan's frame.
    """

    # Cameras and pose
    yaw: float = 50.0  # degrees from the front to each camera
    pitch: float = 14.0  # degrees by which the cameras stand lower than the face
    distance: float = 1000.0  # mm from the origin to each camera
    field: float = 290.0  # mm that the side of a square photograph shows at the origin
    photograph: int = 1024  # pixels along that side
    shift: float = 8.0  # deviation of the head's position, in mm
    turn: float = 4.0  # deviation of the head's pose, in degrees

    # Geometry. Noise grows with the slant of the surface, as that of a stereo camera does.
    spacing: float = 1.4  # mm between neighbouring samples, as the camera sees them
    jitter: float = 0.3  # how far samples stray from their grid, in parts of the spacing
    noise: float = 0.09  # deviation in mm of depth where the surface faces the camera
    smoothing: float = 1.2  # deviation of the noise's blur, in samples: neighbours err alike
    depth_step: float = 0.06  # mm between distinguishable depths at the origin
    misfit: float = 0.08  # deviation in mm of each camera's calibration along its line of sight
    eye_noise: float = 0.35  # deviation in mm of the surface on the wet, shining eyeballs
    grazing: float = 0.22  # cosine between normal and line of sight that is needed to measure
    longest: float = 4.5  # length of the longest edge bridged, in parts of the spacing

    # Holes
    hair_loss: float = 2.2  # deviations by which hair is measured worse than skin
    dropouts: float = 0.5  # mean number in a scan of larger losses anywhere
    dropout: tuple[float, float] = (5.0, 18.0)  # their radius in mm, from and to

    # Photographs
    shading: float = 0.10  # contrast of the light that still differs between cameras and scans
    exposure: float = 0.08  # deviation of the logarithm of a photograph's brightness
    white: float = 0.025  # deviation of the logarithm of each of its colours
    background: tuple[float, float] = (0.003, 0.05)  # linear grey of the backdrop, from and to
    lens_blur: float = 0.6  # deviation in pixels of the lens's point spread
    photons: float = 4000.0  # electrons of a white pixel: their number is the noise
    read_noise: float = 0.002  # deviation of a dark pixel, in parts of white
    strands: float = 0.35  # share of scans in which locks of hair fall over the skin


DEFAULTS = Scanner()
EXACT = Scanner(  # without errors: what its samples, holes and grazing angles leave remains
    noise=0, depth_step=1e-6, misfit=0, eye_noise=0, dropouts=0, strands=0
)
