"""The page's style sheet, as a package's own file: it is put into the page."""

from importlib.resources import files

STYLE = (files("kubetune.report") / "page.css").read_text()
