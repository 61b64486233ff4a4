"""Access to AWS: clients and their errors, deployed stacks with their keys, the deployed chatbot."""
