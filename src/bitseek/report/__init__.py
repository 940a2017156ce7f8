"""A run as a page to look at: `bitseek report RUN`.

- `findings`: what the page is about: a run, its codes of one protocol, and how well they rank;
- `page`: one self-contained HTML file of these sections: `overview`, `training_curves`, `code_map`, `class_table`,
  `bit_health`, `query_rows`, `provenance`;
- `class_codes`, `layout`, `examples`: what the sections compute;
- `html`, `charts`, `heatmap`, `thumbnails`: what they are drawn with;
- `projector`: the codes for TensorBoard.
"""

from bitseek.report.class_codes import ClassCodes as ClassCodes
from bitseek.report.class_codes import class_codes as class_codes
from bitseek.report.findings import Findings as Findings
from bitseek.report.findings import look as look
from bitseek.report.page import page as page
from bitseek.report.page import write_page as write_page
from bitseek.report.projector import write_projector as write_projector
