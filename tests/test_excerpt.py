import pytest

from facesynth.excerpt import LONGEST, WIDEST, ExcerptError, excerpt


def half(x):
    """Half of it,

    told at length.
    """
    y = x / 2
    # Eq. 1
    return y


def long(x):
    x = [
        x,
        x,
        x,
        x,
        x,
        x,
        x,
        x,
        x,
        x,
        x,
        x,
        x,
        x,
    ]
    return x


class Double:
    """Twice."""

    def of(self, x):
        return 2 * x


def test_a_function_without_its_docstring():
    assert excerpt(half).code == "def half(x):\n    y = x / 2\n    # Eq. 1\n    return y"
    assert excerpt(Double.of).code == "def of(self, x):\n    return 2 * x"
    assert excerpt(Double).code == "class Double:\n\n    def of(self, x):\n        return 2 * x"
    assert repr(excerpt(half)) == excerpt(half).code  # equal from run to run
    shown = excerpt(half)._repr_markdown_()
    assert shown.startswith("```python\ndef half")
    assert shown.endswith("test_excerpt.half`")


def test_a_part():
    assert excerpt(half, "y = x", "Eq. 1").code == "y = x / 2\n# Eq. 1"
    assert excerpt(half, "# Eq. 1").code == "# Eq. 1\nreturn y"


@pytest.mark.parametrize("part", [("z =",), ("", "z ="), ("Eq. 1", "y = x")])
def test_a_part_that_is_not_there(part):
    with pytest.raises(ExcerptError, match=r"half: no line holds '(z =|y = x)'"):
        excerpt(half, *part)


def test_too_long():
    with pytest.raises(ExcerptError, match=f"18 lines are more than {LONGEST}"):
        excerpt(long)
    assert excerpt(long, "return").code == "return x"


def wide(x):
    return [x + 11111111111111111111, x + 22222222222222222222, x + 33333333333333333333, x + 4444]


def test_too_wide():
    with pytest.raises(ExcerptError, match=rf"more than {WIDEST} columns, 9\d: return \[x"):
        excerpt(wide)
