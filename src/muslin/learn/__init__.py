"""Dataset → trained network. The only room that knows torch; importing it does not import torch yet."""

import os

# GNU OpenMP reads this once, when torch is first imported. By default its threads spin while they wait for each
# other, so that one busy neighbour on the machine makes every step wait for the scheduler: measured 108 ms a step
# instead of 873 on two cores shared with other work; up to a fifth slower on quiet ones (docs/explanation/speed.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
