"""From what the user names to a dataset: the bundled sample or a SQuAD file, cut to the wished subset.

Names in Phoenix: the whole sample is `qa-eval-sample`, the default 100 questions of SQuAD's development set are
`squad-qa-evaluation`; every other subset carries its size and seed.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from qa_eval.data.examples import Dataset
from qa_eval.data.squad import read_squad
from qa_eval.data.subset import take
from qa_eval.errors import InputError

SAMPLE = "sample"
SAMPLE_NAME = "qa-eval-sample"
DEFAULT_EXAMPLES = 100
DEFAULT_SEED = 0
_OFFICIAL_FILE = re.compile(r"(dev|train)-v(1\.1|2\.0)")


def load_dataset(
    dataset: str | Path = SAMPLE,
    *,
    examples: int | None = DEFAULT_EXAMPLES,
    seed: int = DEFAULT_SEED,
    name: str | None = None,
) -> Dataset:
    """Load a dataset, or a subset of it.

    Args:
        dataset: `sample` for the bundled 100 questions, or the path of a SQuAD JSON file, v1.1 or v2.0.
        examples: How many questions; None for all. A smaller subset is a prefix of a larger one.
        seed: Which subset; the same seed takes the same questions on every machine.
        name: The dataset's name in Phoenix, where the derived one does not suit.

    Raises:
        DatasetError: The file is missing, not JSON, not SQuAD or empty.
        InputError: `examples` is not positive.
    """
    if examples is not None and examples < 1:
        raise InputError(f"--examples {examples} asks for nothing: give a number of at least 1.")
    path = sample_path() if str(dataset) in (SAMPLE, SAMPLE_NAME) else Path(dataset)
    stem = path.stem
    version, everything = read_squad(path, source="squad" if _OFFICIAL_FILE.fullmatch(stem) else path.name)
    wanted = len(everything) if examples is None else min(examples, len(everything))
    chosen = take(everything, wanted, seed=seed)
    return Dataset(
        name=name or _name(stem, wanted, len(everything), seed),
        version=version,
        examples=chosen,
        description=f"{wanted} of {len(everything)} questions of {path.name}, seed {seed}, SQuAD v{version}",
    )


def sample_path() -> Path:
    """Where the bundled sample is: in the installed package, or in the checkout's `datasets/`."""
    packaged = Path(str(resources.files("qa_eval.data"))) / f"{SAMPLE_NAME}.json"
    return packaged if packaged.exists() else Path(__file__).parents[3] / "datasets" / f"{SAMPLE_NAME}.json"


def _name(stem: str, wanted: int, available: int, seed: int) -> str:
    if stem == "dev-v1.1" and (wanted, seed) == (DEFAULT_EXAMPLES, DEFAULT_SEED):
        return "squad-qa-evaluation"
    base = f"squad-{stem}" if _OFFICIAL_FILE.fullmatch(stem) else re.sub(r"[^\w.-]+", "-", stem)
    return base if wanted == available else f"{base}-{wanted}-seed-{seed}"
