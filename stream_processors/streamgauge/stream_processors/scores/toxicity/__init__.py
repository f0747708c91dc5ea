"""The slot of the toxicity model (Detoxify): which bundle of weights, which engine.

Only this slot writes the metric `toxicity`. Without a bundle every text ends in `no_scorer` and
toxicity is NULL: unknown, not 0, and no other scorer stands in.
"""
