"""A shop's tagging job: the taxonomy of its tags, the journal of finished rows, and the result."""
