"""Pin image tags to digests, so that a restarted task runs the deployed image.

In: an image reference with a tag. Out: the same with the registry's current digest. An anonymous client gets its token
as in the Distribution specification, "Token authentication".
"""

from __future__ import annotations

import re
from typing import Final

import httpx

from qa_eval.errors import DeploymentError

_MANIFESTS: Final = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "docker.distribution.manifest.list.v2",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
    )
)
_REGISTRIES: Final = {"docker.io": "registry-1.docker.io"}
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def pin(image: str) -> str:
    """Replace an image's tag by its digest; an image with a digest is returned unchanged.

    Args:
        image: `registry/repository:tag`.

    Raises:
        DeploymentError: The registry cannot be reached, or does not have the image.
    """
    if "@" in image:
        return image
    name, _, tag = image.rpartition(":")
    registry, _, repository = name.partition("/")
    # As in Docker, registries on loopback need no TLS.
    scheme = "http" if registry.startswith("127.0.0.1:") else "https"
    url = f"{scheme}://{_REGISTRIES.get(registry, registry)}/v2/{repository}/manifests/{tag}"
    try:
        with httpx.Client(timeout=30, follow_redirects=True, headers={"Accept": _MANIFESTS}) as client:
            answer = _request_manifest(client, url)
    except httpx.HTTPError as error:
        raise DeploymentError(
            f"The registry of {image} cannot be reached ({type(error).__name__}): check the network, or give the "
            "image's digest in the settings."
        ) from None
    digest = answer.headers.get("docker-content-digest", "")
    if answer.is_error or not _DIGEST.fullmatch(digest):
        raise DeploymentError(f"{registry} has no image {repository}:{tag} (HTTP {answer.status_code}): check the tag.")
    return f"{name}@{digest}"


def _request_manifest(client: httpx.Client, url: str) -> httpx.Response:
    answer = client.head(url)
    if answer.status_code != 401:
        return answer
    wanted = dict(re.findall(r'(\w+)="([^"]*)"', answer.headers.get("www-authenticate", "")))
    realm = wanted.pop("realm", None)
    if realm is None:
        return answer
    given = client.get(realm, params=wanted)
    if given.is_error:
        return answer
    token = given.json().get("token") or given.json().get("access_token")
    return client.head(url, headers={"Authorization": f"Bearer {token}"})
