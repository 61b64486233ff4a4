"""Ask an AWS account, before anything is created, what would fail in a deployment; nothing is changed.

In: the settings, and AWS credentials from the SDK's usual sources. Out: for each check of `CHECKS` its findings, one
sentence each. A new check is one function and one line in `checks.py`; what it may ask is in `permissions.py`.
"""
