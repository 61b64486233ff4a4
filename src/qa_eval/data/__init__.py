"""Examples: the bundled sample and SQuAD files in, datasets out; and their upload to Phoenix."""

from qa_eval.data.examples import Dataset, Difficulty, Example, SquadVersion
from qa_eval.data.load import load_dataset

__all__ = ["Dataset", "Difficulty", "Example", "SquadVersion", "load_dataset"]
