"""What shows itself by tables: the tables, and all the forms in which they are shown.

The cells of a table are made once, and every form is of the same cells: they cannot disagree.
"""

from dataclasses import dataclass

from .rendering import chosen, to_frame, to_html, to_latex, to_markdown, to_text

MAIN = "Fixed effects"  # how the title of the table begins that `to_frame` is of, where there is it


@dataclass(frozen=True)
class Table:
    """A line of text above rows of cells; the cells are strings already.

    `columns` are the headings; a heading that starts with ``<`` (not shown) aligns its column to
    the left. `rules` are the places of the rows that have a line above them.
    """

    title: str
    columns: tuple = ()
    rows: tuple = ()
    rules: tuple = ()


class Shown:
    """What shows itself by tables, `_tables()`: printed, in a notebook, and in what one writes."""

    def __str__(self):
        return to_text(self._tables())

    def _repr_html_(self):
        return to_html(self._tables())

    def to_frame(self, only=None):
        """One of the tables as a DataFrame.

        Parameters
        ----------
        only : str or int, optional
            Which table: how its title begins, such as ``"Random effects"``, or its place among the
            tables, from 0.

        Returns
        -------
        DataFrame
            Without `only` a copy of ``.table``, the numbers themselves, where the object has it.
            Otherwise the cells, numbers as they are printed: by default those of the table of the
            fixed effects or, if there is none, of the first table. (``fit.tidy()`` has the
            estimates of a fit with all their digits.)

        Raises
        ------
        LMMError
            If there is no such table.

        Examples
        --------
        >>> fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
        >>> fit.to_frame("Random effects")
             Groups       Name  Variance  Std.Dev.
        0     Batch  Intercept    1388.3     37.26
        1  Residual               2451.2     49.51
        """
        table = getattr(self, "table", None)
        if only is None and table is not None:
            return table.copy()
        tables = list(self._tables())
        if only is None:
            titles = [table.title for table in tables if table.rows]
            has_main = any(title.startswith(MAIN) for title in titles)
            only = MAIN if has_main else 0
        return to_frame(chosen(tables, only))

    def to_latex(self, only=None, caption=None, label=None):
        r"""The tables as LaTeX, to be used with ``\usepackage{booktabs}``.

        Parameters
        ----------
        only : str or int, optional
            One table and no text: how its title begins, such as ``"Fixed effects"``, or its place
            among the tables, from 0.
        caption, label : str, optional
            LaTeX, as it is. With one of them all is put into a ``table`` environment.

        Returns
        -------
        str
            What is special in LaTeX is escaped in names and in text. Letters that are not Latin
            need LuaLaTeX or XeLaTeX.

        Raises
        ------
        LMMError
            If there is no such table.

        Examples
        --------
        >>> fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
        >>> print(fit.to_latex("Fixed effects"))
        \begin{tabular}{lrrr}
        \toprule
         & Estimate & Std. Error & t value \\
        \midrule
        Intercept & 1527.5 & 17.695 & 86.33 \\
        \bottomrule
        \end{tabular}
        """
        return to_latex(self._which(only), caption, label)

    def to_markdown(self, only=None):
        """The tables as Markdown, with what is markup in names escaped.

        Parameters
        ----------
        only : str or int, optional
            One table and no text, as in `to_latex`.

        Returns
        -------
        str

        Raises
        ------
        LMMError
            If there is no such table.

        Examples
        --------
        >>> fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
        >>> print(fit.to_markdown("Fixed effects"))
        |           | Estimate | Std. Error | t value |
        | :-------- | -------: | ---------: | ------: |
        | Intercept |   1527.5 |     17.695 |   86.33 |
        """
        return to_markdown(self._which(only))

    def to_html(self, only=None):
        """The tables as HTML, as a notebook shows them: without ids, styles or scripts.

        Parameters
        ----------
        only : str or int, optional
            One table and no text, as in `to_latex`.

        Returns
        -------
        str

        Raises
        ------
        LMMError
            If there is no such table.
        """
        return to_html(self._which(only))

    def _which(self, only):
        """All tables, or the one that `only` means."""
        tables = list(self._tables())
        return tables if only is None else [chosen(tables, only)]
