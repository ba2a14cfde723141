"""Cases from a file: what an entry may hold, what is wrong with it in one sentence, and what its answer is."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from lmm import LMMError, LMMWarning, grade, load_data
from lmm.__main__ import main
from lmm.grading import built_in_cases, read_cases
from lmm.grading.reference import shown_cases

SUBMISSIONS = Path(__file__).parent / "submissions"
RAIL = {"name": "Rail", "form": "travel ~ 1", "data": "rail.csv", "ref": [["Rail"]], "factors": ["Rail"]}
EXACT = {"sd": [4.02077936060494, 22.6243477499598], "beta": [66.5]}


@pytest.fixture
def cases(tmp_path):
    """Reads a file of one case: Rail, with what is given changed."""
    load_data("Rail").to_csv(tmp_path / "rail.csv", index=False)

    def read(**changes):
        path = tmp_path / "cases.json"
        entry = {key: value for key, value in {**RAIL, **changes}.items() if value is not ...}
        path.write_text(json.dumps([entry]))
        return read_cases(path)

    return read


def sentence(error):
    """The message, which is one line."""
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("given", [["beta"], ["sd"], ["sd", "beta"]], ids="-".join)
def test_an_answer_is_used_for_what_it_says(cases, given):
    """beta without sd used to be left out without a word."""
    answer = {name: EXACT[name] for name in given}
    (case,) = cases(**answer)
    assert case.known == answer and case.source == "the file of cases"
    np.testing.assert_allclose(case.theta, np.log(EXACT["sd"]), rtol=1e-8)
    np.testing.assert_allclose(case.beta, EXACT["beta"], rtol=1e-12)
    assert ("sd" in given) == (case.theta is not case.fit.theta)


def test_submissions_are_compared_with_the_beta_given(cases):
    """It is within what an answer may be off, and is what a report calls the expected one."""
    (case,) = cases(beta=[66.51])
    assert case.beta.tolist() == [66.51]
    (result,) = grade(lambda form, dat, ref: ([60.0], [1.391476, 3.119026]), case).results
    assert result.causes[0].startswith("beta[Intercept] = 60, expected 66.51")


@pytest.mark.parametrize("change, words", [
    ({"beta": [67.5]}, "case 0 of cases.json, 'Rail': the 'beta' given is 0.11 standard errors from that of the criterion's minimum, which is [66.5]"),
    ({"beta": []}, "case 0 of cases.json, 'Rail': sd has 2 numbers, sigma first, and beta 1"),
    ({"sd": [4.02, 22.62], "beta": [66.5, 1.0]}, "sd has 2 numbers, sigma first, and beta 1"),
    ({"beta": ["a"]}, "case 0 of cases.json: 'beta' is ['a']; it takes a list of numbers"),
    ({"beta": [True]}, "'beta' is [True]; it takes a list of numbers"),
    ({"beta": [math.nan]}, "'beta' is [nan]; it takes a list of numbers"),
    ({"sd": ["a"]}, "'sd' is ['a']; it takes a list of numbers that are not negative, sigma first, which is positive"),
    ({"sd": [4.0, -22.0]}, "'sd' is [4.0, -22.0]; it takes a list of numbers that are not negative"),
    ({"sd": [0, 22.0]}, "'sd' is [0, 22.0]; it takes"),
    ({"sd": [math.inf, 1]}, "'sd' is [inf, 1]; it takes"),
    ({"sd": [[4.0], 22.0]}, "'sd' is [[4.0], 22.0]; it takes"),
    ({"sd": {"sigma": 4.0}}, "'sd' is {'sigma': 4.0}; it takes"),
    ({"sd": []}, "'sd' is []; it takes"),
    ({"points": True}, "'points' is true; it takes a positive number"),
    ({"points": math.nan}, "'points' is nan; it takes a positive number"),
    ({"points": "3"}, "'points' is '3'; it takes a positive number"),
    ({"hidden": 1}, "'hidden' is 1; it takes true or false"),
    ({"beta_tolerance": False}, "'beta_tolerance' is false; it takes a positive number"),
    ({"nll_tolerance": 0}, "'nll_tolerance' is 0; it takes a positive number"),
    ({"name": ""}, "'name' is an empty text; it takes a text"),
    ({"form": "  "}, "'form' is '  '; it takes a text"),
    ({"why": None}, "'why' is None; it takes a text"),
    ({"pionts": 3}, "case 0 of cases.json has 'pionts', which is none of 'name', 'form', 'data', 'ref', 'factors', 'why', 'points', 'hidden', "
                    "'sd', 'beta', 'source', 'nll_tolerance', 'beta_tolerance'; did you mean 'points'?"),
    ({"form": ..., "fomr": "travel ~ 1"}, "case 0 of cases.json has 'fomr', which is none of"),
    ({"data": ...}, "case 0 of cases.json has no 'data'; it needs 'name', 'form', 'data'"),
    ({"data": "rails.csv"}, "its data cannot be read: 'data' is 'rails.csv', and there is no such file in"),
    ({"data": "."}, "its data cannot be read: 'data' is"),
    ({"data": "cases.json"}, "'factors' names 'Rail', which is not a column of cases.json"),
    ({"ref": "Rail"}, "'ref' is 'Rail'; it takes a list of blocks, each a column's name or a list of some"),
    ({"ref": [[]]}, "'ref' is [[]]; it takes a list of blocks"),
    ({"ref": [1]}, "'ref' is [1]; it takes a list of blocks"),
    ({"ref": [["rail"]]}, "case 0 of cases.json, 'Rail': ref[0] uses 'rail', which is not a column of rail.csv; did you mean 'Rail'?"),
    ({"factors": [1]}, "'factors' is [1]; it takes a list of names of columns"),
    ({"factors": ["rail"]}, "'factors' names 'rail', which is not a column of rail.csv"),
    ({"form": "travel ~ ("}, "case 0 of cases.json, 'Rail': 'form' is 'travel ~ (': expected a noun, but instead the expression ended"),
    ({"form": "trvel ~ 1"}, "'form' is 'trvel ~ 1': form uses 'trvel', which is not a column of rail.csv; did you mean 'travel'?"),
    ({"form": "travel"}, "case 0 of cases.json, 'Rail': form has no '~': 'travel'"),
    ({"form": "travel ~ travel"}, "case 0 of cases.json, 'Rail': the fixed effects fit 'travel' perfectly"),
], ids=repr)
def test_what_is_wrong_with_an_entry_is_one_sentence(cases, change, words):
    with pytest.raises(LMMError) as error:
        cases(**change)
    assert sentence(error).startswith("case 0 of cases.json") and words in sentence(error)


@pytest.mark.parametrize("text, words", [
    ('[{"name": "a", "name": "b"}]', "cases.json has a case with 'name' twice"),
    ("[" * 100_000, "cases.json is no JSON: "),
    ("{}", "cases.json holds no list of cases"),
    ("[[]]", "case 0 of cases.json is no object with name, form and data"),
    ("\ufeff[]", "cases.json holds no list of cases"),
])
def test_what_is_wrong_with_the_file(text, words, tmp_path):
    path = tmp_path / "cases.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LMMError) as error:
        read_cases(path)
    assert sentence(error).startswith(words)


def test_groups_of_integers_without_factors_are_a_warning_that_names_the_key(cases):
    with pytest.warns(LMMWarning, match=r"case 0 of cases.json, 'Rail': 'Rail' holds integers .* category: \"factors\": \[\"Rail\"\]"):
        cases(factors=...)


def test_a_name_of_a_built_in_case_is_taken(cases, tmp_path, capsys):
    cases(name="Machines")
    assert main(["grade", str(SUBMISSIONS / "correct" / "practical.py"), "--cases", str(tmp_path / "cases.json")]) == 2
    assert capsys.readouterr().err == "lmm: two cases are called 'Machines'; rename one of them\n"


# -- the answers, shown --------------------------------------------------------------------------------------

def test_the_answer_of_a_case_is_shown(cases, tmp_path, capsys):
    """The numbers are those of Pinheiro and Bates (2000): -64.28, 22.624, 4.0208, 66.5."""
    cases(points=3, hidden=True, why="one block", **EXACT)
    assert main(["grade", "--show-cases", "--cases", str(tmp_path / "cases.json"), "--only-cases"]) == 0
    assert capsys.readouterr().out == """\
1 case, 3 points

Rail: 3 points, hidden from students
  one block
 form             travel ~ 1
 dat              18 rows, columns Rail, travel
 ref              [['Rail']]

                 Estimate       log
 sigma           4.020779  1.391476
 sd Rail         22.62435  3.119027
 beta Intercept      66.5

 -log-likelihood  64.28002, as R's -logLik
 LMMprof          47.73912, without n/2 log(2 pi)
 passed           LMMprof within 0.0001 of that, beta within 0.005 standard errors
 source           the file of cases
"""


def test_the_answers_of_the_built_in_cases():
    cases = built_in_cases()
    text = shown_cases(cases)
    assert text.startswith(f"{len(cases)} cases, ") and all(f"\n{case.name}: " in text for case in cases)
    assert ["sd", "Batch", "0", "-inf"] in [line.split() for line in text.splitlines()]        # of Dyestuff2
    assert "of them without missing values" in text


def test_of_half_an_answer_it_is_said_which_half_is_whose(cases):
    assert "source           the file of cases; sd by this package's fit" in shown_cases(cases(beta=[66.5]))


@pytest.mark.parametrize("arguments, words", [
    (["--show-cases", "anne.py"], "--show-cases grades nothing; leave out what is to be graded"),
    (["--show-cases", "--all", "x"], "--show-cases grades nothing; leave out what is to be graded"),
    (["--show-cases", "--only-cases"], "--only-cases needs --cases FILE"),
    (["--show-cases", "--case", "machines"], "--case 'machines' is none of the built-in cases"),
])
def test_what_goes_with_show_cases(arguments, words, capsys):
    assert main(["grade", *arguments]) == 2
    assert words in capsys.readouterr().err
