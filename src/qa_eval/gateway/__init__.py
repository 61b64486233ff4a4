"""The client side of the gateway: a prompt and a model name in, a reply with its outcome, usage and cost out."""
