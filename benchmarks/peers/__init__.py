"""The whole pipe beside tools that store LLM spans: `python -m benchmarks.peers`."""
