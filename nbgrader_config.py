"""What stock nbgrader needs to be fair to this course; used by the build and by `make course`."""

c = get_config()  # noqa: F821 (nbgrader defines it)

# Our check cells are the tests, and an answer's place runs: a function returns None.
c.ClearSolutions.code_stub = {"python": "pass  # YOUR CODE HERE"}
c.ClearSolutions.begin_solution_delimeter = "BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "END SOLUTION"

# Our longest training cell takes about a minute on two cores; nbgrader's own limit is 30 s a cell.
c.ExecutePreprocessor.timeout = 600

# Text on standard error costs all points of a cell by default, also for a library's greeting.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"(?s).*"

# Feedback pages name the exercises and draw formulas without a network.
c.GenerateFeedback.exporter_class = "attnfuse.teaching.FeedbackExporter"
