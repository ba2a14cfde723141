"""The dossier: its sections, the report, the command, and what it says where something is wrong."""

import base64
import getpass
import hashlib
import json
import shutil
import socket
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lmm.__main__ import main
from lmm.validation import (
    SECTIONS,
    Dossier,
    Row,
    after_the_fit,
    errors_and_df,
    exact,
    installation,
    likelihood,
    nist,
    performance,
    rows,
    validate,
)
from lmm.validation import dossier as module

CHEAP = ("installation", "likelihood", "errors")
GOOD = Row("digits", "a test", "a source", 12.0, 9.0, True, "One <section>", "fewest of 3 numbers: b")
BAD = Row("truth", "another", "another source", None, None, False, "Two", "LMMError: no & never", "ratio 2.00")
BY_HAND = Dossier((("lmm", "0.1.0"), ("numpy", "2.0")), (GOOD, BAD), quick=True, seconds={"Two": 1.25})


@pytest.fixture(scope="module")
def cheap():
    return validate(quick=True, sections=CHEAP)


# -- the sections ------------------------------------------------------------------------------------


@pytest.mark.requirement("criterion")
def test_what_is_cheap_is_passed(cheap):
    assert cheap.passed and len(cheap.rows) > 15 and not cheap.failed
    assert list(cheap.seconds) == ["Installation", "The likelihood at a fixed theta", "Errors and degrees of freedom"]


@pytest.mark.requirement("nist")
def test_nists_sets_have_fourteen_digits_of_their_doubles():
    rows = list(nist.rows(True))
    assert len(rows) == 33 and all(row.passed for row in rows)
    of_doubles = [row for row in rows if row.requirement.endswith("the fit of the doubles")]
    assert len(of_doubles) == 11 and min(row.digits for row in of_doubles) >= 14


@pytest.mark.requirement("exact optimum")
def test_exact_optima_are_reached():
    rows = list(exact.rows(True))
    assert len(rows) > 15 and all(row.passed for row in rows)


def test_each_row_says_what_how_and_against_what(cheap):
    for row in cheap.rows:
        assert row.requirement and row.test and row.reference
        assert (row.digits is None) == (row.least is None)
    requirements = [row.requirement for row in cheap.rows]
    assert len(set(requirements)) == len(requirements)


@pytest.mark.requirement("it can fail")
def test_one_number_with_a_digit_too_few_fails_its_row(monkeypatch, cheap):
    """The last number of each row, in the last digit that is required; no row passes whatever comes."""
    def off(section, requirement, test, reference, least, pairs):
        *others, (name, _, right) = pairs
        wrong = Fraction(right) + max(abs(Fraction(right)), 1) * Fraction(2, 10 ** int(least))
        return rows.row_of_digits(section, requirement, test, reference, least, [*others, (name, wrong, right)])

    for section in (likelihood, errors_and_df, after_the_fit, installation):
        monkeypatch.setattr(section, "row_of_digits", off)
    again = validate(quick=True, sections=CHEAP).rows
    assert [row.requirement for row in again] == [row.requirement for row in cheap.rows]
    assert [row.passed for row in again] == [row.digits is None for row in again]


@pytest.mark.requirement("repeatable")
def test_twice_the_same_digits(cheap):
    again = validate(quick=True, sections=CHEAP)
    assert again.to_json(times=False) == cheap.to_json(times=False)


# -- shown -------------------------------------------------------------------------------------------


def test_the_dossier_as_text():
    assert str(BY_HAND) == """\
lmm validate, quick
 Installation
 lmm           0.1.0
 numpy         2.0

One <section>
    Requirement  Digits  Required
 1  digits         12.0         9  passed
  1  a test; against a source; fewest of 3 numbers: b

Two (1.2 s)
    Requirement  Digits  Required
 2  truth                          NOT passed
  2  another; against another source; ratio 2.00; LMMError: no & never

1 of 2 requirements met"""


def test_the_dossier_as_html_is_escaped():
    page = BY_HAND._repr_html_()
    assert "One &lt;section&gt;" in page and "no &amp; never" in page and "<td>a source</td>" in page


def test_the_dossier_as_json():
    found = json.loads(BY_HAND.to_json())
    assert found["passed"] is False and found["seconds"] == {"Two": 1.25}
    assert found["rows"][1]["measured"] == "ratio 2.00"
    timeless = json.loads(BY_HAND.to_json(times=False))
    assert "seconds" not in timeless and "measured" not in timeless["rows"][1]
    assert timeless["rows"][0]["digits"] == 12.0


def test_an_empty_dossier_is_not_passed():
    assert not Dossier((), ()).passed


# -- the command -------------------------------------------------------------------------------------


def test_the_command_prints_writes_and_succeeds(tmp_path, capsys):
    folder = tmp_path / "a" / "report"
    assert main(["validate", "--quick", "--section", "installation", "--report", str(folder)]) == 0
    printed = capsys.readouterr().out
    rows = json.loads((folder / "validation.json").read_text())["rows"]
    assert printed.endswith(f"\n{len(rows)} of {len(rows)} requirements met\n")
    assert "NOT" not in printed and printed.startswith("lmm validate, quick\n")
    assert sorted(path.name for path in folder.iterdir()) == ["validation.html", "validation.json", "validation.txt"]
    assert (folder / "validation.html").read_text().startswith("<!doctype html>")


@pytest.mark.requirement("no path")
def test_no_path_or_name_of_this_machine_is_in_the_report(tmp_path, cheap):
    from lmm.validation.command import write
    write(tmp_path, "validation", cheap)
    secrets = {str(tmp_path), str(Path.home()), str(Path.cwd()), sys.prefix, str(Path(np.__file__).parent), "site-packages",
               socket.gethostname(), str(installation.FOLDER)}
    user = getpass.getuser()
    for path in tmp_path.iterdir():
        text = path.read_text()
        for secret in secrets:
            assert len(secret) < 3 or secret not in text, (path.name, secret)
        assert f"/{user}" not in text and "/home" not in text and "/tmp" not in text


def test_what_fails_exits_with_one_and_is_explained(monkeypatch, capsys):
    failing = SimpleNamespace(rows=lambda quick: [BAD], __doc__="A section.")
    monkeypatch.setitem(SECTIONS, "installation", failing)
    assert main(["validate", "--section", "installation"]) == 1
    printed = capsys.readouterr().out
    assert "NOT passed" in printed and "another; against another source" in printed and "0 of 1 requirements met" in printed


@pytest.mark.parametrize("arguments, words", [
    (["--section", "nits"], "there is no section 'nits'"),
    (["--break", "sgin"], "there is no break 'sgin'"),
    (["--report", __file__], "is a file; it is a folder to write into"),
])
def test_mistakes_are_one_sentence(arguments, words, capsys):
    assert main(["validate", "--quick", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_a_section_that_ends_in_an_error_is_a_row_that_says_so(monkeypatch):
    def rows(quick):
        yield GOOD
        raise RuntimeError("no more")

    monkeypatch.setitem(SECTIONS, "nist", SimpleNamespace(rows=rows, __doc__="Data sets."))
    found = validate(sections=["nist"])
    assert [row.passed for row in found.rows] == [True, False] and found.rows[1].detail == "RuntimeError: no more"


def test_a_section_without_rows_is_not_passed(monkeypatch):
    monkeypatch.setitem(SECTIONS, "nist", SimpleNamespace(rows=lambda quick: [], __doc__="Data sets."))
    (row,) = validate(sections=["nist"]).rows
    assert not row.passed and (row.section, row.detail) == ("Data sets.", "LMMError: it has no rows")


def test_a_warning_is_a_failure(monkeypatch):
    from lmm.errors import ConvergenceWarning, warn

    def rows(quick):
        warn("not certified", ConvergenceWarning)
        yield GOOD

    monkeypatch.setitem(SECTIONS, "nist", SimpleNamespace(rows=rows, __doc__="Data sets."))
    (row,) = module.validate(sections=["nist"]).rows
    assert not row.passed and row.detail == "ConvergenceWarning: not certified"


# -- the installation --------------------------------------------------------------------------------


def wheel(tmp_path, monkeypatch):
    """An installed wheel of two files, as its record has them."""
    files = {tmp_path / "a.py": b"one = 1\n", tmp_path / "b.csv": b"x\n1\n"}
    record = {}
    for path, data in files.items():
        path.write_bytes(data)
        record[path] = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    monkeypatch.setattr(installation, "recorded", lambda: record)
    return list(files)


def test_the_files_of_a_wheel_are_compared_with_its_record(tmp_path, monkeypatch):
    code, data = wheel(tmp_path, monkeypatch)
    assert installation._files() == (True, "")
    code.write_bytes(b"one = 2\n")
    assert installation._files() == (False, "not as recorded: a.py (1 in all)")
    data.unlink()
    assert installation._files() == (False, "not as recorded: a.py, b.csv (2 in all)")
    assert not next(row for row in installation.rows(True) if row.requirement == "code and data are those of the wheel").passed


@pytest.mark.requirement("it can fail")
def test_the_files_of_the_data_are_those_that_are_listed(tmp_path, monkeypatch):
    """Where this fails: cd data && find . -type f ! -name sha256.txt -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum > sha256.txt"""
    assert installation._data() == (True, "")
    shutil.copytree(str(installation.DATA_FOLDER), tmp_path / "data")
    monkeypatch.setattr(installation, "DATA_FOLDER", tmp_path / "data")
    cake = tmp_path / "data" / "cake.csv"
    cake.write_text(cake.read_text().replace("1", "2", 1))
    (tmp_path / "data" / "Rail.csv").unlink()
    (tmp_path / "data" / "other.csv").write_text("x")
    assert installation._data() == (False, "not as listed: Rail.csv, cake.csv (2 in all); not listed: other.csv (1 in all)")
    (tmp_path / "data" / installation.LISTED_SUMS).write_text("")
    assert not installation._data()[0]


def test_an_old_package_is_named(monkeypatch):
    requires = ["numpy>=1.24", "scipy>=1.10", "pandas>=2.0", "patsy>=1.0.3", 'ruff>=1; extra == "test"']
    monkeypatch.setattr(installation, "distribution", lambda name: SimpleNamespace(requires=requires))
    monkeypatch.setattr("numpy.__version__", "1.9.2")
    assert installation._versions() == (False, "numpy 1.9.2 is older than 1.24")
    monkeypatch.setattr("numpy.__version__", "1.24.0rc1")
    assert installation._versions()[0]
    requires.pop(0)
    assert not installation._versions()[0]


def test_arithmetic_that_is_wrong_is_seen(monkeypatch):
    blas = installation.blas
    flushed = SimpleNamespace(dscal=lambda a, x: 0 * x, dgemm=lambda a, A, B: A @ B + 1e-12, dsyrk=blas.dsyrk)
    monkeypatch.setattr(installation, "blas", flushed)
    assert installation._doubles() == (False, "numbers below the least normal one are flushed to zero")
    assert installation._algebra() == (False, "dgemm is wrong with 1 columns")
    monkeypatch.setattr(installation, "blas", blas)
    monkeypatch.setattr(installation, "lapack", SimpleNamespace(dpotrf=lambda A, lower: (np.linalg.cholesky(A) * (1 + 1e-15), 0)))
    assert installation._algebra() == (False, "dpotrf is wrong with 1 columns")


def test_the_digest_is_of_names_and_contents(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("1")
    known = installation.digest({"a": one})
    assert installation.digest({"a": other}) == known != installation.digest({"b": one})
    other.write_text("2")
    assert installation.digest({"a": other}) != known


# -- costs -------------------------------------------------------------------------------------------


def test_a_ratio_that_is_too_large_fails(monkeypatch):
    monkeypatch.setattr(performance, "TRIES", 1)

    def slow():
        sum(range(20_000))

    def fast():
        sum(range(200))

    assert not performance.row_of_ratio("r", "t", 5.0, lambda: (slow, fast), 3).passed
    row = performance.row_of_ratio("r", "t", 5.0, lambda: (fast, slow), 3)
    assert row.passed and row.measured.startswith("ratio 0.") and row.detail == "at most 5"


# -- weights -----------------------------------------------------------------------------------------


@pytest.mark.requirement("it can fail")
def test_weights_that_are_not_rooted_or_left_out_of_the_criterion_are_seen(monkeypatch):
    from dataclasses import replace

    right = likelihood.set_up_of
    monkeypatch.setattr(likelihood, "set_up_of", lambda *given: replace(right(*given), log_weights=0.0))
    failed = {row.requirement for row in likelihood.rows(True) if not row.passed}
    assert failed == {f"the criterion (4) in double precision, {engine} engine" for engine in ("dense", "blocked")}

    def squared(place, *given):
        return right(place if place.weights is None else replace(place, weights=tuple(np.square(place.weights))), *given)

    monkeypatch.setattr(likelihood, "set_up_of", squared)
    failed = [row for row in likelihood.rows(True) if not row.passed]
    assert len(failed) == 9 and all("weights" in row.detail for row in failed)


@pytest.mark.requirement("it can fail")
def test_another_matrix_than_average_information_is_seen(monkeypatch):
    from lmm.fitting import criterion
    right = criterion.in_theta

    def wrong(*given):
        found = right(*given)
        return right(*given[:5], False, *given[6:])._replace(averaged=True) if found.averaged else found

    monkeypatch.setattr(criterion, "in_theta", wrong)
    assert [row.requirement for row in likelihood.rows(True) if not row.passed] == ["average information (8), blocked engine"]
