"""Examples from any source in, datasets out; and their upload to Phoenix.

examples        what travels to the other rooms: `Example`, `Dataset`
load            from what the user names to a dataset, whole or a subset
sources         one file for each kind of dataset, and the registry of them
columns, rows   which column holds what; from rows to examples
subset          which examples are taken
upload          a dataset into Phoenix
"""

from qa_eval.data.examples import Dataset, Difficulty, Example, PhoenixOrigin, SquadVersion
from qa_eval.data.load import load_dataset

__all__ = ["Dataset", "Difficulty", "Example", "PhoenixOrigin", "SquadVersion", "load_dataset"]
