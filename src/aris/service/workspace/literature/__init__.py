"""Literature in the workspace: libraries of papers, search, and answers with references to passages."""
