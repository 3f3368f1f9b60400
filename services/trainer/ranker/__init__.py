"""The learned ranker: orders the candidates of a person by what the person will do with them."""
