"""Renderings: LaTeX that compiles, Markdown, HTML and frames, of the cells that printing shows."""

import re
import shutil
import subprocess
from html import unescape

import numpy as np
import pandas as pd
import pytest
from helpers import fit_at

from lmm import LMMError, anova, compare_table, lmm, load_data
from lmm.result.rendering import latex, latex_number, markdown
from lmm.result.tables import Shown, Table

ODD = 'a_b & c%$#{}~^\\|"<>`--[T.B]*'                 # whatever is special in one of the languages


class Tables(Shown):
    """Something that shows these tables."""

    def __init__(self, *tables):
        self.tables = tables

    def _tables(self):
        yield from self.tables


@pytest.fixture(scope="module")
def fit():
    return fit_at(np.log([1.0, 4.0, 3.0]))


@pytest.fixture(scope="module")
def odd():
    """A fit whose columns and levels have every special character."""
    dat = load_data("Machines").rename(columns={"Worker": "[W_1&"})
    dat["Machine"] = dat["Machine"].cat.rename_categories({"A": "A", "B": ODD, "C": "[x]"})
    dat[ODD] = np.arange(len(dat)) % 5
    form = f"score ~ Machine + Q({ODD!r})"
    return fit_at(np.log([1.0, 4.0]), form, ["[W_1&"], dat)


@pytest.fixture(scope="module")
def shown(fit, odd):
    """One of everything that shows itself by tables."""
    pastes = load_data("Pastes")
    small = lmm("strength ~ 1", pastes, ["sample"])
    return [
        fit,
        odd,
        odd.summary(se=True),
        anova(small, small.update(ref=["batch", "sample"])),
        fit.bootstrap(3, seed=1, progress=False),
        compare_table(fit, odd, stars=True),
        compare_table(odd, statistic="ci"),
        Tables(Table(ODD), Table("", ("<", ODD), (("*a", "-1.5e-07"), ("[b]", ODD)), (1,)), Table(f"Note: {ODD}")),
    ]


def rows_of(shown):
    """The rows of all tables, their cells without the blanks that align them."""
    for table in shown._tables():
        for row in table.rows:
            yield [cell.strip() for cell in row]


# -- which table ------------------------------------------------------------------------------------


def test_one_table_is_chosen_by_its_title_or_its_place(fit):
    by_title = fit.to_latex("random EFFECTS")
    assert by_title == fit.to_latex(only=1) and "Worker" in by_title and "Random" not in by_title
    assert fit.to_markdown("Fixed effects").startswith("|              | Estimate |")
    assert fit.summary().to_html("Fixed effects").startswith("<div><table><thead><tr><th></th><th>Estimate</th>")


@pytest.mark.parametrize("only, words", [
    ("Fixed efects", "there is no table 'Fixed efects'; there are 'Random effects', 'Fixed effects'; did you mean 'Fixed effects'?"),
    (3, "only is 3; the tables are 3, counted from 0"),
    (-1, "only is -1; the tables are 3, counted from 0"),
    (True, "only is True; it is the beginning of a table's title, or its place from 0"),
])
def test_a_table_that_there_is_not(only, words, fit):
    for method in (fit.to_latex, fit.to_markdown, fit.to_html, fit.to_frame):
        with pytest.raises(LMMError) as error:
            method(only)
        assert str(error.value) == words


def test_text_alone_has_no_table():
    with pytest.raises(LMMError, match="there is no table in it, but only text: print it"):
        Tables(Table("a")).to_frame()


# -- a frame ----------------------------------------------------------------------------------------


def test_a_frame_is_of_the_fixed_effects_with_the_numbers_as_printed(fit):
    frame = fit.to_frame()
    assert list(frame.index) == ["Intercept", "Machine[T.B]", "Machine[T.C]"]
    assert list(frame.columns) == ["Estimate", "Std. Error", "t value"]
    assert frame.loc["Machine[T.B]"].tolist() == [7.9667, 1.7638, 4.52]
    assert list(fit.summary().to_frame().columns) == ["Estimate", "Std. Error", "df", "t value", "Pr(>|t|)"]


def test_a_frame_of_other_tables(fit, odd):
    frame = fit.to_frame("Random effects")
    assert list(frame["Groups"]) == ["Worker", "Worker:Machine", "Residual"]
    assert frame["Std.Dev."].tolist() == [4.0, 3.0, 1.0]
    without = fit_at([1.0, 1.0], "score ~ 0", ["Worker"]).to_frame()
    assert list(without.columns) == ["AIC", "BIC", "logLik", "deviance", "df.resid"]
    correlations = odd.summary().to_frame("Correlation")
    assert list(correlations.columns) == ["", "", "1", "2", "3"] and np.isnan(correlations["1"].iloc[0])


def test_a_frame_of_what_has_a_table_is_a_copy_of_it(shown):
    for one in shown:
        if hasattr(one, "table"):
            frame = one.to_frame()
            pd.testing.assert_frame_equal(frame, one.table)
            frame.iloc[:, 0] = 0
            assert not (one.table.iloc[:, 0] == 0).all()
    assert shown[3].to_frame(0)["Pr(>Chisq)"].round(4).tolist()[1] == 0.5234       # with nan above it


def test_text_among_numbers_stays_text():
    frame = Tables(Table("", ("<", "a", "b"), (("x", "1", "1 / 2"), ("y", "", "nan")))).to_frame()
    assert frame["a"].iloc[0] == 1.0 and np.isnan(frame["a"].iloc[1]) and frame["b"].tolist() == ["1 / 2", "nan"]


# -- Markdown ---------------------------------------------------------------------------------------

MARKDOWN = """\
Linear mixed model fit by maximum likelihood

Formula: score ~ Machine

Random effects: Worker, Worker:Machine

|    AIC |    BIC |  logLik | deviance | df.resid |
| -----: | -----: | ------: | -------: | -------: |
| 237.86 | 249.79 | -112.93 |   225.86 |       48 |

Random effects:

| Groups         | Name      | Variance | Std.Dev. |
| :------------- | :-------- | -------: | -------: |
| Worker         | Intercept |  16.0000 |   4.0000 |
"""


def test_markdown(fit):
    assert fit.to_markdown().startswith(MARKDOWN)


@pytest.mark.parametrize("text, escaped", [
    ("y ~ x + (1 | g)", r"y ~ x + (1 \| g)"), ("Pr(>|t|)", r"Pr(\>\|t\|)"), ("a_b*c", r"a\_b\*c"), ("Machine[T.B]", "Machine[T.B]"),
    ("[a](b)", "&#91;a](b)"), ("*** p < 0.1", r"\*\*\* p < 0.1"), ("# x", r"\# x"), ("+ p", r"\+ p"), ("- a", r"\- a"), ("12. x", r"12\. x"),
    ("-0.12", "-0.12"), ("a\n b", "a b"), ("\\|", r"\\\|"), ("$x$ <b> ~y~ ^z `c`", r"\$x\$ \<b\> \~y\~ \^z \`c\`"),
])
def test_what_markdown_would_read_is_escaped(text, escaped):
    assert markdown(text) == escaped


@pytest.mark.requirement("tables")
def test_markdown_has_the_same_cells_and_a_pipe_between_them(shown):
    for one in shown:
        lines = [line for line in one.to_markdown().splitlines() if line.startswith("|")]
        found = [re.split(r"(?<!\\)\|", re.sub(r"\\\\", "\0", line))[1:-1] for line in lines]
        cells = [[re.sub(r"\\(.)", r"\1", cell.strip()).replace("\0", "\\") for cell in row] for row in found]
        for row in rows_of(one):
            assert row in cells


# -- HTML -------------------------------------------------------------------------------------------


def test_html_is_what_a_notebook_shows(shown):
    for one in shown:
        assert one.to_html() == one._repr_html_()
        rows = re.findall("<tr>(.*?)</tr>", one.to_html())
        cells = [[unescape(cell.strip()) for cell in re.findall("<td>(.*?)</td>", row)] for row in rows]
        for row in rows_of(one):
            assert row in cells


def test_a_rule_parts_rows():
    table = Table("", ("<", "a"), (("x", "1"), ("y", "22"), ("z", "3")), (1,))
    assert str(Tables(table)) == "     a\n x   1\n -----\n y  22\n z   3"
    assert Tables(table).to_html().count("<tbody>") == 2
    assert Tables(table).to_latex().splitlines()[4:7] == [r"x & 1 \\", r"\midrule", r"y & 22 \\"]


# -- LaTeX ------------------------------------------------------------------------------------------

LATEX = r"""\begin{table}
\centering
\caption{Who is \emph{fast}}
\label{t:a}
\begin{tabular}{llrr}
\toprule
Groups & Name & Variance & Std.Dev. \\
\midrule
Worker & Intercept & 16.0000 & 4.0000 \\
Worker:Machine & Intercept & 9.0000 & 3.0000 \\
Residual &  & 1.0000 & 1.0000 \\
\bottomrule
\end{tabular}
\end{table}"""


def test_latex_in_a_table_environment(fit):
    assert fit.to_latex("Random effects", caption=r"Who is \emph{fast}", label="t:a") == LATEX
    assert fit.to_latex("Random effects") == "\n".join(LATEX.splitlines()[4:-1])


def test_latex_has_text_above_and_notes_beneath(fit):
    lines = fit.to_latex().splitlines()
    assert lines[:2] == [r"{\noindent Linear mixed model fit by maximum likelihood\par}", r"{\noindent Formula: score $\sim$ Machine\par}"]
    assert lines[-1] == r"{\footnotesize\noindent Optimum: certified (gradient zero, curvature positive)\par}"


@pytest.mark.parametrize("text, escaped", [
    ("a_b & c", r"a\_b \& c"), ("%$#{}", r"\%\$\#\{\}"), ("~^\\", r"$\sim$\textasciicircum{}\textbackslash{}"),
    ("Pr(>|t|)", r"Pr(\textgreater{}\textbar{}t\textbar{})"), ("<`\"", r"\textless{}\textasciigrave{}\string" + '"'),
    ("[T.B]", "{[}T.B]"), ("*a", "{*}a"), ("Machine[T.B]", "Machine[T.B]"), ("a--b", "a-{}-b"), ("a\n\nb", "a b"), ("größe", "größe"),
])
def test_what_is_special_in_latex_is_escaped(text, escaped):
    assert latex(text) == escaped


@pytest.mark.parametrize("cell, written", [
    ("-0.138", "$-$0.138"), ("(-1.5) ", r"($-$1.5\rlap{)}"), ("[-1.2, -3.0]", r"{[}$-$1.2, $-$3.0\rlap{]}"),
    ("1.2e-05", r"1.2$\times 10^{-5}$"), ("-1.50e+10", r"$-$1.50$\times 10^{10}$"), ("12.5**  ", r"12.5\rlap{\textsuperscript{**}}"),
    ("0.5+", r"0.5\rlap{\textsuperscript{+}}"), ("(2.2e-16)", r"(2.2$\times 10^{-16}$\rlap{)}"), ("-inf", "$-$inf"), ("", ""),
    ("2020-01-02", "2020-01-02"), ("1 / 2", "1 / 2"), ("nan", "nan"),
])
def test_numbers_in_latex(cell, written):
    assert latex_number(cell) == written


def test_columns_with_stars_have_room_for_them():
    table = Table("", ("<", "a", "b"), (("x", "1.5*  ", "2"),))
    assert Tables(table).to_latex().startswith(r"\begin{tabular}{lr@{\hspace{2em}}r}" + "\n")


@pytest.mark.requirement("tables")
def test_latex_is_balanced_and_its_rows_are_of_one_length(shown):
    """What TeX would stumble over, where there is none: braces, environments, and the number of cells of a row."""
    for one in shown:
        source = one.to_latex(caption="A caption")
        bare = re.sub(r"\\[\\{}&%$#_]", "", source)                         # without what is escaped, and ends of rows
        assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
        assert not set("%#_~`|<>") & set(re.sub(r"\^\{", "", bare)) and "^" not in re.sub(r"10\^\{", "", bare)
        assert not re.search(r'(?<!\\string)"', bare)
        assert re.findall(r"\\begin\{(\w+)\}", source)[1:] == re.findall(r"\\end\{(\w+)\}", source)[:-1]
        tables = re.findall(r"\\begin\{tabular\}\{([^\n]*)\}\n(.*?)\\end\{tabular\}", source, re.DOTALL)
        assert len(tables) == sum(bool(table.rows) for table in one._tables())
        for alignment, body in tables:
            columns = len(re.sub(r"@\{\\hspace\{2em\}\}", "", alignment))
            rows = [line for line in body.splitlines() if line.endswith(r"\\")]
            assert all(len(re.findall(r"(?<!\\)&", row)) == columns - 1 for row in rows) and len(rows) > 1
            assert not any(row.startswith(("[", "*")) for row in rows)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="there is no pdflatex")
def test_latex_compiles(shown, tmp_path):
    preamble = r"\documentclass{article}\usepackage{booktabs}\begin{document}"
    parts = [source for one in shown for source in (one.to_latex(), one.to_latex(0, caption="A", label="a"))]
    (tmp_path / "a.tex").write_text("\n\n".join([preamble, *parts, r"\end{document}"]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    if "booktabs.sty' not found" in done.stdout:
        pytest.skip("there is no booktabs")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "a.pdf").exists()
