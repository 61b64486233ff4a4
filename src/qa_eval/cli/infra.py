"""`qa-eval infra`: the platform on AWS. Progress goes to standard error, results to standard output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.cli.console import confirm
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
MinF1 = Annotated[float, typer.Option(metavar="F1", help="Minimum F1 of that experiment, 0 to 1.")]

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
    from qa_eval.deployment import cdk, release

    pinned = release.pin_images(_settings(settings, set_), _say)
    cdk.run("diff", _prepared(pinned, output))


@app.command()
def preflight(settings: SettingsFile = None, set_: SettingFlags = None, as_json: Json = False) -> None:
    """Ask the account what would fail in `deploy`, and change nothing. Exit code 1: something would."""
    from qa_eval.cli.preflight import show

    if show(_settings(settings, set_), as_json=as_json):
        raise typer.Exit(1)


@app.command()
def deploy(
    settings: SettingsFile = None,
    set_: SettingFlags = None,
    output: Output = FOLDER,
    yes: Yes = False,
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="First bootstrap the account's regions for CDK; needed once.")
    ] = False,
    preflight: Annotated[bool, typer.Option(help="First ask the account what would fail.")] = True,
    smoke: Annotated[bool, typer.Option(help="Verify the deployment with a small experiment.")] = True,
    min_f1: MinF1 = 0.5,
) -> None:
    """Check configuration and account, deploy, provide keys, and verify. Exit code 1: there are findings."""
    from qa_eval.deployment import memory, release

    _check_f1(min_f1)
    chosen = _settings(settings, set_)
    _check(chosen)
    if preflight:
        _ask_account(chosen, bootstrap=bootstrap)
    pinned = release.pin_images(chosen, _say)
    if bootstrap:
        release.bootstrap(chosen)
    _release(pinned, output, yes, smoke, min_f1)
    if smoke:
        memory.remember(pinned, _say)


@app.command()
def rollback(
    settings: SettingsFile = None,
    set_: SettingFlags = None,
    output: Output = FOLDER,
    yes: Yes = False,
    version: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="An earlier one of the remembered configurations.")
    ] = None,
    min_f1: MinF1 = 0.5,
) -> None:
    """Deploy the last configuration that passed `deploy`'s verification; the settings only name the deployment."""
    from qa_eval.deployment import cdk, memory, release

    _check_f1(min_f1)
    chosen = _settings(settings, set_)
    remembered = memory.recall(chosen.name, chosen.region, version)
    restored = memory.restore(remembered, output)
    written = _prepared(restored, output)
    if memory.is_deployed(restored, written):
        raise DeploymentError(
            f"Version {remembered.version} of the remembered configurations of {chosen.name} is already deployed: give "
            "an earlier one with --version."
        )
    _say(f"Version {remembered.version}, which passed its verification on {remembered.passed:%Y-%m-%d %H:%M} UTC:")
    cdk.run("diff", written)
    if not yes:
        confirm("Deploy this configuration?")
    _release(release.admitted(restored), output, yes, smoke=True, min_f1=min_f1)
    memory.remember(restored, _say)
    _say("The settings that were given are unchanged: the next `deploy` deploys them again.")


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
def rotate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The secret, for example valkey-password.")],
    settings: SettingsFile = None,
    set_: SettingFlags = None,
    now: Annotated[
        bool, typer.Option("--now", help="End a virtual key's former value at once, instead of in an hour.")
    ] = False,
) -> None:
    """Replace a secret by a new one, without an outage.

    NAME is master-key, phoenix-secret, phoenix-admin-secret, valkey-password, experiment-key or chatbot-key.
    """
    from qa_eval.deployment import rotation

    typer.echo(rotation.rotate(name, _settings(settings, set_), _say, now=now))


@app.command()
def destroy(
    settings: SettingsFile = None, set_: SettingFlags = None, output: Output = FOLDER, yes: Yes = False
) -> None:
    """Destroy the stacks, after listing what is retained."""
    from qa_eval.deployment import cdk, memory, release

    chosen = _settings(settings, set_)
    if chosen.deletion_protection:
        raise DeploymentError(
            "The database and the load balancer are protected: first run `qa-eval infra deploy --no-smoke --set "
            "deletion_protection=false`, then destroy with the same --set."
        )
    written = _synth(release.first(chosen), output)  # what a canary adds is not retained, and need not be packed
    typer.echo("Retained resources, which may cost money:", err=True)
    for each in cdk.retained(written):
        typer.echo(
            f"  {each.type} {each.name} ({'final snapshot' if each.policy == 'Snapshot' else 'retained'})", err=True
        )
    typer.echo("  CDK's own bootstrap stacks with the uploaded assets (retained)", err=True)
    cdk.run("destroy", written, ["--force"] if yes else [])
    memory.forget(chosen.name, chosen.region)
    if not chosen.needs_edge_stack:
        release.remove_edge(chosen, _say)


def _settings(file: Path | None, flags: list[str] | None) -> QaEvalSettings:
    from qa_eval_infra.settings import load_settings

    return load_settings(file, flags or (), os.environ)


def _synth(chosen: QaEvalSettings, output: Path) -> Path:
    from qa_eval_infra.app import synth

    return synth(chosen, output)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _check(chosen: QaEvalSettings) -> None:
    """Refuse to deploy a configuration with findings."""
    from qa_eval.deployment import release

    findings = release.configuration_findings(chosen)
    for finding in findings:
        _say(finding)
    if findings:
        _say(f"Nothing is deployed: correct {chosen.config_file} first.")
        raise typer.Exit(1)


def _ask_account(chosen: QaEvalSettings, *, bootstrap: bool) -> None:
    """Refuse to deploy what would fail."""
    from qa_eval.cli.preflight import stops
    from qa_eval.deployment.preflight.checks import BOOTSTRAP

    if stops(chosen, (BOOTSTRAP,) if bootstrap else ()):
        _say("Nothing is deployed: correct this first, or use --no-preflight to try it anyway.")
        raise typer.Exit(1)


def _verify(chosen: QaEvalSettings, min_f1: float) -> None:
    from qa_eval.deployment import release

    findings = release.verify(chosen, min_f1, _say)
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise typer.Exit(1)


def _check_f1(min_f1: float) -> None:
    if not 0 <= min_f1 <= 1:
        raise InputError(f"--min-f1 must be from 0 to 1, not {min_f1:g}.")


def _release(pinned: QaEvalSettings, output: Path, yes: bool, smoke: bool, min_f1: float) -> None:
    """All steps of a deployment whose configuration is checked."""
    from qa_eval.deployment import release

    is_first = release.is_first(pinned)
    _deploy(release.first(pinned) if is_first else pinned, output, yes)
    release.wait_until_ready(pinned, _say)
    release.provide_keys(pinned, _say)
    if problem := release.price_models(pinned):
        _say(problem)
    if smoke:
        _verify(pinned, min_f1)
    if is_first and release.first(pinned) != pinned:
        _say("Protecting the deployment, as the settings say ...")
        _deploy(pinned, output, yes)
    if not pinned.needs_edge_stack:
        release.remove_edge(pinned, _say)
    typer.echo(f"{pinned.name} is deployed: {release.gateway_url(pinned)}")


def _prepared(pinned: QaEvalSettings, output: Path) -> Path:
    from qa_eval.deployment import release

    release.pack_canary(pinned, _say)
    return _synth(pinned, output)


def _deploy(pinned: QaEvalSettings, output: Path, yes: bool) -> None:
    from qa_eval.deployment import cdk

    cdk.run("deploy", _prepared(pinned, output), ["--require-approval", "never" if yes else "broadening"])
