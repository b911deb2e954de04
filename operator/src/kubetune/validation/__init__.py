"""`kubetune validate`: which documents of a text are jobs, what is wrong with them, and how that is told. Pure."""

from kubetune.validation.check import Checked, FileReport, check_text
from kubetune.validation.formats import FORMATS

__all__ = ["FORMATS", "Checked", "FileReport", "check_text"]
