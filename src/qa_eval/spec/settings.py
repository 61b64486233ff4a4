"""Every setting that a flag or a Python keyword can give, once: its name, its place in the specification, its help.

No import of the models: `--help` reads this table and must stay fast. A test holds the table, the command, the
keywords and the models together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting and its three names."""

    keyword: str
    """The Python keyword."""
    path: str
    """The key's path in the specification, with dots."""
    help: str
    metavar: str | None = None
    default: str | None = None
    """The default, as the help shows it."""
    option: str | None = None
    """The flag, where it is not the keyword with dashes."""

    @property
    def flag(self) -> str:
        """The flag of `qa-eval run-experiment`."""
        return self.option or "--" + self.keyword.replace("_", "-")


SETTINGS = (
    Setting("name", "name", "Name of the run, to be used wherever a run's id is.", "NAME"),
    Setting(
        "dataset",
        "dataset",
        "sample, squad, squad_v2, a file (CSV, TSV, JSON, JSON Lines, Parquet), hub:ORG/NAME or phoenix:NAME.",
        "DATASET",
        "sample",
    ),
    Setting("columns", "dataset.columns", "Columns of the dataset: question=q,references=a+b,group=c.", "MAP"),
    Setting("examples", "dataset.examples", "Number of examples.", "N|all", "100"),
    Setting("seed", "dataset.seed", "Random seed of the subset.", "INTEGER", "0"),
    Setting(
        "stratify_by",
        "dataset.stratify_by",
        "Keep each stratum's proportion: difficulty, group, question-type, a column, or none.",
        "COLUMN",
        "none",
    ),
    Setting("dataset_name", "dataset.name", "Name of the dataset in Phoenix.", "NAME"),
    Setting("models", "models", "Model group of the gateway; may repeat.", "MODEL", "qa", option="--model"),
    Setting(
        "prompts",
        "prompts",
        "Prompt: a text file, a YAML or JSON file with messages, or phoenix:NAME[@TAG]; may repeat.",
        "FILE",
        option="--prompt",
    ),
    Setting(
        "via",
        "via",
        "What is evaluated: the gateway, a provider asked by the LiteLLM SDK, or the chatbot.",
        "gateway|litellm|chatbot|lex:STACK",
        "gateway",
    ),
    Setting("temperature", "parameters.temperature", "Sampling temperature.", "NUMBER", "0"),
    Setting("max_tokens", "parameters.max_tokens", "Maximum number of output tokens.", "N", "32"),
    Setting(
        "parameters",
        "parameters",
        "Another parameter of the provider, such as top_p=0.9; may repeat.",
        "NAME=VALUE",
        option="--parameter",
    ),
    Setting(
        "metrics",
        "metrics",
        "Metric in addition: a name, NAME=OPTION, judge:RUBRIC or module:function; may repeat.",
        "METRIC",
        option="--metric",
    ),
    Setting(
        "primary",
        "primary",
        "Metric whose difference is tested; may repeat.",
        "METRIC",
        "f1, or the first metric",
    ),
    Setting("judge_model", "judges.model", "Model group of the gateway that judges.", "MODEL"),
    Setting(
        "planted",
        "judges.planted",
        "Known right, and known wrong, answers that measure a judge; at most so many of each.",
        "N",
        "50",
    ),
    Setting(
        "similarity",
        "similarity",
        "Embedding model for semantic similarity.",
        "minilm|gateway|sentence-transformers",
        "minilm",
    ),
    Setting("repeat", "repeat", "Number of times each question is asked.", "K", "1"),
    Setting("stream", "stream", "Stream the answers, and measure the time to their first token."),
    Setting("concurrency", "concurrency", "Maximum number of concurrent requests.", "N|auto", "auto"),
    Setting("ray", "ray.address", "Ray cluster whose workers ask and score.", "local|auto|HOST:PORT|none", "none"),
    Setting("max_errors", "limits.errors", "Stop when more than this share of questions fails.", "SHARE", "0.1"),
    Setting("max_cost", "limits.cost_usd", "Stop before more than this is spent.", "USD"),
    Setting("max_time", "limits.time", "Stop asking after this time.", "SECONDS|10m|1h"),
    Setting("timeout", "limits.timeout", "Maximum time of one try.", "SECONDS|10m|1h", "2m"),
    Setting("stop_early", "stop.early", "Ask a system no more once its comparison with the baseline is decided."),
    Setting("looks", "stop.looks", "Number of looks at the comparison; given, it also stops early.", "N", "5"),
    Setting(
        "margin",
        "stop.margin",
        "Smallest difference of the primary metric that matters; given, it also stops early.",
        "NUMBER",
        "the gate's, or 0.02",
    ),
    Setting("baseline", "gate.baseline", "System that the rules compare with.", "SYSTEM", "the first"),
    Setting("fail_on", "gate.fail_on", "Rule on candidate minus baseline, such as 'f1 < -0.02'; may repeat.", "RULE"),
    Setting("require", "gate.require", "Rule on each system's own value, such as 'em >= 0.6'; may repeat.", "RULE"),
    Setting(
        "inconclusive",
        "gate.inconclusive",
        "What a rule does when the sample cannot tell.",
        "pass|fail",
        "pass",
    ),
    Setting("local", "servers.local", "Use the local stack, and start it where needed."),
    Setting("stack", "servers.stack", "Stack on AWS; AWS credentials give its keys.", "NAME"),
    Setting("gateway", "servers.gateway", "Base URL of a running gateway; its key: QA_EVAL_GATEWAY_KEY.", "URL"),
    Setting("phoenix", "servers.phoenix", "Base URL of a running Phoenix; its key: PHOENIX_API_KEY.", "URL"),
    Setting("replay", "servers.replay", "With --local: answer from a predictions file, not the model.", "FILE"),
    Setting("record", "recording.phoenix", "Record nothing in Phoenix.", option="--no-phoenix"),
    Setting(
        "record_examples",
        "recording.examples",
        "What Phoenix gets: all, a sample of N examples, or the failed ones and a sample. Figures are of all answers.",
        "all|sample:N|failures+N|none",
        "all",
        option="--record",
    ),
    Setting("prices", "recording.prices", "Leave Phoenix's model prices as they are.", option="--no-phoenix-prices"),
    Setting(
        "trace",
        "recording.trace",
        "Trace calls by the litellm SDK and other instrumented libraries under each question.",
        "auto|none",
        "auto",
    ),
    Setting("facts", "recording.facts", "Also record in Phoenix what explains a score: length, refusal, ..."),
    Setting(
        "trace_content",
        "recording.trace_content",
        "Leave question and answer out of the questions' own spans.",
        option="--no-trace-content",
    ),
)
"""In the order in which the help lists them. `--no-...` flags set theirs to false."""

BY_KEYWORD = {setting.keyword: setting for setting in SETTINGS}
BY_PATH = {setting.path: setting for setting in SETTINGS}


_IN_BACKTICKS = re.compile(r"`(\w+)(=False)?`")


def name_flags(message: str, flags: Mapping[str, str]) -> str:
    """A message of the library as a command prints it: its keywords in backticks become its flags.

    Args:
        message: What the library says, such as "`max_cost` must be greater than 0".
        flags: The command's flags, by the names of its parameters.
    """

    def flag(match: re.Match[str]) -> str:
        return f"`{flags[match[1]]}`" if match[1] in flags else match[0]

    return _IN_BACKTICKS.sub(flag, message)
