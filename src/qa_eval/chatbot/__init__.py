"""Clients of the chatbot: a message in, the bot's messages and the outcome of the turn out.

    bot      the interface of a bot, and its replies
    local    the deployed handler in this process, with Lex's events

The deployed bot is `qa_eval.aws.lex`.
"""
