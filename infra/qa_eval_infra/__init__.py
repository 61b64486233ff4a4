"""The blueprint on AWS: CDK stacks, their settings and what they cost.

In: `QaEvalSettings` and the blueprint. Out: CloudFormation templates, made without an account, a network or Docker.
`settings` and `cost` are light; everything else loads aws-cdk-lib, which starts Node.js.
"""
