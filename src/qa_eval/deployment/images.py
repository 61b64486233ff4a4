"""Pin image tags to digests, so that a restarted task runs the deployed image.

In: an image reference with a tag, and a processor architecture. Out: the same with the digest of what the tag names
now, which has that architecture. An anonymous client gets its token as in the Distribution specification, "Token
authentication".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx

from qa_eval.errors import DeploymentError

_INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT: Final = ", ".join((*_INDEXES, *_MANIFESTS))
_REGISTRIES: Final = {"docker.io": "registry-1.docker.io"}
_PLATFORMS: Final = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
"""A processor architecture's name in AWS to the platform's name in registries."""


def pin(image: str, architecture: str) -> str:
    """Replace an image's tag by its digest; an image with a digest is returned unchanged, and no registry is asked.

    Args:
        image: `registry/repository:tag`.
        architecture: The processor architecture that it must have: `x86_64` or `arm64`.

    Raises:
        DeploymentError: The registry cannot be reached, or does not have the image for the architecture.
    """
    if "@" in image:
        return image
    name, _, tag = image.rpartition(":")
    registry, _, repository = name.partition("/")
    # As in Docker, registries on loopback need no TLS.
    scheme = "http" if registry.startswith("127.0.0.1:") else "https"
    url = f"{scheme}://{_REGISTRIES.get(registry, registry)}/v2/{repository}"
    try:
        with httpx.Client(timeout=30, follow_redirects=True, headers={"Accept": _ACCEPT}) as client:
            answer = _authorized(client, f"{url}/manifests/{tag}")
            manifest = _json(answer)
            if answer.is_error or not manifest.keys() & {"manifests", "config"}:
                raise DeploymentError(
                    f"{registry} has no image {repository}:{tag} (HTTP {answer.status_code}): check the tag."
                )
            platforms = tuple(_platforms(client, url, manifest))
    except httpx.HTTPError as error:
        raise DeploymentError(
            f"The registry of {image} cannot be reached ({type(error).__name__}): check the network, or give the "
            "image's digest in the settings."
        ) from None
    if _PLATFORMS[architecture] not in platforms:
        raise DeploymentError(
            f"{image} has no image for {_PLATFORMS[architecture]}, only for {', '.join(platforms) or 'none'}: set "
            "`architecture`, or choose another image."
        )
    return f"{name}@sha256:{hashlib.sha256(answer.content).hexdigest()}"


def _platforms(client: httpx.Client, url: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    """The platforms of an index, or the one of a single manifest, whose configuration has it."""
    if "manifests" in manifest:
        found = [each.get("platform", {}) for each in manifest["manifests"]]
    else:
        found = [_json(_authorized(client, f"{url}/blobs/{manifest['config']['digest']}"))]
    for each in found:
        # An index also lists attestations, whose platform is `unknown`.
        if each.get("os", "unknown") != "unknown":
            yield f"{each['os']}/{each.get('architecture', 'unknown')}"


def _json(answer: httpx.Response) -> dict[str, Any]:
    """An answer's object; empty where it has none."""
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _authorized(client: httpx.Client, url: str) -> httpx.Response:
    """Get an address, with an anonymous token where the registry asks for one."""
    answer = client.get(url)
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
    return client.get(url, headers={"Authorization": f"Bearer {token}"})
