"""A shop's tagging job: the taxonomy of its tags, and the journal of finished rows."""
