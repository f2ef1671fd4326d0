"""Draw the picture that the README and the book's first page open with: `python book/cover.py`."""

from pathlib import Path

from PIL import Image

from facesynth import population, rendering
from facesynth.mapping.universal_mapping import UniversalMapping
from facesynth.population.head import head
from facesynth.rendering.gloss import gloss

SUBJECTS = (1, 2, 3, 4, 12, 5, 9, 15)
YAWS = (20, -8, 14, -12, 8, -14, 10, -20)  # degrees
TEXTURE, PICTURE = 512, 320  # pixels


def main() -> None:
    """Render eight subjects in a row on a transparent ground."""
    subjects = population.sample(
        max(SUBJECTS) + 1, seed=0, resolution=TEXTURE, relief=True, whole=True
    )
    assert subjects.textures is not None
    assert subjects.relief is not None
    template = head()
    uv = UniversalMapping(template, TEXTURE).uv
    images = [
        rendering.render(
            subjects.geometry[i],
            template.faces,
            uv,
            subjects.textures[i],
            relief=subjects.relief[i],
            gloss=gloss(template),
            camera=rendering.Camera(yaw=yaw),
            size=PICTURE,
        )
        for i, yaw in zip(SUBJECTS, YAWS, strict=True)
    ]
    path = Path(__file__).parent / "_static" / "cover.png"
    Image.fromarray(rendering.plate(images, columns=8, gap=4)).save(path, optimize=True)


if __name__ == "__main__":
    main()
