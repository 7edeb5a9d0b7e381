"""Random transforms, images and models draw what torchvision's draw, from golden files."""

import pytest

import fakel
from tests.goldens import cases, load, tolerances
from tests.goldens.values import assert_same

pytest.importorskip("PIL")
TRANSFORMS = load("transforms")
TRANSFORM_CASES = cases("transforms", fakel)
OTHERS = load("vision")
OTHER_CASES = cases("vision", fakel)


@pytest.mark.parametrize("case", TRANSFORMS)
def test_transforms(case):
    assert_same(TRANSFORM_CASES[case](), TRANSFORMS[case], **tolerances("transforms", case))


@pytest.mark.parametrize("case", OTHERS)
def test_models_and_images(case):
    assert OTHER_CASES[case]() == OTHERS[case]
