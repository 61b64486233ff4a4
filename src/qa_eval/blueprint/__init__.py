"""The platform, described once: CDK deploys it, the local stack runs it, the tests exercise it.

`config.yaml` is the gateway's configuration, `guardrail.yaml` the guardrail's policy, `servers/` has the hash-pinned
server versions, and `chatbot/` is the Lambda asset. The other modules read them, typed.
"""
