"""The platform, described once: CDK deploys it, the local stack runs it, the tests exercise it.

`config.yaml` is the gateway's configuration, `guardrail.yaml` the guardrail's policy, `servers/` the
hash-pinned server versions; the modules beside them are their typed readers.
"""
