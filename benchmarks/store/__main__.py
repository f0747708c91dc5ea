"""x"""
import sys, argparse
from pathlib import Path
from benchmarks.store.site import *
def say(l): sys.stderr.write(l+"\n"); sys.stderr.flush()
p=argparse.ArgumentParser(); p.add_argument("--events",type=int,default=10_000_000); p.add_argument("--folder",type=Path,default=Path("build/store")); o=p.parse_args()
op=Options(o.folder,o.events)
t=traffic_of(op)
with running(op.folder) as st: fill(st.settings(DATABASE), t, say)
