"""The client side of the chatbot: a message in, the bot's messages and what became of the turn out.

bot      what any bot can do, and what it says
lex      the deployed bot, through Amazon Lex
local    the same handler here, with the events that Lex would send
target   a bot in the place of a model, for experiments
"""
