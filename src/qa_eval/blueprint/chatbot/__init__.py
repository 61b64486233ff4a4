"""The chatbot's fulfilment, and the Lambda asset: a Lex V2 event in, one gateway call, a Lex V2 response out.

    handler    Lambda's entry point and one turn of a conversation
    lex        Lex V2 events and responses, and the conversation's history
    gateway    the call of the gateway, within the time that Lambda has left
    messages   what the user reads: fixed sentences, and an answer split into messages

The package stands alone: it imports the standard library, and urllib3 and boto3, which the Lambda runtime ships.
`qa-eval chat --local` sends the same events to the same code.
"""
