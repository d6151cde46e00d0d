"""Routes that are more than a question and its answer: login and logout, download, live stream, documentation."""
