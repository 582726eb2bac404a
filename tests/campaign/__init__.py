"""A campaign of faults: kill, damage, starve and mislead collections at random, and count what goes wrong.

    python -m tests.campaign --minutes 10 --seed 1                 # every part, in turn
    python -m tests.campaign --only kills --rounds 1000            # one part
    python -m tests.campaign --only kills --seed 1 --round 17      # one round again

Each round draws from a generator of its own, seeded by the campaign's seed, the part and the round's number. So the
command that a fault is listed with repeats it, except where threads or processes race.
"""
