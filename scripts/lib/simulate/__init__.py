"""scripts/simulate: runs PetalsSimulation and makes tables and a picture of what it prints.

The walk: `main` reads which simulation is meant (each is a module with `NAME` and `run`); `swarm`
runs its parts, two at a time, compares the figures with the targets and hands all to `report`,
which makes the table, and to `chart`. `credit` does the same with attacks, each of which brings
its own targets, and `credit_chart`.
"""
