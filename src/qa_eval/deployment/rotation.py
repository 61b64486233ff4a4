"""Replace one secret of a deployed platform by a new one, without an outage.

In: a secret's name, and the settings. Out: a new value in Secrets Manager that every server uses. The order is the same
for all: the new value is prepared; whoever checks it takes it beside the present one; it becomes the present one; its
readers are restarted one by one; then the former one is no longer taken. A command that was killed in between is run
again and goes on with the value that it had prepared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qa_eval.aws import deployed, secrets
from qa_eval.aws.client import aws_errors, client
from qa_eval.blueprint import outputs
from qa_eval.blueprint import secrets as blueprint
from qa_eval.deployment import keys
from qa_eval.deployment.release import CHATBOT_KEY, EXPERIMENT_KEY, OnProgress, virtual_keys
from qa_eval.errors import DeploymentError, InputError
from qa_eval.virtual_keys import new_key

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings

_WAITER: Final = {"Delay": 15, "MaxAttempts": 240}
"""Up to an hour: a task that is replaced first ends what it was asked, and a canary takes its steps."""


@dataclass(frozen=True)
class Platform:
    """A deployed platform, as far as a rotation needs it."""

    settings: QaEvalSettings
    outputs: Mapping[str, str]
    on_progress: OnProgress
    now: bool
    """Whether the former value of a virtual key ends at once, instead of in an hour."""

    def client(self, service: str) -> Any:
        """A client of an AWS service in the platform's region."""
        return client(service, self.settings.region)


@dataclass(frozen=True)
class Change:
    """A secret's former and its new value."""

    former: str = field(repr=False)
    new: str = field(repr=False)


Step = Callable[[Platform, Change], None]


@dataclass(frozen=True)
class Rotation:
    """How one secret is replaced."""

    output: str
    """The output with the secret's ARN."""
    effect: str
    """What is different afterwards, one sentence."""
    make: Callable[[], str]
    readers: Sequence[str] = ()
    """The outputs with the services that read the secret, in the order of their restarts."""
    admit: Step | None = None
    """Makes whoever checks the secret take the new value beside the former."""
    retire: Step | None = None
    """Ends the former value."""


def rotate(name: str, settings: QaEvalSettings, on_progress: OnProgress, *, now: bool = False) -> str:
    """Replace a secret; return what is different now, one sentence.

    Args:
        name: A name of `ROTATIONS`.
        settings: The settings of the deployment.
        on_progress: Called with one line about each step that takes time.
        now: End the former value of a virtual key at once, instead of in an hour.

    Raises:
        InputError: There is no such secret, or it cannot be replaced.
        DeploymentError: The stack does not exist, or AWS or the gateway refuses.
    """
    rotation = _rotation(name)
    platform = Platform(settings, deployed.platform_outputs(settings.name, settings.region), on_progress, now)
    if rotation.output not in platform.outputs:
        raise DeploymentError(f"The stack {settings.name!r} has no {name}: deploy it with this version first.")
    secret = platform.outputs[rotation.output]
    former = deployed.read_secret(secret, settings.region)
    change = Change(former, secrets.prepare(secret, rotation.make, settings.region))
    if rotation.admit:
        rotation.admit(platform, change)
    secrets.promote(secret, settings.region)
    for service in rotation.readers:
        _restart(platform, service)
    if rotation.retire:
        rotation.retire(platform, change)
    return rotation.effect


def _rotation(name: str) -> Rotation:
    if name in FIXED:
        raise InputError(f"{name} is not replaced: {FIXED[name]}.")
    if name not in ROTATIONS:
        raise InputError(f"There is no secret {name!r}: give one of {', '.join(ROTATIONS)}.")
    return ROTATIONS[name]


def _restart(platform: Platform, service: str) -> None:
    """Replace a service's tasks, new ones first, and wait until the old ones are gone."""
    cluster, name = platform.outputs[outputs.CLUSTER], platform.outputs[service]
    platform.on_progress(f"Replacing the tasks of {name} ...")
    with aws_errors():
        ecs = platform.client("ecs")
        ecs.update_service(cluster=cluster, service=name, forceNewDeployment=True)
        ecs.get_waiter("services_stable").wait(cluster=cluster, services=[name], WaiterConfig=_WAITER)


def _valkey_takes(strategy: str) -> Step:
    """`ROTATE`: Valkey takes the new password, too; `SET`: it takes the new one only."""

    def step(platform: Platform, change: Change) -> None:
        group = platform.outputs[outputs.VALKEY_GROUP]
        platform.on_progress(f"Valkey: {strategy.lower()} the password ...")
        with aws_errors():
            elasticache = platform.client("elasticache")
            elasticache.modify_replication_group(
                ReplicationGroupId=group, AuthToken=change.new, AuthTokenUpdateStrategy=strategy, ApplyImmediately=True
            )
            elasticache.get_waiter("replication_group_available").wait(ReplicationGroupId=group)

    return step


def _register_successor(name: str) -> Step:
    def step(platform: Platform, change: Change) -> None:
        key = virtual_keys(platform.settings, platform.outputs)[name]
        keys.succeed(*_gateway(platform), key, change.former, change.new)

    return step


def _retire_key(platform: Platform, change: Change) -> None:
    keys.retire(*_gateway(platform), change.former, now=platform.now)


def _gateway(platform: Platform) -> tuple[str, str]:
    """The gateway's URL and master key."""
    master = deployed.read_secret(platform.outputs[outputs.MASTER_KEY_SECRET], platform.settings.region)
    return platform.outputs[outputs.GATEWAY_URL], master


def _of_a_key(name: str, output: str, effect: str) -> Rotation:
    return Rotation(output, effect, new_key, admit=_register_successor(name), retire=_retire_key)


ROTATIONS: Final[Mapping[str, Rotation]] = {
    blueprint.MASTER_KEY.name: Rotation(
        outputs.MASTER_KEY_SECRET,
        "The gateway takes the new master key only; virtual keys are as before.",
        blueprint.MASTER_KEY.generate,
        readers=[outputs.GATEWAY_SERVICE],
    ),
    blueprint.PHOENIX_SECRET.name: Rotation(
        outputs.PHOENIX_SIGNING_SECRET,
        "Everybody signs in to Phoenix again, and API keys that were made there have to be made again.",
        blueprint.PHOENIX_SECRET.generate,
        readers=[outputs.PHOENIX_SERVICE],
    ),
    blueprint.PHOENIX_ADMIN_SECRET.name: Rotation(
        outputs.PHOENIX_KEY_SECRET,
        "Phoenix takes the new key only; traces that the gateway sent between the two restarts are missing.",
        blueprint.PHOENIX_ADMIN_SECRET.generate,
        readers=[outputs.PHOENIX_SERVICE, outputs.GATEWAY_SERVICE],
    ),
    blueprint.VALKEY_PASSWORD.name: Rotation(
        outputs.VALKEY_PASSWORD_SECRET,
        "Valkey takes the new password only.",
        blueprint.VALKEY_PASSWORD.generate,
        readers=[outputs.GATEWAY_SERVICE],
        admit=_valkey_takes("ROTATE"),
        retire=_valkey_takes("SET"),
    ),
    EXPERIMENT_KEY: _of_a_key(
        EXPERIMENT_KEY,
        outputs.EXPERIMENT_KEY_SECRET,
        "New runs use the new key; budget and what was spent are as before.",
    ),
    CHATBOT_KEY: _of_a_key(
        CHATBOT_KEY,
        outputs.CHATBOT_KEY_SECRET,
        "The chatbot reads the new key when the gateway refuses the former; budget and what was spent are as before.",
    ),
}
"""How each secret is replaced, by its name."""

FIXED: Final = {
    blueprint.SALT_KEY.name: "the gateway's database is encrypted with it",
    blueprint.PHOENIX_ADMIN_PASSWORD.name: "it is only the first password; change it on Phoenix's page",
}
"""The secrets that are not replaced, with the reason."""
