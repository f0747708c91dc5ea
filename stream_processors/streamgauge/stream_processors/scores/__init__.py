"""Scores: what scorers say about the texts of requests, and how many texts they could speak of.

scorer.py     the interface of a scorer, for built-in and user scorers
registry.py   which scorers run: built in, by entry point, switched by settings
sampling.py   which requests are scored: hashed, with known probability
cache.py      texts seen before
runner.py     runs a scorer over texts: threads, poison texts isolated
pipeline.py   requests -> judged texts, each in exactly one status
cells.py      judged texts -> cells of `score_windows`
rows.py       cells and scores -> rows
processor.py  events -> rows, for the generic worker
builtin/      lexical abuse, JSON validity, perplexity
toxicity/     the slot of Detoxify: bundle and engine
settings.py   which scorers, which share
main.py       the process
"""
