"""The command line: what it prints, and that mistakes exit with 2 and one sentence."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lmm import __main__ as command_line
from lmm import lmer, lmm, load_data
from lmm.__main__ import main

BOTH = ["--ref", "Worker", "--ref", "Worker:Machine", "--factor", "Worker"]


@pytest.fixture
def machines(tmp_path):
    load_data("Machines").to_csv(tmp_path / "machines.csv", index=False)
    return str(tmp_path / "machines.csv")


def test_alone_it_fits_machines_beside_lme4_and_the_exact_numbers(tmp_path):
    command = [sys.executable, "-m", "lmm"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "Linear mixed model fit by maximum likelihood" in run.stdout and run.stderr == ""
    title = "maximum of the likelihood (criterion = -2 logLik):\n"
    beside, after = run.stdout.split(title)[1].split("\n\n")
    header, *rows = beside.splitlines()
    assert after == "Next: lmm guide first_session, lmm notebooks DIR, lmm --help\n"
    assert header.split() == ["lmm", "lme4", "exact"] and len(rows) == 10
    for row in rows:
        ours, lme4, exact = map(float, row.split()[-3:])
        assert abs(ours / exact - 1) < 1e-9 and abs(lme4 / exact - 1) < 1e-6


def test_a_formula_with_bars_is_lmers(machines, capsys):
    """By ML as all of the command's fits, unless --reml."""
    formula, dat = "score ~ Machine + (0 + Machine | Worker)", load_data("Machines")
    for options, reml in ([], False), (["--reml"], True):
        assert main(["fit", formula, machines, *options, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        fit = lmer(formula, dat, reml=reml)
        assert abs(found["logLik"] - fit.llf) < 1e-9
        assert found["sd"] == pytest.approx(fit.sd.to_dict())
        assert found["corr"] == pytest.approx(fit.corr.to_dict()) and found["reml"] == reml
        assert "exceeded" not in found["message"]


def test_fit_prints_the_table(machines, capsys):
    assert main(["fit", "score ~ Machine", machines, *BOTH]) == 0
    printed = capsys.readouterr().out
    fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", "Worker:Machine"])
    assert printed.splitlines()[-1] == str(fit).splitlines()[-1]
    assert "Worker:Machine" in printed


@pytest.mark.skipif(not os.path.exists("/dev/stdin"), reason="no such file here")
def test_a_file_that_can_be_read_only_once(machines):
    """A pipe: this used to lose its first lines to a look at the column names."""
    command = [sys.executable, "-m", "lmm", "fit", "score ~ Machine", "/dev/stdin", *BOTH]
    text = Path(machines).read_text()
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    assert "Number of obs: 54; groups: Worker 6" in run.stdout


def test_fit_prints_json(machines, capsys):
    assert main(["fit", "score ~ Machine", machines, *BOTH, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ref"] == ["Worker", "Worker:Machine"]
    assert found["nobs"] == 54 and found["converged"] is True
    np.testing.assert_allclose(found["sd"]["Worker"], 4.36448206591615, rtol=1e-5)
    np.testing.assert_allclose(found["beta"]["Machine[T.B]"], 239 / 30, rtol=1e-9)
    np.testing.assert_allclose(found["theta"][0], np.log(found["sigma"]))


def test_reml(machines, capsys):
    assert main(["fit", "score ~ Machine", machines, *BOTH, "--json", "--reml"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reml"] is True
    np.testing.assert_allclose(found["logLik"], -107.84378400411026, rtol=1e-10)


def test_an_integer_group_is_a_warning_on_one_line(machines, capsys):
    assert main(["fit", "score ~ Machine", machines, "--ref", "Worker"]) == 0
    error = capsys.readouterr().err
    assert error.startswith("lmm: warning: 'Worker' holds integers and no factor")
    assert error.count("\n") == 1
    assert error.endswith("; if it labels groups make it a category: --factor Worker\n")


def test_the_option_that_makes_categories_is_written_so_that_a_shell_reads_it(machines, tmp_path, capsys):
    dat = load_data("Machines").rename(columns={"Worker": "the worker"}).assign(run=range(54))
    dat.to_csv(tmp_path / "named.csv", index=False)
    with pytest.raises(SystemExit):
        main(["fit", "score ~ Machine", str(tmp_path / "named.csv"), "--ref", "the worker:run", "--rif"])
    assert main(["fit", "score ~ Machine", str(tmp_path / "named.csv"), "--ref", "the worker:run"]) == 0
    assert "make it a category: --factor 'the worker' --factor run\n" in capsys.readouterr().err


def test_ctrl_c_is_one_line_and_130(machines, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "lmm", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    assert main(["fit", "score ~ Machine", machines]) == 130
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err == "lmm: interrupted\n"


@pytest.mark.skipif(os.name != "posix", reason="pipes that are closed")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["fit", "score ~ Machine", "FILE", *BOTH], ["fit", "x"], ["grade", "no-such.py"]])
def test_a_reader_that_leaves_is_no_error(arguments, unbuffered, machines):
    """As in ``lmm fit ... | head``: this used to end with a traceback, or an Errno 32."""
    out, into = os.pipe()
    os.close(out)
    arguments = [machines if argument == "FILE" else argument for argument in arguments]
    run = subprocess.run([sys.executable, "-m", "lmm", *arguments], stdout=into, stderr=subprocess.PIPE, text=True,
                         env={**os.environ, "PYTHONUNBUFFERED": unbuffered}, check=False)
    fails = len(arguments) == 2
    assert (run.stderr.count("\n"), run.returncode) == (1, 2) if fails else run.stderr == "" and run.returncode in (0, 141)
    run = subprocess.run([sys.executable, "-m", "lmm", *arguments], stdout=into, stderr=into,
                         env={**os.environ, "PYTHONUNBUFFERED": unbuffered}, check=False)
    os.close(into)
    assert run.returncode in ((2, 141) if fails else (0, 141))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")
def test_no_room_for_what_is_printed_and_no_output_at_all():
    """This used to end with a traceback, of the disk or of a stream that is None."""
    command = [sys.executable, "-m", "lmm", "grade", "--show-cases", "--case", "Machines"]
    with open("/dev/full", "w") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 2 and run.stderr == "lmm: [Errno 28] No space left on device\n"
    closed = ["sh", "-c", '"$@" >&-', "sh", *command]
    run = subprocess.run(closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="names that are no UTF-8")
def test_what_the_terminal_has_no_character_for(tmp_path):
    (tmp_path / "café.py").write_text("def lmm(form, dat, ref):\n    pass\n")
    command = [sys.executable, "-m", "lmm", "grade", "--all", str(tmp_path), "--case", "Machines"]
    run = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=False)
    assert b" caf\\xe9.py " in run.stdout and (run.returncode, run.stderr) == (1, b"")


@pytest.mark.requirement("commands")
@pytest.mark.parametrize("arguments, words", [
    (["fit"], "the following arguments are required: FORMULA, FILE"),
    (["fit", "score ~ Machine", "FILE", "--rif", "Worker"], "unrecognized arguments: --rif Worker"),
    (["fti"], "invalid choice: 'fti'"),
    (["fit", "score ~ Machine", "no-such.csv"], "there is no file 'no-such.csv'"),
    (["fit", "score ~ Machin", "FILE"], "form uses 'Machin', which is not a column of dat"),
    (["fit", "score ~ (", "FILE"], "expected a noun, but instead the expression ended"),
    (["fit", "score ~ Machine", "FILE", "--ref", "Wroker"], "ref[0] uses 'Wroker'"),
    (["fit", "score ~ Machine", "FILE", "--factor", "Wroker"], "--factor names 'Wroker'"),
    (["fit", "score ~ main()", "FILE"], "form calls 'main', which a formula may not"),
    (["fit", "y ~ 1", "TWICE", "--ref", "g"], "has several columns named 'y'; rename all but one"),
    (["fit", "score ~ Machine", "EMPTY"], "No columns to parse from file"),
    (["fit", "FILE", "score ~ Machine"], "'score ~ Machine' is a formula; it comes first, as in: lmm fit FORMULA FILE"),
    (["fit", "score ~ Machine", "FILE", "--factor", "worker"], "machines.csv; did you mean 'Worker'?"),
    (["fit", "y ~ 1", "SEMICOLONS"], "has one column, 'y;g'; it takes commas between the values"),
])
def test_mistakes_exit_with_2_and_one_sentence(arguments, words, machines, tmp_path, capsys):
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    twice = tmp_path / "twice.csv"
    twice.write_text("y,g,y\n1,a,3\n2,a,4\n3,b,5\n4,b,6\n")
    semicolons = tmp_path / "semicolons.csv"
    semicolons.write_text("y;g\n1;a\n2;b\n")
    files = {"FILE": machines, "EMPTY": str(empty), "TWICE": str(twice), "SEMICOLONS": str(semicolons)}
    try:
        status = main([files.get(argument, argument) for argument in arguments])
    except SystemExit as exit:
        status = exit.code
    printed = capsys.readouterr()
    assert status == 2 and printed.out == ""
    assert printed.err.startswith("lmm: ") and words in printed.err
    assert "Traceback" not in printed.err and "usage" not in printed.err


def test_a_column_may_be_called_as_pandas_calls_a_second_one(tmp_path, capsys):
    """The file has y and y.1, each once."""
    path = tmp_path / "two.csv"
    path.write_text("y,g,y.1\n1,a,3\n2.5,a,4\n3,b,5\n4.5,b,6\n4,c,7\n5.5,c,8.5\n")
    assert main(["fit", "Q('y.1') ~ 1", str(path), "--ref", "g", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["beta"] == pytest.approx({"Intercept": 33.5 / 6}) and found["nobs"] == 6


def test_an_sd_of_zero_is_null_in_json(tmp_path, capsys):
    """Its log is -inf, which JSON does not have."""
    load_data("Dyestuff2").to_csv(tmp_path / "dyestuff2.csv", index=False)
    assert main(["fit", "Yield ~ 1", str(tmp_path / "dyestuff2.csv"), "--ref", "Batch", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["theta"][1] is None and found["sd"] == {"Batch": 0}
    assert found["singular"] == ["Batch"]


def test_codes_with_a_missing_value_stay_whole(tmp_path, capsys):
    """They used to be read as 10.0 and 20.0, in the names of coefficients too."""
    file = tmp_path / "study.csv"
    rows = [f"{y},{dose},{g}" for y, dose, g in zip((1.5, 2, 4, 3, 5.5, 7, 2.5, 4), (10, 20, 30, "", 20, 30, 10, 20), "aabbccdd")]
    file.write_text("y,dose,g\n" + "\n".join(rows))
    assert main(["fit", "y ~ dose + (1 | g)", str(file), "--factor", "dose", "--reml", "--summary"]) == 0
    shown = capsys.readouterr().out
    assert " dose[T.20] " in shown and "Pr(>|t|)" in shown and "20.0" not in shown


def test_a_file_that_is_not_there_is_a_sentence(capsys):
    assert main(["fit", "y ~ x", "no.csv"]) == 2
    assert capsys.readouterr().err == "lmm: there is no file 'no.csv'; paths start from the folder you are in\n"
