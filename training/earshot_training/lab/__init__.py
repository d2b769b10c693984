"""A small laboratory for losses, metrics and text tricks: two heads on cached embeddings of the published network."""
