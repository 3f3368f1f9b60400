"""The OpenAPI document of the public contract, made from its descriptors, annotations, rules and comments."""
