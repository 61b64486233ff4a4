"""One sentence for every error of the AWS SDK."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
    TokenRetrievalError,
)

from qa_eval.aws.client import aws_errors, client, error_sentence
from qa_eval.errors import ChatbotError, DeploymentError, QaEvalError

REFUSAL = ClientError({"Error": {"Code": "AccessDenied", "Message": "Not you."}}, "GetSecretValue")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (REFUSAL, "AWS refuses GetSecretValue: AccessDenied, Not you."),
        (ClientError({"Error": {"Code": "500"}}, "PutSecretValue"), "AWS refuses PutSecretValue: 500, no message."),
        (NoRegionError(), "No AWS region is configured: set AWS_REGION to the stack's region."),
        (NoCredentialsError(), "No valid AWS credentials (Unable to locate credentials): sign in, for example"),
        (ProfileNotFound(profile="work"), "No valid AWS credentials (The config profile (work) could not be found):"),
        (TokenRetrievalError(provider="sso", error_msg="expired"), "No valid AWS credentials ("),
        (ConnectTimeoutError(endpoint_url="https://x"), "AWS cannot be reached: Connect timeout on endpoint URL"),
    ],
)
def test_every_error_is_one_sentence(error: BotoCoreError | ClientError, sentence: str) -> None:
    message = error_sentence(error)
    assert message.startswith(sentence)
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize("kind", [DeploymentError, ChatbotError])
def test_errors_are_raised_as_the_wanted_class(kind: type[QaEvalError]) -> None:
    with pytest.raises(kind, match="AccessDenied"), aws_errors(kind):
        raise REFUSAL


def test_a_region_that_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert client("cloudformation").meta.region_name == "eu-west-1"
    assert client("cloudformation", "us-west-2").meta.region_name == "us-west-2"
