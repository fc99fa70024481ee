"""The course's data: one module per data set, each read from an installed package."""
