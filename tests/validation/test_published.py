"""Published outputs: every printed digit, and what is printed wrong is worse by the likelihood."""

import copy
from decimal import Decimal

import pytest

from lmm import load_data
from lmm.validation import published
from lmm.validation.published import checked, data_of, publications, rows

BY_NAME = {one["name"]: one for one in publications()}
SMALL = ["NAG: split plot by REML", "SAS: heights", "slides: Dyestuff", "nlme, Pinheiro and Bates: Rail, ML", "emmeans: Oats, nine rows fewer"]


@pytest.fixture(scope="module")
def found():
    """All rows but those of ScotsSec, which take longer."""
    return list(rows(quick=True))


def test_every_publication_is_met(found):
    assert len(found) == len(BY_NAME) - 2 and len(BY_NAME) >= 48
    for row in found:
        assert row.passed, (row.test, row.detail)
        assert row.section == "Published outputs" and row.reference and ("numbers to every printed digit" in row.detail or "numbers to 6 digits" in row.detail)


def test_what_is_printed_wrong_is_said_with_both_deviances(found):
    wrong = [row for row in found if row.requirement.endswith(published.WRONG)]
    assert len(wrong) == 20, [row.test for row in wrong]
    (dyestuff,) = [row for row in wrong if row.requirement.startswith("slides: Dyestuff: ")]
    assert "sd Batch is printed 41.996, and is 42.000595" in dyestuff.detail
    assert "deviance 319.6542768 for the fit, 319.6542769 at the claimed variances: the fit's is lower by 8.3e-08" in dyestuff.detail


def test_names_are_unique_and_sources_given():
    assert len(BY_NAME) == len(publications())
    for one in publications():
        assert len(one["source"]) > 20 and one["form"] and one["reml"] in (True, False)
        assert set(one) <= {"name", "source", "data", "rows", "without", "good", "form", "reml", "claimed", "differs", "by", "t", "other", "modes", "kr",
                            "F", "means"}


def numbers_in(value):
    """The texts in a publication's claims, with the place each has."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return
    for key, one in items:
        if isinstance(one, (dict, list)):
            yield from numbers_in(one)
        elif isinstance(one, str) and key not in ("of", "df"):
            yield value, key


@pytest.mark.parametrize("name", SMALL)
def test_one_wrong_digit_is_found(name):
    """Each printed number in turn, three units of its last digit further."""
    one = BY_NAME[name]
    for part in ("claimed", "t", "modes", "means"):
        if part not in one:
            continue
        whole = copy.deepcopy(one)
        for container, key in list(numbers_in(whole[part]))[:40:5]:
            text = container[key]
            number = Decimal(text)
            container[key] = str(number + Decimal((0, (3,), number.as_tuple().exponent)))
            result = checked(whole)
            container[key] = text
            assert not result.passed, (part, key, text)


@pytest.mark.parametrize("misprint", [["41.996", "42.000594"], ["41.996", "42.100595"], ["41.997", "42.000595"], ["49.511", "49.5101"]])
def test_a_misprint_beside_another_right_number_is_found(misprint):
    one = copy.deepcopy(BY_NAME["slides: Dyestuff"])
    one["differs"]["sd"]["Batch"] = misprint
    assert [said[:31] for said in checked(one).unexpected] == ["sd Batch is printed 41.996, and"]


def test_a_misprint_far_from_the_right_number_is_found():
    one = copy.deepcopy(BY_NAME["slides: Dyestuff"])
    one["claimed"]["sd"][0] = one["differs"]["sd"]["Batch"][0] = "12.345"
    assert any(said.startswith("sd Batch is printed 12.345") for said in checked(one).unexpected)


def test_a_number_named_as_wrong_has_to_be():
    one = {**BY_NAME["NAG: split plot by REML"], "differs": {"var": {"Block": ["1", "2"]}}}
    result = checked(one)
    assert not result.passed and result.unexpected == ("var Block is named as wrong, and is not",)


def test_a_publication_better_than_the_fit_fails(monkeypatch):
    """Where numbers are named as wrong, and the printed variances have the lower deviance, the fit is wrong."""
    from lmm.validation.verdicts import Verdict
    result = checked(BY_NAME["slides: Dyestuff"])
    assert result.passed and result.wrong
    assert not published.replace(result, verdict=Verdict("", "claim", 319.66, 319.65), printed_deviance_is_no_lower=True).passed
    unknown = published.replace(result, verdict=Verdict("cannot be compared", "", 319.65, 0.0))
    assert published.replace(unknown, printed_deviance_is_no_lower=True).passed
    assert not published.replace(unknown, printed_deviance_is_no_lower=False).passed


def test_an_error_of_one_publication_is_its_own_row(monkeypatch, found):
    right = published.checked

    def raising(one, dat=None):
        if one["name"] == "SAS: heights":
            raise ZeroDivisionError("no such number")
        return right(one, dat)

    monkeypatch.setattr(published, "publications", lambda: [BY_NAME[name] for name in SMALL])
    monkeypatch.setattr(published, "checked", raising)
    again = list(rows(quick=True))
    assert [row.detail for row in again if not row.passed] == ["ZeroDivisionError: no such number"]
    assert {row.requirement for row in again} <= {row.requirement for row in found}


def test_another_convention_is_not_that_which_is_named():
    one = copy.deepcopy(BY_NAME["SAS: heights"])
    one["by"]["aic"] = ["sigma not counted"]
    assert any(said.startswith("aic is printed 77.0") for said in checked(one).unexpected)


def test_the_data():
    assert len(data_of(BY_NAME["emmeans: Oats, nine rows fewer"])) == len(load_data("Oats")) - 9
    plot = data_of(BY_NAME["SAS: split plot"])
    assert plot.shape == (24, 4) and plot["Y"].sum() == 742 and plot.groupby(["A", "B"], observed=True).size().eq(4).all()
