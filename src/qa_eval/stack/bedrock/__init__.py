"""The Bedrock runtime API on loopback: what LiteLLM and boto3 call, answered by a small local model.

    server       the routes
    converse     Converse and ConverseStream
    prompts      a Converse request as the small model understands it best
    generation   an answer while it is made
    model        the model server behind it
    replay       answers from a table in the model's place
    titan        InvokeModel for Titan text embeddings, by a stand-in
    guardrail    ApplyGuardrail, by a stand-in
    eventstream  AWS's binary framing of a stream
    errors       AWS's errors

All models of the blueprint's `config.yaml` are this one model; others are refused as Bedrock refuses them. Nobody is
authenticated: signatures are accepted unread. It listens on 127.0.0.1 only.
"""

LOCAL_GUARDRAIL_ID = "local-stand-in"
LOCAL_GUARDRAIL_VERSION = "1"
