"""From what the user names to a dataset: the bundled sample, a file or the hub, cut to the wished subset.

Names in Phoenix: the whole sample is `qa-eval-sample`, the default 100 questions of SQuAD's development set are
`squad-qa-evaluation`; every other subset carries its size, its seed and, where it is stratified, by what.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from qa_eval.data.examples import Dataset, Example, SquadVersion
from qa_eval.data.rows import HUB, ROW_FILES, read_hub, read_rows
from qa_eval.data.squad import read_squad
from qa_eval.data.subset import STRATIFY_BY, StratifyBy, take
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
    stratify_by: StratifyBy = "none",
    name: str | None = None,
) -> Dataset:
    """Load a dataset, or a subset of it.

    Args:
        dataset: `sample` for the bundled 100 questions; `squad` or `squad_v2` for SQuAD's development set from the
            Hugging Face hub; or the path of a file: official SQuAD JSON, or JSON Lines, Parquet or CSV with the hub's
            columns.
        examples: How many questions; None for all, in the file's order. A smaller subset is a prefix of a larger one.
        seed: Which subset; the same seed takes the same questions on every machine.
        stratify_by: What each prefix holds in the same shares as the whole.
        name: The dataset's name in Phoenix, where the derived one does not suit.

    Raises:
        DatasetError: The dataset is missing, broken or empty; the first broken example is named.
        InputError: `examples` is not positive, or `stratify_by` is none of its values.
    """
    if examples is not None and examples < 1:
        raise InputError(f"--examples {examples} asks for nothing: give a number of at least 1.")
    if stratify_by not in STRATIFY_BY:
        raise InputError(f"--stratify-by {stratify_by} is unknown: give {', '.join(STRATIFY_BY)}.")
    stem, version, everything = _read(dataset)
    wanted = len(everything) if examples is None else min(examples, len(everything))
    chosen = everything if examples is None else take(everything, wanted, seed=seed, stratify_by=stratify_by)
    strata = "" if stratify_by == "none" else f", stratified by {stratify_by}"
    return Dataset(
        name=name or _name(stem, wanted, len(everything), seed, stratify_by),
        version=version,
        examples=chosen,
        description=f"{wanted} of {len(everything)} questions of {stem}, seed {seed}{strata}, SQuAD v{version}",
    )


def sample_path() -> Path:
    """Where the bundled sample is: in the installed package, or in the checkout's `datasets/`."""
    packaged = Path(str(resources.files("qa_eval.data"))) / f"{SAMPLE_NAME}.json"
    return packaged if packaged.exists() else Path(__file__).parents[3] / "datasets" / f"{SAMPLE_NAME}.json"


def _read(dataset: str | Path) -> tuple[str, SquadVersion, tuple[Example, ...]]:
    """The dataset's own name, its version and all its examples."""
    named = str(dataset)
    if named in HUB and not Path(named).exists():
        stem = {"squad": "dev-v1.1", "squad_v2": "dev-v2.0"}[named]
        return stem, *read_hub(named)
    path = sample_path() if named in (SAMPLE, SAMPLE_NAME) else Path(dataset)
    source = "squad" if _OFFICIAL_FILE.fullmatch(path.stem) else path.name
    reader = read_rows if path.suffix in ROW_FILES else read_squad
    return path.stem, *reader(path, source=source)


def _name(stem: str, wanted: int, available: int, seed: int, stratify_by: str) -> str:
    if (stem, wanted, seed, stratify_by) == ("dev-v1.1", DEFAULT_EXAMPLES, DEFAULT_SEED, "none"):
        return "squad-qa-evaluation"
    base = f"squad-{stem}" if _OFFICIAL_FILE.fullmatch(stem) else re.sub(r"[^\w.-]+", "-", stem)
    strata = "" if stratify_by == "none" else f"-by-{stratify_by}"
    return base if wanted == available else f"{base}-{wanted}-seed-{seed}{strata}"
