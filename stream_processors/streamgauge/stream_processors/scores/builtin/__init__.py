"""Scorers that need no weights and no network: lexical abuse, JSON validity, perplexity."""
