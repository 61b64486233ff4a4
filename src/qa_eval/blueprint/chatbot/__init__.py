"""The chatbot's Lambda asset: `handler.py` alone, which needs nothing of ours."""
