"""The steps of `qa-eval infra` around CDK: run its command, pin images, provide keys, verify the deployment."""
