"""The benchmark: petalsfs beside its peers, on one machine, in one run.

The walk: `main` reads the arguments and asks every system of `systems` to install itself; `rounds`
lets all systems read the same files in turn, round after round, so that a noisy minute hits all
alike; `scenarios` puts petalsfs alone into bad company (dead, slow, damaged and far holders);
`publishing` measures what making a model costs; `stages` has PetalsBench measure each stage of
petalsfs by itself, so that a regression shows where it is. What they measured is a `results.Results`, from
which `report` makes the table and `chart` the picture.

What it never does: read a mount in this process (a reader is a child, so that no fault of a mount
stops the bench), end a process by name, or leave out a system in silence. Whatever was read is
compared by SHA-256, and a wrong byte fails the bench.
"""
