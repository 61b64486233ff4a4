"""`qa-eval infra`: the platform on AWS. Progress goes to standard error, answers to standard output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.errors import DeploymentError, InputError

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings

app = typer.Typer(
    help="Deploy the platform on AWS with CDK. Settings: docs/infra.md.", no_args_is_help=True, rich_markup_mode=None
)

SettingsFile = Annotated[Path | None, typer.Option("--settings", metavar="FILE", help="YAML with the settings.")]
SettingFlags = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One setting; may repeat, goes before the file.")
]
Output = Annotated[Path, typer.Option("--output", metavar="DIR", help="Where the templates are written.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before anything is changed.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")]

FOLDER = Path("cdk.out")


@app.command()
def synth(settings: SettingsFile = None, set_: SettingFlags = None, output: Output = FOLDER) -> None:
    """Write the CloudFormation templates; needs no account and no network."""
    written = _synth(_settings(settings, set_), output)
    for template in sorted(written.glob("*.template.json")):
        typer.echo(template)


@app.command()
def diff(settings: SettingsFile = None, set_: SettingFlags = None, output: Output = FOLDER) -> None:
    """Show what `deploy` would change."""
    from qa_eval.deployment import cdk

    chosen = _settings(settings, set_)
    cdk.run("diff", _synth(_pinned(chosen), output))


@app.command()
def deploy(
    settings: SettingsFile = None,
    set_: SettingFlags = None,
    output: Output = FOLDER,
    yes: Yes = False,
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="First prepare the account's regions for CDK; needed once.")
    ] = False,
    smoke: Annotated[bool, typer.Option(help="Try what was deployed, with a small experiment.")] = True,
    min_f1: Annotated[float, typer.Option(metavar="F1", help="The smoke experiment's gate, 0 to 1.")] = 0.5,
) -> None:
    """Check the gateway's configuration, deploy, hand out keys, and try it. Exit code 1: something does not work."""
    from qa_eval.deployment import cdk

    chosen = _settings(settings, set_)
    _lint(chosen)
    written = _synth(_pinned(chosen), output)
    if bootstrap:
        _bootstrap(chosen)
    cdk.run("deploy", written, ["--require-approval", "never" if yes else "broadening"])
    _provide_keys(chosen)
    if smoke:
        _smoke(chosen, min_f1)


@app.command()
def outputs(
    stack: Annotated[str, typer.Option(metavar="NAME", help="The deployed stack.")] = "qa-eval",
    region: Annotated[str | None, typer.Option(help="Where it is.  [default: AWS_REGION]")] = None,
    as_json: Json = False,
) -> None:
    """Show where a deployed stack is; of its secrets only their names."""
    from qa_eval.aws.deployed import platform_outputs

    found = platform_outputs(stack, region)
    if as_json:
        typer.echo(json.dumps(found, indent=2, sort_keys=True))
        return
    width = max(map(len, found))
    for name, value in sorted(found.items()):
        typer.echo(f"{name:{width}}  {value}")


@app.command()
def cost(settings: SettingsFile = None, set_: SettingFlags = None, as_json: Json = False) -> None:
    """Estimate a month in which nobody asks anything, by component, with the prices' sources."""
    import dataclasses

    from qa_eval_infra import cost as prices

    components = prices.estimate(_settings(settings, set_))
    if as_json:
        lines = [dataclasses.asdict(component) for component in components]
        document = {"usd_per_month": prices.total(components), "as_of": prices.AS_OF, "components": lines}
        typer.echo(json.dumps(document, indent=2))
        return
    for each in components:
        usd = "      ?" if each.usd is None else f"{each.usd:7.2f}"
        typer.echo(f"{usd}  {each.name:38} {each.how}  [{each.source}]")
    typer.echo(f"{prices.total(components):7.2f}  US dollars a month, idle, us-east-1, prices as of {prices.AS_OF}")
    typer.echo(
        "Tokens, requests, traffic and storage come on top. Third-party pages, not AWS's list: check it.", err=True
    )


@app.command()
def destroy(
    settings: SettingsFile = None, set_: SettingFlags = None, output: Output = FOLDER, yes: Yes = False
) -> None:
    """Remove the stacks, after saying what stays."""
    from qa_eval.deployment import cdk

    chosen = _settings(settings, set_)
    if chosen.deletion_protection:
        raise DeploymentError(
            "The database and the load balancer are protected: first run `qa-eval infra deploy --no-smoke --set "
            "deletion_protection=false`, then destroy with the same --set."
        )
    written = _synth(chosen, output)
    typer.echo("These stay, and may cost money:", err=True)
    for each in cdk.kept(written):
        typer.echo(
            f"  {each.type} {each.name} ({'a last snapshot' if each.policy == 'Snapshot' else 'kept'})", err=True
        )
    typer.echo("  CDK's own bootstrap stacks with the uploaded assets (kept)", err=True)
    cdk.run("destroy", written, ["--force"] if yes else [])


def _settings(file: Path | None, flags: list[str] | None) -> QaEvalSettings:
    from qa_eval_infra.settings import load_settings

    return load_settings(file, flags or (), os.environ)


def _synth(chosen: QaEvalSettings, output: Path) -> Path:
    from qa_eval_infra.app import synth

    return synth(chosen, output)


def _pinned(chosen: QaEvalSettings) -> QaEvalSettings:
    """The settings with digests in place of image tags."""
    from qa_eval.deployment.images import pin

    typer.echo("Asking the registries for the images' digests ...", err=True)
    images = {"litellm_image": pin(chosen.litellm_image), "phoenix_image": pin(chosen.phoenix_image)}
    return chosen.model_copy(update=images)


def _lint(chosen: QaEvalSettings) -> None:
    """Refuse to deploy a configuration that would do less than it says."""
    from datetime import UTC, datetime

    from qa_eval.blueprint.gateway import load_content
    from qa_eval.blueprint.prices import load_price_map
    from qa_eval.gateway_check.lint import lint

    findings = lint(load_content(chosen.config_file), load_price_map(), datetime.now(UTC).date())
    for finding in findings:
        typer.echo(f"{finding.rule}: {finding.message}", err=True)
    if findings:
        typer.echo(f"Nothing is deployed: mend {chosen.config_file} first.", err=True)
        raise typer.Exit(1)


def _bootstrap(chosen: QaEvalSettings) -> None:
    from qa_eval.aws.client import aws_errors, client
    from qa_eval.deployment import cdk
    from qa_eval_infra.settings import CLOUDFRONT_REGION

    with aws_errors():
        account = client("sts", chosen.region).get_caller_identity()["Account"]
    places = dict.fromkeys(f"aws://{account}/{region}" for region in (chosen.region, CLOUDFRONT_REGION))
    cdk.call(["bootstrap", *places], "bootstrap")


def _provide_keys(chosen: QaEvalSettings) -> None:
    from qa_eval.aws.deployed import platform_outputs, read_secret
    from qa_eval.blueprint import outputs as names
    from qa_eval.deployment.keys import VirtualKey, provide

    typer.echo("Handing out virtual keys ...", err=True)
    found = platform_outputs(chosen.name, chosen.region)
    experiments = VirtualKey(
        f"{chosen.name}-experiments",
        found[names.EXPERIMENT_KEY_SECRET],
        chosen.model_groups,
        chosen.experiment_budget,
    )
    chatbot = VirtualKey(
        f"{chosen.name}-chatbot", found[names.CHATBOT_KEY_SECRET], (chosen.chatbot_model,), chosen.chatbot_budget
    )
    keys = [experiments, chatbot] if chosen.chatbot else [experiments]
    master = read_secret(found[names.MASTER_KEY_SECRET], chosen.region)
    provide(found[names.GATEWAY_URL], master, keys, chosen.region)


def _smoke(chosen: QaEvalSettings, min_f1: float) -> None:
    from qa_eval.aws.deployed import find, platform_outputs, read_secret
    from qa_eval.aws.lex import LexBot
    from qa_eval.blueprint import outputs as names
    from qa_eval.deployment import smoke

    if not 0 <= min_f1 <= 1:
        raise InputError(f"--min-f1 {min_f1:g} is no score: give 0 to 1.")
    stack = find(chosen.name, chosen.region)
    master = read_secret(platform_outputs(chosen.name, chosen.region)[names.MASTER_KEY_SECRET], chosen.region)

    def report(line: str) -> None:
        typer.echo(line, err=True)

    checks = [
        lambda: smoke.verify_gateway(stack.gateway_url, master, chosen.gateway_config, report),
        lambda: smoke.run_smoke_experiment(stack, chosen.chatbot_model, min_f1, report),
    ]
    if chosen.chatbot:
        checks.append(lambda: smoke.check_chatbot(LexBot.from_stack(chosen.name, chosen.region), report))
    findings = smoke.run_checks(*checks)
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise typer.Exit(1)
    typer.echo(f"{chosen.name} works: {stack.gateway_url}")
