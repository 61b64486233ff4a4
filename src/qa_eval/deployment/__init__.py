"""What `qa-eval infra` does around CDK: run its command, pin images, hand out keys, and try what was deployed."""
