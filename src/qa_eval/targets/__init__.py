"""Who produces an answer: a gateway's model, a function, a chatbot; and what became of each question."""
