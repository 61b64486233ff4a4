"""The Bedrock runtime API on loopback, for LiteLLM and boto3, answered by a small local model.

    server       the routes
    converse     Converse and ConverseStream
    prompts      the prompt format that suits the small model
    generation   the stream of an answer
    model        the client of the model server
    judge        judgements by rules in place of a model
    replay       answers from a table in place of the model's
    titan        InvokeModel for Titan text embeddings, with a substitute model
    guardrail    ApplyGuardrail, with patterns instead of classifiers
    eventstream  AWS's binary event stream encoding
    errors       AWS's errors

Every model of the blueprint's `config.yaml` is served by this one model; others are refused as Bedrock refuses them.
Requests are not authenticated: signatures are not checked. It listens on 127.0.0.1 only.
"""

LOCAL_GUARDRAIL_ID = "local-stand-in"
LOCAL_GUARDRAIL_VERSION = "1"
