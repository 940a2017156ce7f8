"""A report as a page to look at: `bitseek report RUN`.

write_page, render_page   one self-contained HTML file about a `bitseek.evaluation.Report`
class_codes, ClassCodes   which code stands for each class, how far its items spread, how far apart classes are
write_projector           the codes for TensorBoard's embedding projector
"""

from bitseek.report._class_codes import ClassCodes as ClassCodes
from bitseek.report._class_codes import class_codes as class_codes
from bitseek.report._page import free_page as free_page
from bitseek.report._page import render_page as render_page
from bitseek.report._page import write_page
from bitseek.report._projector import write_projector as write_projector

__all__ = ["write_page"]
