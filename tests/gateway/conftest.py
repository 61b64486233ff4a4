"""One real LiteLLM in front of a Bedrock that fails on demand."""

from failing_bedrock import bedrock, bedrock_of_all, gateway, gateway_of_all

__all__ = ["bedrock", "bedrock_of_all", "gateway", "gateway_of_all"]
