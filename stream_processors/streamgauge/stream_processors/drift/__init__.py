"""Input drift: additive histograms per (window, segment, feature) and verdicts over them.

features.py    what is watched, read off a request
bins.py        the bucket laws
processor.py   events -> rows of `histograms`
statistic.py   calibrated G, effect sizes, the bins that moved
sequential.py  CUSUM and the states of a stream
verdict.py     streams and verdicts, as data
detector.py    stored histograms and verdicts -> the next verdicts
rows.py        verdicts <-> rows of `drift_verdicts`
closer.py      when: watermark -> read, judge, write
status.py      "drift warming up: n of m windows"
settings.py    windows and thresholds
main.py        the process
"""
