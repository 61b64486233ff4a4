"""The door to AWS: clients, deployed stacks and their keys, the deployed chatbot."""
