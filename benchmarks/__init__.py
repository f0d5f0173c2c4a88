"""A command a question: each prints a table and writes results/*.csv with machine, versions, date and commit."""
