"""`qa-eval infra`: the platform on AWS. Progress goes to standard error, results to standard output."""

from __future__ import annotations

import asyncio
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

SettingsFile = Annotated[Path | None, typer.Option("--settings", metavar="FILE", help="YAML file with settings.")]
SettingFlags = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set one setting; overrides the file. Repeatable."),
]
Output = Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for the templates.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

FOLDER = Path("cdk.out")


@app.command()
def synth(settings: SettingsFile = None, set_: SettingFlags = None, output: Output = FOLDER) -> None:
    """Write the CloudFormation templates, without an account and network."""
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
        bool, typer.Option("--bootstrap", help="First bootstrap the account's regions for CDK; needed once.")
    ] = False,
    smoke: Annotated[bool, typer.Option(help="Verify the deployment with a small experiment.")] = True,
    min_f1: Annotated[float, typer.Option(metavar="F1", help="Minimum F1 of that experiment, 0 to 1.")] = 0.5,
) -> None:
    """Check the gateway's configuration, deploy, provide keys, and verify. Exit code 1: there are findings."""
    from qa_eval.deployment import cdk

    chosen = _settings(settings, set_)
    _lint(chosen)
    written = _synth(_pinned(chosen), output)
    if bootstrap:
        _bootstrap(chosen)
    cdk.run("deploy", written, ["--require-approval", "never" if yes else "broadening"])
    _provide_keys(chosen)
    _price_models(chosen)
    if smoke:
        _smoke(chosen, min_f1)


@app.command()
def outputs(
    stack: Annotated[str, typer.Option(metavar="NAME", help="Name of the deployed stack.")] = "qa-eval",
    region: Annotated[str | None, typer.Option(help="Its region.  [default: AWS_REGION]")] = None,
    as_json: Json = False,
) -> None:
    """Show the outputs of a deployed stack; for secrets only their ARNs."""
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
    """Estimate the monthly cost of the idle platform by component, with the prices' sources."""
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
        "Tokens, requests, traffic and storage are extra. The prices are from third-party pages: check AWS's list.",
        err=True,
    )


@app.command()
def destroy(
    settings: SettingsFile = None, set_: SettingFlags = None, output: Output = FOLDER, yes: Yes = False
) -> None:
    """Destroy the stacks, after listing what is retained."""
    from qa_eval.deployment import cdk

    chosen = _settings(settings, set_)
    if chosen.deletion_protection:
        raise DeploymentError(
            "The database and the load balancer are protected: first run `qa-eval infra deploy --no-smoke --set "
            "deletion_protection=false`, then destroy with the same --set."
        )
    written = _synth(chosen, output)
    typer.echo("Retained resources, which may cost money:", err=True)
    for each in cdk.retained(written):
        typer.echo(
            f"  {each.type} {each.name} ({'final snapshot' if each.policy == 'Snapshot' else 'retained'})", err=True
        )
    typer.echo("  CDK's own bootstrap stacks with the uploaded assets (retained)", err=True)
    cdk.run("destroy", written, ["--force"] if yes else [])


def _settings(file: Path | None, flags: list[str] | None) -> QaEvalSettings:
    from qa_eval_infra.settings import load_settings

    return load_settings(file, flags or (), os.environ)


def _synth(chosen: QaEvalSettings, output: Path) -> Path:
    from qa_eval_infra.app import synth

    return synth(chosen, output)


def _pinned(chosen: QaEvalSettings) -> QaEvalSettings:
    """The settings with image digests in place of tags."""
    from qa_eval.deployment.images import pin

    typer.echo("Looking up the images' digests ...", err=True)
    images = {"litellm_image": pin(chosen.litellm_image), "phoenix_image": pin(chosen.phoenix_image)}
    return chosen.model_copy(update=images)


def _lint(chosen: QaEvalSettings) -> None:
    """Refuse to deploy a configuration with findings."""
    from datetime import UTC, datetime

    from qa_eval.blueprint.gateway import load_content
    from qa_eval.blueprint.prices import load_price_map
    from qa_eval.gateway_check.lint import lint

    findings = lint(load_content(chosen.config_file), load_price_map(), datetime.now(UTC).date())
    for finding in findings:
        typer.echo(f"{finding.rule}: {finding.message}", err=True)
    if findings:
        typer.echo(f"Nothing is deployed: correct {chosen.config_file} first.", err=True)
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

    typer.echo("Providing virtual keys ...", err=True)
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


def _price_models(chosen: QaEvalSettings) -> None:
    """Give the deployed Phoenix the gateway's prices."""
    from qa_eval.aws.deployed import find, platform_outputs, read_secret
    from qa_eval.blueprint import outputs as names
    from qa_eval.experiment.metadata import Servers
    from qa_eval.experiment.prices import price_gateway

    stack = find(chosen.name, chosen.region)
    master = read_secret(platform_outputs(chosen.name, chosen.region)[names.MASTER_KEY_SECRET], chosen.region)
    servers = Servers(stack.gateway_url, master, stack.phoenix_url, stack.phoenix_key)
    if problem := asyncio.run(price_gateway(servers)):
        typer.echo(problem, err=True)


def _smoke(chosen: QaEvalSettings, min_f1: float) -> None:
    from qa_eval.aws.deployed import find, platform_outputs, read_secret
    from qa_eval.aws.lex import LexBot
    from qa_eval.blueprint import outputs as names
    from qa_eval.deployment import smoke

    if not 0 <= min_f1 <= 1:
        raise InputError(f"--min-f1 must be from 0 to 1, not {min_f1:g}.")
    stack = find(chosen.name, chosen.region)
    master = read_secret(platform_outputs(chosen.name, chosen.region)[names.MASTER_KEY_SECRET], chosen.region)

    def on_progress(line: str) -> None:
        typer.echo(line, err=True)

    checks = [
        lambda: smoke.verify_gateway(stack.gateway_url, master, chosen.gateway_config, on_progress),
        lambda: smoke.run_smoke_experiment(stack, chosen.chatbot_model, min_f1, on_progress),
    ]
    if chosen.chatbot:
        checks.append(lambda: smoke.check_chatbot(LexBot.from_stack(chosen.name, chosen.region), on_progress))
    findings = smoke.run_checks(*checks)
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise typer.Exit(1)
    typer.echo(f"{chosen.name} works: {stack.gateway_url}")
