"""Whether the stacks can be changed now, and whether the names of what they create are free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qa_eval.blueprint import bot, outputs
from qa_eval.blueprint.guardrail import load_guardrail_policy
from qa_eval.deployment.preflight.account import Account, NotAnswered
from qa_eval.deployment.preflight.findings import PreflightFinding

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings

_DEPLOYABLE: Final = frozenset(
    {
        *("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"),
        *("IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"),
        "ROLLBACK_COMPLETE",  # the CDK command removes it, and creates it anew
    }
)
_GUARDRAIL_NAME_LENGTH: Final = 50


@dataclass(frozen=True)
class NamedResource:
    """A resource whose name must be free in the account, and how to list those that exist."""

    what: str
    type: str
    """Its type in CloudFormation."""
    name: Callable[[QaEvalSettings], str | None]
    """Its name in a deployment; None if the deployment has none."""
    service: str
    operation: str
    items: tuple[str, ...]
    """The path to the list in the operation's answer."""
    key: str
    """The name's key in each item of the list."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The operation's parameters."""
    otherwise: str = "use another `name`"
    """What to do if the existing one is needed."""


def _vpc_origin(settings: QaEvalSettings) -> str | None:
    if settings.load_balancer == "public":
        return None
    return f"{settings.name}-{'https' if settings.domain else 'http'}"


NAMED: Final = (
    NamedResource(
        "dashboard",
        "AWS::CloudWatch::Dashboard",
        lambda settings: settings.name,
        "cloudwatch",
        "list_dashboards",
        ("DashboardEntries",),
        "DashboardName",
    ),
    NamedResource(
        "guardrail",
        "AWS::Bedrock::Guardrail",
        lambda settings: f"{settings.name}-{load_guardrail_policy().name}"[:_GUARDRAIL_NAME_LENGTH],
        "bedrock",
        "list_guardrails",
        ("guardrails",),
        "name",
    ),
    NamedResource(
        "Cloud Map namespace",
        "AWS::ServiceDiscovery::HttpNamespace",
        lambda settings: f"{settings.name}.internal",
        "servicediscovery",
        "list_namespaces",
        ("Namespaces",),
        "Name",
    ),
    NamedResource(
        "VPC origin",
        "AWS::CloudFront::VpcOrigin",
        _vpc_origin,
        "cloudfront",
        "list_vpc_origins",
        ("VpcOriginList", "Items"),
        "Name",
    ),
    NamedResource(
        "Lex bot",
        "AWS::Lex::Bot",
        lambda settings: bot.BOT_NAME if settings.chatbot else None,
        "lexv2-models",
        "list_bots",
        ("botSummaries",),
        "botName",
        {"filters": [{"name": "BotName", "values": [bot.BOT_NAME], "operator": "EQ"}]},
        "set `chatbot: false`",
    ),
)


def stacks(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """No stack is being changed, has failed, or is somebody else's."""
    for name, region in stack_names(settings).items():
        answer = account.ask(
            "cloudformation", "describe_stacks", region=region, missing=("ValidationError",), StackName=name
        )
        for stack in answer.get("Stacks", []):
            status = stack["StackStatus"]
            if status == "REVIEW_IN_PROGRESS":
                continue  # it was never created, and has no description yet
            if not stack.get("Description", "").startswith(outputs.DESCRIPTION):
                yield PreflightFinding(
                    f"The stack {name} in {region} is not a deployment of `qa-eval infra deploy`: use another `name`."
                )
            elif status not in _DEPLOYABLE:
                yield PreflightFinding(_stuck(name, region, status))


def names(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """No resource has a name that the stack is going to use, except the stack's own."""
    for resource in NAMED:
        name = resource.name(settings)
        if name is None:
            continue
        try:
            taken = _is_taken(account, resource, name)
        except NotAnswered as error:
            yield PreflightFinding(str(error), "unchecked")
            continue
        if taken:
            yield PreflightFinding(
                f"The account already has a {resource.what} {name}, which is not the stack's: delete it, or "
                f"{resource.otherwise}."
            )


def stack_names(settings: QaEvalSettings) -> dict[str, str]:
    """The stacks of a deployment, with their regions."""
    from qa_eval_infra.settings import CLOUDFRONT_REGION

    home = {settings.name: settings.region}
    return {f"{settings.name}-edge": CLOUDFRONT_REGION, **home} if settings.needs_edge_stack else home


def _is_taken(account: Account, resource: NamedResource, name: str) -> bool:
    listed: Any = account.ask(resource.service, resource.operation, **resource.parameters)
    for step in resource.items:
        listed = listed.get(step, [])
    own = account.owned(resource.type)
    # CloudFormation's id is the name, the id or the ARN, by the type.
    return any(item[resource.key] == name and own.isdisjoint(map(str, item.values())) for item in listed)


def _stuck(name: str, region: str, status: str) -> str:
    where = f"The stack {name} in {region} is {status}"
    if status.endswith("_IN_PROGRESS"):
        return f"{where}: wait until its change has ended."
    if status == "UPDATE_ROLLBACK_FAILED":
        return f"{where}: run `aws cloudformation continue-update-rollback --region {region} --stack-name {name}`."
    return f"{where}, which cannot be updated: see the stack's events, and run `qa-eval infra destroy`."
