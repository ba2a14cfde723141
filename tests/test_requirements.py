"""Each requirement has a test, and the page of the guide says which."""

import make_requirements
from requirements import REQUIREMENTS

KNOWN = [name for requirements in REQUIREMENTS.values() for name in requirements]


def test_the_page_is_what_the_script_makes():
    assert make_requirements.PAGE.read_text() == make_requirements.page(), "run: python tests/make_requirements.py"


def test_every_requirement_has_a_test_and_every_marker_a_requirement():
    held = {name for name, _ in make_requirements.held()}
    assert len(KNOWN) == len(set(KNOWN)) and held == set(KNOWN)
