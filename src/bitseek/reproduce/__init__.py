"""The reproduction ledger: published figures, and what bitseek measures under the same settings."""

from bitseek.reproduce._place import commit as commit
from bitseek.reproduce._place import hardware as hardware
from bitseek.reproduce._place import versions as versions
from bitseek.reproduce._results import read_results as read_results
from bitseek.reproduce._results import result_path as result_path
from bitseek.reproduce._results import results_folder as results_folder
from bitseek.reproduce._results import write_result as write_result
from bitseek.reproduce._rows import Row as Row
from bitseek.reproduce._rows import find, published
from bitseek.reproduce._run import STATUS as STATUS
from bitseek.reproduce._run import Changes as Changes
from bitseek.reproduce._run import reproduce

__all__ = ["find", "published", "reproduce"]
