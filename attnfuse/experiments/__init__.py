"""One lesson's comparison in each module: train the variants over seeds, collect the table, draw the rows.

`python -m attnfuse.experiments.NAME` prints the longer table that the lesson quotes. What a later lesson
builds on (layers, models, measures, training) stands outside, and nothing outside imports from here.
"""
